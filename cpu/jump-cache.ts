/**
 * The two caches of code addresses that generated code reads (PAGE_CACHE and JUMP_CACHE of state.ts), as their owner writes them.
 * They are emptied often, and seldom full: what was entered is listed, so that emptying costs about what was entered.
 */
import { JUMP_GROUP, jumpCacheEntry, jumpCacheGroup, jumpCacheNeighbour } from './code-cache-index.js';
import { JUMP_CACHE } from './state.js';
import type { MemoryFill } from './wasm/memory-fill.js';

/** Entries that are emptied one by one; when more were written, the whole cache is. */
const LISTED_MAX = 512;

const ENTRY_BYTES = 1 << JUMP_CACHE.entryBytesLog2;

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
  readonly #entryBytes: number;
  readonly #listed = new Uint32Array(LISTED_MAX);
  #count = LISTED_MAX + 1;

  /** @param state address of the vCPU's state block; the cache holds anything until it is emptied */
  constructor(view: DataView, fill: MemoryFill, state: number, { at, entriesLog2, entryBytesLog2 }: CacheShape) {
    this.#view = view;
    this.#fill = fill;
    this.#at = state + at;
    this.#bytes = 1 << (entriesLog2 + entryBytesLog2);
    this.#entryBytes = 1 << entryBytesLog2;
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

  /** Empties the entries whose word at byte `offset` is `word`. */
  clearWhere(offset: number, word: number): void {
    for (let entry = this.#at; entry < this.#at + this.#bytes; entry += this.#entryBytes) {
      if (this.#view.getInt32(entry + offset, true) === word) this.clear(entry);
    }
  }

  /** Empties all. */
  flush(): void {
    if (this.#count > LISTED_MAX) this.#fill(this.#at, 0xff, this.#bytes);
    else for (let n = 0; n < this.#count; n++) this.clear(this.#listed[n]!);
    this.#count = 0;
  }
}

/** Stands for several entries that lead to one region. */
const SEVERAL = -1;
const SLOTS_AT_FIRST = 4096;

/** Which compiled region starts at an address. */
export class JumpCache {
  readonly #view: DataView;
  readonly #fill: MemoryFill;
  readonly #state: number;
  readonly #entries: CacheEntries;
  readonly #isLive: (context: number) => boolean;
  /** By slot of the region table: address of the entry that leads there, 0 for none, or {@link SEVERAL}. */
  #entryOf = new Int32Array(SLOTS_AT_FIRST);

  /** @param isLive whether an entry with this context may still be found */
  constructor(view: DataView, fill: MemoryFill, state: number, isLive: (context: number) => boolean) {
    this.#isLive = isLive;
    this.#view = view;
    this.#fill = fill;
    this.#state = state;
    this.#entries = new CacheEntries(view, fill, state, JUMP_CACHE);
  }

  /**
   * Slot `slot` of the region table holds what starts at hi:lo in `context`. Its place is one of a pair; where both are taken, what was
   * entered into the first goes to the second.
   */
  enter(lo: number, hi: number, context: number, slot: number): void {
    const view = this.#view;
    const offset = jumpCacheEntry(lo, hi, context);
    const first = this.#state + offset;
    const second = this.#state + jumpCacheNeighbour(offset);
    const isFirstFree = this.#isSame(first, lo, hi, context) || this.#holds(first, -1, -1);
    const isSecondSame = this.#isSame(second, lo, hi, context);
    const isSecondFree = isSecondSame || this.#holds(second, -1, -1);
    const entry = isSecondSame || (!isFirstFree && isSecondFree) ? second : first;
    if (entry === first && !isFirstFree) this.#move(first, second);
    this.#entries.note(entry);
    this.#noteSlot(slot, entry | 0);
    view.setInt32(entry + JUMP_CACHE.address, lo, true);
    view.setInt32(entry + JUMP_CACHE.address + 4, hi, true);
    view.setInt32(entry + JUMP_CACHE.context, context, true);
    view.setInt32(entry + JUMP_CACHE.slot, slot, true);
  }

  /** Whether the address in entry `entry` is hi:lo. No closures here: a guest that flushes its TLB all the time makes all entries anew. */
  #holds(entry: number, lo: number, hi: number): boolean {
    const view = this.#view;
    return (
      view.getInt32(entry + JUMP_CACHE.address, true) === lo &&
      view.getInt32(entry + JUMP_CACHE.address + 4, true) === hi
    );
  }

  #isSame(entry: number, lo: number, hi: number, context: number): boolean {
    return this.#holds(entry, lo, hi) && this.#view.getInt32(entry + JUMP_CACHE.context, true) === context;
  }

  /** Puts what entry `from` holds into entry `to`. */
  #move(from: number, to: number): void {
    const view = this.#view;
    this.#entries.note(to);
    for (let at = 0; at < ENTRY_BYTES; at += 4) view.setInt32(to + at, view.getInt32(from + at, true), true);
    const slot = view.getInt32(from + JUMP_CACHE.slot, true);
    this.#entryOf[slot] = this.#entryOf[slot] === (from | 0) ? to | 0 : SEVERAL;
  }

  #noteSlot(slot: number, entry: number): void {
    if (slot >= this.#entryOf.length) {
      const larger = new Int32Array(Math.max(slot + 1, this.#entryOf.length * 2));
      larger.set(this.#entryOf);
      this.#entryOf = larger;
    }
    const before = this.#entryOf[slot]!;
    const isElsewhere = before !== 0 && before !== entry && (before === SEVERAL || this.#isFoundFor(before, slot));
    this.#entryOf[slot] = isElsewhere ? SEVERAL : entry;
  }

  #isFoundFor(entry: number, slot: number): boolean {
    return this.#leadsTo(entry, slot) && this.#isLive(this.#view.getInt32((entry >>> 0) + JUMP_CACHE.context, true));
  }

  #leadsTo(entry: number, slot: number): boolean {
    return this.#view.getInt32((entry >>> 0) + JUMP_CACHE.slot, true) === slot;
  }

  /** Forgets what leads to `slots` of the region table: the regions there are gone. Others of the cache stay, if they can be told apart. */
  forgetSlots(slots: readonly number[]): void {
    for (const slot of slots) {
      const entry = slot < this.#entryOf.length ? this.#entryOf[slot]! : 0;
      if (entry === 0) continue;
      if (entry === SEVERAL) {
        this.flush();
        return;
      }
      if (this.#leadsTo(entry, slot)) this.#entries.clear(entry >>> 0);
      this.#entryOf[slot] = 0;
    }
  }

  /** Forgets every address of virtual page hi:lo, in all contexts. */
  forgetPage(lo: number, hi: number): void {
    this.#fill(this.#state + jumpCacheGroup(lo, hi), 0xff, JUMP_GROUP << JUMP_CACHE.entryBytesLog2);
  }

  /** Forgets all. */
  flush(): void {
    this.#entries.flush();
    this.#entryOf.fill(0);
  }
}
