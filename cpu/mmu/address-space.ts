/**
 * One vCPU's view of memory: translation regime, walker and software TLB, kept in step with the state block's bank
 * pointers, context key and trap flags, and with the caches of code addresses.
 */
import type { CodePages } from '../code-pages.js';
import { contextKey } from '../context.js';
import { type CpuState, PSTATE } from '../cpu-state.js';
import { STATE } from '../state.js';
import { SLOT } from '../sysreg/registers.js';
import type { MemoryFill } from '../wasm/memory-fill.js';
import { Regime } from './regime.js';
import { SoftwareTlb } from './tlb.js';
import { AS, type As, type PhysicalMemory } from './translator.js';
import { Walker } from './walker.js';

/** What TLB maintenance names: see {@link AddressSpace.invalidate}. */
export type Invalidation = 'all' | 'asid' | 'va' | 'va-last';

/** See the head of this file. */
export class AddressSpace {
  readonly regime = new Regime();
  readonly walker: Walker;
  readonly tlb: SoftwareTlb;
  readonly #state: CpuState;
  readonly #pages: CodePages;
  /** Operations counted for statistics. */
  readonly counters = { fills: 0, invalidations: 0, flushes: 0, switches: 0 };

  constructor(state: CpuState, memory: PhysicalMemory, pages: CodePages, fillMemory: MemoryFill) {
    this.#state = state;
    this.#pages = pages;
    this.walker = new Walker(state, this.regime, memory);
    this.tlb = new SoftwareTlb(state, fillMemory, () => this.#pages.flushPageCache());
    this.regime.load(state);
    this.tlb.select(this.regime.asid);
    this.contextChanged();
  }

  /** Exception level, stack selection, PAN, UAO, ASID or CPACR_EL1 changed: recompute what depends on them. */
  contextChanged(): void {
    const state = this.#state;
    const el = state.get32(STATE.el);
    const pstate = state.get32(STATE.pstate);
    if (el === 0) this.tlb.selectUserBanks();
    else this.tlb.selectBanks(pstate & PSTATE.pan, pstate & PSTATE.uao);
    state.set32(STATE.context, contextKey(el, this.tlb.slot));
    const fpen = (state.get32(SLOT.cpacr) >>> 20) & 3;
    state.set32(STATE.fpTrap, fpen === 3 || (fpen === 1 && el === 1) ? 0 : 1);
  }

  /** A TTBR was written: another table or another ASID. Nothing is flushed. */
  tablesChanged(): void {
    const { regime } = this;
    const before = regime.asid;
    regime.loadTables(this.#state);
    if (regime.asid === before) return;
    this.counters.switches++;
    this.tlb.select(regime.asid);
    this.contextChanged();
  }

  /** SCTLR, TCR or MAIR changed in a way that matters to translation: everything cached goes. */
  regimeChanged(): void {
    this.regime.load(this.#state);
    this.tlb.select(this.regime.asid);
    this.flush();
    this.contextChanged();
  }

  /** Drops every cached translation (TLBI VMALLE1, a change of stage 2). */
  flush(): void {
    this.counters.flushes++;
    this.tlb.flushAll();
    this.walker.forgetTables();
    this.#pages.flushPageCache();
  }

  /** TLB maintenance by operand hi:lo: bits 43..0 VA[55:12], bits 63..48 ASID (Arm ARM C5.5). */
  invalidate(what: Invalidation, lo: number, hi: number): void {
    this.counters.invalidations++;
    if (what === 'all') {
      this.flush();
      return;
    }
    if (what === 'asid') {
      this.walker.forgetTables();
      const asid = this.#asidOf(hi);
      if (this.tlb.flushAsid(asid) >= 0) this.#pages.flushPageCache();
      return;
    }
    if (what === 'va') this.walker.forgetTables();
    const vaLo = lo << 12;
    const vaHi = (lo >>> 20) | ((hi & 0xfff) << 12);
    // With larger granules the operand names the granule's first page: every 4 KiB page of it goes.
    const granule = this.regime.halves[(vaHi >>> 23) & 1]!.granule;
    if (granule > 12) this.#invalidateGranule(vaLo & (-1 << granule), vaHi, granule);
    else this.#invalidatePage(vaLo, vaHi);
  }

  #invalidateGranule(lo: number, hi: number, granule: number): void {
    for (let page = 0; page < 1 << (granule - 12); page++) this.#invalidatePage(lo + page * 4096, hi);
  }

  #invalidatePage(lo: number, hi: number): void {
    if (this.tlb.flushPage(lo, hi)) this.#pages.flushPageCache();
    else this.#pages.forgetVirtualPage(lo, hi);
  }

  /** Code of the page of hi:lo is about to run: a TLBI for any address of its block must find it. */
  noteExecuted(lo: number, hi: number, blockLog2: number): void {
    if (blockLog2 > 12) this.tlb.noteBlock(lo, hi, blockLog2);
  }

  #asidOf(hi: number): number {
    const asid = hi >>> 16;
    return (this.#state.get32(SLOT.tcr + 4) & 16) !== 0 ? asid : asid & 0xff;
  }

  /** With whose rights (and in which bank) a data access is made; `user` for LDTR, STTR. */
  accessAs(user: boolean): As {
    const state = this.#state;
    if (state.get32(STATE.el) === 0) return AS.el0;
    const pstate = state.get32(STATE.pstate);
    if (user && (pstate & PSTATE.uao) === 0) return AS.el0;
    return (pstate & PSTATE.pan) !== 0 ? AS.el1 : AS.el1NoPan;
  }
}
