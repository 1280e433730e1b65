/** Messages between a vCPU and the debugger that holds it. */
import type { HostWatchpoint } from '../../cpu/exceptions/debug.js';
import type { ActorRef, Ask, Tell } from '../runtime/protocol.js';

/** What a debugger is told. */
export type DebugReports = {
  /** A vCPU stopped by itself: at a breakpoint, before a watched access, or after the step it was asked for. */
  stopped: Tell<DebugStop>;
};

/** Why a vCPU stopped. */
export interface DebugStop {
  readonly cpu: number;
  readonly reason: 'breakpoint' | 'watchpoint' | 'step';
  /** The watchpoint that was hit. */
  readonly watchpoint?: HostWatchpoint;
  /** The `turn` of the debugGo that this is the end of: what was on its way when the debugger stopped everything is old news. */
  readonly turn: number;
  /** The register file of cpu/debug-access.ts, which is asked for next anyway. */
  readonly file: Uint8Array;
}

/** What a vCPU does for a debugger. All but the first two need it to stand still. */
export type VcpuDebugProtocol = {
  /** Stops before the next instruction, and tells `reporter` of later stops. Answers at once when it stands still already. */
  debugStop: Ask<{ reporter: ActorRef<DebugReports> }, object>;
  /**
   * Goes on, for one instruction or until something stops it. The guest's clock stood still for `awayMs` milliseconds since
   * the debugger first stopped it, in all.
   */
  debugGo: Ask<{ step: boolean; awayMs: number; turn: number }, object>;
  /** What to stop at, in place of what it was before. */
  debugPoints: Ask<{ breakpoints: readonly bigint[]; watchpoints: readonly HostWatchpoint[] }, object>;
  /** The register file of cpu/debug-access.ts. */
  debugRegisters: Ask<object, { file: Uint8Array }>;
  debugSetRegisters: Ask<{ file: Uint8Array }, object, 'badArgument'>;
  /** A system register by its number among the visible ones. */
  debugSystem: Ask<{ index: number }, { value: bigint }, 'absent'>;
  debugSetSystem: Ask<{ index: number; value: bigint }, object, 'absent'>;
  /** At most {@link DEBUG_BYTES_MAX} bytes; fewer where memory ends. */
  debugRead: Ask<{ address: bigint; bytes: number }, { bytes: Uint8Array }, 'unmapped'>;
  debugWrite: Ask<{ address: bigint; bytes: Uint8Array }, object, 'unmapped'>;
};

/** Bytes of memory one message carries, at most. */
export const DEBUG_BYTES_MAX = 512;
