/** The Internet checksum (RFC 1071) over bytes in shared memory. */

/** Adds the 16-bit words of `bytes[from, to)` to `sum`; an odd last byte counts as a word's high half. */
export function addWords(bytes: Uint8Array, from: number, to: number, sum = 0): number {
  let total = sum;
  let at = from;
  for (const end = to - 1; at < end; at += 2) {
    total += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  }
  if (at < to) total += (bytes[at] ?? 0) << 8;
  return total;
}

/** Folds a sum of words to 16 bits and complements it. Sums up to 2^53 are exact. */
export function finish(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded % 0x10000) + Math.floor(folded / 0x10000);
  return ~folded & 0xffff;
}

/** The sum of the pseudo header of TCP and UDP over IPv4. */
export function pseudoHeader(from: number, to: number, protocol: number, transportBytes: number): number {
  return (from >>> 16) + (from & 0xffff) + (to >>> 16) + (to & 0xffff) + protocol + transportBytes;
}

/** What a sender leaves in the checksum field for its receiver to complete (virtio 1.2, 5.1.6.2): the folded pseudo header. */
export function partialChecksum(from: number, to: number, protocol: number, transportBytes: number): number {
  return ~finish(pseudoHeader(from, to, protocol, transportBytes)) & 0xffff;
}
