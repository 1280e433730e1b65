/**
 * Whether and how long a vCPU in WFI watches for its next interrupt before it sleeps (ADR 160). What its waits were lately decides:
 * those of a guest that has just told somebody something are one sort, since an answer is likely to come soon, all others another.
 * A vCPU that watches does not count as asleep, so whoever has something for it need not ring.
 *
 * Whoever is to answer may need this very processor: the host may have put that thread here, behind the one that watches (ADR 189). While
 * those who were told something did not get to run beside the one that watches, it sleeps at once, and the processor is theirs.
 */

/** No wait is watched longer than this, in milliseconds; one that took less was short. */
const WATCH_MS = 0.2;
/** A sort is watched while its standing is above 0: it rises by one with each short wait up to this, */
const STANDING_MAX = 4;
/** and falls by so many with each long one, since watching in vain costs more than a sleep too many. */
const LONG_WAIT = 2;
/** Somebody that was woken runs within this time, in milliseconds, if it has a processor of its own. */
const WAKES_MS = 0.1;
/** While those who were told something get none, one wait in so many is watched for so long all the same. */
const TRIAL_EVERY = 16;
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
  /** Whether the thread of `actor` runs. */
  isAwake(actor: number): boolean;
  /** Sleeps, at once if so told; whether an interrupt ended it. False too when something else is to be done. */
  sleeps(atOnce: boolean): boolean;
}

/** See the head of this file. */
export class WfiWatch {
  readonly #vcpu: WaitingVcpu;
  /** By sort: waits after having told somebody, and others. */
  readonly #standing: [number, number] = [STANDING_MAX, 0];
  /** The same of whether those it told something run while it watches. */
  #apart = STANDING_MAX;
  #trial = 0;
  /** Whom it has woken since it last waited; 0: nobody. */
  #woken = 0;
  /** When it went to sleep after having watched in vain for an answer. */
  #sleptMs = Number.NEGATIVE_INFINITY;
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
    const woken = this.#woken;
    this.#woken = 0;
    let watchMs = told !== undefined && this.#standing[this.#sort] > 0 ? WATCH_MS : 0;
    let isInterrupted = watchMs > 0 && vcpu.isInterrupted();
    let isWatching = watchMs > 0 && !isInterrupted;
    const isTold = isWatching && this.#sort === 0;
    if (isTold && this.#apart === 0) {
      watchMs = WAKES_MS;
      isWatching = ++this.#trial % TRIAL_EVERY === 0;
    }
    if (isTold && isWatching && woken !== 0 && !this.#runsSoon(woken, sinceMs)) {
      isWatching = false;
      this.#apart = Math.max(0, this.#apart - LONG_WAIT);
    }
    let nowMs = vcpu.nowMs();
    while (isWatching && !isInterrupted && nowMs < sinceMs + watchMs && !vcpu.mustStop()) {
      for (let look = 0; look < LOOKS_PER_CLOCK && !vcpu.isCalled(); look++);
      isInterrupted = vcpu.isInterrupted();
      nowMs = vcpu.nowMs();
    }
    if (isTold && isInterrupted) this.#apart = Math.min(STANDING_MAX, this.#apart + 1);
    if (!isInterrupted) {
      this.#sleptMs = isTold && isWatching ? nowMs : Number.NEGATIVE_INFINITY;
      isInterrupted = vcpu.sleeps(isTold);
      nowMs = vcpu.nowMs();
    }
    this.#watchedMs += nowMs - sinceMs;
    if (isInterrupted) this.#ends(nowMs);
    return isInterrupted;
  }

  /** Somebody was rung; who sleeps is woken by it. */
  rings(actor: number): boolean {
    if (this.#vcpu.isAwake(actor)) return false;
    this.#woken = actor;
    return true;
  }

  /** Watches until somebody that was woken runs, or has something for us; false when it does not. */
  #runsSoon(woken: number, sinceMs: number): boolean {
    const vcpu = this.#vcpu;
    while (!vcpu.isAwake(woken) && !vcpu.isCalled()) {
      if (vcpu.nowMs() - sinceMs > WAKES_MS || vcpu.mustStop()) return false;
    }
    return true;
  }

  /** The guest goes on after having slept elsewhere. */
  ends(): void {
    if (this.#isWaiting) this.#ends(this.#vcpu.nowMs());
  }
  #ends(nowMs: number): void {
    this.#isWaiting = false;
    // What it watched for in vain came as soon as it slept: it had been in the way.
    if (nowMs - this.#sleptMs < WATCH_MS) this.#apart = Math.max(0, this.#apart - LONG_WAIT);
    this.#sleptMs = Number.NEGATIVE_INFINITY;
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
