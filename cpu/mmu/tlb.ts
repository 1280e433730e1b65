/**
 * The software TLB that generated code reads: 24 banks of 4,096 entries, three for each of 8 address-space slots (EL1,
 * EL0, EL1 with PAN clear; see AS). A slot stands for one ASID, so a change of ASID selects other banks and flushes
 * nothing; the least recently chosen slot is reused. Global translations are simply filled into each slot.
 *
 * Invariants: a write tag exists only for a frame that holds no pre-decoded code, and an entry exists only for a
 * translation no TLBI has named since. Entries made from blocks remember nothing; `#blocks` knows which blocks there may
 * be entries of, so that a TLBI for any address of a block removes them all.
 */

import type { CpuState } from '../cpu-state.js';
import { NumberSet } from '../number-set.js';
import { REFILLS, STATE, TLB, TLB_BANK_BYTES, TLB_BANKS, TLB_BANKS_AT } from '../state.js';
import type { MemoryFill } from '../wasm/memory-fill.js';
import { AS, type As } from './translator.js';

/** Number of address-space slots. */
export const SLOTS = TLB_BANKS / 3;
const ENTRIES = 1 << TLB.entriesLog2;
const ENTRY_WORDS = 1 << (TLB.entryBytesLog2 - 2);
const READ = TLB.readTag >>> 2;
const WRITE = TLB.writeTag >>> 2;
const ADDEND = TLB.addend >>> 2;
const BLOCKS_MAX = 8192;
/** Entries of a bank that are emptied one by one; when more were filled, the whole bank is. */
const LISTED_MAX = 64;
const NO_ASID = -1;
/** Frames share places in `#writers` with those so many frames away (256 MiB). */
const PLACES = 1 << 16;
/** Pages of a block, by the binary logarithm of their number: a power is a call, and this is asked for by each TLBI. */
const BLOCK_PAGES = Float64Array.from({ length: 64 }, (_, log2) => 2 ** log2);
/** In `#writers`: more than one entry may hold a write tag for frames of the place. */
const MANY = -1;

/** See the head of this file. */
export class SoftwareTlb {
  readonly #words: Int32Array;
  /** Index of the first bank's first word. */
  readonly #first: number;
  readonly #at: number;
  readonly #state: CpuState;
  readonly #fillMemory: MemoryFill;
  readonly #used = new Uint8Array(TLB_BANKS);
  /** By slot: whether its banks were ever emptied. Before that they hold nothing that may be read. */
  readonly #prepared = new Uint8Array(SLOTS);
  /** By bank: how often an entry was filled since it was emptied, and the first of those (numbers in the bank). */
  readonly #fills = new Int32Array(TLB_BANKS);
  readonly #listed = new Int32Array(TLB_BANKS * LISTED_MAX);
  readonly #asids = new Int32Array(SLOTS).fill(NO_ASID);
  readonly #chosen = new Float64Array(SLOTS);
  #clock = 0;
  /** Current slot. */
  slot = 0;
  /** Blocks larger than 4 KiB with entries: key of {@link blockKey}. */
  readonly #blocks = new NumberSet();
  /** Words at which generated code finds blocks, and how many were noted since none was there: more than are listed, or as many. */
  readonly #known = new Int32Array(LISTED_MAX);
  #knownCount = 0;
  /** Bit n: a block of 2^n bytes is in `#blocks`. */
  #blockSizes = 0;
  /** Index of the first word of REFILLS. */
  readonly #refills: number;
  /** Entries filled, by the core and by generated code. */
  fills = 0;
  /** By place of a frame: 0 no write tag, n + 1 only entry n (counted over all banks), MANY unknown. */
  readonly #writers = new Int32Array(PLACES);
  readonly #onForget: (slot?: number) => void;

  /** @param onForget called when a slot gets another ASID, or (without one) blocks are forgotten: code addresses of the slot, or all, must go */
  constructor(state: CpuState, fillMemory: MemoryFill, onForget: (slot?: number) => void) {
    this.#state = state;
    this.#words = state.words;
    this.#at = state.at + TLB_BANKS_AT;
    this.#first = this.#at >>> 2;
    this.#refills = (state.at + REFILLS.at) >>> 2;
    this.#fillMemory = fillMemory;
    this.#onForget = onForget;
    this.#prepare(0);
    this.selectBanks(0, 0);
  }

  /** Makes the slot of `asid` current, taking one over if it has none. Returns the slot. */
  select(asid: number): number {
    let slot = this.#asids.indexOf(asid);
    if (slot < 0) {
      slot = 0;
      for (let s = 1; s < SLOTS; s++) if (this.#chosen[s]! < this.#chosen[slot]!) slot = s;
      if (this.#asids[slot] !== NO_ASID) this.#releaseSlot(slot);
      this.#asids[slot] = asid;
      this.#prepare(slot);
    }
    this.#chosen[slot] = ++this.#clock;
    this.slot = slot;
    return slot;
  }

  /** Empties the banks of a slot that is used for the first time: eight of them are a lot of memory to touch for one guest. */
  #prepare(slot: number): void {
    if (this.#prepared[slot] !== 0) return;
    this.#prepared[slot] = 1;
    this.#fillMemory(this.#at + slot * 3 * TLB_BANK_BYTES, 0xff, 3 * TLB_BANK_BYTES);
  }

  /** Points STATE.tlb and STATE.tlbUser at the current slot's banks for these PSTATE bits (pan, uao: 0 or 1). */
  selectBanks(pan: number, uao: number): void {
    const space = this.#at + this.slot * 3 * TLB_BANK_BYTES;
    const own = space + (pan !== 0 ? AS.el1 : AS.el1NoPan) * TLB_BANK_BYTES;
    this.#state.set32(STATE.tlbSpace, space);
    this.#state.set32(STATE.tlb, own);
    this.#state.set32(STATE.tlbUser, uao !== 0 ? own : space + AS.el0 * TLB_BANK_BYTES);
  }

  /** The same for EL0. */
  selectUserBanks(): void {
    const space = this.#at + this.slot * 3 * TLB_BANK_BYTES;
    const own = space + AS.el0 * TLB_BANK_BYTES;
    this.#state.set32(STATE.tlbSpace, space);
    this.#state.set32(STATE.tlb, own);
    this.#state.set32(STATE.tlbUser, own);
  }

  /**
   * Enters the page of hi:lo, whose frame is at host address `frame`, into the current slot's bank for `as`.
   * @param write whether writes may go directly
   * @param blockLog2 log2 of the size of what maps it
   */
  fill(as: As, lo: number, hi: number, frame: number, write: boolean, blockLog2: number): void {
    this.#takeRefills();
    const number = (this.slot * 3 + as) * ENTRIES + ((lo >>> 12) & (ENTRIES - 1));
    const entry = this.#first + number * ENTRY_WORDS;
    const words = this.#words;
    const page = lo & ~0xfff;
    words[entry + READ] = page;
    words[entry + READ + 1] = hi;
    words[entry + WRITE] = write ? page : -1;
    words[entry + WRITE + 1] = write ? hi : -1;
    words[entry + ADDEND] = (frame - page) | 0;
    this.#noteFill(number, frame | 0, write);
    if (blockLog2 > 12) this.noteBlock(lo, hi, blockLog2);
  }

  /** Entry `number` was filled with `frame`, for writing too if `write`. An address as a signed number is no object. */
  #noteFill(number: number, frame: number, write: boolean): void {
    this.fills++;
    const bank = Math.floor(number / ENTRIES);
    this.#used[bank] = 1;
    const nth = this.#fills[bank]!;
    if (nth < LISTED_MAX) this.#listed[bank * LISTED_MAX + nth] = number % ENTRIES;
    this.#fills[bank] = nth + 1;
    if (!write) return;
    const place = placeOf(frame);
    const known = this.#writers[place]!;
    if (known === 0) this.#writers[place] = number + 1;
    else if (known !== number + 1 && known !== MANY) {
      this.#writers[place] = this.#writesAt(known - 1, place) ? MANY : number + 1;
    }
  }

  /**
   * Takes over what generated code has filled, before anything here relies on knowing all entries. Some of those may have been filled with
   * something else since: what is noted of them is then too much, never too little, as every fill is noted and in its order.
   */
  #takeRefills(): void {
    const words = this.#words;
    const count = words[this.#refills]!;
    if (count === 0) return;
    words[this.#refills] = 0;
    const list = this.#refills + (REFILLS.list >>> 2);
    for (let at = list; at < list + count * 2; at += 2) {
      const number = words[at]!;
      this.#noteFill(number >>> 1, words[at + 1]! << 12, (number & 1) !== 0);
    }
  }

  /** Takes back every right to write the frame at host address `frame` directly. */
  retractWrites(frame: number): void {
    this.#takeRefills();
    const place = placeOf(frame);
    const known = this.#writers[place]!;
    if (known === 0) return;
    if (known !== MANY) {
      const number = known - 1;
      if (this.#writesAt(number, place) && !this.#retractWrite(number, frame)) return;
      this.#writers[place] = 0;
      return;
    }
    let left = 0;
    for (let bank = 0; bank < TLB_BANKS; bank++) {
      if (this.#used[bank] === 0) continue;
      for (let number = bank * ENTRIES; number < (bank + 1) * ENTRIES; number++) {
        if (!this.#writesAt(number, place) || this.#retractWrite(number, frame)) continue;
        left = left === 0 ? number + 1 : MANY;
      }
    }
    this.#writers[place] = left;
  }

  /** Host address of the frame that an entry gives the right to write; odd if it gives none. */
  #writtenFrame(number: number): number {
    const entry = this.#first + number * ENTRY_WORDS;
    const page = this.#words[entry + WRITE]!;
    return (page & 0xfff) === 0 ? (page + this.#words[entry + ADDEND]!) | 0 : 1;
  }

  /** Whether an entry gives the right to write a frame of `place`. */
  #writesAt(number: number, place: number): boolean {
    const frame = this.#writtenFrame(number);
    return (frame & 1) === 0 && placeOf(frame) === place;
  }

  /** Takes that right back if it is for `frame`; whether it was. */
  #retractWrite(number: number, frame: number): boolean {
    if (this.#writtenFrame(number) !== (frame | 0)) return false;
    this.#clearWrite(number);
    return true;
  }

  #clearWrite(number: number): void {
    const entry = this.#first + number * ENTRY_WORDS;
    this.#words[entry + WRITE] = -1;
    this.#words[entry + WRITE + 1] = -1;
  }

  /** Empties everything. Slots keep their ASIDs. */
  flushAll(): void {
    this.#takeRefills();
    for (let bank = 0; bank < TLB_BANKS; bank++) this.#flushBank(bank);
    if (this.#blocks.size > 0) {
      this.#blocks.clear();
      this.#forgetKnownBlocks();
    }
    this.#blockSizes = 0;
  }

  /** Removes the entries of one ASID. Returns its slot, or -1 if it has none. */
  flushAsid(asid: number): number {
    this.#takeRefills();
    const slot = this.#asids.indexOf(asid);
    if (slot >= 0) for (let as = 0; as < 3; as++) this.#flushBank(slot * 3 + as);
    return slot;
  }

  /**
   * Removes every entry for the page of hi:lo in all slots, with the whole block it belongs to. The top byte is ignored
   * (an address may be in the TLB with several tags). More than one ASID's entries may go: that is always allowed.
   * Returns whether a block was hit, so that other pages than this one may be concerned.
   */
  flushPage(lo: number, hi: number): boolean {
    this.#takeRefills();
    if (this.#blockSizes !== 0 && this.#flushBlocks(lo, hi)) return true;
    const page = lo & ~0xfff;
    const index = (lo >>> 12) & (ENTRIES - 1);
    for (let bank = 0; bank < TLB_BANKS; bank++) {
      if (this.#used[bank] === 0) continue;
      const entry = this.#first + (bank * ENTRIES + index) * ENTRY_WORDS;
      if (this.#words[entry + READ] === page && ((this.#words[entry + READ + 1]! ^ hi) & 0xffffff) === 0) {
        this.#clearEntry(entry);
      }
    }
    return false;
  }

  #clearEntry(entry: number): void {
    const words = this.#words;
    words[entry + READ] = -1;
    words[entry + READ + 1] = -1;
    words[entry + WRITE] = -1;
    words[entry + WRITE + 1] = -1;
  }

  /** Remembers that something was cached of the block of 2^log2 bytes around hi:lo. */
  noteBlock(lo: number, hi: number, log2: number): void {
    const key = blockKey(lo, hi, log2);
    // Generated code fills entries of blocks it finds here; the latest of those that share a place.
    this.#setKnownBlock(key, key);
    if (this.#blocks.has(key)) return;
    if (this.#blocks.size >= BLOCKS_MAX) {
      // Forgetting is only sound together with the entries; the entry just made is kept by noting its block again.
      this.flushAll();
      this.#onForget();
      this.#setKnownBlock(key, key);
    }
    this.#blocks.add(key);
    this.#blockSizes |= 1 << (log2 - 12);
  }

  #forgetKnownBlocks(): void {
    const { at, blocks, blocksLog2 } = REFILLS;
    if (this.#knownCount > LISTED_MAX) this.#fillMemory(this.#state.at + at + blocks, 0, 8 << blocksLog2);
    else
      for (let nth = 0; nth < this.#knownCount; nth++) {
        const word = this.#known[nth]!;
        this.#words[word] = this.#words[word + 1] = 0;
      }
    this.#knownCount = 0;
  }

  /** Puts `value` at the place of the block of `key`: the same, or 0 when there are no entries of it any more. */
  #setKnownBlock(key: number, value: number): void {
    const place = Math.floor(key / 32) & ((1 << REFILLS.blocksLog2) - 1);
    const word = this.#refills + (REFILLS.blocks >>> 2) + place * 2;
    const words = this.#words;
    if (value === 0 && (words[word] !== (key | 0) || words[word + 1] !== Math.floor(key / 2 ** 32))) return;
    const [low, high] = [value | 0, Math.floor(value / 2 ** 32)];
    if (value !== 0) {
      if (words[word] === low && words[word + 1] === high) return;
      if (this.#knownCount < LISTED_MAX) this.#known[this.#knownCount] = word;
      this.#knownCount = Math.min(this.#knownCount + 1, LISTED_MAX + 1);
    }
    words[word] = low;
    words[word + 1] = high;
  }

  #flushBlocks(lo: number, hi: number): boolean {
    let hit = false;
    for (let size = 1; size < 19; size++) {
      if (((this.#blockSizes >>> size) & 1) === 0) continue;
      const log2 = size + 12;
      const key = blockKey(lo, hi, log2);
      if (!this.#blocks.delete(key)) continue;
      this.#setKnownBlock(key, 0);
      hit = true;
      this.#flushRange(lo, hi, log2);
    }
    return hit;
  }

  /** Removes all entries whose page lies in the naturally aligned 2^log2 bytes around hi:lo. */
  #flushRange(lo: number, hi: number, log2: number): void {
    if (log2 >= 12 + TLB.entriesLog2) {
      for (let bank = 0; bank < TLB_BANKS; bank++) this.#flushBank(bank);
      return;
    }
    const mask = -1 << log2;
    const start = ((lo & mask) >>> 12) & (ENTRIES - 1);
    const count = 1 << (log2 - 12);
    for (let bank = 0; bank < TLB_BANKS; bank++) {
      if (this.#used[bank] === 0) continue;
      for (let i = 0; i < count; i++) {
        const entry = this.#first + (bank * ENTRIES + ((start + i) & (ENTRIES - 1))) * ENTRY_WORDS;
        const tag = this.#words[entry + READ]!;
        if (((tag ^ lo) & mask) === 0 && ((this.#words[entry + READ + 1]! ^ hi) & 0xffffff) === 0) {
          this.#clearEntry(entry);
        }
      }
    }
  }

  #flushBank(bank: number): void {
    if (this.#used[bank] === 0) return;
    this.#used[bank] = 0;
    const fills = this.#fills[bank]!;
    this.#fills[bank] = 0;
    if (fills > LISTED_MAX) {
      this.#fillMemory(this.#at + bank * TLB_BANK_BYTES, 0xff, TLB_BANK_BYTES);
      return;
    }
    for (let nth = 0; nth < fills; nth++) {
      const inBank = this.#listed[bank * LISTED_MAX + nth]!;
      this.#clearEntry(this.#first + (bank * ENTRIES + inBank) * ENTRY_WORDS);
    }
  }

  #releaseSlot(slot: number): void {
    this.#takeRefills();
    for (let as = 0; as < 3; as++) this.#flushBank(slot * 3 + as);
    this.#onForget(slot);
  }
}

/** Where `#writers` has the frame at host address `frame`; as a signed number too. */
function placeOf(frame: number): number {
  return (frame >>> 12) & (PLACES - 1);
}

/** Number of the block of 2^log2 bytes around hi:lo, joined with its size; the top byte is ignored. Generated code computes the same. */
function blockKey(lo: number, hi: number, log2: number): number {
  const page = (hi & 0xffffff) * 2 ** 20 + (lo >>> 12);
  return Math.floor(page / BLOCK_PAGES[log2 - 12]!) * 32 + (log2 - 12);
}
