/**
 * A doorbell: 64 flags, an enable mask and an acknowledge mask in shared memory, with Gunyah's semantics (gunyah.md
 * section 4), and a parking place for threads that wait for an enabled flag. Flags travel as two 32-bit halves, because a
 * bigint costs an allocation per operation and the callers hold halves anyway.
 *
 * All of flags, masks and their effect on the interrupt change under the doorbell's lock, so that an operation is one step as it
 * is in the hypervisor. Readers that only look (`pending`) take no lock. A thread that dies inside leaves flags set or
 * not, both of which are states a doorbell may have; `recoverDoorbell` frees the lock.
 */
import { assert } from '../assert.js';
import { mustBeZero, u32 } from '../layout/fields.js';
import { struct } from '../layout/struct.js';
import { ok, type Result } from '../result.js';
import { type Fault, fail } from '../status.js';
import type { TapSink } from '../tap/tap-sink.js';
import { OwnerLock, recoverLock } from './owner-lock.js';
import { type KeepAlive, Parking } from './parking.js';

/** A doorbell's bytes: the line that ringers write, then the line that sleepers write. */
export const DoorbellState = struct('DoorbellState', 128, {
  magic: u32(0x00),
  lock: u32(0x04),
  flagsLow: u32(0x08),
  flagsHigh: u32(0x0c),
  enableLow: u32(0x10),
  enableHigh: u32(0x14),
  ackLow: u32(0x18),
  ackHigh: u32(0x1c),
  tapped: u32(0x20),
  reservedState: mustBeZero(0x24, 0x1c),
  sleepers: u32(0x40),
  wakeups: u32(0x44),
  reservedParking: mustBeZero(0x48, 0x38),
});

/** 'DB01' */
const MAGIC = 0x31304244;
const word = (name: keyof typeof DoorbellState.offsets): number => DoorbellState.offsets[name] >> 2;
const W = {
  lock: word('lock'),
  flagsLow: word('flagsLow'),
  flagsHigh: word('flagsHigh'),
  enableLow: word('enableLow'),
  enableHigh: word('enableHigh'),
  ackLow: word('ackLow'),
  ackHigh: word('ackHigh'),
  tapped: word('tapped'),
  sleepers: word('sleepers'),
} as const;

/** Where a doorbell lies: any shared buffer, at a multiple of 64 bytes. Crosses threads as it is. */
export interface DoorbellHandle {
  readonly buffer: SharedArrayBuffer;
  readonly byteOffset: number;
}

/** The virtual interrupt bound to a doorbell. */
export interface DoorbellInterrupt {
  /** A send or an enabling mask: an edge always, and the level `level` (an edge-triggered line fires on every call). */
  assert(level: boolean): void;
  /** The line falls. */
  clear(): void;
}

/** How a doorbell is attached. */
export interface DoorbellOptions {
  /** Unique per thread, 1 .. 2^31-1: owner id in the lock. */
  readonly owner: number;
  readonly interrupt?: DoorbellInterrupt;
  /** Who hears of every ring and answer by this object while the doorbell's tap is on. */
  readonly tap?: TapSink;
}

/** Makes a doorbell in shared memory of its own: no flags, everything enabled, nothing acknowledged by itself. */
export function createDoorbell(): DoorbellHandle {
  const handle = { buffer: new SharedArrayBuffer(DoorbellState.sizeBytes), byteOffset: 0 };
  assert(formatDoorbell(handle).ok, 'a fresh buffer takes a doorbell');
  return handle;
}

/** Makes a doorbell at a place in existing shared memory. */
export function formatDoorbell(handle: DoorbellHandle): Result<undefined, Fault<'badArgument'>> {
  if (!fits(handle)) return fail('badArgument', 'DoorbellHandle.byteOffset');
  const zero = { lock: 0, flagsLow: 0, flagsHigh: 0, ackLow: 0, ackHigh: 0, tapped: 0, sleepers: 0, wakeups: 0 };
  const enabled = { enableLow: 0xffff_ffff, enableHigh: 0xffff_ffff };
  DoorbellState.write(new DataView(handle.buffer), handle.byteOffset, { magic: MAGIC, ...zero, ...enabled });
  return ok();
}

/** For supervisors: frees the doorbell's lock if `owner`, known to be dead, held it; true if so. */
export function recoverDoorbell(handle: DoorbellHandle, owner: number): boolean {
  return recoverLock(wordsOf(handle), W.lock, owner);
}

/** One thread's view of a doorbell. After `send` and `receive`, `oldLow` and `oldHigh` hold the flags from before. */
export class Doorbell {
  /** Low half of the flags before the last `send` or `receive`, as an unsigned number. */
  oldLow = 0;
  /** High half. */
  oldHigh = 0;
  /** Where waiters sleep; a mailbox lends it to its queue, so that a message wakes what the doorbell wakes. */
  readonly parking: Parking;
  private readonly words: Int32Array;
  private readonly lock: OwnerLock;
  private readonly interrupt: DoorbellInterrupt | undefined;
  private readonly tap: TapSink | undefined;

  private constructor(words: Int32Array, options: DoorbellOptions) {
    this.words = words;
    this.lock = new OwnerLock(words, W.lock, options.owner);
    this.parking = new Parking(words, W.sleepers);
    this.interrupt = options.interrupt;
    this.tap = options.tap;
  }

  /** Attaches to the doorbell at `handle`. */
  static attach(handle: DoorbellHandle, options: DoorbellOptions): Result<Doorbell, Fault<'badArgument' | 'corrupt'>> {
    if (!fits(handle)) return fail('badArgument', 'DoorbellHandle.byteOffset');
    const words = wordsOf(handle);
    if (words[0] !== MAGIC) return fail('corrupt', 'DoorbellState.magic');
    return ok(new Doorbell(words, options));
  }

  /** Sets flags; the old ones are in `oldLow` and `oldHigh`. Asserts the interrupt and wakes waiters. */
  send(low: number, high = 0): void {
    this.lock.acquire();
    this.oldLow = Atomics.or(this.words, W.flagsLow, low) >>> 0;
    this.oldHigh = Atomics.or(this.words, W.flagsHigh, high) >>> 0;
    const level = this.pending();
    this.interrupt?.assert(level);
    if (level) this.acknowledge();
    if (this.words[W.tapped] !== 0) this.tap?.record('rang', low >>> 0, high >>> 0);
    this.lock.release();
    if (level) this.parking.unpark();
  }

  /** Clears flags; the old ones, unmasked, are in `oldLow` and `oldHigh`. Clearing nothing is refused. */
  receive(low: number, high = 0): Result<undefined, Fault<'badArgument'>> {
    if (low === 0 && high === 0) return REFUSED;
    this.lock.acquire();
    this.oldLow = Atomics.and(this.words, W.flagsLow, ~low) >>> 0;
    this.oldHigh = Atomics.and(this.words, W.flagsHigh, ~high) >>> 0;
    if (this.words[W.tapped] !== 0) this.tap?.record('answered', low >>> 0, high >>> 0);
    this.lock.release();
    return DONE;
  }

  /** Back to the state of creation: the line falls, no flags, everything enabled, nothing acknowledged by itself. */
  reset(): void {
    this.lock.acquire();
    this.interrupt?.clear();
    for (const index of [W.flagsLow, W.flagsHigh, W.ackLow, W.ackHigh]) Atomics.store(this.words, index, 0);
    for (const index of [W.enableLow, W.enableHigh]) Atomics.store(this.words, index, -1);
    this.lock.release();
  }

  /** Stores both masks; the line follows what is now enabled, and newly or still enabled flags are acknowledged. */
  mask(enableLow: number, enableHigh: number, ackLow: number, ackHigh: number): void {
    this.lock.acquire();
    const was = this.pending();
    Atomics.store(this.words, W.enableLow, enableLow);
    Atomics.store(this.words, W.enableHigh, enableHigh);
    Atomics.store(this.words, W.ackLow, ackLow);
    Atomics.store(this.words, W.ackHigh, ackHigh);
    const now = this.pending();
    if (was && !now) this.interrupt?.clear();
    if (!was && now) this.interrupt?.assert(true);
    if (now) this.acknowledge();
    this.lock.release();
    if (now) this.parking.unpark();
  }

  /** Returns when whoever was inside an operation has left it: what was changed before is known to all later ones. */
  settle(): void {
    this.lock.acquire();
    this.lock.release();
  }

  /** Level of the line: an enabled flag is set. */
  pending(): boolean {
    return (
      (Atomics.load(this.words, W.flagsLow) & Atomics.load(this.words, W.enableLow)) !== 0 ||
      (Atomics.load(this.words, W.flagsHigh) & Atomics.load(this.words, W.enableHigh)) !== 0
    );
  }
  private readonly ready = (): boolean => this.pending();

  /** For those who poll: as {@link pending}, but ordered with nothing, so it may tell late. Before sleeping ask that one. */
  looksPending(): boolean {
    const { words } = this;
    return (
      ((words[W.flagsLow] ?? 0) & (words[W.enableLow] ?? 0)) !== 0 ||
      ((words[W.flagsHigh] ?? 0) & (words[W.enableHigh] ?? 0)) !== 0
    );
  }

  /** Blocks until `pending()`: polls `spins` times, then sleeps at most `timeoutMs`; false on time-out. */
  wait(spins: number, timeoutMs?: number): boolean {
    return this.parking.park(this.ready, spins, timeoutMs);
  }

  /** Waits for `pending()` without blocking the event loop. */
  waitAsync(keepAlive: KeepAlive, timeoutMs?: number): Promise<boolean> {
    return this.parking.parkAsync(this.ready, keepAlive, timeoutMs);
  }

  /** Turns the tap of this doorbell on or off, for every thread that has given a sink. */
  observe(on: boolean): void {
    Atomics.store(this.words, W.tapped, on ? 1 : 0);
  }

  private acknowledge(): void {
    const low = Atomics.load(this.words, W.ackLow);
    const high = Atomics.load(this.words, W.ackHigh);
    if (low !== 0) Atomics.and(this.words, W.flagsLow, ~low);
    if (high !== 0) Atomics.and(this.words, W.flagsHigh, ~high);
  }
}

const DONE: Result<undefined, never> = Object.freeze(ok());
const REFUSED = Object.freeze(fail('badArgument', 'doorbell.receive'));

function wordsOf(handle: DoorbellHandle): Int32Array {
  return new Int32Array(handle.buffer, handle.byteOffset, DoorbellState.sizeBytes >> 2);
}

function fits({ buffer, byteOffset }: DoorbellHandle): boolean {
  const inside = byteOffset >= 0 && byteOffset + DoorbellState.sizeBytes <= buffer.byteLength;
  return Number.isInteger(byteOffset) && byteOffset % 64 === 0 && inside;
}
