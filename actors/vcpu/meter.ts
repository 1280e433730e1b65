/**
 * Where a vCPU's time goes and what it executes, by sampling: what runs is looked at when a run of guest code ends at a
 * backward branch, which is every 30 microseconds or so, and instructions are estimated by stepping a few now and then. Exact
 * counting would need a counter in every block of generated code.
 */
import type { Core } from '../../cpu/core.js';
import { STATE } from '../../cpu/state.js';

/** One run in so many is looked at. */
const LOOK_EVERY = 4;
/** Places remembered; when there are more, those seen once are forgotten. */
const PLACES_MAX = 2048;
const PLACE_WORDS = 6;
/** Between two estimates of instructions per backward branch, in milliseconds. */
const ESTIMATE_MS = 4;
/** An estimate ends after so many branches or instructions. */
const ESTIMATE_BRANCHES = 12;
const ESTIMATE_STEPS = 200;

/** A place where much time went. */
export interface HotPlace {
  /** Virtual address, hexadecimal. */
  readonly pc: string;
  /** Share of the looks, 0 to 1. */
  readonly share: number;
  readonly compiled: boolean;
  /** The first instructions there. */
  readonly words: readonly number[];
}

/** What a meter has seen so far. Times in milliseconds since the vCPU's start. */
export interface MeterReading {
  readonly compiledMs: number;
  readonly interpretedMs: number;
  /** In the shell: calls, timers, interrupts, requests of others. */
  readonly exitsMs: number;
  readonly idleMs: number;
  /** Instructions executed, estimated. */
  readonly instructions: number;
  readonly hottest: readonly HotPlace[];
}

interface Place {
  looks: number;
  readonly pc: string;
  readonly compiled: boolean;
  readonly words: readonly number[];
}

/** See the head of this file. */
export class VcpuMeter {
  readonly #core: Core;
  #guestMs = 0;
  #sliceMs = 0;
  #idleMs = 0;
  #sliceStarted = 0;
  #sliceEnded: number | undefined;
  #runs = 0;
  #looks = 0;
  /** Milliseconds of the looked-at runs, in all and in compiled code. */
  #lookedMs = 0;
  #compiledMs = 0;
  readonly #places = new Map<number, Place>();
  /** Backward branches (budget) since the last estimate, and what an estimate found. */
  #branches = 0;
  #instructions = 0;
  #perBranch = 0;
  #estimatedAt = 0;

  constructor(core: Core) {
    this.#core = core;
  }

  /** The thread begins a slice at `nowMs`; what lay between slices was sleep. */
  sliceStarts(nowMs: number): void {
    if (this.#sliceEnded !== undefined) this.#idleMs += nowMs - this.#sliceEnded;
    this.#sliceStarted = nowMs;
  }
  sliceEnds(nowMs: number): void {
    this.#sliceMs += nowMs - this.#sliceStarted;
    this.#sliceEnded = nowMs;
  }

  /** A run of guest code took `tookMs` and `branches` of its budget. */
  ran(tookMs: number, branches: number): void {
    this.#guestMs += tookMs;
    this.#branches += branches;
    if (++this.#runs % LOOK_EVERY === 0) this.#look(tookMs);
  }

  #look(tookMs: number): void {
    const core = this.#core;
    const lo = core.get32(STATE.pc);
    const hi = core.get32(STATE.pc + 4);
    const compiled = core.isCompiled(lo, hi);
    this.#looks++;
    this.#lookedMs += tookMs;
    if (compiled) this.#compiledMs += tookMs;
    const key = (lo >>> 0) + (hi & 0x1fffff) * 2 ** 32;
    const place = this.#places.get(key);
    if (place !== undefined) place.looks++;
    else this.#remember(key, compiled);
  }

  #remember(key: number, compiled: boolean): void {
    if (this.#places.size >= PLACES_MAX) {
      for (const [at, { looks }] of this.#places) if (looks === 1) this.#places.delete(at);
      if (this.#places.size >= PLACES_MAX) return;
    }
    const core = this.#core;
    const pc = `0x${core.get64(STATE.pc).toString(16)}`;
    this.#places.set(key, { looks: 1, pc, compiled, words: core.wordsHere(PLACE_WORDS) });
  }

  /** Whether an estimate is due. */
  isDue(nowMs: number): boolean {
    return nowMs - this.#estimatedAt >= ESTIMATE_MS;
  }

  /**
   * Steps the guest with `step` (a value of EXIT, `next` to go on) to see how many instructions there are to a branch that the
   * budget counts: backward within a page, or to another page. Answers the reason that ended it.
   */
  estimate(nowMs: number, step: () => number, next: number): number {
    const core = this.#core;
    let steps = 0;
    let branches = 0;
    let reason = next;
    while (steps < ESTIMATE_STEPS && branches < ESTIMATE_BRANCHES) {
      const before = core.get32(STATE.pc);
      reason = step();
      steps++;
      const after = core.get32(STATE.pc);
      if (after >>> 0 <= before >>> 0 || after >>> 12 !== before >>> 12) branches++;
      if (reason !== next) break;
    }
    const ratio = steps / Math.max(1, branches);
    // Every estimate stands for the branches since the one before; the first also for those before it.
    this.#instructions += this.#branches * ratio;
    this.#branches = 0;
    this.#perBranch = ratio;
    this.#estimatedAt = nowMs;
    return reason;
  }

  /** What was seen so far; the `count` hottest places. */
  reading(count: number): MeterReading {
    const compiledShare = this.#lookedMs === 0 ? 0 : this.#compiledMs / this.#lookedMs;
    const hottest = [...this.#places.values()]
      .sort((a, b) => b.looks - a.looks)
      .slice(0, count)
      .map(({ looks, ...place }) => ({ ...place, share: looks / this.#looks }));
    return {
      compiledMs: this.#guestMs * compiledShare,
      interpretedMs: this.#guestMs * (1 - compiledShare),
      exitsMs: Math.max(0, this.#sliceMs - this.#guestMs),
      idleMs: this.#idleMs,
      instructions: Math.round(this.#instructions + this.#branches * this.#perBranch),
      hottest,
    };
  }
}
