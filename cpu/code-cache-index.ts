/**
 * Where a virtual page and an address lie in the page cache and the jump cache (state.ts): hashed, because code that
 * alternates (user and kernel, caller and callee) is often a power of two apart. Generated code computes the same with
 * the functions of interpreter/build.ts; keep the two together.
 */
import { JUMP_CACHE, PAGE_CACHE } from './state.js';

/** Multiplier of the hash (2^32 divided by the golden ratio). */
export const HASH_MULTIPLIER = 0x9e3779b1 | 0;
/** Bits by which the context is shifted into the index, so that one address in several contexts has several entries. */
export const PAGE_CONTEXT_SHIFT = 6;
export const JUMP_CONTEXT_SHIFT = 5;
/** Entries of the jump cache that one virtual page's addresses share: a page's group. */
export const JUMP_GROUP = 1024;

/** Hash of virtual page hi:lo, 32 bits. Tag bits of the address (63..56) do not take part. */
function pageHash(lo: number, hi: number): number {
  return Math.imul((lo >>> 12) | (hi << 20), HASH_MULTIPLIER) >>> 0;
}

/** Byte offset from the state block of the page cache entry for virtual page hi:lo in `context`. */
export function pageCacheEntry(lo: number, hi: number, context: number): number {
  const mask = (1 << PAGE_CACHE.entriesLog2) - 1;
  const index = ((pageHash(lo, hi) >>> (32 - PAGE_CACHE.entriesLog2)) ^ (context << PAGE_CONTEXT_SHIFT)) & mask;
  return PAGE_CACHE.at + (index << PAGE_CACHE.entryBytesLog2);
}

/** Byte offset from the state block of the jump cache entry for address hi:lo in `context`. */
export function jumpCacheEntry(lo: number, hi: number, context: number): number {
  const within = ((lo >>> 2) ^ (context << JUMP_CONTEXT_SHIFT)) & (JUMP_GROUP - 1);
  const index = (pageHash(lo, hi) >>> (32 - JUMP_CACHE.entriesLog2)) ^ within;
  return JUMP_CACHE.at + (index << JUMP_CACHE.entryBytesLog2);
}

/** Where an entry may lie besides `entry`, a byte offset from the state block: two entries form a pair, so that each address has two places. */
export function jumpCacheNeighbour(entry: number): number {
  return entry ^ (1 << JUMP_CACHE.entryBytesLog2);
}

/** Byte offset from the state block of the group of jump cache entries that virtual page hi:lo may use. */
export function jumpCacheGroup(lo: number, hi: number): number {
  const index = (pageHash(lo, hi) >>> (32 - JUMP_CACHE.entriesLog2)) & ~(JUMP_GROUP - 1);
  return JUMP_CACHE.at + (index << JUMP_CACHE.entryBytesLog2);
}
