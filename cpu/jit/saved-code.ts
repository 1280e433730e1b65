/**
 * Compiled regions of an earlier run, as a vCPU uses them: a module with one function for each region, and an index that
 * says which code each was made from. A region is installed when the interpreter meets the first instruction of that
 * code, if every word of it is there.
 *
 * The index is one array of words, made once and searched where it lies: the binary logarithm of the table's size; the
 * table, of positions of records (0: none), with linear probing; the records, one for each entry point, those of a region
 * together. A record: number of the region, byte offset of the entry point, the word there, number of code words, code (see
 * RegionCode).
 */
import { savedStart } from '../interpreter/recall.js';
import { holdsCode, isRegionCode, type RegionCode } from './region-code.js';

/** Compiled regions from the translation cache. All of it can be posted to another thread. */
export interface SavedVolume {
  /** Exports region n as `r<n>`. */
  readonly module: WebAssembly.Module;
  /** See the head of this file. */
  readonly index: Uint32Array;
}

const RECORD_WORDS = 4;
const TABLE_LOG2_MAX = 20;

/** The first slot to look at for a region that begins with `word` at byte `offset` of its page. */
function slotOf(offset: number, word: number, tableLog2: number): number {
  return savedStart(offset, word) >>> (32 - tableLog2);
}

/** An entry point of region `number`. */
export interface SavedEntry {
  readonly number: number;
  readonly offset: number;
  readonly word: number;
  readonly code: RegionCode;
}

/** Puts an index together; regions are numbered from 0 in ascending order. */
export function savedIndex(entries: readonly SavedEntry[]): Uint32Array {
  const tableLog2 = Math.max(4, Math.ceil(Math.log2(entries.length * 2 + 1)));
  const size = entries.reduce((sum, { code }) => sum + RECORD_WORDS + code.length, 1 + (1 << tableLog2));
  const index = new Uint32Array(size);
  index[0] = tableLog2;
  let at = 1 + (1 << tableLog2);
  for (const { number, offset, word, code } of entries) {
    index.set([number, offset, word, code.length], at);
    index.set(code, at + RECORD_WORDS);
    let slot = slotOf(offset, word, tableLog2);
    while (index[1 + slot] !== 0) slot = (slot + 1) & ((1 << tableLog2) - 1);
    index[1 + slot] = at;
    at += RECORD_WORDS + code.length;
  }
  return index;
}

/** Whether `index` is well formed: it may come from a damaged file. */
export function isSavedIndex(index: Uint32Array): boolean {
  const tableLog2 = index[0] ?? 0;
  if (tableLog2 < 4 || tableLog2 > TABLE_LOG2_MAX || index.length < 1 + (1 << tableLog2)) return false;
  // Read by index, as it is on the way of every start: hundreds of thousands of words.
  const isRecord = new Uint8Array(index.length);
  for (let at = 1 + (1 << tableLog2), last = -1; at < index.length; ) {
    if (at + RECORD_WORDS > index.length) return false;
    isRecord[at] = 1;
    const number = index[at]!;
    const offset = index[at + 1]!;
    const from = at + RECORD_WORDS;
    at = from + index[at + 3]!;
    if ((number !== last && number !== last + 1) || at > index.length || offset % 4 !== 0) return false;
    if (!isRegionCode(index, offset, from, at)) return false;
    last = number;
  }
  let free = 0;
  for (let slot = 1; slot <= 1 << tableLog2; slot++) {
    const at = index[slot]!;
    if (at === 0) free++;
    else if (isRecord[at] !== 1) return false;
  }
  return free > 0; // or a search would not end
}

/**
 * The place in `index` of a region that may be entered at `word` at byte `offset` of the page at `host` and whose code is all
 * there; or -1.
 */
export function findSaved(index: Uint32Array, view: DataView, host: number, offset: number, word: number): number {
  const tableLog2 = index[0]!;
  const mask = (1 << tableLog2) - 1;
  for (let slot = slotOf(offset, word, tableLog2); ; slot = (slot + 1) & mask) {
    const at = index[1 + slot]!;
    if (at === 0) return -1;
    if (index[at + 1] !== offset || index[at + 2] !== word >>> 0) continue;
    const from = at + RECORD_WORDS;
    if (holdsCode(view, host, index, from, from + index[at + 3]!)) return at;
  }
}

/** Sets the bits of the hashes of all entry points in `index`: `bits` has 2^bitsLog2 of them. */
export function noteStarts(index: Uint32Array, bits: Uint8Array, bitsLog2: number): void {
  for (let slot = 1; slot <= 1 << index[0]!; slot++) {
    const at = index[slot]!;
    if (at === 0) continue;
    const bit = savedStart(index[at + 1]!, index[at + 2]!) >>> (32 - bitsLog2);
    bits[bit >>> 3]! |= 1 << (bit & 7);
  }
}

/** Number and code of the region at place `at` of `index`. */
export function savedRegion(index: Uint32Array, at: number): { readonly number: number; readonly code: RegionCode } {
  const from = at + RECORD_WORDS;
  return { number: index[at]!, code: index.subarray(from, from + index[at + 3]!) };
}
