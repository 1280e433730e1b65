/**
 * A register model whose state lies in shared memory, so that any vCPU's thread (and the device's own worker) can work on
 * it: under a lock word the state is copied into the model, the access is done, and the state copied back. A model's
 * state is a flat record of 32-bit numbers and at most one queue of numbers.
 */
import { assert } from '../../bus/assert.js';

const LOCK = 0;
const FIRST = 2;
/** Words a queue may have. */
const QUEUE_MAX = 16;
const SPINS_BEFORE_SLEEP = 500;

/** A flat state: numbers, and perhaps arrays of numbers. */
type FlatState = object;

/** Shared memory for the state of one device. */
export function createSharedRegisters(): SharedArrayBuffer {
  return new SharedArrayBuffer(256);
}

/** One thread's access to a model's shared state. */
export class SharedRegisters<State extends FlatState> {
  readonly #words: Int32Array;
  readonly #state: State;
  readonly #names: readonly (keyof State & string)[];
  readonly #queue: number[] | undefined;

  /** `state` is the model's own, in its reset state; `queue` its only array. The first thread to come publishes it. */
  constructor(memory: SharedArrayBuffer, state: State, queue?: number[]) {
    this.#words = new Int32Array(memory);
    this.#state = state;
    // WHY: State is a plain record; its keys are its own.
    this.#names = (Object.keys(state) as (keyof State & string)[]).filter((name) => typeof state[name] === 'number');
    this.#queue = queue;
    assert(FIRST + this.#names.length + 1 + QUEUE_MAX <= this.#words.length, 'the state fits into its shared memory');
    this.#lock();
    if (this.#words[1] === 0) {
      this.#store();
      this.#words[1] = 1;
    }
    this.#unlock();
  }

  /** Runs `body` on the current state. */
  with<T>(body: () => T): T {
    this.#lock();
    try {
      this.#load();
      const result = body();
      this.#store();
      return result;
    } finally {
      this.#unlock();
    }
  }

  #load(): void {
    const words = this.#words;
    let at = FIRST;
    for (const name of this.#names) {
      // WHY: only fields that hold numbers are in the list; the write keeps them so.
      (this.#state as Record<string, number>)[name] = (words[at++] ?? 0) >>> 0;
    }
    if (this.#queue === undefined) return;
    const length = words[at++] ?? 0;
    this.#queue.length = 0;
    for (let i = 0; i < length; i++) this.#queue.push((words[at + i] ?? 0) >>> 0);
  }

  #store(): void {
    const words = this.#words;
    let at = FIRST;
    for (const name of this.#names) words[at++] = Number(this.#state[name]);
    if (this.#queue === undefined) return;
    assert(this.#queue.length <= QUEUE_MAX, 'a device queue stays within its limit');
    words[at++] = this.#queue.length;
    for (const word of this.#queue) words[at++] = word;
  }

  #lock(): void {
    for (let spins = 0; Atomics.compareExchange(this.#words, LOCK, 0, 1) !== 0; spins++) {
      if (spins > SPINS_BEFORE_SLEEP) Atomics.wait(this.#words, LOCK, 1, 0.1);
    }
  }
  #unlock(): void {
    Atomics.store(this.#words, LOCK, 0);
    Atomics.notify(this.#words, LOCK, 1);
  }
}
