/**
 * One vCPU's view of memory: translation regime, walker and software TLB, kept in step with the state block's bank
 * pointers, context key and trap flags, and with the caches of code addresses.
 */
import type { CodePages } from '../code-pages.js';
import { type CpuState, PSTATE } from '../cpu-state.js';
import { STATE, WALK_HALF } from '../state.js';
import { SLOT } from '../sysreg/registers.js';
import type { MemoryFill } from '../wasm/memory-fill.js';
import { Regime, type RegimeHalf } from './regime.js';
import { SoftwareTlb } from './tlb.js';
import { AS, type As, type PhysicalMemory } from './translator.js';
import { Walker } from './walker.js';

/** What lets generated code walk the translation tables itself (interpreter/reach.ts). */
interface WalkHelp {
  /** Address of the map of frames (FRAME_MAP of state.ts) by which `PhysicalMemory.frame` answers; undefined: there is none. */
  readonly frames: number | undefined;
  /** Whether accesses are watched at the moment: the core does all walks then. {@link AddressSpace.flush} is called when that changes. */
  readonly isWatched: () => boolean;
}

/** Descriptor bits 61 and 62: APTable. */
const TABLE_LIMITS_HIGH = 0x6000_0000;

/** What TLB maintenance names: see {@link AddressSpace.invalidate}. */
export type Invalidation = 'all' | 'asid' | 'va' | 'va-last';

/** See the head of this file. */
export class AddressSpace {
  readonly regime = new Regime();
  readonly walker: Walker;
  readonly tlb: SoftwareTlb;
  readonly #state: CpuState;
  readonly #pages: CodePages;
  readonly #help: WalkHelp | undefined;
  /** Operations counted for statistics. */
  readonly counters = { invalidations: 0, flushes: 0, switches: 0 };

  constructor(state: CpuState, memory: PhysicalMemory, pages: CodePages, fillMemory: MemoryFill, help?: WalkHelp) {
    this.#help = help;
    this.#state = state;
    this.#pages = pages;
    this.walker = new Walker(state, this.regime, memory);
    this.tlb = new SoftwareTlb(state, fillMemory, (slot) => {
      if (slot === undefined) this.#pages.flushPageCache();
      else this.#pages.forgetSlot(slot);
    });
    this.regime.load(state);
    this.tlb.select(this.regime.asid);
    this.contextChanged();
    this.#describeWalks();
  }

  /** Tells generated code how to walk, where it can: granules of 4 KiB and nothing unusual. */
  #describeWalks(): void {
    const { regime } = this;
    const state = this.#state;
    const help = this.#help;
    const walks = help?.frames !== undefined && regime.enabled && !regime.alignmentCheck && !help.isWatched();
    state.set32(STATE.walks, walks ? 1 : 0);
    if (help?.frames === undefined) return;
    state.set32(STATE.walkDevices, regime.deviceAttributes);
    const outside = 0xffff & ~((1 << Math.max(0, regime.outputBits - 32)) - 1);
    state.setHalves(STATE.walkOutside, 0, outside);
    state.set32(STATE.walkFrames, help.frames);
    const [lower, upper] = regime.halves;
    state.set32(STATE.walkShut, (lower.shutToEl0 ? 1 : 0) | (upper.shutToEl0 ? 2 : 0));
    describeHalf(state, STATE.walkHalves, lower, 0);
    describeHalf(state, STATE.walkHalves + WALK_HALF.bytes, upper, -1);
    this.#describeTables();
  }

  #describeTables(): void {
    if (this.#help?.frames === undefined) return;
    const [lower, upper] = this.regime.halves;
    this.#state.setHalves(STATE.walkHalves + WALK_HALF.base, lower.base | 0, Math.floor(lower.base / 2 ** 32));
    const ofUpper = STATE.walkHalves + WALK_HALF.bytes + WALK_HALF.base;
    this.#state.setHalves(ofUpper, upper.base | 0, Math.floor(upper.base / 2 ** 32));
  }

  /** Exception level, stack selection, PAN, UAO, ASID or CPACR_EL1 changed: recompute what depends on them. */
  contextChanged(): void {
    const state = this.#state;
    const el = state.get32(STATE.el);
    const pstate = state.get32(STATE.pstate);
    if (el === 0) this.tlb.selectUserBanks();
    else this.tlb.selectBanks(pstate & PSTATE.pan, pstate & PSTATE.uao);
    const [user, kernel] = this.#pages.contexts.keysOf(this.tlb.slot);
    state.set32(STATE.contextEl0, user);
    state.set32(STATE.contextEl1, kernel);
    state.set32(STATE.context, el === 0 ? user : kernel);
    const fpen = (state.get32(SLOT.cpacr) >>> 20) & 3;
    state.set32(STATE.fpTrap, fpen === 3 || (fpen === 1 && el === 1) ? 0 : 1);
  }

  /** A TTBR was written: another table or another ASID. Nothing is flushed. */
  tablesChanged(): void {
    const { regime } = this;
    const before = regime.asid;
    regime.loadTables(this.#state);
    this.#describeTables();
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

  /** Drops every cached translation (a change of stage 2, or of who watches accesses). */
  flush(): void {
    this.#empty();
    this.#describeWalks();
  }

  #empty(): void {
    this.counters.flushes++;
    this.tlb.flushAll();
    this.walker.forgetTables();
    this.#pages.flushPageCache();
    if (this.#pages.contexts.isApart) {
      this.#pages.contexts.setShared();
      this.contextChanged();
    }
  }

  /** TLB maintenance by operand hi:lo: bits 43..0 VA[55:12], bits 63..48 ASID (Arm ARM C5.5). */
  invalidate(what: Invalidation, lo: number, hi: number): void {
    this.counters.invalidations++;
    if (what === 'all') {
      this.#empty();
      return;
    }
    if (what === 'asid') {
      this.walker.forgetTables();
      const asid = this.#asidOf(hi);
      const slot = this.tlb.flushAsid(asid);
      if (slot < 0) return;
      this.#pages.forgetSlot(slot);
      if (slot === this.tlb.slot) this.contextChanged();
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

  /** EL1 is about to execute what is not global: which code an address leads to depends on the ASID there too. */
  keepKernelsApart(): void {
    if (this.#pages.contexts.isApart) return;
    this.#pages.contexts.setApart();
    this.contextChanged();
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

/** Writes what WALK_HALF describes, but for the table's address; `sign`: the word that all bits above the input size are of. */
function describeHalf(state: CpuState, at: number, half: RegimeHalf, sign: 0 | -1): void {
  // Input sizes are 25 to 48 bits.
  const { inputBits, granule, startLevel } = half;
  const maskLow = inputBits >= 32 ? 0 : -1 << inputBits;
  const maskHigh = (inputBits >= 32 ? -1 << (inputBits - 32) : -1) & (half.topByteIgnored ? 0x00ff_ffff : -1);
  const isWalked = half.walks && granule === 12;
  state.setHalves(at + WALK_HALF.topMask, isWalked ? maskLow : 0, isWalked ? maskHigh : 0);
  // No address has a bit of an empty mask.
  state.setHalves(at + WALK_HALF.top, isWalked ? maskLow & sign : 1, isWalked ? maskHigh & sign : 0);
  state.setHalves(at + WALK_HALF.limits, 0, half.flat ? 0 : TABLE_LIMITS_HIGH);
  const firstLsb = 12 + (3 - startLevel) * 9;
  state.set32(at + WALK_HALF.firstLsb, firstLsb);
  state.set32(at + WALK_HALF.firstMask, (1 << Math.min(9, inputBits - firstLsb)) - 1);
}
