/**
 * What the threads of one VM share beside its memory: whether it runs, the power state of each virtual processor, how to
 * wake it, and the maintenance the others ask of it. One 4 KiB-aligned block per VM in the machine's shared memory.
 *
 * Words are little-endian i32 and change by Atomics only. Who writes what: `stop` by whoever ends the VM first; of a
 * processor's words `power`, `entry`, `context` by PSCI callers under the compare-exchange of `power`, `outside` and
 * `sleeping` by its own thread, `look` by anybody (set) and its own thread (clear), `posted` as VM_CPU says, the requests by anybody under `lock`,
 * a window's word by the device's thread.
 */
import { assert } from '../../../bus/assert.js';
import { Parking } from '../../../bus/doorbell/parking.js';
import { type Act, MaintenanceRequests, maintenanceBytes, type Request } from './maintenance-requests.js';

/** Virtual processors of one VM, at most. */
export const VM_CPUS_MAX = 8;
const HEAD_BYTES = 1024;
const CPU_BYTES = 128;
const WINDOWS_AT = HEAD_BYTES + VM_CPUS_MAX * CPU_BYTES;
/** A window's word has a cache line to itself. */
const WINDOW_BYTES = 64;
/** Device windows of one VM (actors/shared-state/guest-window), at most. */
export const VM_WINDOWS_MAX = 40;
/** What is here (watchdog.ts has 64 bytes from 256 on), then proxied-run.ts from 7,680, vmmio-ranges.ts from 8,192 and controller-windows.ts from 10,752 on; then the requests. */
const REQUESTS_AT = 12_288;
/** Size of a VM's block in bytes. */
export const VM_BLOCK_BYTES = REQUESTS_AT + maintenanceBytes(VM_CPUS_MAX);

/** Why a VM stands still. */
export const STOP = { none: 0, off: 1, reset: 2, crash: 3, requested: 4, watchdog: 5 } as const;
/** A value of {@link STOP}. */
export type Stop = (typeof STOP)[keyof typeof STOP];
/** What SYSTEM_RESET2 was asked with, and whether in its 64-bit form. */
export interface ResetAsked {
  readonly type: number;
  readonly cookie: bigint;
  readonly isWide: boolean;
}
/** The word `stop`: the reason below, and above it the number from 1 on of the processor that has left a {@link ResetAsked}. */
const STOP_REASON = 0xff;
const STOP_CPU_SHIFT = 8;
/** Power states of a virtual processor, as PSCI AFFINITY_INFO counts them. */
export const POWER = { on: 0, off: 1, pending: 2 } as const;
/** Bits of what stays as it is when a processor is powered on. */
export const KEEP = { pc: 1, x0: 2 } as const;
/** Beside {@link POWER}: somebody is just writing the start values. */
const CLAIMED = 3;

const HEAD = { stop: 0, cpus: 4, sleepers: 64, wakeups: 68, pairLock: 128, stage2: 192 } as const;
const CPU = {
  power: 0,
  outside: 4,
  actor: 8,
  sleeping: 12,
  look: 16,
  keep: 20,
  entry: 24,
  context: 32,
  lock: 40,
  pushed: 44,
  done: 48,
  event: 52,
  posted: 56,
  cookie: 64,
  isWide: 72,
  resetType: 76,
} as const;

/** Where the words of the first processor lie, how far apart processors are, and some words' places, for code that wakes by itself. */
export const VM_CPU = {
  ...{ first: HEAD_BYTES, bytes: CPU_BYTES, actor: CPU.actor, sleeping: CPU.sleeping, look: CPU.look },
  /**
   * An edge of an SPI that a virtual source has posted to the processor, by its number, or 0: set by compare-exchange before `look`, in whose line
   * it is; taken by whoever has the lock of the VM's interrupt controller.
   */
  posted: CPU.posted,
} as const;

/** One thread's view of a VM's block. */
export class VmBlock {
  /** Where threads wait for the VM to stop. */
  readonly stopped: Parking;
  /** Byte address of the block. */
  readonly at: number;
  readonly #words: Int32Array;
  readonly #requests: MaintenanceRequests;

  /** The block at byte `at` of `memory`. */
  constructor(memory: ArrayBufferLike, at: number) {
    assert(at % 64 === 0, 'a VM block is 64-byte aligned');
    this.at = at;
    this.#words = new Int32Array(memory, at, VM_BLOCK_BYTES / 4);
    this.#requests = new MaintenanceRequests(memory, at + REQUESTS_AT, VM_CPUS_MAX);
    this.stopped = new Parking(this.#words, HEAD.sleepers >> 2);
  }

  /** Makes the block that of a VM with `cpus` processors, all off. */
  format(cpus: number): void {
    assert(cpus > 0 && cpus <= VM_CPUS_MAX, 'a VM has 1 to 8 processors');
    this.#words.fill(0);
    this.#words[HEAD.cpus >> 2] = cpus;
    for (let cpu = 0; cpu < cpus; cpu++) {
      this.#store(cpu, CPU.power, POWER.off);
      this.#store(cpu, CPU.outside, 1);
    }
  }

  /** Address of the lock word for 16-byte atomic accesses. */
  get pairLock(): number {
    return this.at + HEAD.pairLock;
  }
  /** Number of processors. */
  get cpus(): number {
    return this.#words[HEAD.cpus >> 2] ?? 0;
  }

  #index(cpu: number, field: number): number {
    return (HEAD_BYTES + cpu * CPU_BYTES + field) >> 2;
  }
  #load(cpu: number, field: number): number {
    return Atomics.load(this.#words, this.#index(cpu, field));
  }
  #store(cpu: number, field: number, value: number): void {
    Atomics.store(this.#words, this.#index(cpu, field), value);
  }

  // ---- the VM as a whole ----

  /** Why the VM stands still, or STOP.none. */
  get stop(): Stop {
    // WHY: only `end` and `format` write the word.
    return (Atomics.load(this.#words, HEAD.stop >> 2) & STOP_REASON) as Stop;
  }
  /** What the reset that ended the VM was asked with; undefined: SYSTEM_RESET, or another end. */
  get resetAsked(): ResetAsked | undefined {
    const cpu = (Atomics.load(this.#words, HEAD.stop >> 2) >> STOP_CPU_SHIFT) - 1;
    if (cpu < 0) return undefined;
    const [type, isWide] = [this.#load(cpu, CPU.resetType) >>> 0, this.#load(cpu, CPU.isWide) !== 0];
    return { type, cookie: this.#halves(cpu, CPU.cookie), isWide };
  }
  /** Ends the VM for `reason`; the first reason stays. Wakes whoever waits for the end, not the processors. */
  end(reason: Exclude<Stop, 0>): boolean {
    return this.#end(reason);
  }
  /** As {@link end}, for SYSTEM_RESET2 of processor `cpu`, on its own thread. */
  endByReset(cpu: number, { type, cookie, isWide }: ResetAsked): boolean {
    if (this.stop !== STOP.none) return false;
    this.#store(cpu, CPU.resetType, type | 0);
    this.#store(cpu, CPU.isWide, isWide ? 1 : 0);
    this.#setHalves(cpu, CPU.cookie, cookie);
    return this.#end(STOP.reset | ((cpu + 1) << STOP_CPU_SHIFT));
  }
  #end(word: number): boolean {
    const first = Atomics.compareExchange(this.#words, HEAD.stop >> 2, STOP.none, word) === STOP.none;
    this.stopped.unpark();
    return first;
  }

  // ---- power ----

  /** PSCI power state of a processor. */
  power(cpu: number): number {
    const power = this.#load(cpu, CPU.power);
    return power === CLAIMED ? POWER.pending : power;
  }
  /**
   * Asks for a processor to start at `entry` with x0 = `context`; false when it is not off. `keep`: bits
   * of {@link KEEP}, what its registers have instead. `claimed` is called while it is off and nobody else can start it.
   */
  powerOn(cpu: number, entry: bigint, context: bigint, keep = 0, claimed?: () => void): boolean {
    const was = Atomics.compareExchange(this.#words, this.#index(cpu, CPU.power), POWER.off, CLAIMED);
    if (was !== POWER.off) return false;
    claimed?.();
    this.#setHalves(cpu, CPU.entry, entry);
    this.#setHalves(cpu, CPU.context, context);
    this.#store(cpu, CPU.keep, keep);
    this.#store(cpu, CPU.power, POWER.pending);
    return true;
  }
  #setHalves(cpu: number, field: number, value: bigint): void {
    this.#store(cpu, field, Number(BigInt.asIntN(32, value)));
    this.#store(cpu, field + 4, Number(BigInt.asIntN(32, value >> 32n)));
  }
  #halves(cpu: number, field: number): bigint {
    return (BigInt(this.#load(cpu, field + 4) >>> 0) << 32n) | BigInt(this.#load(cpu, field) >>> 0);
  }
  /** The processor's own thread: it starts, with what powerOn asked for. */
  takePowerOn(cpu: number): { readonly entry: bigint; readonly context: bigint; readonly keep: number } | undefined {
    if (this.#load(cpu, CPU.power) !== POWER.pending) return undefined;
    const [entry, context] = [this.#halves(cpu, CPU.entry), this.#halves(cpu, CPU.context)];
    const start = { entry, context, keep: this.#load(cpu, CPU.keep) };
    this.#store(cpu, CPU.power, POWER.on);
    return start;
  }
  /** The processor's own thread: it is off. */
  powerOff(cpu: number): void {
    this.#store(cpu, CPU.power, POWER.off);
  }

  // ---- waking ----

  /** The actor that runs processor `cpu`, as {@link Ring} knows it; 0 when none does yet. */
  actorOf(cpu: number): number {
    return this.#load(cpu, CPU.actor);
  }
  /** Sets {@link actorOf}. */
  bindActor(cpu: number, actor: number): void {
    this.#store(cpu, CPU.actor, actor);
  }
  /** Asks a processor's thread to look at its interrupts, requests and orders; true when it sleeps and must be rung. */
  poke(cpu: number): boolean {
    this.#store(cpu, CPU.look, 1);
    return this.#load(cpu, CPU.sleeping) === 1;
  }
  /** The processor's own thread: whether it was poked since the last call. */
  takeLook(cpu: number): boolean {
    return Atomics.exchange(this.#words, this.#index(cpu, CPU.look), 0) !== 0;
  }
  /** As takeLook, without taking. */
  mustLook(cpu: number): boolean {
    return this.#load(cpu, CPU.look) !== 0;
  }
  /** Byte address of the word that poke sets. */
  lookAt(cpu: number): number {
    return this.at + this.#index(cpu, CPU.look) * 4;
  }
  /** Byte address of the word {@link VM_CPU.posted}. */
  postedAt(cpu: number): number {
    return this.at + this.#index(cpu, CPU.posted) * 4;
  }
  /** As mustLook, for the processor's own thread while it is awake: ordered with nothing, so it may tell late. */
  seesLook(cpu: number): boolean {
    return this.#words[this.#index(cpu, CPU.look)] !== 0;
  }
  /** The processor's own thread is about to sleep (then it looks once more), or is awake. */
  setSleeping(cpu: number, sleeping: boolean): void {
    this.#store(cpu, CPU.sleeping, sleeping ? 1 : 0);
  }
  /** Sets the event register of all processors but `from` (SEV). */
  sendEvent(from: number): void {
    for (let cpu = 0; cpu < this.cpus; cpu++) if (cpu !== from) this.#store(cpu, CPU.event, 1);
  }
  /** The processor's own thread: takes its event. */
  takeEvent(cpu: number): boolean {
    return Atomics.exchange(this.#words, this.#index(cpu, CPU.event), 0) !== 0;
  }

  // ---- maintenance asked by others ----

  /**
   * The processor's own thread executes no guest code from here on (true), or may (false). Before the first guest
   * instruction after `false` it drains its requests, so nobody has to wait for one that is outside.
   */
  setOutside(cpu: number, outside: boolean): void {
    this.#store(cpu, CPU.outside, outside ? 1 : 0);
  }
  /**
   * Asks `cpu` to do something; lo and hi as in RemoteCpus.request. The caller pokes it when this returns true: it executes guest
   * code, or its lists have just become half full while it slept. One that is off is left alone: it has nothing to lose.
   */
  request(cpu: number, kind: Request, lo: number, hi: number): boolean {
    const isHalfFull = this.#locked(cpu, () => {
      this.#store(cpu, CPU.pushed, (this.#load(cpu, CPU.pushed) + 1) | 0);
      return this.#requests.add(cpu, kind, lo, hi);
    });
    return !this.isOutside(cpu) || (isHalfFull && this.#load(cpu, CPU.power) !== POWER.off);
  }
  /**
   * Whether `cpu` executes no guest code and will do what was asked of it until now before it does: asked after {@link request},
   * it need not be waited for.
   */
  isOutside(cpu: number): boolean {
    return this.#load(cpu, CPU.outside) === 1;
  }
  /** Number of requests ever made of `cpu`: what {@link isDone} is asked about. */
  requested(cpu: number): number {
    return this.#load(cpu, CPU.pushed);
  }
  /** Whether `cpu` has done its first `count` requests, or will before it runs guest code. */
  isDone(cpu: number, count: number): boolean {
    return this.isOutside(cpu) || ((this.#load(cpu, CPU.done) - count) | 0) >= 0;
  }
  /** The processor's own thread: carries out what was asked. Returns whether there was anything. */
  drain(cpu: number, act: Act): boolean {
    if (this.#load(cpu, CPU.pushed) === this.#load(cpu, CPU.done)) return false;
    this.#locked(cpu, () => {
      this.#requests.take(cpu, act);
      this.#store(cpu, CPU.done, this.#load(cpu, CPU.pushed));
    });
    return true;
  }

  // ---- device windows ----

  #windowIndex(window: number): number {
    return (WINDOWS_AT + window * WINDOW_BYTES) >> 2;
  }
  /** The device's own thread: uses guest memory from here on. */
  enterWindow(window: number): void {
    Atomics.add(this.#words, this.#windowIndex(window), 1);
  }
  /** The device's own thread: uses guest memory no more. */
  leaveWindow(window: number): void {
    Atomics.add(this.#words, this.#windowIndex(window), 1);
  }
  /** Number of times a window was entered and left: odd while its device is inside. */
  windowTurns(window: number): number {
    return Atomics.load(this.#words, this.#windowIndex(window));
  }
  /** Whether a device that was inside when {@link windowTurns} said `turns` has left since. */
  hasLeft(window: number, turns: number): boolean {
    return (turns & 1) === 0 || this.windowTurns(window) !== turns;
  }

  #locked<T>(cpu: number, body: () => T): T {
    const lock = this.#index(cpu, CPU.lock);
    while (Atomics.compareExchange(this.#words, lock, 0, 1) !== 0) {
      // Held for a microsecond at most; the holder runs on another thread.
    }
    try {
      return body();
    } finally {
      Atomics.store(this.#words, lock, 0);
    }
  }
}

/** Rings the actor with this number (ActorRef.actor); how a thread does so is its runtime's business. */
export type Ring = (actor: number) => void;

/** The function that wakes processors of a VM from the calling thread: what Gic and request makers are given. */
export function waker(block: VmBlock, ring: Ring): (cpu: number) => void {
  return (cpu) => {
    if (block.poke(cpu)) ring(block.actorOf(cpu));
  };
}
