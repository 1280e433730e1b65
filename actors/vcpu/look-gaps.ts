/**
 * How long an interrupt that comes at any moment waits for a vCPU to look, from the times between its looks. One that comes in a gap of g
 * waits for what is left of it, so the part of all interrupts that wait longer than x is the sum of g - x over gaps longer than x, divided
 * by the sum of all gaps. A vCPU that sleeps is woken by what comes: sleep is no gap (how late that is, `timer.late` measures).
 *
 * What the first seconds had is kept apart: until then V8 compiles our own code, and code that was never run before is slow.
 *
 * Twice: as it is, and without what the vCPU's thread lacked a processor meanwhile, which is the part that we can do something about.
 */

/** Longer gaps are late. */
const LATE_MS = 0.05;
/** Gaps longer than this are looked at closely: in the first seconds an eighth of all are late, and each look costs a system call. */
const CLOSELY_MS = { atFirst: 1, later: LATE_MS } as const;
/**
 * So many looks apart, some 2 ms, the thread's waits are read anew, so that waits of short gaps are not taken for one of a long gap. Each reading is two
 * system calls, and was a third of what a settled vCPU makes of garbage.
 */
const REFRESH_LOOKS = 256;
/** Reading the waits takes some microseconds; where it took longer, the thread lost its processor while it read. */
const READING_MS = 0.02;
/** Buckets: 2^(n / STEPS) microseconds, up to some 17 seconds. */
const STEPS = 8;
const BUCKETS = 24 * STEPS;

/** What a distribution of gaps says of an interrupt, in milliseconds. */
export interface InterruptWaits {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  /** The part of all interrupts that waits longer than 50 us, 0 to 1. */
  readonly lateShare: number;
}

/** Milliseconds of a vCPU's gaps after which what comes is told without what was before. */
const SETTLED_MS = 5_000;

/** What was seen since the vCPU had run for five seconds; of all its time as long as that is not so. */
export interface LookGapsReading {
  /** Whether the first seconds are over, and left out. */
  readonly isSettled: boolean;
  /** Milliseconds of gaps in all, and gaps longer than 50 us. */
  readonly allMs: number;
  readonly late: number;
  /** As it is. */
  readonly seen: InterruptWaits;
  /** Without the waits for a processor; null where the host does not tell them. */
  readonly own: InterruptWaits | null;
}

/** Gaps by length. */
class Gaps {
  readonly #count = new Float64Array(BUCKETS);
  readonly #sumMs = new Float64Array(BUCKETS);
  #allMs = 0;
  #maxMs = 0;
  #lateMs = 0;

  /** The bucket of the gap `ms[0]`: a number that is handed on may be an object. */
  static bucket(ms: Float64Array): number {
    const bucket = Math.log2(ms[0]! * 1e3) * STEPS;
    return bucket > 0 ? Math.min(BUCKETS - 1, bucket | 0) : 0;
  }

  /** A gap of `gap[0]` milliseconds, in bucket `at`. */
  add(gap: Float64Array, at: number): void {
    const ms = gap[0]!;
    this.#count[at]!++;
    this.#sumMs[at]! += ms;
    this.#allMs += ms;
    if (ms > this.#maxMs) this.#maxMs = ms;
    if (ms > LATE_MS) this.#lateMs += ms - LATE_MS;
  }

  get allMs(): number {
    return this.#allMs;
  }

  /** What a share `share` of all interrupts waits at least, exact to a bucket. */
  #exceededBy(share: number): number {
    if (this.#allMs === 0) return 0;
    let [count, sum] = [0, 0];
    for (let at = BUCKETS - 1; at >= 0; at--) {
      const fromMs = 2 ** (at / STEPS) / 1e3;
      count += this.#count[at]!;
      sum += this.#sumMs[at]!;
      // From here on a wait of x is exceeded by sum - count * x.
      if (sum - count * fromMs >= share * this.#allMs)
        return Math.min(this.#maxMs, (sum - share * this.#allMs) / count);
    }
    return Math.max(0, (sum - share * this.#allMs) / count);
  }

  get waits(): InterruptWaits {
    const lateShare = this.#allMs === 0 ? 0 : this.#lateMs / this.#allMs;
    return { p50: this.#exceededBy(0.5), p99: this.#exceededBy(0.01), max: this.#maxMs, lateShare };
  }
}

/** See the head of this file. */
export class LookGaps {
  readonly #waitedMs: () => number | null;
  readonly #nowMs: () => number;
  readonly #settledMs: number;
  #seen = new Gaps();
  #own = new Gaps();
  #isSettled = false;
  /** NaN: the vCPU has rested. (A field that may be undefined takes a number as an object.) */
  #lookedMs = Number.NaN;
  #late = 0;
  readonly #gapMs = new Float64Array(1);
  #knownWaitMs: number | null = null;
  /** Of the waits that are known, those that came after the last look. */
  #carriedMs = 0;
  #looks = 0;

  /**
   * @param waitedMs how long this thread has waited for a processor in all, in milliseconds; null where nobody tells
   * @param nowMs the clock of whoever calls {@link LookGaps.looked}
   * @param settledMs how many milliseconds of gaps are left out, once there are more
   */
  constructor(waitedMs: () => number | null, nowMs: () => number, settledMs = SETTLED_MS) {
    this.#waitedMs = waitedMs;
    this.#nowMs = nowMs;
    this.#settledMs = settledMs;
  }

  /** The vCPU has just looked, at `at[0]`, and runs its guest. How long its thread waited for a processor meanwhile, if it looks late; else 0. */
  looked(at: Float64Array): number {
    const nowMs = at[0]!;
    const since = this.#lookedMs;
    this.#lookedMs = nowMs;
    const hasRested = Number.isNaN(since);
    const gap = hasRested ? 0 : nowMs - since;
    const isClose = gap > (this.#isSettled ? CLOSELY_MS.later : CLOSELY_MS.atFirst);
    const waited = isClose || this.#looks++ % REFRESH_LOOKS === 0 ? this.#waitedMeanwhile(at) : 0;
    if (hasRested) return 0;
    if (gap > LATE_MS) this.#late++;
    const gapMs = this.#gapMs;
    gapMs[0] = gap;
    const bucket = Gaps.bucket(gapMs);
    this.#seen.add(gapMs, bucket);
    if (isClose) {
      gapMs[0] = Math.max(0, gap - waited);
      this.#own.add(gapMs, Gaps.bucket(gapMs));
    } else this.#own.add(gapMs, bucket);
    if (!this.#isSettled && this.#seen.allMs >= this.#settledMs) this.#settle();
    return isClose ? waited : 0;
  }

  #settle(): void {
    this.#isSettled = true;
    this.#seen = new Gaps();
    this.#own = new Gaps();
    this.#late = 0;
  }

  /** The vCPU sleeps, or stands still: what comes wakes it. */
  rests(): void {
    this.#lookedMs = Number.NaN;
  }

  /**
   * What the thread waited since the last time, up to its look at `at[0]`. It often loses its processor right behind a look that was late, in the system calls
   * with which this reads its waits: what they took is the next gap's.
   */
  #waitedMeanwhile(at: Float64Array): number {
    const before = this.#knownWaitMs;
    this.#knownWaitMs = this.#waitedMs();
    if (before === null || this.#knownWaitMs === null) return 0;
    const waited = this.#knownWaitMs - before + this.#carriedMs;
    const readingMs = this.#nowMs() - at[0]!;
    this.#carriedMs = readingMs > READING_MS ? Math.min(waited, readingMs) : 0;
    return waited - this.#carriedMs;
  }

  /** What was seen so far. */
  reading(): LookGapsReading {
    const own = this.#knownWaitMs === null ? null : this.#own.waits;
    return { isSettled: this.#isSettled, allMs: this.#seen.allMs, late: this.#late, seen: this.#seen.waits, own };
  }
}
