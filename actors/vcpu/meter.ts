/**
 * Where a vCPU's time goes and what it executes, by sampling: what runs is looked at when a run of guest code ends at a
 * backward branch, which is every 110 microseconds or so. Instructions are estimated from the work that the budget counts: one
 * for an instruction of compiled code, more for an interpreted one and for what leaves compiled code, so where much of that
 * happens the estimate is too high. Exact counting would need a counter in every block of generated code.
 */
import type { Core } from '../../cpu/core.js';
import { STATE, WORK } from '../../cpu/state.js';
import { HotPlaces } from './hot-places.js';
import { LookGaps, type LookGapsReading } from './look-gaps.js';

/** One run in so many is looked at. */
const LOOK_EVERY = 8;
const PLACE_WORDS = 6;
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
  /** Between looks at interrupts. */
  readonly gaps: LookGapsReading;
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
  /** Milliseconds of the looked-at runs, in all and in compiled code. */
  #lookedMs = 0;
  #compiledMs = 0;
  readonly #places = new HotPlaces<Omit<HotPlace, 'share'>>();
  /** Work since the last look, and instructions estimated up to it. */
  #work = 0;
  #instructions = 0;
  #perWork = 0;

  readonly #gaps: LookGaps;
  /** How often the vCPU has slept. */
  sleeps = 0;

  /** @param waitedMs see LookGaps, as for `nowMs` */
  constructor(core: Core, waitedMs: () => number | null, nowMs: () => number) {
    this.#core = core;
    this.#gaps = new LookGaps(waitedMs, nowMs);
  }

  /** The vCPU has looked at interrupts, and guest code goes on at `nowMs[0]`; see LookGaps. */
  looked(nowMs: Float64Array): number {
    return this.#gaps.looked(nowMs);
  }

  /** The thread begins a slice at `nowMs`; what lay between slices was sleep. */
  sliceStarts(nowMs: number): void {
    if (this.#sliceEnded !== undefined) this.#idleMs += nowMs - this.#sliceEnded;
    this.#sliceStarted = nowMs;
  }
  /** The slice ends; `goesOn`: the next one follows at once. */
  sliceEnds(nowMs: number, goesOn = false): void {
    if (!goesOn) this.#gaps.rests();
    this.#sliceMs += nowMs - this.#sliceStarted;
    this.#sliceEnded = nowMs;
  }

  /** A run of guest code took `tookMs[0]` and `work` of its budget. */
  ran(tookMs: Float64Array, work: number): void {
    this.#guestMs += tookMs[0]!;
    this.#work += work;
    if (++this.#runs % LOOK_EVERY === 0) this.#look(tookMs[0]!);
  }

  #look(tookMs: number): void {
    const core = this.#core;
    const lo = core.get32(STATE.pc);
    const hi = core.get32(STATE.pc + 4);
    const compiled = core.isCompiled(lo, hi);
    // A look stands for the runs since the one before.
    this.#perWork = compiled ? 1 : 1 / WORK.interpreted;
    this.#instructions += this.#work * this.#perWork;
    this.#work = 0;
    this.#lookedMs += tookMs;
    if (compiled) this.#compiledMs += tookMs;
    const slot = this.#places.look(lo, hi & 0x1fffff);
    if (slot < 0) return;
    const pc = `0x${core.get64(STATE.pc).toString(16)}`;
    this.#places.show(slot, { pc, compiled, words: core.wordsHere(PLACE_WORDS) });
  }

  /** What was seen so far; the `count` hottest places. */
  reading(count: number): MeterReading {
    const compiledShare = this.#lookedMs === 0 ? 0 : this.#compiledMs / this.#lookedMs;
    const places = this.#places;
    const hottest = places.hottest(count).map(({ looks, shown }) => ({ ...shown, share: looks / places.looks }));
    return {
      compiledMs: this.#guestMs * compiledShare,
      interpretedMs: this.#guestMs * (1 - compiledShare),
      exitsMs: Math.max(0, this.#sliceMs - this.#guestMs),
      idleMs: this.#idleMs,
      instructions: Math.round(this.#instructions + this.#work * this.#perWork),
      hottest,
      gaps: this.#gaps.reading(),
    };
  }
}
