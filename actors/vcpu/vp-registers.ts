/**
 * Registers of a virtual processor by their HV_REGISTER_NAME codes, read and set between two runs of guest code. Setting
 * has the effects the guest's own write would have; PSTATE is set the way an exception return does it.
 */
import { err, ok, type Result } from '../../bus/result.js';
import type { Core } from '../../cpu/core.js';
import { STATE } from '../../cpu/state.js';
import { REGISTER_BY_KEY, SLOT, sysregKeyOf } from '../../cpu/sysreg/registers.js';
import { SUSPEND_REGISTERS, VP_REGISTER_NAMES } from '../abi/hyperv/vp-register-names.js';
import type { RegisterFault } from '../hypervisor/processor.protocol.js';

/** Bytes of a value on the wire. */
export const VALUE_BYTES = 16;
/** Registers of one call (MSHV_VP_MAX_REGISTERS). */
const REGISTERS_MAX = 128;
const NAMES = new Map(VP_REGISTER_NAMES.map((row) => [row.code, row]));
/** PSTATE.M of the modes there are: EL0t, EL1t, EL1h; and the bits that exist beside it (SPSR_EL1's form). */
const MODES = new Set([0n, 4n, 5n]);
const PSTATE_BITS = 0xf0f0_03dfn;
const PSTATE_MODE = 0x1fn;

/** Reads registers; the result has {@link VALUE_BYTES} bytes for each. */
export function readRegisters(core: Core, names: readonly number[]): Result<Uint8Array, RegisterFault> {
  const checked = check(names, 'r');
  if (!checked.ok) return checked;
  const values = new Uint8Array(names.length * VALUE_BYTES);
  const view = new DataView(values.buffer);
  for (const [n, register] of checked.value.entries()) {
    const [low, high] = readOne(core, register);
    view.setBigUint64(n * VALUE_BYTES, low, true);
    view.setBigUint64(n * VALUE_BYTES + 8, high, true);
  }
  return ok(values);
}

/** Sets registers in order, all or none. Bits above a register's width must be zero. */
export function writeRegisters(
  core: Core,
  names: readonly number[],
  values: Uint8Array,
): Result<undefined, RegisterFault> {
  const checked = check(names, 'rw');
  if (!checked.ok) return checked;
  if (values.length !== names.length * VALUE_BYTES) return err('badArgument');
  const view = new DataView(values.buffer, values.byteOffset, values.length);
  const settings = checked.value.map((register, n) => ({
    register,
    low: view.getBigUint64(n * VALUE_BYTES, true),
    high: view.getBigUint64(n * VALUE_BYTES + 8, true),
  }));
  for (const { register, low, high } of settings) {
    if (high !== 0n && !register.startsWith('Q')) return err('badArgument');
    if (register === 'PSTATE' && (!MODES.has(low & PSTATE_MODE) || (low & ~PSTATE_BITS) !== 0n)) {
      return err('badArgument');
    }
  }
  for (const { register, low, high } of settings) writeOne(core, register, low, high);
  core.space.contextChanged();
  return ok();
}

/** The architecture's names, when every code is one that can be accessed so. */
function check(names: readonly number[], access: 'r' | 'rw'): Result<readonly string[], RegisterFault> {
  if (names.length < 1 || names.length > REGISTERS_MAX) return err('badArgument');
  const registers: string[] = [];
  for (const code of names) {
    const row = NAMES.get(code);
    if (row === undefined) return err(SUSPEND_REGISTERS.has(code) ? 'badArgument' : 'unknownRegister');
    if (access === 'rw' && row.access === 'r') return err('badArgument');
    registers.push(row.register);
  }
  return ok(registers);
}

/** `X12` to 12; -1 for what is not a numbered register of this letter. */
function numberOf(register: string, letter: 'X' | 'Q'): number {
  return register.startsWith(letter) && register !== 'XZR' ? Number(register.slice(1)) : -1;
}

function readOne(core: Core, register: string): readonly [low: bigint, high: bigint] {
  const general = numberOf(register, 'X');
  if (general >= 0) return [core.get64(STATE.x + general * 8), 0n];
  const vector = numberOf(register, 'Q');
  if (vector >= 0) return [core.get64(STATE.v + vector * 16), core.get64(STATE.v + vector * 16 + 8)];
  switch (register) {
    case 'XZR':
      return [0n, 0n];
    case 'SP':
      return [core.get64(STATE.sp), 0n];
    case 'SP_EL1':
      return [core.get64(onSpEl1(core) ? STATE.sp : SLOT.spEl1), 0n];
    case 'PC':
      return [core.get64(STATE.pc), 0n];
    case 'PSTATE':
      return [BigInt(core.state.getPstate() >>> 0), 0n];
    default: {
      const row = REGISTER_BY_KEY.get(sysregKeyOf(register));
      return [(row && core.registers.value(row)) ?? 0n, 0n];
    }
  }
}

function writeOne(core: Core, register: string, low: bigint, high: bigint): void {
  const general = numberOf(register, 'X');
  const vector = numberOf(register, 'Q');
  if (general >= 0) core.set64(STATE.x + general * 8, low);
  else if (vector >= 0) {
    core.set64(STATE.v + vector * 16, low);
    core.set64(STATE.v + vector * 16 + 8, high);
  } else if (register === 'SP') core.set64(STATE.sp, low);
  else if (register === 'SP_EL1') core.set64(onSpEl1(core) ? STATE.sp : SLOT.spEl1, low);
  else if (register === 'PC') core.set64(STATE.pc, low);
  else if (register === 'PSTATE') setPstate(core, low);
  else {
    const row = REGISTER_BY_KEY.get(sysregKeyOf(register));
    if (row !== undefined) core.registers.assign(row, low);
  }
}

function onSpEl1(core: Core): boolean {
  return (core.state.getPstate() & 0xf) === 5;
}

/** By an exception return to where the processor is, with ELR and SPSR as they were afterwards. */
function setPstate(core: Core, value: bigint): void {
  const [elr, spsr] = [core.get64(SLOT.elr), core.get64(SLOT.spsr)];
  core.set64(SLOT.elr, core.get64(STATE.pc));
  core.set64(SLOT.spsr, value);
  core.exceptions.return();
  core.set64(SLOT.elr, elr);
  core.set64(SLOT.spsr, spsr);
}
