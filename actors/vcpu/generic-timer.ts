/**
 * The generic timers of one vCPU (Arm ARM D11): virtual and physical EL1 timer over one counter that all vCPUs of a VM
 * read alike. Comparators are private to the vCPU's thread; a timer that fires drives its private interrupt's line.
 */
import type { CpuState } from '../../cpu/cpu-state.js';
import type { Clock } from '../runtime/services.js';

/** Counter frequency in hertz, that of QEMU's `virt`. */
export const COUNTER_HZ = 62_500_000;
const TICKS_PER_MS = COUNTER_HZ / 1000;
const ENABLE = 1;
const MASK = 2;
const STATUS = 4;
/** Later than this a comparator never fires: the counter is exact below 2^53 ticks (4.5 years). */
const NEVER_TICKS = 2 ** 53;

/** One comparator. */
interface Comparator {
  readonly intid: number;
  control: number;
  /** CVAL as the guest wrote it. */
  compare: bigint;
  /** The same as a number of ticks, at most NEVER_TICKS. */
  due: number;
  level: boolean;
}

/** Names of the two timers. */
export type TimerName = 'virtual' | 'physical';

/** See the head of this file. */
export class GenericTimer {
  readonly #clock: Clock;
  readonly #epochMs: number;
  readonly #setLine: (intid: number, level: boolean) => void;
  readonly #timers: Readonly<Record<TimerName, Comparator>>;

  /** `setLine` drives a private interrupt of this vCPU. */
  constructor(clock: Clock, epochMs: number, setLine: (intid: number, level: boolean) => void) {
    this.#clock = clock;
    this.#epochMs = epochMs;
    this.#setLine = setLine;
    const fresh = (intid: number): Comparator => ({ intid, control: 0, compare: 0n, due: 0, level: false });
    this.#timers = { virtual: fresh(27), physical: fresh(30) };
  }

  /** The counter stood still for `ms` milliseconds in all: a debugger held the machine. */
  setAway(ms: number): void {
    this.#awayMs = ms;
  }
  #awayMs = 0;

  /** Both timers as after reset. */
  reset(): void {
    for (const timer of [this.#timers.virtual, this.#timers.physical]) {
      timer.control = 0;
      this.#setCompare(timer, 0n);
      this.#drive(timer, false);
    }
  }

  /** The counter, in ticks. */
  ticks(): number {
    return Math.floor((this.#clock.monotonicMs() - this.#epochMs - this.#awayMs) * TICKS_PER_MS);
  }

  /** Writes the counter to the 64 bits at `offset` of `state`, as it is when the clock stands at `nowMs[0]`. */
  store(nowMs: Float64Array, state: CpuState, offset: number): void {
    const ticks = Math.floor((nowMs[0]! - this.#epochMs - this.#awayMs) * TICKS_PER_MS);
    state.setHalves(offset, ticks | 0, Math.floor(ticks / 2 ** 32));
  }

  /** CTL, with its status bit. */
  control(name: TimerName): number {
    const timer = this.#timers[name];
    const fires = (timer.control & ENABLE) !== 0 && this.ticks() >= timer.due;
    return timer.control | (fires ? STATUS : 0);
  }
  setControl(name: TimerName, value: number): void {
    this.#timers[name].control = value & (ENABLE | MASK);
    this.#findNext();
    this.poll();
  }
  compare(name: TimerName): bigint {
    return this.#timers[name].compare;
  }
  setCompare(name: TimerName, value: bigint): void {
    this.#setCompare(this.#timers[name], value);
    this.poll();
  }
  /** TVAL: 32 bits, signed, relative to the counter. */
  remaining(name: TimerName): bigint {
    return BigInt.asUintN(32, this.#timers[name].compare - BigInt(this.ticks()));
  }
  setRemaining(name: TimerName, value: bigint): void {
    this.setCompare(name, BigInt.asUintN(64, BigInt(this.ticks()) + BigInt.asIntN(32, value)));
  }

  #setCompare(timer: Comparator, value: bigint): void {
    timer.compare = value;
    timer.due = Math.min(Number(value), NEVER_TICKS);
    this.#findNext();
  }

  /** The tick at which a line will rise next. */
  #nextTick = Number.POSITIVE_INFINITY;

  #findNext(): void {
    const { virtual, physical } = this.#timers;
    this.#nextTick = Math.min(nextOf(virtual), nextOf(physical));
  }

  /** Drives both lines as they are now. */
  poll(): void {
    const { virtual, physical } = this.#timers;
    if (((virtual.control | physical.control) & ENABLE) === 0 && !virtual.level && !physical.level) return;
    const now = this.ticks();
    this.#drive(virtual, (virtual.control & (ENABLE | MASK)) === ENABLE && now >= virtual.due);
    this.#drive(physical, (physical.control & (ENABLE | MASK)) === ENABLE && now >= physical.due);
  }

  #drive(timer: Comparator, level: boolean): void {
    if (timer.level === level) return;
    timer.level = level;
    this.#findNext();
    this.#setLine(timer.intid, level);
  }

  /** Stores how many milliseconds it is from `shows[0]` until a line will rise, Infinity when none will, in `shows[1]`. */
  storeDue(shows: Float64Array): void {
    const next = this.#nextTick;
    const ticks = Math.floor((shows[0]! - this.#epochMs - this.#awayMs) * TICKS_PER_MS);
    shows[1] = next === Number.POSITIVE_INFINITY ? next : Math.max(0, next - ticks) / TICKS_PER_MS;
  }

  /** Milliseconds until a line will rise, Infinity when none will. */
  dueInMs(): number {
    if (this.#nextTick === Number.POSITIVE_INFINITY) return this.#nextTick;
    return Math.max(0, this.#nextTick - this.ticks()) / TICKS_PER_MS;
  }
}

/** When its line will rise. */
function nextOf({ control, due, level }: Comparator): number {
  return (control & (ENABLE | MASK)) === ENABLE && !level ? due : Number.POSITIVE_INFINITY;
}
