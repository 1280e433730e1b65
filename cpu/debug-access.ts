/**
 * What a debugger outside the guest reads and changes in one core that stands still: registers, memory by virtual address,
 * breakpoints and watchpoints. Memory is reached through stage 1 and stage 2 as they are now, with every right of EL1 and, for
 * writes, even where the guest may only read; devices are not touched.
 */
import type { Core } from './core.js';
import { PSTATE } from './cpu-state.js';
import type { HostWatchpoint } from './exceptions/debug.js';
import { selectStack } from './exceptions/exceptions.js';
import { AS, newTranslation, WANT } from './mmu/translator.js';
import { STATE } from './state.js';
import { updateFpFast } from './sysreg/access.js';
import { SYSTEM_REGISTERS, type SystemRegister } from './sysreg/registers.js';

/**
 * The registers a debugger sees, as bytes (little-endian): x0 to x30, sp and pc (8 each), PSTATE (4), v0 to v31 (16 each),
 * FPSR and FPCR (4 each). That is the order of GDB's aarch64 core and fpu features.
 */
export const CORE_BYTES = 33 * 8 + 4;
/** Size of the whole, see {@link CORE_BYTES}. */
export const REGISTER_FILE_BYTES = CORE_BYTES + 512 + 8;
const PC_AT = 32 * 8;
const PSTATE_AT = 33 * 8;
const PAGE = 4096;
/** Reading these changes the interrupt controller, so a debugger must not. */
const ACTS_ON_READ = /^ICC_IAR/;

/** System registers a debugger may read, in the order of their numbers. */
export const VISIBLE_REGISTERS: readonly SystemRegister[] = SYSTEM_REGISTERS.filter(
  ({ name, read }) => read !== 'never' && !ACTS_ON_READ.test(name) && !/^S\d_/.test(name),
);

/** See the head of this file. */
export class DebugAccess {
  readonly #core: Core;
  readonly #translation = newTranslation();

  constructor(core: Core) {
    this.#core = core;
  }

  /** All registers; see {@link CORE_BYTES}. */
  registers(): Uint8Array {
    const { state } = this.#core;
    const file = new Uint8Array(REGISTER_FILE_BYTES);
    const view = new DataView(file.buffer);
    file.set(state.bytes.subarray(state.at, state.at + PC_AT)); // x0 to x30, then the current stack pointer
    view.setBigUint64(PC_AT, state.get64(STATE.pc), true);
    view.setInt32(PSTATE_AT, state.getPstate(), true);
    file.set(state.bytes.subarray(state.at + STATE.v, state.at + STATE.v + 512), CORE_BYTES);
    view.setInt32(CORE_BYTES + 512, state.get32(STATE.fpsr), true);
    view.setInt32(CORE_BYTES + 516, state.get32(STATE.fpcr), true);
    return file;
  }

  /** Replaces all registers. A mode that does not exist keeps the current one. */
  setRegisters(file: Uint8Array): void {
    const { state, space } = this.#core;
    const view = new DataView(file.buffer, file.byteOffset, REGISTER_FILE_BYTES);
    const pstate = view.getInt32(PSTATE_AT, true);
    const mode = pstate & 0x1f;
    if (mode === 0 || mode === 4 || mode === 5) {
      selectStack(state, mode >> 2, mode & 1);
      state.set32(STATE.el, mode >> 2);
      const kept = state.get32(STATE.pstate) & ~(PSTATE.spsel | PSTATE.pan | PSTATE.uao | PSTATE.il | PSTATE.ss);
      const taken = pstate & (PSTATE.pan | PSTATE.uao | PSTATE.il | PSTATE.ss);
      state.set32(STATE.pstate, kept | taken | (mode & 1));
    }
    state.set32(STATE.daif, pstate & PSTATE.daif);
    state.setNzcv(pstate);
    state.bytes.set(file.subarray(0, PC_AT), state.at);
    state.set64(STATE.pc, view.getBigUint64(PC_AT, true));
    state.bytes.set(file.subarray(CORE_BYTES, CORE_BYTES + 512), state.at + STATE.v);
    state.set32(STATE.fpsr, view.getInt32(CORE_BYTES + 512, true) & 0x0800009f);
    state.set32(STATE.fpcr, view.getInt32(CORE_BYTES + 516, true) & 0x07c00000);
    updateFpFast(state);
    space.contextChanged();
  }

  /** System register `index` of {@link VISIBLE_REGISTERS}; undefined where the machine does not have it. */
  system(index: number): bigint | undefined {
    const row = VISIBLE_REGISTERS[index];
    return row === undefined ? undefined : this.#core.registers.value(row);
  }

  /** Writes it as MSR would; false where it cannot be written. */
  setSystem(index: number, value: bigint): boolean {
    const row = VISIBLE_REGISTERS[index];
    return row !== undefined && row.write !== 'never' && this.#core.registers.assign(row, value);
  }

  /** Reads `bytes` bytes at `address`; fewer where memory ends, undefined where there is none at all. */
  read(address: bigint, bytes: number): Uint8Array | undefined {
    const result = new Uint8Array(bytes);
    const { state } = this.#core;
    let done = 0;
    while (done < bytes) {
      const host = this.#host(address + BigInt(done));
      if (host < 0) break;
      const here = Math.min(bytes - done, PAGE - (host % PAGE));
      result.set(state.bytes.subarray(host, host + here), done);
      done += here;
    }
    return done === 0 && bytes > 0 ? undefined : result.subarray(0, done);
  }

  /**
   * Writes all of `from` at `address`, or nothing where a part has no memory. `changed` is told each piece's host address:
   * other cores may have translated code from there.
   */
  write(address: bigint, from: Uint8Array, changed: (host: number, bytes: number) => void): boolean {
    const pieces: { readonly host: number; readonly at: number; readonly bytes: number }[] = [];
    for (let at = 0; at < from.length; ) {
      const host = this.#host(address + BigInt(at));
      if (host < 0) return false;
      const bytes = Math.min(from.length - at, PAGE - (host % PAGE));
      pieces.push({ host, at, bytes });
      at += bytes;
    }
    for (const { host, at, bytes } of pieces) {
      this.#core.state.bytes.set(from.subarray(at, at + bytes), host);
      this.#core.codeWritten(host, bytes);
      changed(host, bytes);
    }
    return true;
  }

  /** What to stop at from now on, in place of what it was before. */
  setPoints(breakpoints: readonly bigint[], watchpoints: readonly HostWatchpoint[]): void {
    this.#core.debug.setHost(breakpoints, watchpoints);
    this.#core.space.flush();
  }

  /** Host address of the byte at virtual address `address`, or -1. */
  #host(address: bigint): number {
    const [lo, hi] = [Number(BigInt.asIntN(32, address)), Number(BigInt.asIntN(32, address >> 32n))];
    const { walker } = this.#core.space;
    return walker.translateAs(lo, hi, WANT.read, AS.el1NoPan, this.#translation) ? this.#translation.host : -1;
  }
}
