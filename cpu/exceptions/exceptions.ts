/**
 * Exception entry and return (Arm ARM D1.3, AArch64.TakeException and AArch64.ExceptionReturn). Everything is routed to
 * EL1. Helpers that detect an exception inside an instruction record it here (`record`); the core takes it when
 * generated code has returned.
 */
import { type CpuState, PSTATE } from '../cpu-state.js';
import type { CoreObserver } from '../observer.js';
import { STATE } from '../state.js';
import { SLOT } from '../sysreg/registers.js';

/** Exception classes (ESR_EL1.EC). Those with two values: the one given is from EL0, the next number from EL1. */
export const EC = {
  unknown: 0x00,
  trappedWait: 0x01,
  trappedFp: 0x07,
  illegalState: 0x0e,
  svc: 0x15,
  trappedSystem: 0x18,
  instructionAbort: 0x20,
  pcAlignment: 0x22,
  dataAbort: 0x24,
  spAlignment: 0x26,
  serror: 0x2f,
  breakpoint: 0x30,
  softwareStep: 0x32,
  watchpoint: 0x34,
  brk: 0x3c,
} as const;

/** Which entry of a vector group an exception uses, in bytes. */
const VECTOR = { synchronous: 0x000, irq: 0x080, fiq: 0x100, serror: 0x180 } as const;

const IL = 1 << 25;
/** ISS of traps with a condition field: CV = 1, COND = always. */
export const ISS_ALWAYS = (1 << 24) | (0xe << 20);
/** ISS bits of data aborts. */
export const ISS_ABORT = { write: 1 << 6, cacheMaintenance: 1 << 8 } as const;

/** What exception entry and return need beyond the state block. */
export interface ExceptionHost {
  /** Exception level, stack selection, PAN or UAO changed: recompute what depends on them. */
  contextChanged(): void;
  /** Whether debug exceptions are enabled at exception level `el` with these masks (PSTATE.D). */
  debugEnabledAt(el: number, daif: number): boolean;
  /** Hears of entries and returns; see observer.ts. */
  readonly observer?: CoreObserver | undefined;
}

/** See the head of this file. */
export class Exceptions {
  readonly #state: CpuState;
  readonly #host: ExceptionHost;
  #syndrome = 0;
  #farLo = 0;
  #farHi = 0;
  #hasFar = false;
  /** Number of exceptions taken, by kind, for statistics. */
  readonly counters = { synchronous: 0, irq: 0, fiq: 0, serror: 0 };
  /** Synchronous ones by exception class. */
  readonly byClass = new Uint32Array(64);

  constructor(state: CpuState, host: ExceptionHost) {
    this.#state = state;
    this.#host = host;
  }

  /** Exceptions taken since the start, of all kinds. */
  get taken(): number {
    const { synchronous, irq, fiq, serror } = this.counters;
    return synchronous + irq + fiq + serror;
  }

  /** Records a synchronous exception of the instruction under way. Returns 1, the status of a helper that faulted. */
  record(ec: number, iss: number): 1 {
    this.#syndrome = (ec << 26) | IL | iss;
    this.#hasFar = false;
    return 1;
  }

  /** The same with a fault address. */
  recordAt(ec: number, iss: number, farLo: number, farHi: number): 1 {
    this.record(ec, iss);
    this.#farLo = farLo;
    this.#farHi = farHi;
    this.#hasFar = true;
    return 1;
  }

  /** A data abort of the current exception level. `access`: bits of {@link ISS_ABORT}. */
  recordDataAbort(fault: number, access: number, farLo: number, farHi: number): 1 {
    return this.recordAt(EC.dataAbort + this.#state.get32(STATE.el), fault | access, farLo, farHi);
  }

  /** Syndrome (ESR_EL1) of what was recorded last. */
  get syndrome(): number {
    return this.#syndrome;
  }

  /** Takes the recorded exception; STATE.pc is the preferred return address. */
  takeRecorded(): void {
    const state = this.#state;
    this.counters.synchronous++;
    this.byClass[this.#syndrome >>> 26]!++;
    state.setHalves(SLOT.esr, this.#syndrome, 0);
    if (this.#hasFar) state.setHalves(SLOT.far, this.#farLo, this.#farHi);
    this.#enter(VECTOR.synchronous);
  }

  /** Records and takes at once. */
  take(ec: number, iss: number): void {
    this.record(ec, iss);
    this.takeRecorded();
  }

  /**
   * Takes the most urgent of the interrupts in `pending` (bits as in DAIF) that PSTATE lets through. Returns whether
   * there was one.
   */
  takeInterrupt(pending: number): boolean {
    const open = pending & ~this.#state.get32(STATE.daif);
    if ((open & PSTATE.a) !== 0) {
      this.counters.serror++;
      this.#state.setHalves(SLOT.esr, (EC.serror << 26) | IL, 0);
      this.#enter(VECTOR.serror);
    } else if ((open & PSTATE.f) !== 0) {
      this.counters.fiq++;
      this.#enter(VECTOR.fiq);
    } else if ((open & PSTATE.i) !== 0) {
      this.counters.irq++;
      this.#enter(VECTOR.irq);
    } else return false;
    return true;
  }

  #enter(vector: number): void {
    const state = this.#state;
    const pstate = state.get32(STATE.pstate);
    const fromEl0 = state.get32(STATE.el) === 0;
    const group = fromEl0 ? 0x400 : (pstate & PSTATE.spsel) !== 0 ? 0x200 : 0;
    state.setHalves(SLOT.spsr, state.getPstate(), 0);
    state.copy64(STATE.pc, SLOT.elr);
    // SCTLR_EL1.SPAN clear: PAN is set by an exception to EL1.
    const pan = (state.get32(SLOT.sctlr) & (1 << 23)) === 0 ? PSTATE.pan : pstate & PSTATE.pan;
    selectStack(state, 1, 1);
    state.set32(STATE.el, 1);
    state.set32(STATE.pstate, PSTATE.spsel | pan);
    state.set32(STATE.daif, PSTATE.daif);
    state.setHalves(STATE.pc, state.get32(SLOT.vbar) | group | vector, state.get32(SLOT.vbar + 4));
    this.#host.contextChanged();
    this.#host.observer?.exceptionEntered(group | vector);
  }

  /** ERET: goes on at ELR_EL1 with SPSR_EL1's state; an illegal return only sets PSTATE.IL (Arm ARM D1.3.3). */
  return(): void {
    const state = this.#state;
    const spsr = state.get32(SLOT.spsr);
    const mode = spsr & 0x1f;
    const legal = mode === 0 || mode === 4 || mode === 5;
    const el = legal ? mode >> 2 : 1;
    const spsel = legal ? mode & 1 : state.get32(STATE.pstate) & PSTATE.spsel;
    const daif = spsr & PSTATE.daif;
    const stepping =
      (state.get32(SLOT.mdscr) & 1) !== 0 &&
      !this.#host.debugEnabledAt(1, state.get32(STATE.daif)) &&
      this.#host.debugEnabledAt(el, daif);
    const { observer } = this.#host;
    const from = observer === undefined ? 0n : state.get64(STATE.pc);
    state.copy64(SLOT.elr, STATE.pc);
    selectStack(state, el, spsel);
    state.set32(STATE.el, el);
    const il = legal ? spsr & PSTATE.il : PSTATE.il;
    const ss = stepping ? spsr & PSTATE.ss : 0;
    state.set32(STATE.pstate, spsel | (spsr & (PSTATE.pan | PSTATE.uao)) | il | ss);
    state.set32(STATE.daif, daif);
    state.setNzcv(spsr);
    state.setHalves(STATE.monitorAddress, -1, -1);
    this.#host.contextChanged();
    observer?.exceptionReturned(from);
  }
}

/** Makes the stack pointer of `el` with stack selection `spsel` current: STATE.sp always holds the current one. */
export function selectStack(state: CpuState, el: number, spsel: number): void {
  const before = stackSlot(state.get32(STATE.el), state.get32(STATE.pstate) & PSTATE.spsel);
  const after = stackSlot(el, spsel);
  if (before === after) return;
  state.copy64(STATE.sp, before);
  state.copy64(after, STATE.sp);
}

function stackSlot(el: number, spsel: number): number {
  return el === 1 && spsel === 1 ? SLOT.spEl1 : SLOT.spEl0;
}
