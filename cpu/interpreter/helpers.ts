/** What the generated interpreter calls of the core around it (core.ts). */
import type { HelperTable } from './build.js';

/** Helpers the interpreter's handlers call, with their number of i32 arguments besides the state address. */
export const HELPERS: HelperTable = {
  /** (lo, hi, access): checks a direct access; the host address goes to scratch. */
  probe: 3,
  /** (lo, hi, access): reads guest memory the slow way into scratch. */
  loadSlow: 3,
  /** (lo, hi, access): writes scratch to guest memory the slow way. */
  storeSlow: 3,
  /** (): an access uses a misaligned stack pointer as its base; records the exception if SCTLR_EL1 asks for it. */
  checkSpAlignment: 0,
  /** (code, lane size): integer SIMD on STATE.operands; see isa/simd/helper.ts. */
  simd: 2,
  /** (code, shape, extra): exact floating point on STATE.operands; see fp/helper-codes.ts. */
  fp: 3,
  /** (lo, hi, access of one half): checks that both halves of a pair can be written. */
  checkStorePair: 3,
  /** (syndrome): MRS of a register without inline access, into scratch. */
  sysregRead: 1,
  /** (syndrome): MSR of a register without inline access, from scratch. */
  sysregWrite: 1,
  /** (syndrome): SYS: cache, TLB and address translation operations; operand in scratch, then 0 there if nothing changed. */
  system: 1,
  /** (syndrome): MSR (immediate). */
  pstateWrite: 1,
  /** (syndrome): DC ZVA where SCTLR_EL1.DZE forbids it. */
  zeroTrap: 1,
  /** (): HVC. 0: its answer is in the registers; else the instruction is the shell's. */
  hypercall: 0,
  /** DSB: waits until the other vCPUs have done what this one asked for. */
  barrier: 0,
  /** (): somebody has something for this vCPU (STATE.lookAt): brings STATE.interrupts up to date. */
  attend: 0,
  /** (): a turn's work is used up: work of the next one, 0 when the run is over; brings STATE.interrupts up to date. */
  turn: 0,
};
