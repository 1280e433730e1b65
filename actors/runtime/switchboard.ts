/**
 * The switchboard: one shared buffer that every worker of a system sees. It holds a record per actor (what it is doing,
 * orders for it, its doorbell, where its queues lie) and the memory of all queues, so an actor can be named by a number.
 *
 * Who writes what: the supervisor's thread alone allocates, and writes generation, incarnation, state, orders and queue
 * places. The actor's own thread writes `busy`, `handled`, `target` and what it has `seen`. Everybody rings doorbells and sends to queues.
 *
 * Queue memory may be reused only when nobody can still write to its old tenant. A sender therefore announces its target
 * in its own record (`target`) *before* it checks the generation, and withdraws it after the message is published, before it
 * sleeps or yields at the latest; the supervisor changes the generation first and then waits until no living actor announces the slot (hazard pointers).
 * The same word tells which queue a killed worker may have been writing to.
 */
import { assert } from '../../bus/assert.js';

/** Record words (32 bit each). */
const WORD = {
  generation: 0,
  incarnation: 1,
  state: 2,
  orders: 3,
  mailboxAt: 4,
  repliesAt: 5,
  controlAt: 6,
  fromSystemAt: 7,
  asksMax: 8,
  // A cache line of its own, since the actor writes it all the time and every sender reads the words above.
  busy: 32,
  handled: 33,
  target: 34,
  // When the actor last looked at its clock (whole milliseconds, never 0 once it has), and `handled` then.
  seenMs: 35,
  seenHandled: 36,
} as const;
/** A word of an actor's record. */
export type SlotWord = keyof typeof WORD;

/** What an actor is doing, as every thread sees it. */
export const ACTOR_STATE = ['free', 'starting', 'running', 'stopping', 'restarting', 'ended'] as const;
export type ActorState = (typeof ACTOR_STATE)[number];

/** Bits of the `orders` word, by falling priority. */
export const ORDER_KILL = 1;
export const ORDER_STOP = 2;

const RECORD_BYTES = 512;
const DOORBELL_OFFSET = 256;
const SLOT_BITS = 12;
const SLOT_MASK = (1 << SLOT_BITS) - 1;
const GENERATION_MAX = 1 << 20;
const REGION_BYTES = 256;
const NO_TARGET = -1;

/** The slot an actor reference names. */
export const slotOf = (actor: number): number => actor & SLOT_MASK;
/** The generation an actor reference was made for. */
export const generationOf = (actor: number): number => actor >>> SLOT_BITS;
/** The number that names generation `generation` of slot `slot`. */
export const actorNumber = (slot: number, generation: number): number => ((generation << SLOT_BITS) | slot) >>> 0;

/** The shared part; see the file comment for who writes what. */
export class Switchboard {
  readonly memory: SharedArrayBuffer;
  readonly slots: number;
  readonly #words: Int32Array;
  readonly #askersAt: number;
  readonly #askerWords: number;

  private constructor(memory: SharedArrayBuffer, slots: number) {
    this.memory = memory;
    this.slots = slots;
    this.#words = new Int32Array(memory);
    this.#askersAt = (slots * RECORD_BYTES) >> 2;
    this.#askerWords = slots >> 5;
  }

  /** A new switchboard for up to `slots` actors (a multiple of 32, at most 4,096) with `queueBytes` of queue memory. */
  static create(slots: number, queueBytes: number): Switchboard {
    assert(slots % 32 === 0 && slots <= SLOT_MASK + 1, 'switchboard: slots must be a multiple of 32, at most 4,096');
    const board = new Switchboard(new SharedArrayBuffer(Switchboard.queuesAt(slots) + queueBytes), slots);
    for (let slot = 0; slot < slots; slot++) board.set(slot, 'target', NO_TARGET);
    return board;
  }

  /** The same switchboard, seen from another worker. */
  static attach(memory: SharedArrayBuffer, slots: number): Switchboard {
    return new Switchboard(memory, slots);
  }

  /** Byte offset of the queue memory. */
  static queuesAt(slots: number): number {
    const records = slots * RECORD_BYTES + slots * (slots >> 3);
    return Math.ceil(records / REGION_BYTES) * REGION_BYTES;
  }

  /** Byte offset of the slot's doorbell. */
  doorbellAt(slot: number): number {
    return slot * RECORD_BYTES + DOORBELL_OFFSET;
  }

  get(slot: number, word: SlotWord): number {
    return Atomics.load(this.#words, slot * (RECORD_BYTES >> 2) + WORD[word]);
  }

  set(slot: number, word: SlotWord, value: number): void {
    Atomics.store(this.#words, slot * (RECORD_BYTES >> 2) + WORD[word], value);
  }

  /** Sets `bits` in a word without disturbing the others. */
  add(slot: number, word: SlotWord, bits: number): void {
    Atomics.or(this.#words, slot * (RECORD_BYTES >> 2) + WORD[word], bits);
  }

  state(slot: number): ActorState {
    return ACTOR_STATE[this.get(slot, 'state')] ?? 'free';
  }

  setState(slot: number, state: ActorState): void {
    this.set(slot, 'state', ACTOR_STATE.indexOf(state));
  }

  /** Index of a record word for code that touches it per message. */
  wordIndex(slot: number, word: SlotWord): number {
    return slot * (RECORD_BYTES >> 2) + WORD[word];
  }

  /** The record words, for the same code. */
  get words(): Int32Array {
    return this.#words;
  }

  /** Notes that `asker` waits for an answer of `slot`, so that it is told when `slot` dies. */
  noteAsker(slot: number, asker: number): void {
    Atomics.or(this.#words, this.askerIndex(slot, asker), 1 << (asker & 31));
  }

  /** Index of the word that has the bit `asker` modulo 32 while `asker` is noted. */
  askerIndex(slot: number, asker: number): number {
    return this.#askersAt + slot * this.#askerWords + (asker >> 5);
  }

  /** Takes (and clears) the slots that have asked `slot` anything since the last call. */
  takeAskers(slot: number): number[] {
    const askers: number[] = [];
    for (let i = 0; i < this.#askerWords; i++) {
      const bits = Atomics.exchange(this.#words, this.#askersAt + slot * this.#askerWords + i, 0);
      for (let bit = 0; bit < 32; bit++) if ((bits >>> bit) & 1) askers.push(i * 32 + bit);
    }
    return askers;
  }

  /** Whether any actor is just writing to a queue of `slot`. */
  isTargeted(slot: number): boolean {
    for (let other = 0; other < this.slots; other++) if (this.get(other, 'target') === slot) return true;
    return false;
  }
}

/** Hands out queue memory; only the supervisor's thread has one. */
export class RegionAllocator {
  readonly #free = new Map<number, number[]>();
  readonly #end: number;
  #next: number;
  #used = 0;

  constructor(from: number, end: number) {
    this.#next = from;
    this.#end = end;
  }

  /** Bytes handed out and not returned. */
  get usedBytes(): number {
    return this.#used;
  }

  /** Offset of `sizeBytes` of memory (aligned to 256 bytes), or undefined when none is left. */
  allocate(sizeBytes: number): number | undefined {
    const size = Math.ceil(sizeBytes / REGION_BYTES) * REGION_BYTES;
    const reused = this.#free.get(size)?.pop();
    if (reused === undefined && this.#next + size > this.#end) return undefined;
    const at = reused ?? this.#next;
    if (reused === undefined) this.#next += size;
    this.#used += size;
    return at;
  }

  /** Returns what `allocate(sizeBytes)` gave. */
  release(at: number, sizeBytes: number): void {
    const size = Math.ceil(sizeBytes / REGION_BYTES) * REGION_BYTES;
    const list = this.#free.get(size) ?? [];
    list.push(at);
    this.#free.set(size, list);
    this.#used -= size;
  }
}

/** The next generation of a slot; 0 is skipped so that a zeroed reference names nobody. */
export function nextGeneration(generation: number): number {
  return (generation + 1) % GENERATION_MAX || 1;
}
