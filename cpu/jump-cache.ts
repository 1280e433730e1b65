/**
 * The two caches of code addresses that generated code reads (PAGE_CACHE and JUMP_CACHE of state.ts), as their owner writes them.
 * They are emptied often, and seldom full: what was entered is listed, so that emptying costs about what was entered.
 */
import { JUMP_GROUP, jumpCacheEntry, jumpCacheGroup } from './code-cache-index.js';
import { JUMP_CACHE } from './state.js';
import type { MemoryFill } from './wasm/memory-fill.js';

/** Entries that are emptied one by one; when more were written, the whole cache is. */
const LISTED_MAX = 512;

interface CacheShape {
  readonly at: number;
  readonly entriesLog2: number;
  readonly entryBytesLog2: number;
}

/** Entries of a cache in a vCPU's area. Each begins with eight bytes that are all ones while it is empty. */
export class CacheEntries {
  readonly #view: DataView;
  readonly #fill: MemoryFill;
  readonly #at: number;
  readonly #bytes: number;
  readonly #listed = new Uint32Array(LISTED_MAX);
  #count = LISTED_MAX + 1;

  /** @param state address of the vCPU's state block; the cache holds anything until it is emptied */
  constructor(view: DataView, fill: MemoryFill, state: number, { at, entriesLog2, entryBytesLog2 }: CacheShape) {
    this.#view = view;
    this.#fill = fill;
    this.#at = state + at;
    this.#bytes = 1 << (entriesLog2 + entryBytesLog2);
  }

  /** The entry at address `entry` is about to be written. */
  note(entry: number): void {
    if (this.#count < LISTED_MAX) this.#listed[this.#count] = entry;
    this.#count++;
  }

  /** Empties the entry at address `entry`. */
  clear(entry: number): void {
    this.#view.setInt32(entry, -1, true);
    this.#view.setInt32(entry + 4, -1, true);
  }

  /** Empties all. */
  flush(): void {
    if (this.#count > LISTED_MAX) this.#fill(this.#at, 0xff, this.#bytes);
    else for (let n = 0; n < this.#count; n++) this.clear(this.#listed[n]!);
    this.#count = 0;
  }
}

/** Which compiled region starts at an address. */
export class JumpCache {
  readonly #view: DataView;
  readonly #fill: MemoryFill;
  readonly #state: number;
  readonly #entries: CacheEntries;

  constructor(view: DataView, fill: MemoryFill, state: number) {
    this.#view = view;
    this.#fill = fill;
    this.#state = state;
    this.#entries = new CacheEntries(view, fill, state, JUMP_CACHE);
  }

  /** Slot `slot` of the region table holds what starts at hi:lo in `context`. */
  enter(lo: number, hi: number, context: number, slot: number): void {
    const view = this.#view;
    const entry = this.#state + jumpCacheEntry(lo, hi, context);
    this.#entries.note(entry);
    view.setInt32(entry + JUMP_CACHE.address, lo, true);
    view.setInt32(entry + JUMP_CACHE.address + 4, hi, true);
    view.setInt32(entry + JUMP_CACHE.context, context, true);
    view.setInt32(entry + JUMP_CACHE.slot, slot, true);
  }

  /** Forgets every address of virtual page hi:lo, in all contexts. */
  forgetPage(lo: number, hi: number): void {
    this.#fill(this.#state + jumpCacheGroup(lo, hi), 0xff, JUMP_GROUP << JUMP_CACHE.entryBytesLog2);
  }

  /** Forgets all. */
  flush(): void {
    this.#entries.flush();
  }
}
