/**
 * MRS and MSR of registers that generated code does not read and write inline: privilege, traps of EL0, computed values
 * and the effects of writes.
 */
import { type CpuState, PSTATE } from '../cpu-state.js';
import type { DebugUnit } from '../exceptions/debug.js';
import { EC, type Exceptions, selectStack } from '../exceptions/exceptions.js';
import type { AddressSpace } from '../mmu/address-space.js';
import { STATE } from '../state.js';
import { ISS } from './encoding.js';
import { cacheSizeId } from './id-registers.js';
import { CycleCounter } from './performance-monitor.js';
import type { SystemPeripherals } from './peripherals.js';
import { REGISTER_BY_KEY, SLOT, type SystemRegister, sysregKeyOf } from './registers.js';

/** The parts of a core that system registers involve. */
export interface SysregParts {
  readonly state: CpuState;
  readonly space: AddressSpace;
  readonly exceptions: Exceptions;
  readonly debug: DebugUnit;
  readonly peripherals: SystemPeripherals;
}

const CNTPCT = sysregKeyOf('CNTPCT_EL0');
const CNTVCT = sysregKeyOf('CNTVCT_EL0');
/** SCTLR_EL1 control bits for EL0. */
const SCTLR = { uma: 1 << 9, dze: 1 << 14, uct: 1 << 15 } as const;
/** SCTLR_EL1 bits that translation depends on: M, A, WXN. */
const SCTLR_TRANSLATION = 1n | 2n | (1n << 19n);
/** FPCR bits that exist: RMode, FZ, DN, AHP. FPSR: QC, IDC, IXC, UFC, OFC, DZC, IOC. */
const FPCR_MASK = 0x07c00000;
const FPSR_MASK = 0x0800009f;

/** See the head of this file. */
export class SystemRegisters {
  readonly #parts: SysregParts;
  readonly #cycles: CycleCounter;

  constructor(parts: SysregParts) {
    this.#parts = parts;
    this.#cycles = new CycleCounter(parts.state, parts.peripherals);
  }

  /** Sets every stored register to its reset value. */
  reset(): void {
    const { state } = this.#parts;
    for (const row of REGISTER_BY_KEY.values()) if (row.at >= 0) state.set64(row.at, row.reset);
  }

  /** MRS: `iss` is the syndrome the instruction would trap with; the value goes to STATE.scratch. */
  read(iss: number): number {
    const { state, exceptions } = this.#parts;
    const row = REGISTER_BY_KEY.get(iss & ISS.keyMask);
    if (row === undefined || row.read === 'never' || state.get32(STATE.el) < row.read)
      return exceptions.record(EC.unknown, 0);
    if (this.#trapsEl0(row, iss)) return exceptions.record(EC.trappedSystem, iss);
    const { counter } = this.#parts.peripherals;
    if (counter !== undefined && (row.key === CNTPCT || row.key === CNTVCT)) {
      counter(state);
      return 0;
    }
    const value = this.value(row);
    if (value === undefined) return exceptions.record(EC.unknown, 0);
    state.set64(STATE.scratch, value);
    return 0;
  }

  /** MSR: the value is in STATE.scratch. */
  write(iss: number): number {
    const { state, exceptions } = this.#parts;
    const row = REGISTER_BY_KEY.get(iss & ISS.keyMask);
    if (row === undefined || row.write === 'never' || state.get32(STATE.el) < row.write)
      return exceptions.record(EC.unknown, 0);
    if (this.#trapsEl0(row, iss)) return exceptions.record(EC.trappedSystem, iss);
    return this.assign(row, state.get64(STATE.scratch)) ? 0 : exceptions.record(EC.unknown, 0);
  }

  /** Whether an access from EL0 that the table allows is trapped by a control register. */
  #trapsEl0(row: SystemRegister, iss: number): boolean {
    const { state } = this.#parts;
    if (state.get32(STATE.el) !== 0) return false;
    const sctlr = state.get32(SLOT.sctlr);
    if (row.effect === 'timer') return !timerOpen(row.name, state.get32(SLOT.cntkctl));
    if (row.effect === 'pmu') return !monitorOpen(row.name, state.get32(SLOT.pmuserenr), (iss & ISS.read) !== 0);
    if (row.name === 'CTR_EL0') return (sctlr & SCTLR.uct) === 0;
    if (row.name === 'DAIF') return (sctlr & SCTLR.uma) === 0;
    if (row.name.startsWith('DBGDTR') || row.name === 'MDCCSR_EL0') return (state.get32(SLOT.mdscr) & (1 << 12)) !== 0;
    return false;
  }

  /** The register's value, or undefined where the machine does not have it. */
  value(row: SystemRegister): bigint | undefined {
    if (row.at >= 0) return this.#parts.state.get64(row.at);
    if (row.effect === 'none') return row.reset;
    if (row.effect === 'external' || row.effect === 'timer') return this.#parts.peripherals.readRegister(row.key);
    if (row.effect === 'pmu') return this.#cycles.read(row.name);
    return BigInt.asUintN(64, BigInt(this.#special(row.name)));
  }

  #special(name: string): number | bigint {
    const { state } = this.#parts;
    const pstate = state.get32(STATE.pstate);
    switch (name) {
      case 'SP_EL0':
        return state.get64(this.#onSpEl0() ? STATE.sp : SLOT.spEl0);
      case 'SPSel':
        return pstate & PSTATE.spsel;
      case 'CurrentEL':
        return state.get32(STATE.el) << 2;
      case 'PAN':
        return pstate & PSTATE.pan;
      case 'UAO':
        return pstate & PSTATE.uao;
      case 'NZCV':
        return state.getNzcv() >>> 0;
      case 'DAIF':
        return state.get32(STATE.daif);
      case 'FPCR':
        return state.get32(STATE.fpcr) >>> 0;
      case 'FPSR':
        return state.get32(STATE.fpsr) >>> 0;
      case 'ISR_EL1':
        return state.get32(STATE.interrupts) & (PSTATE.a | PSTATE.i | PSTATE.f);
      case 'CCSIDR_EL1':
        return cacheSizeId(state.get32(SLOT.csselr));
      case 'DCZID_EL0':
        // 64-byte blocks (2^4 words); DZP where DC ZVA would trap.
        return state.get32(STATE.el) === 0 && (state.get32(SLOT.sctlr) & SCTLR.dze) === 0 ? 4 | 16 : 4;
      default:
        return 0xff; // DBGCLAIMSET_EL1: all eight claim bits exist
    }
  }

  /** Assigns `value` as MSR does (after its checks). Returns false where the machine does not have the register. */
  assign(row: SystemRegister, value: bigint): boolean {
    const { state, space, debug, peripherals } = this.#parts;
    if (row.effect === 'external' || row.effect === 'timer') return peripherals.writeRegister(row.key, value);
    if (row.effect === 'pmu' && row.at < 0) return this.#cycles.write(row.name, value);
    if (row.effect === 'special') {
      this.#assignSpecial(row.name, value);
      return true;
    }
    if (row.at < 0) return true; // writes are ignored
    const before = state.get64(row.at);
    const after = (value & row.writable) | row.ones;
    if (row.effect === 'pmu') this.#cycles.beforeChange(row.name, value);
    state.set64(row.at, after);
    switch (row.effect) {
      case 'context':
        space.tablesChanged();
        break;
      case 'mmu':
        if (row.name !== 'SCTLR_EL1' ? before !== after : ((before ^ after) & SCTLR_TRANSLATION) !== 0n) {
          space.regimeChanged();
        }
        break;
      case 'fp':
        space.contextChanged();
        break;
      case 'debug':
        debug.update();
        space.flush();
        break;
      default:
    }
    return true;
  }

  #assignSpecial(name: string, value: bigint): void {
    const { state, space, debug } = this.#parts;
    const low = Number(BigInt.asIntN(32, value));
    switch (name) {
      case 'SP_EL0':
        state.set64(this.#onSpEl0() ? STATE.sp : SLOT.spEl0, value);
        break;
      case 'SPSel':
        this.setPstate(PSTATE.spsel, low & 1);
        break;
      case 'PAN':
        this.setPstate(PSTATE.pan, low & PSTATE.pan);
        break;
      case 'UAO':
        this.setPstate(PSTATE.uao, low & PSTATE.uao);
        break;
      case 'NZCV':
        state.setNzcv(low);
        break;
      case 'DAIF':
        state.set32(STATE.daif, low & PSTATE.daif);
        break;
      case 'FPCR':
        state.set32(STATE.fpcr, low & FPCR_MASK);
        updateFpFast(state);
        break;
      case 'FPSR':
        state.set32(STATE.fpsr, low & FPSR_MASK);
        updateFpFast(state);
        break;
      case 'OSLAR_EL1':
        state.set32(SLOT.oslsr, (low & 1) !== 0 ? 0xa : 0x8);
        debug.update();
        space.flush();
        break;
      case 'DBGCLAIMSET_EL1':
        state.set32(SLOT.claim, state.get32(SLOT.claim) | (low & 0xff));
        break;
      default: // DBGCLAIMCLR_EL1
        state.set32(SLOT.claim, state.get32(SLOT.claim) & ~low);
    }
  }

  /** Changes one field of PSTATE among SPSel, PAN and UAO, with its effects. */
  setPstate(field: number, value: number): void {
    const { state, space } = this.#parts;
    if (field === PSTATE.spsel) selectStack(state, state.get32(STATE.el), value);
    state.set32(STATE.pstate, (state.get32(STATE.pstate) & ~field) | value);
    space.contextChanged();
  }

  /** Whether the current stack pointer is SP_EL0 (EL0, or EL1 with SPSel clear). */
  #onSpEl0(): boolean {
    const { state } = this.#parts;
    return state.get32(STATE.el) === 0 || (state.get32(STATE.pstate) & PSTATE.spsel) === 0;
  }
}

/** WebAssembly's own arithmetic serves while FPCR is all default and IXC is already set. */
export function updateFpFast(state: CpuState): void {
  const fast = state.get32(STATE.fpcr) === 0 && (state.get32(STATE.fpsr) & 0x10) !== 0;
  state.set32(STATE.fpFast, fast ? 1 : 0);
}

/** CNTKCTL_EL1: EL0PCTEN, EL0VCTEN, EL0VTEN, EL0PTEN. */
function timerOpen(name: string, control: number): boolean {
  if (name === 'CNTFRQ_EL0') return (control & 3) !== 0;
  if (name === 'CNTPCT_EL0') return (control & 1) !== 0;
  if (name === 'CNTVCT_EL0') return (control & 2) !== 0;
  return (control & (name.startsWith('CNTV') ? 1 << 8 : 1 << 9)) !== 0;
}

/** PMUSERENR_EL0: EN opens everything; SW, CR and ER single registers. */
function monitorOpen(name: string, enable: number, read: boolean): boolean {
  if ((enable & 1) !== 0) return true;
  if (name === 'PMSWINC_EL0') return (enable & 2) !== 0;
  if (name === 'PMCCNTR_EL0') return read && (enable & 4) !== 0;
  if (name === 'PMSELR_EL0') return (enable & 8) !== 0;
  return name === 'PMXEVCNTR_EL0' && read && (enable & 8) !== 0;
}
