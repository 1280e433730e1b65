/**
 * How one thread lets another virtual processor run for it (gunyah.md 2.9, vcpu_run): the hand-over between a runner, which
 * is a vCPU of the owner or the core for a VMM on the host, and the thread of the processor that is run. One slot of 64
 * bytes a processor, in its VM's block.
 *
 * `turn` says whose it is: nobody's, the runner's while it writes what it gives, the processor's while it runs, the runner's
 * again when it has parked with an exit state. Each side writes the other words only while it has the turn, except `recall`
 * (the runner) and `attention` (the processor). Words change by Atomics only.
 */
import { assert } from '../../../bus/assert.js';
import type { VmBlock } from './vm-block.js';

/** Byte offset of the slots in a VM's block, and the size of one. */
export const PROXIED_AT = 7680;
const SLOT_BYTES = 64;

/** Exit states of vcpu_run, as its X1 counts them. */
export const RUN_STATE = {
  ready: 0,
  expectsWakeup: 1,
  poweredOff: 2,
  blocked: 3,
  vmmioRead: 4,
  vmmioWrite: 5,
  fault: 6,
  pageFault: 7,
  systemReset: 0x100,
} as const;
/** A value of {@link RUN_STATE}. */
export type RunState = (typeof RUN_STATE)[keyof typeof RUN_STATE];

/** What a run ended with: X1, and X2 to X4. */
export interface RunExit {
  readonly state: number;
  readonly data: readonly [bigint, bigint, bigint];
}

/** What is done with the instruction whose access left the guest: P17's resume1. */
export const RESUME = { emulate: 0, retry: 1, fault: 2 } as const;

const TURN = { nobody: 0, claimed: 1, processor: 2, parked: 3 } as const;
const WORD = {
  mode: 0,
  turn: 1,
  state: 2,
  runner: 3,
  recall: 4,
  waiter: 5,
  data: 6,
  resume0: 12,
  resume1: 14,
  attention: 15,
} as const;

/** One thread's view of a processor's slot. */
export class ProxiedRun {
  readonly #words: Int32Array;
  readonly #at: number;

  constructor(memory: ArrayBufferLike, block: Pick<VmBlock, 'at' | 'cpus'>, cpu: number) {
    assert(cpu >= 0 && cpu < block.cpus, 'a slot belongs to a processor');
    const at = block.at + PROXIED_AT + cpu * SLOT_BYTES;
    this.#words = new Int32Array(memory, at, SLOT_BYTES / 4);
    this.#at = at;
  }

  #load(word: number): number {
    return Atomics.load(this.#words, word);
  }
  #store(word: number, value: number): void {
    Atomics.store(this.#words, word, value);
  }
  #wide(word: number): bigint {
    return (BigInt(this.#load(word + 1) >>> 0) << 32n) | BigInt(this.#load(word) >>> 0);
  }
  #setWide(word: number, value: bigint): void {
    this.#store(word, Number(BigInt.asIntN(32, value)));
    this.#store(word + 1, Number(BigInt.asIntN(32, value >> 32n)));
  }

  /** Byte address, which tells one slot from another. */
  get at(): number {
    return this.#at;
  }
  /** Whether the processor runs only when somebody runs it. */
  get isProxied(): boolean {
    return this.#load(WORD.mode) !== 0;
  }
  /** The core: who schedules the processor. Before it runs for the first time, or while nobody runs it. */
  setProxied(proxied: boolean): void {
    this.#store(WORD.mode, proxied ? 1 : 0);
    if (this.#load(WORD.turn) === TURN.nobody) this.#store(WORD.state, RUN_STATE.ready);
  }

  // ---- the runner ----

  /** Gives the processor its turn; false when another runner has it. The caller pokes the processor's thread. */
  begin(runner: number, resume0: bigint, resume1: number): boolean {
    if (Atomics.compareExchange(this.#words, WORD.turn, TURN.nobody, TURN.claimed) !== TURN.nobody) return false;
    this.#store(WORD.runner, runner);
    this.#store(WORD.recall, 0);
    this.#store(WORD.attention, 0);
    this.#setWide(WORD.resume0, resume0);
    this.#store(WORD.resume1, resume1);
    this.#store(WORD.turn, TURN.processor);
    return true;
  }
  /** Asks for the turn back; the caller pokes the processor's thread, which parks as READY. */
  recall(): void {
    this.#store(WORD.recall, 1);
  }
  /** What the processor parked with, which ends the run; undefined while it runs. */
  take(): RunExit | undefined {
    if (this.#load(WORD.turn) !== TURN.parked) return undefined;
    const exit = { state: this.#load(WORD.state), data: this.#data() };
    this.#store(WORD.turn, TURN.nobody);
    return exit;
  }
  #data(): [bigint, bigint, bigint] {
    return [this.#wide(WORD.data), this.#wide(WORD.data + 2), this.#wide(WORD.data + 4)];
  }

  /** What the processor parked with last, while nobody runs it; undefined while somebody does. */
  peek(): RunExit | undefined {
    return this.#load(WORD.turn) === TURN.nobody ? { state: this.#load(WORD.state), data: this.#data() } : undefined;
  }
  /** Whether a parked processor has something to do again, or has gone. */
  get hasAttention(): boolean {
    return this.#load(WORD.attention) !== 0;
  }
  /** The actor that is rung beside the wake-up interrupt; 0: none. */
  get waiter(): number {
    return this.#load(WORD.waiter);
  }
  set waiter(actor: number) {
    this.#store(WORD.waiter, actor);
  }

  // ---- the processor's own thread ----

  /** Whether it is this processor's turn. */
  get hasTurn(): boolean {
    return this.#load(WORD.turn) === TURN.processor;
  }
  /** Whether the runner wants the turn back. */
  get isRecalled(): boolean {
    return this.#load(WORD.recall) !== 0;
  }
  /** What the runner gave for the exit before. */
  get resume(): { readonly value: bigint; readonly action: number } {
    return { value: this.#wide(WORD.resume0), action: this.#load(WORD.resume1) };
  }
  /** Parks with an exit state; the actor to ring. Whoever writes for a dead thread may do so too. */
  park(state: RunState, data: readonly [bigint, bigint, bigint]): number {
    this.#store(WORD.state, state);
    data.forEach((value, index) => {
      this.#setWide(WORD.data + index * 2, value);
    });
    this.#store(WORD.turn, TURN.parked);
    return this.#load(WORD.runner);
  }
  /** The parked processor has something to do; false when that was said before. */
  callAttention(): boolean {
    return Atomics.exchange(this.#words, WORD.attention, 1) === 0;
  }
}
