/** Entries of L1 and L2 tables (docs/interop/qcow2.txt, "Cluster mapping"): two big-endian words each. */

/** Bytes of an entry. */
export const ENTRY_BYTES = 8;
/** Bit 63, in the high word: the cluster's refcount is 1, so it may be written in place. */
export const COPIED = 0x8000_0000;
/** Bit 62, in the high word: the cluster is compressed. */
const COMPRESSED = 0x4000_0000;
/** Bit 0, in the low word: reads as zeros (version 3). */
export const ZERO = 1;
const OFFSET_HIGH = 0x00ff_ffff;
const OFFSET_LOW = 0xffff_fe00;

/** What an L2 entry says of a cluster. */
export type ClusterKind = 'unallocated' | 'zero' | 'data' | 'compressed';

/** Kind of the entry `high`:`low`; the zero flag exists in version 3 only. */
export function kindOf(high: number, low: number, version: 2 | 3): ClusterKind {
  if ((high & COMPRESSED) !== 0) return 'compressed';
  if (version === 3 && (low & ZERO) !== 0) return 'zero';
  return offsetOf(high, low) === 0 ? 'unallocated' : 'data';
}

/** Offset in the file that an L1 entry, or an L2 entry of an uncompressed cluster, names; 0: none. */
export function offsetOf(high: number, low: number): number {
  return (high & OFFSET_HIGH) * 2 ** 32 + ((low & OFFSET_LOW) >>> 0);
}

/** Where a compressed cluster lies: `[offset, offset + bytes)`, whole sectors at its end. */
export function compressedRange(
  high: number,
  low: number,
  clusterBits: number,
): { readonly offset: number; readonly bytes: number } {
  const shift = BigInt(62 - (clusterBits - 8));
  const entry = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
  const offset = Number(entry & ((1n << shift) - 1n));
  const sectors = Number((entry & ((1n << 62n) - 1n)) >> shift);
  return { offset, bytes: (sectors + 1) * 512 - (offset % 512) };
}
