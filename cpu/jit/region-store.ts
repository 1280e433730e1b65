/**
 * The compiled regions of one vCPU: which page offset has one, the slots of the region table they occupy, and the bound
 * on how much compiled code is kept. V8 frees the code of a module when nothing refers to any of its functions; so what
 * is evicted are whole modules, those not entered for longest first.
 *
 * Use is seen when a region is entered into the jump cache. That cache is emptied whenever an eighth of the budget is
 * new, so that what is in use shows itself: modules have an age in such spans.
 */
import type { CodePage } from '../code-pages.js';
import { PAGE_IN_USE, RECORD, RECORD_BYTES, REGION_BIT } from '../interpreter/record.js';
import { CollectionHint } from './collection-hint.js';

/** How much compiled code one vCPU keeps. */
export interface CodeBudget {
  /** Bytes of WebAssembly; machine code, tables and V8's own records take some six times as much again. */
  readonly bytesMax: number;
  /** Modules: each takes two memory mappings on Node 20 and 22 (cpu-measurements 3). */
  readonly modulesMax: number;
}

/** Compiled code of one vCPU: with V8's machine code and records some 100 MB (bench cpu.memory). */
export const BUDGET_DEFAULT: CodeBudget = { bytesMax: 9 << 20, modulesMax: 720 };

/** A module some of whose functions are installed. */
export interface ModuleInUse {
  readonly bytes: number;
  readonly regions: Set<CompiledRegion>;
  /** Age (see RegionStore) at which one of its regions was last entered or installed. */
  usedAt: number;
}

/** A compiled region, at one of its entry points. */
export interface CompiledRegion {
  readonly page: CodePage;
  readonly offset: number;
  readonly slot: number;
  readonly module: ModuleInUse;
  /** One with more weight may take its place; infinite for what stays. */
  readonly weight: number;
}

/** Evicting goes on until this share of the budget is left, so that it is not done for every module. */
const KEEP_SHARE = 0.75;
/** Share of the budget that is new when a span ends. */
const SPAN_SHARE = 1 / 8;
const TABLE_GROWTH_MIN = 256;
const NO_SLOTS: readonly number[] = [];
/** Modules that are not in use any more wait to be collected until they are this share of the budget. */
const WAIT_SHARE = 1 / 4;

/** See the head of this file. */
export class RegionStore {
  readonly #view: DataView;
  readonly #table: WebAssembly.Table;
  readonly #budget: CodeBudget;
  readonly #byPage = new Map<CodePage, Map<number, CompiledRegion>>();
  readonly #modules = new Set<ModuleInUse>();
  readonly #freeSlots: number[] = [];
  #nextSlot = 1;
  #age = 0;
  #bytes = 0;
  /** Added in this span. */
  #newBytes = 0;
  #newModules = 0;
  readonly #hint: CollectionHint;
  /** Regions and modules thrown out to keep the budget. */
  readonly counters = { evictedRegions: 0, evictedModules: 0, evictions: 0 };

  constructor(view: DataView, table: WebAssembly.Table, budget: CodeBudget) {
    this.#view = view;
    this.#table = table;
    this.#budget = budget;
    this.#hint = new CollectionHint(budget.bytesMax * WAIT_SHARE);
  }

  /** Bytes of WebAssembly of all modules in use. */
  get bytes(): number {
    return this.#bytes;
  }
  /** Modules in use. */
  get modules(): number {
    return this.#modules.size;
  }
  /** Slots of the region table ever used. */
  get slots(): number {
    return this.#nextSlot;
  }

  /** A module of `bytes` bytes whose functions are about to be installed. */
  add(bytes: number): ModuleInUse {
    this.#newBytes += bytes;
    this.#newModules++;
    return { bytes, regions: new Set(), usedAt: this.#age };
  }

  /** Whether there is a region at byte `offset` of `page`. */
  has(page: CodePage, offset: number): boolean {
    return this.#byPage.get(page)?.has(offset) === true;
  }

  /** Offsets of `page` with regions that others with more weight would replace. */
  *replaceable(page: CodePage): Generator<number> {
    for (const [offset, { weight }] of this.#byPage.get(page) ?? []) if (Number.isFinite(weight)) yield offset;
  }

  /** Whether a region of this weight belongs at byte `offset` of `page`: there is none, or one with less. */
  takes(page: CodePage, offset: number, weight: number): boolean {
    return (this.#byPage.get(page)?.get(offset)?.weight ?? 0) < weight;
  }

  /**
   * Makes `code` the region at byte `offset` of `page`, in the place of any other one: who has that one's slot enters this
   * one. Only between runs of generated code.
   */
  install(page: CodePage, offset: number, module: ModuleInUse, code: unknown, weight: number): void {
    let ofPage = this.#byPage.get(page);
    if (ofPage === undefined) {
      ofPage = new Map();
      this.#byPage.set(page, ofPage);
    }
    const before = ofPage.get(offset);
    const region = { page, offset, slot: before?.slot ?? this.#takeSlot(), module, weight };
    this.#table.set(region.slot, code);
    ofPage.set(offset, region);
    if (module.regions.size === 0) {
      this.#modules.add(module);
      this.#bytes += module.bytes;
    }
    module.regions.add(region);
    module.usedAt = this.#age;
    if (before !== undefined) this.#forget(before);
    else page.regions++;
    this.setMark(page, offset, true);
  }

  /** Tells the interpreter whether to ask for a region when it comes to byte `offset` of `page`. */
  setMark(page: CodePage, offset: number, isSet: boolean): void {
    const record = recordAt(page, offset);
    const handler = this.#view.getUint16(record, true);
    this.#view.setUint16(record, isSet ? handler | REGION_BIT : handler & ~REGION_BIT, true);
    if (isSet) this.#view.setUint16(page.records + PAGE_IN_USE, 1, true);
  }

  #takeSlot(): number {
    const free = this.#freeSlots.pop();
    if (free !== undefined) return free;
    const slot = this.#nextSlot++;
    if (slot >= this.#table.length) this.#table.grow(Math.max(TABLE_GROWTH_MIN, this.#table.length));
    return slot;
  }

  /** The region at byte `offset` of `page`, which is about to be entered. */
  enter(page: CodePage, offset: number): CompiledRegion | undefined {
    const region = this.#byPage.get(page)?.get(offset);
    if (region !== undefined) region.module.usedAt = this.#age;
    return region;
  }

  /** Drops the regions of `page`. Its records are the caller's, and so is the jump cache. Returns the slots they had. */
  drop(page: CodePage): readonly number[] {
    const ofPage = this.#byPage.get(page);
    if (ofPage === undefined) return NO_SLOTS;
    const slots = [...ofPage.values()].map(({ slot }) => slot);
    for (const region of ofPage.values()) this.#remove(region);
    this.#byPage.delete(page);
    return slots;
  }

  #remove(region: CompiledRegion): void {
    this.#table.set(region.slot, null);
    this.#freeSlots.push(region.slot);
    region.page.regions--;
    this.#forget(region);
  }

  /** `region` is not in its module's use any more. */
  #forget(region: CompiledRegion): void {
    const { module } = region;
    module.regions.delete(region);
    if (module.regions.size > 0) return;
    this.#modules.delete(module);
    this.#bytes -= module.bytes;
    const { bytesMax, modulesMax } = this.#budget;
    this.#hint.note(Math.max(module.bytes, bytesMax / modulesMax));
  }

  /** Whether a span is over: the caller then calls {@link evict} and empties the jump cache. */
  get isSpanOver(): boolean {
    const { bytesMax, modulesMax } = this.#budget;
    return this.#newBytes >= bytesMax * SPAN_SHARE || this.#newModules >= modulesMax * SPAN_SHARE || this.#isOver;
  }

  /** Has V8 collect what is not in use any more, once it is worth it. To be called when nothing refers to what {@link evict} has thrown out. */
  collect(): void {
    this.#hint.give();
  }

  get #isOver(): boolean {
    return this.#bytes > this.#budget.bytesMax || this.#modules.size > this.#budget.modulesMax;
  }

  /**
   * Begins a span. If there is more than the budget, throws out modules, those entered longest ago first, until there is
   * room again: their entry points are interpreted and counted anew. Answers what was thrown out.
   */
  evict(): readonly CompiledRegion[] {
    const { bytesMax, modulesMax } = this.#budget;
    this.#newBytes = 0;
    this.#newModules = 0;
    this.#age++;
    if (!this.#isOver) return [];
    const out: CompiledRegion[] = [];
    // Within one span insertion order decides, which the sort keeps.
    for (const module of [...this.#modules].sort((a, b) => a.usedAt - b.usedAt)) {
      if (this.#bytes <= bytesMax * KEEP_SHARE && this.#modules.size <= modulesMax * KEEP_SHARE) break;
      this.counters.evictedModules++;
      for (const region of [...module.regions]) {
        this.#remove(region);
        this.#byPage.get(region.page)?.delete(region.offset);
        this.setMark(region.page, region.offset, false);
        out.push(region);
      }
    }
    this.counters.evictedRegions += out.length;
    this.counters.evictions++;
    return out;
  }
}

/** Address of the handler field of the record at byte `offset` of `page`. */
function recordAt(page: CodePage, offset: number): number {
  return page.records + (offset >> 2) * RECORD_BYTES + RECORD.handler;
}
