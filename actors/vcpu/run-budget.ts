/** How much work a vCPU does between two looks around, and in how many pieces it is given to generated code. */
import type { Core } from '../../cpu/core.js';
import { STATE } from '../../cpu/state.js';

/**
 * Work (STATE.budget) between two looks at timers and requests. It follows the guest: a look costs about a microsecond, so
 * a guest that runs from registers gets more of it, one that waits for memory less, for some 30 microseconds between two.
 */
const BUDGET = { min: 500, max: 64_000, shortMs: 0.02, aimMs: 0.03, longMs: 0.045 } as const;

/**
 * After a sleep all caches of the host are others', and guest code runs at a tenth of its speed for some hundred microseconds. So many runs
 * have this much work and change nothing: small runs would only add their own cold code to it.
 */
const COLD_RUNS = 8;
const COLD_WORK = 6_000;

/** See above. */
export class RunBudget {
  #warmWork: number = BUDGET.min;
  /** Milliseconds that a unit of work took in the last run. */
  #perWork = 0;
  #cold = 0;

  /** Work of the next run. */
  get work(): number {
    return this.#cold > 0 ? COLD_WORK : this.#warmWork;
  }

  /** Work of the next run, which is over when a timer is due in `dueMs` milliseconds, if the guest keeps its pace: its interrupt is not to wait for the run's end. */
  workBefore(dueMs: number): number {
    const { work } = this;
    if (this.#cold > 0 || dueMs >= work * this.#perWork) return work;
    return Math.max(Math.min(work, BUDGET.min), Math.ceil(dueMs / this.#perWork));
  }

  /** The vCPU has slept. */
  woke(): void {
    this.#cold = COLD_RUNS;
  }

  /** A run used all of its `work` and took `tookMs` milliseconds. */
  adjust(tookMs: number, work: number): void {
    if (this.#cold > 0) {
      this.#cold--;
      return;
    }
    this.#perWork = tookMs / work;
    if (tookMs > BUDGET.longMs) this.#warmWork = Math.max(BUDGET.min, Math.floor((work * BUDGET.aimMs) / tookMs));
    else if (tookMs < BUDGET.shortMs && work >= this.#warmWork) this.#warmWork = Math.min(BUDGET.max, work * 2);
  }
}

/** So many runs after somebody had something for a vCPU (some 2 ms), each run is done in so many pieces. */
const ATTENTIVE_RUNS = 64;
const PIECES = 64;
/** Work of a piece, at least. */
const PIECE_MIN = 250;
/** Looks in WFI in one run of guest code, inside generated code: about a nanosecond each. */
const WAIT_LOOKS = 16_000;
const LOOK_MS = 1e-6;
/** How often the guest may sleep inside a run and go on with all of a run's work. */
const REFILLS_MAX = 16;

/** A run's work, which generated code takes in pieces (STATE.rest): more of them while others have something for the vCPU. */
export class RunPieces {
  readonly #core: Core;
  /** Of the run's work, what is not used up yet. */
  left = 0;
  #given = 0;
  #refills = 0;
  #piece = 0;
  #looks = 0;
  #attended = 0;
  /** Runs that are still done in pieces. */
  #attentive = 0;

  constructor(core: Core) {
    this.#core = core;
  }

  /** Somebody had something for the vCPU, and may have again. */
  called(): void {
    this.#attentive = ATTENTIVE_RUNS;
  }

  /** A run of `work` begins; `mayWait`: it may look in WFI. */
  begins(work: number, mayWait: boolean): void {
    const core = this.#core;
    this.left = this.#given = work;
    this.#refills = REFILLS_MAX;
    this.#piece = this.#attentive > 0 ? Math.max(PIECE_MIN, Math.ceil(work / PIECES)) : work;
    if (this.#attentive > 0) this.#attentive--;
    this.#looks = mayWait ? WAIT_LOOKS : 0;
    this.#attended = core.get32(STATE.attended);
    core.set32(STATE.waitLooks, this.#looks);
    core.set32(STATE.piece, this.#piece);
  }

  /** The guest has slept and has as much to do as at the start of a run: what it had left would not see it through. */
  refill(work: number): void {
    if (this.#refills === 0 || this.left >= work) return;
    this.#refills--;
    this.#given += work - this.left;
    this.left = work;
  }
  /** What the run was given in all. */
  get given(): number {
    return this.#given;
  }
  /** What the run has used up. */
  get used(): number {
    return this.#given - this.left;
  }

  /** Runs guest code with what is left; why it returned. */
  run(): number {
    const core = this.#core;
    const first = Math.min(this.#piece, this.left);
    core.set32(STATE.rest, this.left - first);
    const reason = core.run(first);
    this.left = core.get32(STATE.budget) + core.get32(STATE.rest);
    return reason;
  }

  /** Somebody was woken that may need this processor: no more looks in WFI inside generated code. */
  watchesNot(): void {
    this.#looks -= this.#core.get32(STATE.waitLooks);
    this.#core.set32(STATE.waitLooks, 0);
  }

  /** The run is over: about how long it looked in WFI, in milliseconds. */
  ends(): number {
    if (this.#core.get32(STATE.attended) !== this.#attended) this.called();
    return (this.#looks - this.#core.get32(STATE.waitLooks)) * LOOK_MS;
  }
}
