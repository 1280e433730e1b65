/** MSR (immediate): the forms that generated code does not do inline (Arm ARM C6.2.230). */
import type { CpuState } from '../cpu-state.js';
import { PSTATE } from '../cpu-state.js';
import { EC, type Exceptions } from '../exceptions/exceptions.js';
import { STATE } from '../state.js';
import type { SystemRegisters } from './access.js';
import { SLOT } from './registers.js';

/** The parts of a core that PSTATE writes involve. */
interface PstateParts {
  readonly state: CpuState;
  readonly exceptions: Exceptions;
}

const SCTLR_UMA = 1 << 9;
/** op1 and op2 of each form, as `op1 << 3 | op2`. */
const FORM = { uao: 3, pan: 4, spsel: 5, daifSet: (3 << 3) | 6, daifClear: (3 << 3) | 7 } as const;

/** See the head of this file. */
export class PstateInstructions {
  readonly #parts: PstateParts;
  readonly #registers: SystemRegisters;

  constructor(parts: PstateParts, registers: SystemRegisters) {
    this.#parts = parts;
    this.#registers = registers;
  }

  /** Executes the instruction that would trap with `iss`; CRm is the immediate. Returns a helper's status. */
  write(iss: number): number {
    const { state, exceptions } = this.#parts;
    const form = (((iss >> 14) & 7) << 3) | ((iss >> 17) & 7);
    const immediate = (iss >> 1) & 15;
    const isDaif = form === FORM.daifSet || form === FORM.daifClear;
    if (state.get32(STATE.el) === 0) {
      if (!isDaif) return exceptions.record(EC.unknown, 0);
      if ((state.get32(SLOT.sctlr) & SCTLR_UMA) === 0) return exceptions.record(EC.trappedSystem, iss);
    }
    const daif = state.get32(STATE.daif);
    if (form === FORM.daifSet) state.set32(STATE.daif, daif | (immediate << 6));
    else if (form === FORM.daifClear) state.set32(STATE.daif, daif & ~(immediate << 6));
    else if (form === FORM.spsel) this.#registers.setPstate(PSTATE.spsel, immediate & 1);
    else if (form === FORM.pan) this.#registers.setPstate(PSTATE.pan, (immediate & 1) * PSTATE.pan);
    else this.#registers.setPstate(PSTATE.uao, (immediate & 1) * PSTATE.uao);
    return 0;
  }
}
