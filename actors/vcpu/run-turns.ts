/** A run of guest code, as it is given out: in turns, and those in pieces. */
import type { Core } from '../../cpu/core.js';
import { STATE } from '../../cpu/state.js';
import type { VcpuMeter } from './meter.js';
import { OwnHeap } from './own-heap.js';
import { RunBudget, TOOK } from './run-budget.js';

/** So many runs after somebody had something for a vCPU (some 2 ms), each turn is done in so many pieces. */
const ATTENTIVE_RUNS = 64;
const PIECES = 24;
/** Work of a piece, at least. */
const PIECE_MIN = 250;
/** Looks in WFI in one run of guest code, inside generated code: about a nanosecond each. */
const WAIT_LOOKS = 16_000;
const LOOK_MS = 1e-6;
/** How often the guest may sleep inside a run and go on with all of a turn's work. */
const REFILLS_MAX = 16;
/** Until so long after its first run V8 is at work on a vCPU's own code. Pieces are then smaller parts of its turns, which are longer. */
const YOUNG_MS = 5_000;
const YOUNG_PIECES = 21;
/**
 * In the last of these milliseconds one of so many runs is as all are later: V8 has then seen and optimised what only those do, which makes objects until it is
 * (docs/adr/0328).
 */
const PRACTICE = { lastMs: 2_000, runs: 4 } as const;
/** A thread that waited longer for a processor finds its caches others': how long its turn took says nothing. */
const WAITED_MS = 0.005;

/** What it needs of its vCPU. A number that is handed on may be an object, and each turn would make some: so they are stored. */
interface TurnClock {
  /** Milliseconds: what the clock shows, and how long it is from then until a timer is due. */
  readonly shows: Float64Array;
  /** Looks at the clock. */
  look(): void;
  /** Does whatever is due at the time that is shown. */
  attends(): void;
  /** Whether others have something for the vCPU. */
  isCalled(): boolean;
}

/**
 * See the head of this file. Between two pieces generated code looks whether others have something for the vCPU (STATE.rest); at the end of a turn it asks
 * for another one ({@link turn}), for which the clock is looked at. Both without leaving the run.
 */
export class RunTurns {
  readonly #core: Core;
  readonly #meter: VcpuMeter;
  readonly #clock: TurnClock;
  readonly #budget = new RunBudget();
  /** Of the turn's work, what is not used up yet. */
  left = 0;
  #given = 0;
  #refills = 0;
  #piece = 0;
  #looks = 0;
  #attended = 0;
  /** Runs whose turns are still done in pieces. */
  #attentive = 0;
  #runMs = 0;
  #turnMs = 0;
  #turnWork = 0;
  /** When the turn is over for a guest that reads its counter; never between runs. */
  #turnEndsMs = Number.POSITIVE_INFINITY;
  /** STATE.waitLooks when the turn began. */
  #turnLooks = 0;
  #hasRested = false;
  #isOver = false;
  #youngUntilMs: number | undefined;
  #isYoung = false;
  readonly #heap = new OwnHeap();
  /** Runs since it may practise. */
  #practised = 0;
  /** Pieces of a turn, at least. */
  #parts = 1;

  constructor(core: Core, meter: VcpuMeter, clock: TurnClock) {
    this.#core = core;
    this.#meter = meter;
    this.#clock = clock;
  }

  /** Somebody had something for the vCPU, and may have again. */
  called(): void {
    this.#attentive = ATTENTIVE_RUNS;
  }

  /** The vCPU has slept, or is about to. */
  woke(): void {
    this.#budget.woke();
  }

  /** A run begins; `mayWait`: it may look in WFI. */
  begins(mayWait: boolean): void {
    const core = this.#core;
    this.#clock.look();
    this.#meter.looked(this.#clock.shows);
    const nowMs = this.#clock.shows[0]!;
    this.#runMs = nowMs;
    this.#youngUntilMs ??= nowMs + YOUNG_MS;
    if (!this.#heap.isDone) this.#heap.collects(nowMs, this.#youngUntilMs - nowMs);
    const practises = nowMs >= this.#youngUntilMs - PRACTICE.lastMs && ++this.#practised % PRACTICE.runs === 0;
    this.#isYoung = nowMs < this.#youngUntilMs && !practises;
    const isAlone = core.get32(STATE.alone) === 1;
    this.#budget.setYoung(this.#isYoung, isAlone);
    this.#parts = this.#isYoung && isAlone ? YOUNG_PIECES : 1;
    this.#isOver = false;
    this.left = this.#given = this.#beginTurn();
    this.#refills = REFILLS_MAX;
    if (this.#attentive > 0) this.#attentive--;
    this.#looks = mayWait ? WAIT_LOOKS : 0;
    this.#turnLooks = this.#looks;
    this.#attended = core.get32(STATE.attended);
    core.set32(STATE.waitLooks, this.#looks);
  }

  #beginTurn(): number {
    const { shows } = this.#clock;
    const nowMs = shows[0]!;
    const work = this.#budget.workBefore(shows);
    this.#turnEndsMs = nowMs + Math.min(shows[1]!, this.#budget.turnMs);
    this.#turnWork = work;
    this.#turnMs = nowMs;
    this.#hasRested = false;
    const pieces = (this.#attentive > 0 ? PIECES : 1) * this.#parts;
    this.#piece = pieces === 1 ? work : Math.max(PIECE_MIN, Math.ceil(work / pieces));
    this.#core.set32(STATE.piece, this.#piece);
    return work;
  }

  /**
   * The guest has read its counter, for which somebody looked at the clock: it stands at `nowMs[0]`. Reading it takes as long as hundreds of other instructions, so who does it often is
   * slower by far than its work says: a turn that has taken its time ends here.
   */
  counted(nowMs: Float64Array): void {
    if (nowMs[0]! >= this.#turnEndsMs) this.#turnWork -= this.#core.work.endTurn();
  }

  /** A turn's work is used up: how much there is for another, 0 when the run is over. */
  turn(): number {
    if (this.#isOver) return 0;
    const { shows } = this.#clock;
    this.#clock.look();
    const waitedMs = this.#meter.looked(shows);
    const looks = this.#core.get32(STATE.waitLooks);
    // How long looks take is known too roughly, and what follows a sleep is slow for a while.
    const isEven = waitedMs < WAITED_MS && !this.#hasRested && looks === this.#turnLooks;
    const { tookMs } = this.#budget;
    tookMs[TOOK.turn] = shows[0]! - this.#turnMs;
    tookMs[TOOK.run] = shows[0]! - this.#runMs;
    if (isEven) this.#budget.adjust(this.#turnWork);
    this.#turnLooks = looks;
    this.#clock.attends();
    const isWanted = this.#isYoung && this.#clock.isCalled();
    if (!isWanted && this.#budget.goesOn) {
      const work = this.#beginTurn();
      this.#given += work;
      return work;
    }
    this.#isOver = true;
    return 0;
  }

  /** Whether there is work left, or was given for another turn. */
  goesOn(): boolean {
    if (this.left > 0) return true;
    const work = this.turn();
    this.left += work;
    return work > 0;
  }

  /** The guest has slept and has as much to do as at the start of a turn: what it had left would not see it through. */
  refill(): void {
    this.#hasRested = true;
    const { work } = this.#budget;
    if (this.#refills === 0 || this.left >= work) return;
    this.#refills--;
    this.#given += work - this.left;
    this.left = work;
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
    const left = this.#core.get32(STATE.waitLooks);
    this.#looks -= left;
    this.#turnLooks -= left;
    this.#core.set32(STATE.waitLooks, 0);
  }

  /** The run is over: how long it took but for about what it looked in WFI, in milliseconds, to `tookMs[0]`. */
  ends(tookMs: Float64Array): void {
    this.#turnEndsMs = Number.POSITIVE_INFINITY;
    if (this.#core.get32(STATE.attended) !== this.#attended) this.called();
    this.#clock.look();
    const looks = this.#looks - this.#core.get32(STATE.waitLooks);
    tookMs[0] = this.#clock.shows[0]! - this.#runMs - looks * LOOK_MS;
  }
}
