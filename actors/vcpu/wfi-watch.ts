/**
 * Whether and how long a vCPU in WFI watches for its next interrupt before it sleeps (ADR 160). What its waits were lately decides:
 * those of a guest that has just told somebody something are one sort, since an answer is likely to come soon, all others another.
 * A vCPU that watches does not count as asleep, so whoever has something for it need not ring.
 */

/** No wait is watched longer than this, in milliseconds; one that took less was short. */
const WATCH_MS = 0.2;
/** A sort is watched while its standing is above 0: it rises by one with each short wait up to this, */
const STANDING_MAX = 4;
/** and falls by so many with each long one, since watching in vain costs more than a sleep too many. */
const LONG_WAIT = 2;
/** Looks between two readings of the clock. */
const LOOKS_PER_CLOCK = 64;

/** What of its vCPU it needs. */
export interface WaitingVcpu {
  nowMs(): number;
  /** Whether somebody has something for it; may tell a little late. */
  isCalled(): boolean;
  /** Takes what others have for it and looks at its timers; whether an interrupt is pending. */
  isInterrupted(): boolean;
  /** Whether it has to stop watching: the VM ends, or another vCPU wants to run. */
  mustStop(): boolean;
  /** Sleeps; whether an interrupt ended it. False too when something else is to be done. */
  sleeps(): boolean;
}

/** See the head of this file. */
export class WfiWatch {
  readonly #vcpu: WaitingVcpu;
  /** By sort: waits after having told somebody, and others. */
  readonly #standing: [number, number] = [STANDING_MAX, 0];
  #sort: 0 | 1 = 0;
  #told = 0;
  #sinceMs = 0;
  #isWaiting = false;
  #watchedMs = 0;

  constructor(vcpu: WaitingVcpu) {
    this.#vcpu = vcpu;
  }

  /** Whether there is a sort of waits that are short. */
  get isLikelyShort(): boolean {
    return this.#standing[0] > 0 || this.#standing[1] > 0;
  }

  /**
   * The guest begins to wait: watches if that is likely to pay, then sleeps, and says whether an interrupt came. `told`: how often
   * it has told somebody something, ever; undefined: it is not to watch.
   */
  watches(told: number | undefined): boolean {
    const vcpu = this.#vcpu;
    const sinceMs = vcpu.nowMs();
    this.#sort = told === undefined || told === this.#told ? 1 : 0;
    this.#told = told ?? 0;
    this.#sinceMs = sinceMs;
    this.#isWaiting = true;
    let nowMs = sinceMs;
    let isInterrupted = false;
    const untilMs = told !== undefined && this.#standing[this.#sort] > 0 ? sinceMs + WATCH_MS : sinceMs;
    while (!isInterrupted && nowMs < untilMs && !vcpu.mustStop()) {
      for (let look = 0; look < LOOKS_PER_CLOCK && !vcpu.isCalled(); look++);
      isInterrupted = vcpu.isInterrupted();
      nowMs = vcpu.nowMs();
    }
    if (!isInterrupted) {
      isInterrupted = vcpu.sleeps();
      nowMs = vcpu.nowMs();
    }
    this.#watchedMs += nowMs - sinceMs;
    if (isInterrupted) this.#ends(nowMs);
    return isInterrupted;
  }

  /** The guest goes on after having slept elsewhere. */
  ends(): void {
    if (this.#isWaiting) this.#ends(this.#vcpu.nowMs());
  }
  #ends(nowMs: number): void {
    this.#isWaiting = false;
    const standing = this.#standing[this.#sort];
    const isShort = nowMs - this.#sinceMs < WATCH_MS;
    this.#standing[this.#sort] = isShort ? Math.min(STANDING_MAX, standing + 1) : Math.max(0, standing - LONG_WAIT);
  }

  /** Milliseconds spent waiting here since this was last asked. */
  takeWatchedMs(): number {
    const watchedMs = this.#watchedMs;
    this.#watchedMs = 0;
    return watchedMs;
  }
}
