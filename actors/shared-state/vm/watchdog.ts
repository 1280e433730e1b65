/**
 * A VM's watchdog (gunyah.md 1.6, 2.10): counts while it is enabled and nobody freezes it, barks after one time without a ping
 * and bites after another. One slot of 64 bytes in the VM's block; the VM's vCPUs look at it between runs of guest code.
 *
 * Words change by Atomics only. `object` and the freezes are the core's, the rest the vCPUs'. Times are milliseconds of the
 * process's clock as 32-bit numbers, of which only differences count. A ping beside a look that finds it too late may lose.
 */
import type { VmBlock } from './vm-block.js';

/** Byte offset of the slot in a VM's block. */
const WATCHDOG_AT = 256;
const SLOT_BYTES = 64;
const WORD = {
  object: 0,
  enabled: 1,
  barkMs: 2,
  biteMs: 3,
  pinged: 4,
  barked: 5,
  frozen: 6,
  elapsed: 7,
  away: 8,
} as const;
/** How often a watchdog may be frozen without having been let go. */
const FREEZES_MAX = 255;
/** What both times are before anybody sets them: the longest that Linux's driver asks for. */
const DEFAULT_MS = 0x8000;

/** What has come due. */
export type WatchdogEvent = 'bark' | 'bite' | undefined;

/** One thread's view of a VM's watchdog. */
export class Watchdog {
  readonly #words: Int32Array;
  readonly #nowMs: () => number;

  constructor(memory: ArrayBufferLike, block: Pick<VmBlock, 'at'>, nowMs: () => number) {
    this.#words = new Int32Array(memory, block.at + WATCHDOG_AT, SLOT_BYTES / 4);
    this.#nowMs = nowMs;
  }

  #load(word: number): number {
    return Atomics.load(this.#words, word);
  }
  #store(word: number, value: number): void {
    Atomics.store(this.#words, word, value | 0);
  }
  get #now(): number {
    return Math.floor(this.#nowMs()) | 0;
  }

  // ---- the core ----

  /** The watchdog object that has the slot; 0: the VM has no watchdog. */
  get object(): number {
    return this.#load(WORD.object);
  }
  /** Makes it the slot of `object`, stopped; 0: of none. */
  attach(object: number): void {
    for (const word of Object.values(WORD)) this.#store(word, 0);
    this.#store(WORD.barkMs, DEFAULT_MS);
    this.#store(WORD.biteMs, DEFAULT_MS);
    this.#store(WORD.object, object);
  }
  /** Holds the counter, at 0 if `reset`, or lets it go on; false when that was done too often. */
  freeze(freeze: boolean, reset: boolean): boolean {
    const times = this.#load(WORD.frozen);
    if (freeze ? times >= FREEZES_MAX : times === 0) return false;
    if (freeze && times === 0) this.#store(WORD.elapsed, this.#now - this.#load(WORD.pinged));
    if (reset) this.#store(WORD.elapsed, 0);
    if (!freeze && times === 1) this.#store(WORD.pinged, this.#now - this.#load(WORD.elapsed));
    this.#store(WORD.frozen, times + (freeze ? 1 : -1));
    return true;
  }

  // ---- vCPUs ----

  get isEnabled(): boolean {
    return this.#load(WORD.enabled) !== 0;
  }
  /** Starts it, from 0, or stops it. */
  enable(enabled: boolean): void {
    if (enabled && !this.isEnabled) this.ping();
    this.#store(WORD.enabled, enabled ? 1 : 0);
  }
  /** Counts from 0 again. */
  ping(): void {
    this.#store(WORD.pinged, this.#now);
    this.#store(WORD.elapsed, 0);
    this.#store(WORD.barked, 0);
  }
  /** Milliseconds without a ping after which it barks and bites. */
  setTimes(barkMs: number, biteMs: number): void {
    this.#store(WORD.barkMs, barkMs);
    this.#store(WORD.biteMs, biteMs);
  }
  /** Milliseconds since the last ping, or since it was started. */
  get elapsedMs(): number {
    const isFrozen = this.#load(WORD.frozen) !== 0;
    return (isFrozen ? this.#load(WORD.elapsed) : this.#now - this.#load(WORD.pinged)) >>> 0;
  }
  /** Milliseconds until something comes due; Infinity while nothing will. */
  get dueInMs(): number {
    if (this.#words[WORD.object] === 0 || !this.isEnabled || this.#load(WORD.frozen) !== 0) {
      return Number.POSITIVE_INFINITY;
    }
    const bite = this.#load(WORD.biteMs) >>> 0;
    const next = this.#load(WORD.barked) === 0 ? Math.min(bite, this.#load(WORD.barkMs) >>> 0) : bite;
    return Math.max(0, next - this.elapsedMs);
  }
  /** What has come due, told once among all vCPUs: after a bite it is stopped. */
  take(): WatchdogEvent {
    if (this.dueInMs > 0) return undefined;
    if (this.elapsedMs >= this.#load(WORD.biteMs) >>> 0) {
      return Atomics.exchange(this.#words, WORD.enabled, 0) === 0 ? undefined : 'bite';
    }
    return Atomics.exchange(this.#words, WORD.barked, 1) === 0 ? 'bark' : undefined;
  }
  /** A debugger has held the VM, `awayMs` in all: that time does not count. Each vCPU says so; the first one counts. */
  skip(awayMs: number): void {
    const before = this.#load(WORD.away);
    const more = Math.floor(awayMs) - before;
    if (more <= 0 || Atomics.compareExchange(this.#words, WORD.away, before, before + more) !== before) return;
    Atomics.add(this.#words, WORD.pinged, more);
  }
}
