/**
 * Interrupts taken and exceptions returned from without leaving `run`: exceptions/exceptions.ts and what its core does around it
 * (AddressSpace.contextChanged), on the same words, for the common case. Everything else leaves to the core before anything has changed.
 */
import { PSTATE } from '../cpu-state.js';
import { AS } from '../mmu/translator.js';
import { STATE, TLB_BANK_BYTES, WORK } from '../state.js';
import { SLOT } from '../sysreg/registers.js';
import { i32, i64, type Val } from '../wasm/body.js';
import type { LoopOps } from './loop-ops.js';

const VECTOR = { irq: 0x080, fiq: 0x100 } as const;
const FROM_EL0 = 0x400;
const FROM_SP_ELX = 0x200;
/** SCTLR_EL1.SPAN, MDSCR_EL1.SS, CPACR_EL1.FPEN. */
const SPAN = 1 << 23;
const SOFTWARE_STEP = 1;
const FPEN_SHIFT = 20;
/** SPSR_EL1.M[4:0] and what it may be: EL0t, EL1t, EL1h. */
const MODE = { mask: 0x1f, el0: 0, el1t: 4, el1h: 5 } as const;

const field = (k: LoopOps, offset: number): Val => k.stateLoad('u32', offset);

/** Makes the stack pointer of EL1 with SPSel = `to` current in place of that with `from`. */
function emitSelectStack(k: LoopOps, from: Val, to: Val): void {
  k.if(k.xor(from, to), () => {
    const current = k.copy(k.stateLoad('u64', STATE.sp));
    k.if(
      to,
      () => {
        k.stateStore('u64', SLOT.spEl0, current);
        k.stateStore('u64', STATE.sp, k.stateLoad('u64', SLOT.spEl1));
      },
      () => {
        k.stateStore('u64', SLOT.spEl1, current);
        k.stateStore('u64', STATE.sp, k.stateLoad('u64', SLOT.spEl0));
      },
    );
  });
}

/** What follows from exception level `el` and the bits PAN and UAO of `pstate`. */
function emitContext(k: LoopOps, el: Val, pstate: Val): void {
  const space = k.copy(field(k, STATE.tlbSpace));
  const bank = (as: number): Val => k.add(space, i32(as * TLB_BANK_BYTES));
  const own = k.select(k.and(pstate, i32(PSTATE.pan)), bank(AS.el1), bank(AS.el1NoPan));
  const tlb = k.copy(k.select(el, own, bank(AS.el0)));
  k.stateStore('u32', STATE.tlb, tlb);
  const isOverridden = k.and(k.shrU(pstate, i32(Math.log2(PSTATE.uao))), el);
  k.stateStore('u32', STATE.tlbUser, k.select(k.and(isOverridden, i32(1)), tlb, bank(AS.el0)));
  k.stateStore('u32', STATE.context, k.select(el, field(k, STATE.contextEl1), field(k, STATE.contextEl0)));
  const fpen = k.shrU(field(k, SLOT.cpacr), i32(FPEN_SHIFT));
  // Bit 0 of FPEN allows EL1, both bits EL0 too.
  const allowed = k.and(fpen, k.or(k.shrU(fpen, i32(1)), el));
  k.stateStore('u32', STATE.fpTrap, k.xor(k.and(allowed, i32(1)), i32(1)));
}

function emitCharge(k: LoopOps): void {
  k.stateStore('u32', STATE.budget, k.sub(field(k, STATE.budget), i32(WORK.exception)));
}

/** ERET; `otherwise` leaves for all that is not a legal return at EL1. */
export function emitEret(k: LoopOps, otherwise: () => void): void {
  k.if(k.eqz(field(k, STATE.el)), otherwise);
  k.if(field(k, STATE.longWay), otherwise);
  k.if(k.and(field(k, SLOT.mdscr), i32(SOFTWARE_STEP)), otherwise);
  const spsr = k.copy(field(k, SLOT.spsr));
  k.if(k.and(spsr, i32(PSTATE.il)), otherwise);
  const mode = k.copy(k.and(spsr, i32(MODE.mask)));
  const isEl1 = k.eq(k.and(mode, i32(MODE.mask & ~1)), i32(MODE.el1t));
  k.if(k.eqz(k.or(isEl1, k.eq(mode, i32(MODE.el0)))), otherwise);
  const el = k.copy(k.shrU(mode, i32(2)));
  const spsel = k.copy(k.and(mode, i32(1)));
  k.stateStore('u64', STATE.pc, k.stateLoad('u64', SLOT.elr));
  emitSelectStack(k, k.copy(k.and(field(k, STATE.pstate), i32(PSTATE.spsel))), spsel);
  k.stateStore('u32', STATE.el, el);
  k.stateStore('u32', STATE.pstate, k.or(spsel, k.and(spsr, i32(PSTATE.pan | PSTATE.uao))));
  k.stateStore('u32', STATE.daif, k.and(spsr, i32(PSTATE.daif)));
  k.unpackNzcv(spsr);
  k.stateStore('u64', STATE.monitorAddress, i64(-1n));
  emitContext(k, el, spsr);
  emitCharge(k);
}

/** Takes the IRQ or FIQ that PSTATE lets through, if there is one; `otherwise` leaves for everything else that is due. */
export function emitInterrupt(k: LoopOps, otherwise: () => void): void {
  k.if(field(k, STATE.longWay), otherwise);
  const pstate = k.copy(field(k, STATE.pstate));
  const steps = k.and(field(k, SLOT.mdscr), i32(SOFTWARE_STEP));
  k.if(k.or(k.and(pstate, i32(PSTATE.il)), steps), otherwise);
  const open = k.copy(k.and(k.atomicLoad(2, k.add(k.state, i32(STATE.interrupts))), k.not(field(k, STATE.daif))));
  k.if(k.and(open, i32(PSTATE.a | PSTATE.d)), otherwise);
  k.if(k.and(open, i32(PSTATE.i | PSTATE.f)), () => emitEntry(k, pstate, k.and(open, i32(PSTATE.f))));
  emitCharge(k);
}

function emitEntry(k: LoopOps, pstate: Val, isFiq: Val): void {
  const el = k.copy(field(k, STATE.el));
  const count = (counter: number): void => k.stateStore('u64', counter, k.add(k.stateLoad('u64', counter), i64(1n)));
  const vector = k.variable('i32', i32(VECTOR.irq));
  k.if(
    isFiq,
    () => {
      k.assign(vector, i32(VECTOR.fiq));
      count(STATE.fiqs);
    },
    () => count(STATE.irqs),
  );
  const spsel = k.copy(k.select(el, k.and(pstate, i32(PSTATE.spsel)), i32(0)));
  const group = k.select(el, k.select(spsel, i32(FROM_SP_ELX), i32(0)), i32(FROM_EL0));
  const mode = k.select(el, k.or(i32(MODE.el1t), spsel), i32(MODE.el0));
  const others = k.or(k.and(pstate, i32(~PSTATE.spsel)), k.or(field(k, STATE.daif), mode));
  k.stateStore('u64', SLOT.spsr, k.extendU(k.or(k.packNzcv(), others)));
  k.stateStore('u64', SLOT.elr, k.stateLoad('u64', STATE.pc));
  const keepsPan = k.and(field(k, SLOT.sctlr), i32(SPAN));
  const pan = k.copy(k.select(keepsPan, k.and(pstate, i32(PSTATE.pan)), i32(PSTATE.pan)));
  const base = k.stateLoad('u64', SLOT.vbar);
  k.stateStore('u64', STATE.pc, k.or(base, k.extendU(k.or(group, vector))));
  emitSelectStack(k, spsel, i32(1));
  k.stateStore('u32', STATE.el, i32(1));
  k.stateStore('u32', STATE.pstate, k.or(pan, i32(PSTATE.spsel)));
  k.stateStore('u32', STATE.daif, i32(PSTATE.daif));
  emitContext(k, i32(1), pan);
}
