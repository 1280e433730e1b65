/**
 * How the vCPUs of many VMs share the host's processors: as many run tokens as there are processors, and a vCPU executes
 * guest code only while it has one. Stride scheduling: each entry's `pass` grows by the time it ran over its weight, and a
 * token goes to the waiting entry with the lowest one. No thread decides for the others: whoever gives its token up, because
 * it sleeps, yields or its slice is over, picks its successor in shared memory and rings it. While there are no more runnable
 * vCPUs than tokens nobody waits and nobody is asked.
 *
 * All words change under one lock, held for a scan of the entries at most; times are microseconds modulo 2^32.
 */
import { assert } from '../../../bus/assert.js';
import { OBJECT_TABLE_BYTES } from '../objects/object-table.js';

const ENTRY_BITS = 9;
/** vCPUs of one core that are scheduled; further ones run without asking. */
export const RUN_ENTRIES_MAX = 1 << ENTRY_BITS;
/** Lives of an entry that are told from each other. A ticket, an entry and its life, is a positive 31-bit number less one. */
const LIVES = 1 << 21;
const ENTRY_WORDS = 10;
const HEAD_WORDS = 16;
/** Bytes the tokens take in shared memory. */
export const RUN_TOKENS_BYTES = (HEAD_WORDS + RUN_ENTRIES_MAX * ENTRY_WORDS) * 4;

/** The tokens of a core lie behind its object table, which is at `table`. */
export function runTokensAt(table: number): number {
  return table + OBJECT_TABLE_BYTES;
}

const HEAD = { lock: 0, tokens: 1, taken: 2, waiting: 3, clock: 4, entries: 5 } as const;
const ENTRY = {
  state: 0,
  pass: 1,
  stride: 2,
  sliceUs: 3,
  actor: 4,
  startedUs: 5,
  affinity: 6,
  token: 7,
  chargedUs: 8,
  life: 9,
} as const;
const STATE = { free: 0, idle: 1, waiting: 2, running: 3 } as const;
/** Affinity: any processor, or none. */
export const AFFINITY = { any: -1, none: 0xffff } as const;
/** Tokens are bits of one word. */
const TOKENS_MAX = 31;
/** A waiting entry takes a token before the holder's slice is over if it is behind by more than this. */
const PREEMPT_US = 1_000;
/** An entry that slept long has no more credit, and no more debt, than this. */
const CREDIT_US = 2_000;
const DEBT_US = 100_000;
/** Priority whose weight is 1, and by how many levels the weight doubles. */
const PRIORITY = { base: 32, perDoubling: 8 } as const;
const STRIDE_ONE = 1024;

/** The thread that now has a token, for the caller to ring; 0: none. */
export type Successor = number;

/** One thread's view. */
export class RunTokens {
  readonly #words: Int32Array;

  /** The tokens at byte `at` of `memory`, which was zero or made by {@link format}. */
  constructor(memory: ArrayBufferLike, at: number) {
    this.#words = new Int32Array(memory, at, RUN_TOKENS_BYTES / 4);
  }

  /** The core: there are `tokens` tokens; 0: everybody runs without one. */
  format(tokens: number): void {
    assert(tokens >= 0 && tokens <= TOKENS_MAX, 'tokens fit a word');
    this.#words[HEAD.tokens] = tokens;
  }

  // ---- the core ----

  /** The ticket of an entry for a vCPU, or -1 when there are no more. */
  add(): number {
    return this.#locked(() => {
      for (let entry = 0; entry < RUN_ENTRIES_MAX; entry++) {
        if (this.#get(entry, ENTRY.state) !== STATE.free) continue;
        this.#set(entry, ENTRY.state, STATE.idle);
        this.#set(entry, ENTRY.pass, this.#words[HEAD.clock] ?? 0);
        this.#set(entry, ENTRY.stride, STRIDE_ONE);
        this.#set(entry, ENTRY.sliceUs, 5_000);
        this.#set(entry, ENTRY.affinity, AFFINITY.any);
        this.#words[HEAD.entries] = Math.max(this.#words[HEAD.entries] ?? 0, entry + 1);
        return (this.#get(entry, ENTRY.life) << ENTRY_BITS) | entry;
      }
      return -1;
    });
  }
  /** The vCPU is gone; who has its token now. Its thread may not know yet: what that still does with the ticket comes to nothing. */
  remove(ticket: number, nowUs: number): Successor {
    const entry = entryOf(ticket);
    return this.#locked(() => {
      if (!this.#isValid(ticket)) return 0;
      const next = this.#leave(entry, nowUs);
      this.#set(entry, ENTRY.state, STATE.free);
      this.#set(entry, ENTRY.life, (this.#get(entry, ENTRY.life) + 1) % LIVES);
      return next;
    });
  }
  /** Weight by priority (0 to 63), length of a slice, and the processor it runs on. */
  configure(ticket: number, priority: number, sliceUs: number, affinity: number): void {
    const stride = Math.round(STRIDE_ONE * 2 ** ((PRIORITY.base - priority) / PRIORITY.perDoubling));
    const entry = entryOf(ticket);
    this.#locked(() => {
      if (!this.#isValid(ticket)) return;
      this.#set(entry, ENTRY.stride, stride);
      this.#set(entry, ENTRY.sliceUs, sliceUs);
      this.#set(entry, ENTRY.affinity, affinity);
    });
  }

  // ---- a vCPU's own thread ----

  /** Whether the ticket's holder may run guest code; if not it waits, and its actor is rung when it may. */
  acquire(ticket: number, actor: number, nowUs: number): boolean {
    const entry = entryOf(ticket);
    if (this.#words[HEAD.tokens] === 0 || this.#load(entry) === STATE.running) return true;
    return this.#locked(() => {
      // Removed: it is about to find out that it is over, and must take no token that nobody would get back.
      if (!this.#isValid(ticket)) return true;
      const state = this.#get(entry, ENTRY.state);
      if (state === STATE.running) return true;
      if (state === STATE.idle) {
        this.#set(entry, ENTRY.actor, actor);
        const clock = this.#clock(entry, nowUs);
        const lead = (this.#get(entry, ENTRY.pass) - clock) | 0;
        const kept = Math.min(Math.max(lead, -CREDIT_US), DEBT_US);
        this.#set(entry, ENTRY.pass, (clock + kept) | 0);
      }
      const token = this.#freeToken(this.#get(entry, ENTRY.affinity));
      if (token >= 0) this.#dispatch(entry, token, nowUs);
      else if (state === STATE.idle) {
        // Only now: others that watch look whether anybody waits, and must not see one that need not.
        this.#set(entry, ENTRY.state, STATE.waiting);
        this.#words[HEAD.waiting]!++;
      }
      return token >= 0;
    });
  }

  /** Whether anybody waits: only then {@link handOver} has to be asked. */
  get isContended(): boolean {
    return Atomics.load(this.#words, HEAD.waiting) !== 0;
  }

  /** Between two runs of guest code: undefined when the token is kept, else who has it now; the ticket's holder waits then. */
  handOver(ticket: number, nowUs: number, yields = false): Successor | undefined {
    const entry = entryOf(ticket);
    if (!this.isContended || this.#load(entry) !== STATE.running) return undefined;
    return this.#locked(() => {
      if (!this.#isValid(ticket) || this.#get(entry, ENTRY.state) !== STATE.running) return undefined;
      this.#charge(entry, nowUs);
      const token = this.#get(entry, ENTRY.token);
      const next = this.#best(token);
      if (next < 0) return undefined;
      const ranUs = (nowUs - this.#get(entry, ENTRY.startedUs)) | 0;
      const behind = (this.#get(entry, ENTRY.pass) - this.#get(next, ENTRY.pass)) | 0;
      const isOver = ranUs >= this.#get(entry, ENTRY.sliceUs) && behind >= 0;
      if (!yields && !isOver && behind <= PREEMPT_US) return undefined;
      this.#give(token);
      this.#set(entry, ENTRY.state, STATE.waiting);
      this.#words[HEAD.waiting]!++;
      this.#dispatch(next, token, nowUs);
      return this.#get(next, ENTRY.actor);
    });
  }

  /** The ticket's holder sleeps: its token goes on; to whom. */
  release(ticket: number, nowUs: number): Successor {
    const entry = entryOf(ticket);
    if (this.#words[HEAD.tokens] === 0 || this.#load(entry) === STATE.idle) return 0;
    return this.#locked(() => {
      if (!this.#isValid(ticket)) return 0;
      this.#charge(entry, nowUs);
      const next = this.#leave(entry, nowUs);
      this.#set(entry, ENTRY.state, STATE.idle);
      return next;
    });
  }

  // ---- under the lock ----

  /** Whether the entry still belongs to who was given this ticket. */
  #isValid(ticket: number): boolean {
    return this.#get(entryOf(ticket), ENTRY.life) === ticket >>> ENTRY_BITS;
  }

  /** Takes `entry` out of whatever it is in; who has its token now. */
  #leave(entry: number, nowUs: number): Successor {
    const state = this.#get(entry, ENTRY.state);
    if (state === STATE.waiting) this.#words[HEAD.waiting]!--;
    if (state !== STATE.running) return 0;
    const token = this.#get(entry, ENTRY.token);
    this.#give(token);
    this.#set(entry, ENTRY.state, STATE.idle);
    const next = this.#best(token);
    if (next < 0) return 0;
    this.#dispatch(next, token, nowUs);
    return this.#get(next, ENTRY.actor);
  }

  /** The lowest pass of all others that run or wait, as of now: where one that wakes up joins them. */
  #clock(except: number, nowUs: number): number {
    const words = this.#words;
    let lowest: number | undefined;
    const isAlone = words[HEAD.taken] === 0;
    for (let entry = 0; !isAlone && entry < (words[HEAD.entries] ?? 0); entry++) {
      const state = this.#get(entry, ENTRY.state);
      if (entry === except || (state !== STATE.running && state !== STATE.waiting)) continue;
      if (this.#get(entry, ENTRY.affinity) === AFFINITY.none) continue;
      this.#charge(entry, nowUs);
      const pass = this.#get(entry, ENTRY.pass);
      if (lowest === undefined || ((pass - lowest) | 0) < 0) lowest = pass;
    }
    const known = words[HEAD.clock] ?? 0;
    if (lowest !== undefined && ((lowest - known) | 0) > 0) words[HEAD.clock] = lowest;
    return words[HEAD.clock] ?? 0;
  }

  /** Adds what `entry` ran since it was charged last. */
  #charge(entry: number, nowUs: number): void {
    if (this.#get(entry, ENTRY.state) !== STATE.running) return;
    const ranUs = Math.max(0, (nowUs - this.#get(entry, ENTRY.chargedUs)) | 0);
    const cost = Math.round((ranUs * this.#get(entry, ENTRY.stride)) / STRIDE_ONE);
    this.#set(entry, ENTRY.pass, (this.#get(entry, ENTRY.pass) + cost) | 0);
    this.#set(entry, ENTRY.chargedUs, nowUs);
  }
  #give(token: number): void {
    this.#words[HEAD.taken]! &= ~(1 << token);
  }
  #dispatch(entry: number, token: number, nowUs: number): void {
    const words = this.#words;
    if (this.#get(entry, ENTRY.state) === STATE.waiting) words[HEAD.waiting]!--;
    words[HEAD.taken]! |= 1 << token;
    this.#set(entry, ENTRY.token, token);
    this.#set(entry, ENTRY.startedUs, nowUs);
    this.#set(entry, ENTRY.chargedUs, nowUs);
    this.#set(entry, ENTRY.state, STATE.running);
  }
  #freeToken(affinity: number): number {
    const tokens = this.#words[HEAD.tokens] ?? 0;
    const taken = this.#words[HEAD.taken] ?? 0;
    for (let token = 0; token < tokens; token++) {
      if ((taken & (1 << token)) === 0 && suits(affinity, token, tokens)) return token;
    }
    return -1;
  }
  /** The waiting entry with the lowest pass that may have `token`, or -1. */
  #best(token: number): number {
    const words = this.#words;
    const tokens = words[HEAD.tokens] ?? 0;
    let best = -1;
    const entries = (words[HEAD.waiting] ?? 0) === 0 ? 0 : (words[HEAD.entries] ?? 0);
    for (let entry = 0; entry < entries; entry++) {
      if (this.#get(entry, ENTRY.state) !== STATE.waiting) continue;
      if (!suits(this.#get(entry, ENTRY.affinity), token, tokens)) continue;
      if (best < 0 || ((this.#get(entry, ENTRY.pass) - this.#get(best, ENTRY.pass)) | 0) < 0) best = entry;
    }
    return best;
  }

  #at(entry: number, word: number): number {
    return HEAD_WORDS + entry * ENTRY_WORDS + word;
  }
  #load(entry: number): number {
    return Atomics.load(this.#words, this.#at(entry, ENTRY.state));
  }
  #get(entry: number, word: number): number {
    return this.#words[this.#at(entry, word)] ?? 0;
  }
  #set(entry: number, word: number, value: number): void {
    Atomics.store(this.#words, this.#at(entry, word), value);
  }
  #locked<T>(body: () => T): T {
    const words = this.#words;
    for (let spins = 0; Atomics.compareExchange(words, HEAD.lock, 0, 1) !== 0; spins++) {
      // A holder that lost its host processor is waited for without using up ours.
      if (spins > 1_000) Atomics.wait(words, HEAD.lock, 1, 1);
    }
    try {
      return body();
    } finally {
      Atomics.store(words, HEAD.lock, 0);
    }
  }
}

const entryOf = (ticket: number): number => ticket & (RUN_ENTRIES_MAX - 1);

/** Whether a vCPU with this affinity may have `token` of `tokens`. */
function suits(affinity: number, token: number, tokens: number): boolean {
  if (affinity === AFFINITY.any) return true;
  return affinity !== AFFINITY.none && affinity % tokens === token;
}
