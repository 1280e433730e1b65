/**
 * Pre-decoded pages of one vCPU: which physical page's code has records, where they are, and which virtual pages lead
 * to them (the page cache that generated code reads). Pages are known by physical address, so a write to code is found
 * whatever virtual address it used.
 */

import { assert } from '../bus/assert.js';
import { pageCacheEntry } from './code-cache-index.js';
import { CONTEXT_PLACES, Contexts } from './context.js';
import { FrameMap } from './frame-map.js';
import { HANDLER, PAGE_HOST, PAGE_IN_USE, RECORD, RECORD_BYTES, RECORD_PAGE_BYTES } from './interpreter/record.js';
import { CacheEntries, JumpCache } from './jump-cache.js';
import { NumberSet } from './number-set.js';
import { PAGE_CACHE, REFILLS } from './state.js';
import type { MemoryFill } from './wasm/memory-fill.js';

/** One page of guest code with records. */
export interface CodePage {
  /** Address of its first record. */
  readonly records: number;
  /** Host address of the guest page: another one's once the records were released and made anew. */
  host: number;
  /** Writes to it since its records were made. */
  writes: number;
  /** Flushes of the page cache there had been when the page was last entered. */
  used: number;
  /** Entry points of compiled regions in it. */
  regions: number;
}

const RECORDS = 1024;
/** After so many writes a page is taken for data: its records are released and writes go directly again. */
const WRITES_MAX = 64;
/** Virtual pages remembered as executed in one context; when there are more, all are forgotten together with the caches. */
const EXECUTED_MAX = 1 << 16;

/** When the arena is full, this share of its pages makes room: those that were not entered for longest. */
const MAKES_ROOM = 1 / 4;

/** The records of one vCPU, in a fixed arena. */
export class CodePages {
  readonly #fill: MemoryFill;
  readonly #view: DataView;
  readonly #state: number;
  readonly #arena: number;
  readonly #capacity: number;
  /** Slots by the host address of their page. */
  readonly #byHost = new FrameMap();
  /** Pages by slot, {@link #slots} of which have records or had some: those behind wait to be used again. */
  readonly #bySlot: CodePage[] = [];
  #slots = 0;
  /** Slots whose page was released; free from the next `pageAt` on, when the interpreter is surely not in them. */
  readonly #released: number[] = [];
  /** By the place of their context: virtual pages that were executed. */
  readonly #executed = Array.from({ length: CONTEXT_PLACES }, () => new NumberSet());
  readonly contexts = new Contexts(() => this.flushPageCache());
  readonly #pageCache: CacheEntries;
  readonly jumpCache: JumpCache;
  #flushes = 0;
  readonly #onDrop: (page: CodePage) => readonly number[];
  readonly #onMade: (page: CodePage) => void;

  /**
   * @param state address of the vCPU's state block (the page cache lies behind it)
   * @param arena address of the record arena, `arenaBytes` long
   * @param onMade called for every page that has got records
   * @param onDrop called for every page whose records are dropped; answers slots of the region table whose regions are gone with it
   */
  constructor(
    memory: ArrayBufferLike,
    fill: MemoryFill,
    state: number,
    arena: number,
    arenaBytes: number,
    onDrop: (page: CodePage) => readonly number[],
    onMade: (page: CodePage) => void = () => undefined,
  ) {
    this.#fill = fill;
    this.#view = new DataView(memory);
    this.#state = state;
    this.#arena = arena;
    this.#capacity = Math.floor(arenaBytes / RECORD_PAGE_BYTES);
    this.#onDrop = onDrop;
    this.#onMade = onMade;
    this.#pageCache = new CacheEntries(this.#view, fill, state, PAGE_CACHE);
    this.jumpCache = new JumpCache(this.#view, fill, state, (context) => this.contexts.placeOf(context) >= 0);
    assert(this.#capacity > 0, 'the record arena holds at least one page');
    this.flushPageCache();
  }

  /** The records of the guest page at host address `host`, made if there are none. Not for use inside a helper. */
  pageAt(host: number): CodePage {
    const known = this.#byHost.get(host);
    if (known >= 0) return this.#bySlot[known]!;
    let slot = this.#released.pop();
    if (slot === undefined) {
      if (this.#slots === this.#capacity) this.#makeRoom();
      slot = this.#released.pop() ?? this.#slots++;
    }
    const records = this.#arena + slot * RECORD_PAGE_BYTES;
    this.#fill(records, 0, RECORD_PAGE_BYTES);
    this.#view.setUint16(records + RECORDS * RECORD_BYTES + RECORD.handler, HANDLER.endOfPage, true);
    this.#view.setInt32(records + PAGE_HOST, host, true);
    const page = this.#pageIn(slot, records);
    page.host = host;
    page.writes = page.regions = 0;
    page.used = this.#flushes;
    this.#byHost.set(host, slot);
    this.#noteCode(host, true);
    this.#onMade(page);
    return page;
  }

  /** The object for slot `slot`, used again: whoever knew the page that had it was told that its records are dropped. */
  #pageIn(slot: number, records: number): CodePage {
    const known = this.#bySlot[slot];
    if (known !== undefined) return known;
    const page = { records, host: 0, writes: 0, used: 0, regions: 0 };
    this.#bySlot[slot] = page;
    return page;
  }

  /** Tells generated code whether the frame at `host` has records: it then never lets it be written directly. */
  #noteCode(host: number, hasRecords: boolean): void {
    const at = this.#state + REFILLS.at + REFILLS.code + (host >>> 15);
    const bit = 1 << ((host >>> 12) & 7);
    const byte = this.#view.getUint8(at);
    this.#view.setUint8(at, hasRecords ? byte | bit : byte & ~bit);
  }

  /** The page that record address `record` belongs to. */
  pageOf(record: number): CodePage {
    const slot = Math.floor((record - this.#arena) / RECORD_PAGE_BYTES);
    const page = this.#bySlot[slot];
    assert(page !== undefined && slot < this.#slots, 'the record belongs to a live page');
    return page;
  }

  /** The page at host address `host` if it has records. */
  find(host: number): CodePage | undefined {
    const slot = this.#byHost.get(host);
    return slot < 0 ? undefined : this.#bySlot[slot];
  }

  /** Number of pages with records. */
  get size(): number {
    return this.#byHost.size;
  }

  /** Forgets what was decoded on the guest page at `host`: its code changed. Returns whether there was anything. */
  invalidate(host: number): boolean {
    const page = this.find(host);
    if (page === undefined) return false;
    this.#clear(page);
    return true;
  }

  /** A record of `page` is made or marked. */
  noteInUse(page: CodePage): void {
    this.#view.setUint16(page.records + PAGE_IN_USE, 1, true);
  }

  #isInUse(page: CodePage): boolean {
    return this.#view.getUint16(page.records + PAGE_IN_USE, true) !== 0;
  }

  #clear(page: CodePage): void {
    // Linux invalidates the lines of a page one by one: all but the first find nothing.
    if (!this.#isInUse(page)) return;
    this.#view.setUint16(page.records + PAGE_IN_USE, 0, true);
    // The operands stay: the instruction that wrote into its own page has still to read its record, for write-back.
    for (let record = page.records; record < page.records + RECORDS * RECORD_BYTES; record += RECORD_BYTES) {
      this.#view.setUint16(record + RECORD.handler, HANDLER.decode, true);
      this.#view.setUint16(record + RECORD.count, 0, true);
    }
    this.jumpCache.forgetSlots(this.#onDrop(page));
  }

  /**
   * The guest (or a device) writes `bytes` bytes at host address `host`, within one page. Data beside code costs only the
   * check; changed code is forgotten; a page that keeps being written is released.
   */
  written(host: number, bytes: number): void {
    const offset = host & 0xfff;
    const page = this.find(host - offset);
    if (page === undefined) return;
    if (++page.writes > WRITES_MAX) this.#release(page);
    else if (this.#holdsCode(page, offset >>> 2, Math.min(RECORDS - 1, (offset + bytes - 1) >>> 2))) this.#clear(page);
  }

  /** Whether one of the records is decoded, or the page has compiled regions (which may cover any of its words). */
  #holdsCode(page: CodePage, first: number, last: number): boolean {
    const at = (n: number): number => this.#view.getUint16(page.records + n * RECORD_BYTES + RECORD.handler, true);
    if (!this.#isInUse(page)) return false;
    if (page.regions > 0) return true;
    for (let n = first; n <= last; n++) if (at(n) !== HANDLER.decode) return true;
    return false;
  }

  #release(page: CodePage): void {
    this.#clear(page);
    this.#free(page);
    // The jump cache has nothing of it left, as it has no regions.
    this.#pageCache.clearWhere(PAGE_CACHE.record, page.records | 0);
  }

  #makeRoom(): void {
    const live = this.#bySlot.filter((page, slot) => this.#isLive(page, slot));
    const pages = live.sort((a, b) => a.used - b.used);
    for (const page of pages.slice(0, Math.ceil(this.#capacity * MAKES_ROOM))) {
      this.#onDrop(page);
      this.#free(page);
    }
    this.flushPageCache();
  }

  #isLive(page: CodePage, slot: number): boolean {
    return slot < this.#slots && this.#byHost.get(page.host) === slot;
  }

  #free(page: CodePage): void {
    this.#byHost.delete(page.host);
    this.#noteCode(page.host, false);
    this.#released.push(Math.floor((page.records - this.#arena) / RECORD_PAGE_BYTES));
  }

  /** Drops all records. */
  dropAll(): void {
    for (let slot = 0; slot < this.#slots; slot++) {
      const page = this.#bySlot[slot]!;
      if (!this.#isLive(page, slot)) continue;
      this.#onDrop(page);
      this.#noteCode(page.host, false);
    }
    this.#slots = this.#released.length = 0;
    this.#byHost.clear();
    this.flushPageCache();
  }

  /** Makes generated code find `page`'s records under virtual page hi:lo (lo's low 12 bits are ignored) in `context`. */
  bind(lo: number, hi: number, context: number, page: CodePage): void {
    const executed = this.#executed[Math.max(0, this.contexts.placeOf(context))]!;
    if (executed.size >= EXECUTED_MAX) this.flushPageCache();
    executed.add(virtualPage(lo, hi));
    page.used = this.#flushes;
    const at = this.#state + pageCacheEntry(lo, hi, context);
    this.#pageCache.note(at);
    this.#view.setUint32(at + PAGE_CACHE.tag, ((lo & 0xfffff000) | (context << 2)) >>> 0, true);
    this.#view.setUint32(at + PAGE_CACHE.tag + 4, hi >>> 0, true);
    this.#view.setUint32(at + PAGE_CACHE.record, page.records, true);
  }

  /** The page that {@link bind} has entered for address hi:lo in `context`, if generated code would find it. */
  bound(lo: number, hi: number, context: number): CodePage | undefined {
    const at = this.#state + pageCacheEntry(lo, hi, context);
    if (this.#view.getInt32(at + PAGE_CACHE.tag, true) !== ((lo & 0xfffff000) | (context << 2))) return undefined;
    if (this.#view.getInt32(at + PAGE_CACHE.tag + 4, true) !== hi) return undefined;
    return this.pageOf(this.#view.getUint32(at + PAGE_CACHE.record, true));
  }

  /** Forgets where virtual page hi:lo leads, in every context. */
  forgetVirtualPage(lo: number, hi: number): void {
    const page = virtualPage(lo, hi);
    let wasExecuted = false;
    for (let place = 0; place < CONTEXT_PLACES; place++) {
      const executed = this.#executed[place]!;
      if (executed.size === 0 || !executed.delete(page)) continue;
      wasExecuted = true;
      for (const context of this.contexts.keysAt(place)) {
        this.#pageCache.clear(this.#state + pageCacheEntry(lo, hi, context));
      }
    }
    if (wasExecuted) this.jumpCache.forgetPage(lo, hi);
  }

  /** Forgets what addresses lead to in address-space slot `slot`, but for what all slots have in common. */
  forgetSlot(slot: number): void {
    this.contexts.renew(slot);
    this.#executed[slot + 1]!.clear();
  }

  /** Forgets which virtual pages lead where: needed when translations change. Records stay. */
  flushPageCache(): void {
    this.#flushes++;
    for (let place = 0; place < CONTEXT_PLACES; place++) this.#executed[place]!.clear();
    // All ones is no page's tag: the context field never has all bits set.
    this.#pageCache.flush();
    this.jumpCache.flush();
  }
}

/** Number of a virtual page; the top byte, which translation may ignore, is left out. */
function virtualPage(lo: number, hi: number): number {
  return (hi & 0xffffff) * 2 ** 20 + (lo >>> 12);
}
