/** How much work a vCPU does between two looks at the clock, its timers and requests: a turn. */

/**
 * Work (STATE.budget) of a turn. It follows the guest: one that runs from registers gets more of it, one that waits for memory less, for some
 * 6 microseconds a turn; a look costs some tenths of one. A host's tick, or what a hypervisor below takes, is some 40 microseconds here, and comes on top
 * of a turn: both together are to stay below 50. A run has several turns, and all else that is looked at is looked at between runs.
 */
const TURN = { min: 250, max: 48_000, shortMs: 0.0045, aimMs: 0.006, longMs: 0.0085 } as const;
/** A run begins no turn after this time. */
const RUN_MS = 0.112;
/**
 * A vCPU's own code is slow until V8 has optimised it: a turn costs it a microsecond or two and a run four, an eighth of a boot's time. So while it is
 * young its turns and runs are so many times as long, and longer where it has the machine for itself, when nobody's requests for maintenance wait for a
 * turn's end: a run has two such turns.
 */
const YOUNG = { alone: { turn: 21, run: 2.25 }, besideOthers: { turn: 2.33, run: 1.125 } } as const;
const GROWN_UP = { turn: 1, run: 1 } as const;

/**
 * A guest may change its pace a hundredfold within a turn, and back, many times a millisecond: then turns stay as short as its slow part needs them.
 * Other turns that are too long have nothing to do with the guest (garbage collections, and whatever a host does with its processors), and short turns
 * do not help. So what is beyond `ms` is summed up; where it is much, in `count` turns of a window at least, short turns are tried for a window.
 */
const JOLT = {
  ...{ ms: 0.04, mostMs: 0.1, count: 4, windowMs: 4, share: 0.015 },
  /** Work of turns that are tried: what a look's cost allows. They have helped if they leave less than this part. */
  ...{ work: 800, helped: 1 / 4 },
  /** Later they may leave this part of what was before, and give up where it is more than the second. */
  ...{ leaves: 1 / 8, givesUp: 1 / 2 },
  /** Where they have, turns grow by a factor after some windows; where that was too much they shrink, and it takes twice as many windows, else half. */
  ...{ grows: 2, shrinks: 1.5, windowsMost: 64 },
  /** Where they have not, so many windows pass before they are tried again, each time twice as many. */
  ...{ patience: 64, patienceMost: 1024 },
} as const;

/**
 * After a sleep all caches of the host are others', and guest code runs at a tenth of its speed for some hundred microseconds. So many turns
 * have this much work and change nothing: small ones would only add their own cold code to it.
 */
const COLD_RUNS = 8;
const COLD_WORK = 6_000;

/** Of {@link RunBudget.tookMs}. */
export const TOOK = { turn: 0, run: 1 } as const;

/** See above. */
export class RunBudget {
  /** Milliseconds that the last turn took ({@link TOOK}), and the run so far, of which who asks writes what is asked about: a number that is handed on may be an object. */
  readonly tookMs = new Float64Array(2);
  #warmWork = 500;
  readonly #jolts = new Jolts();
  #turnScale = 1;
  #runScale = 1;
  /** Milliseconds that a unit of work took in the last turn. */
  #perWork = 0;
  #cold = 0;

  /** See {@link YOUNG}. */
  setYoung(isYoung: boolean, isAlone: boolean): void {
    const young = isAlone ? YOUNG.alone : YOUNG.besideOthers;
    const { turn, run } = isYoung ? young : GROWN_UP;
    this.#turnScale = turn;
    this.#runScale = run;
  }

  get #bound(): number {
    return this.#jolts.bound * this.#turnScale;
  }

  /** Work of the next turn. */
  get work(): number {
    return this.#cold > 0 ? COLD_WORK : Math.min(this.#warmWork, this.#bound);
  }

  /** Work of the next turn, which is over when a timer is due in `shows[1]` milliseconds, if the guest keeps its pace: its interrupt is not to wait for the turn's end. */
  workBefore(shows: Float64Array): number {
    const { work } = this;
    const dueMs = shows[1]!;
    if (this.#cold > 0 || dueMs >= work * this.#perWork) return work;
    return Math.max(Math.min(work, TURN.min), Math.ceil(dueMs / this.#perWork));
  }

  /** Milliseconds after which a turn is over where somebody happens to look at the clock in it. */
  get turnMs(): number {
    return TURN.aimMs * this.#turnScale;
  }

  /** Whether a run goes on that has taken so long ({@link TOOK}). */
  get goesOn(): boolean {
    return this.tookMs[TOOK.run]! < RUN_MS * this.#runScale;
  }

  /** The vCPU has slept. */
  woke(): void {
    this.#cold = COLD_RUNS;
  }

  /** A turn used all of its `work` and took so long ({@link TOOK}), in which its thread did not wait for a processor. */
  adjust(work: number): void {
    const tookMs = this.tookMs[TOOK.turn]!;
    if (this.#cold > 0) {
      this.#cold--;
      return;
    }
    this.#perWork = tookMs / Math.max(work, 1);
    const scaledMs = tookMs / this.#turnScale;
    if (scaledMs < TURN.shortMs && work >= Math.min(this.#warmWork, this.#bound))
      this.#warmWork = Math.min(this.#bound, Math.ceil(work * Math.min(2, TURN.aimMs / scaledMs)));
    else if (scaledMs > TURN.longMs) this.#warmWork = Math.max(TURN.min, Math.floor((work * TURN.aimMs) / scaledMs));
    if (this.#runScale === 1) this.#jolts.took(this.tookMs);
  }
}

/** See {@link JOLT}. */
class Jolts {
  /** No turn has more work. */
  bound: number = TURN.max;
  #isTrial = false;
  /** Of the current window. */
  #ms = 0;
  #count = 0;
  #beyondMs = 0;
  /** What was beyond in the window before short turns were tried. */
  #beforeMs = 0;
  /** Windows until something else is tried, and how many it will be the next time, for either case. */
  #waits = 0;
  #windows = 1;
  #patience: number = JOLT.patience;

  /** A turn took so long ({@link TOOK}). */
  took(times: Float64Array): void {
    const tookMs = times[TOOK.turn]!;
    this.#ms += tookMs;
    if (tookMs > JOLT.ms) {
      this.#count++;
      this.#beyondMs += Math.min(tookMs - JOLT.ms, JOLT.mostMs);
    }
    if (this.#ms < JOLT.windowMs) return;
    const isMuch = this.#count >= JOLT.count && this.#beyondMs > this.#ms * JOLT.share;
    const rest = this.#beyondMs / this.#beforeMs;
    if (this.#isTrial) this.#tried(rest < JOLT.helped);
    else if (this.bound < TURN.max) this.#bounded(isMuch && rest > JOLT.leaves, rest > JOLT.givesUp);
    else if (this.#waits > 0) this.#waits--;
    else if (isMuch) {
      this.#isTrial = true;
      this.#beforeMs = this.#beyondMs;
      this.bound = JOLT.work;
    }
    this.#ms = this.#count = this.#beyondMs = 0;
  }

  #tried(hasHelped: boolean): void {
    this.#isTrial = false;
    if (hasHelped) {
      this.#patience = JOLT.patience;
      this.#waits = this.#windows = 1;
      return;
    }
    this.bound = TURN.max;
    this.#waits = this.#patience;
    this.#patience = Math.min(this.#patience * 2, JOLT.patienceMost);
  }

  #bounded(isMuch: boolean, isAsBefore: boolean): void {
    if (isMuch && this.bound === JOLT.work) {
      if (isAsBefore) this.#tried(false);
    } else if (isMuch) {
      this.bound = Math.max(JOLT.work, Math.floor(this.bound / JOLT.shrinks));
      this.#windows = Math.min(this.#windows * 2, JOLT.windowsMost);
      this.#waits = this.#windows;
    } else if (this.#waits > 0) this.#waits--;
    else {
      this.bound = Math.min(TURN.max, this.bound * JOLT.grows);
      this.#windows = Math.max(1, this.#windows >> 1);
      this.#waits = this.#windows;
    }
  }
}
