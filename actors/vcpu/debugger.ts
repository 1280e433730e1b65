/**
 * One vCPU's side of a debugger outside the guest: whether it is held, and what it does for its holder. Made with the first
 * message of a debugger; a vCPU without one only tests for its absence.
 */
import { err, ok, type Result } from '../../bus/result.js';
import type { Core } from '../../cpu/core.js';
import { DebugAccess, REGISTER_FILE_BYTES } from '../../cpu/debug-access.js';
import type { ActorRef } from '../runtime/protocol.js';
import { DEBUG_BYTES_MAX, type DebugReports, type DebugStop } from './debug.protocol.js';

/** What the debugger's side needs of its vCPU. */
export interface DebuggedVcpu {
  readonly index: number;
  readonly core: Core;
  /** Tells the holder. */
  report(reporter: ActorRef<DebugReports>, stop: DebugStop): void;
  /** Other vCPUs may have translated code of this page. */
  codeChanged(host: number): void;
}

/** See the head of this file. */
export class VcpuDebugger {
  readonly #vcpu: DebuggedVcpu;
  readonly #access: DebugAccess;
  #reporter: ActorRef<DebugReports> | undefined;
  /** Whether the guest stands still, runs, or is to execute one instruction. */
  mode: 'held' | 'runs' | 'steps' = 'runs';

  constructor(vcpu: DebuggedVcpu) {
    this.#vcpu = vcpu;
    this.#access = new DebugAccess(vcpu.core);
  }

  /** Goes on, for the `turn`-th time. */
  go(step: boolean, turn: number): void {
    this.mode = step ? 'steps' : 'runs';
    this.#turn = turn;
  }
  #turn = 0;

  /** See VcpuDebugProtocol. */
  hold(reporter: ActorRef<DebugReports>): void {
    this.#reporter = reporter;
    this.mode = 'held';
  }

  /** The core stopped for the debugger, or has done its step. */
  stopped(reason: 'step' | 'point'): void {
    const { index, core } = this.#vcpu;
    this.mode = 'held';
    const hit = core.debug.hostHit;
    core.debug.hostHit = undefined;
    if (this.#reporter === undefined) return;
    const base = { cpu: index, turn: this.#turn, file: this.#access.registers() };
    const stop: DebugStop =
      hit !== undefined
        ? { ...base, reason: 'watchpoint', watchpoint: hit.watchpoint }
        : { ...base, reason: reason === 'step' ? 'step' : 'breakpoint' };
    this.#vcpu.report(this.#reporter, stop);
  }

  setPoints: DebugAccess['setPoints'] = (breakpoints, watchpoints) => this.#access.setPoints(breakpoints, watchpoints);

  registers(): Uint8Array {
    return this.#access.registers();
  }
  setRegisters(file: Uint8Array): Result<object, 'badArgument'> {
    if (file.length !== REGISTER_FILE_BYTES) return err('badArgument');
    this.#access.setRegisters(file);
    return ok({});
  }
  system(index: number): Result<{ value: bigint }, 'absent'> {
    const value = this.#access.system(index);
    return value === undefined ? err('absent') : ok({ value: BigInt.asUintN(64, value) });
  }
  setSystem(index: number, value: bigint): Result<object, 'absent'> {
    return this.#access.setSystem(index, BigInt.asUintN(64, BigInt(value))) ? ok({}) : err('absent');
  }
  read(address: bigint, bytes: number): Result<{ bytes: Uint8Array }, 'unmapped'> {
    const found = this.#access.read(BigInt(address), Math.min(bytes, DEBUG_BYTES_MAX));
    return found === undefined ? err('unmapped') : ok({ bytes: found });
  }
  write(address: bigint, bytes: Uint8Array): Result<object, 'unmapped'> {
    return this.#access.write(BigInt(address), bytes, (host) => this.#vcpu.codeChanged(host))
      ? ok({})
      : err('unmapped');
  }
}
