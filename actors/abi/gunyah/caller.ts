/**
 * A calling vCPU as the handlers of fast calls see it: registers, guest memory, the capability space it may name, and the
 * few things of its own processor that calls change. The vCPU's shell implements it; tests have one of their own.
 */
import type { CapabilityReader } from '../../shared-state/capabilities/capability-space.js';
import type { Ports } from '../../shared-state/objects/ports.js';
import type { Profile } from './identity.js';

/** How a copy between a buffer of the guest and ours went; the faults are those of gunyah.md section 3. */
export type CopyFault = 'stage1' | 'stage2Permission' | 'stage2' | 'wraps';

/** Registers of one call: arguments count from 0, results X1 to X4. 64-bit values travel as two 32-bit halves. */
export interface CallRegisters {
  /** Low word of argument `index`, signed. */
  lo(index: number): number;
  /** High word, signed. */
  hi(index: number): number;
  /** Sets result register X`index` (1 to 7). */
  setResult(index: number, lo: number, hi: number): void;
}

/** What a vCPU's own power and scheduling calls may do. */
export interface CallerProcessor {
  /** Starts the vCPU behind thread object `object`; false when it is not off. `keep`: bit 0 pc, bit 1 x0 stay. */
  powerOn(object: number, entry: bigint, context: bigint, keep: number): boolean;
  /** Whether thread object `object` is the caller itself. */
  isSelf(object: number): boolean;
  /** Whether the caller is the only vCPU of its VM that is on. */
  isLast(): boolean;
  /** The caller powers off; the call does not return. */
  powerOff(): void;
  /** Lets others run for a while. */
  yield(): void;
  /** State of the VM behind power group `object`: 0 none, 1 running, 2 cpus suspended, 3 system suspended. */
  groupState(object: number): number;
  /** Runs another vCPU; the answer is the error, with results set. */
  run(object: number, registers: CallRegisters): number;
  /** Why another vCPU does not run. */
  runCheck(object: number, registers: CallRegisters): number;
}

/** See the head of this file. */
export interface GunyahCaller {
  readonly profile: Profile;
  readonly capabilities: CapabilityReader;
  readonly ports: Ports;
  readonly processor: CallerProcessor;
  /** Whether trace flags may be changed. */
  readonly traceOpen: boolean;
  /** Changes the trace class flags: answers the new value. */
  updateTraceFlags(set: bigint, clear: bigint): bigint;
  /** Copies `bytes` bytes at guest virtual address hi:lo to `into[at..]`; undefined when all went well. */
  copyIn(lo: number, hi: number, bytes: number, into: Uint8Array, at: number): CopyFault | undefined;
  /** Copies `from[at..at + bytes]` to guest virtual address hi:lo. Nothing is written unless all of it can be. */
  copyOut(lo: number, hi: number, bytes: number, from: Uint8Array, at: number): CopyFault | undefined;
  /** 32 random bits, unsigned. */
  random(): number;
  /** Monotonic milliseconds. */
  nowMs(): number;
  /** When this vCPU read entropy lately, newest last; at most four are looked at. */
  readonly entropyReads: number[];
}

/** A call that completes on the caller's thread: `objects[i]` is what argument i names, for those that are capabilities; X0. */
export type FastHandler = (caller: GunyahCaller, r: CallRegisters, objects: readonly number[]) => number;
