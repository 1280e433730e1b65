/**
 * The guest code a compiled region was made from: what must still be there, word for word, when it is used. A region
 * that was translated elsewhere, or in an earlier run, is installed only where this holds.
 *
 * Layout: runs of words, each a header (byte offset in the page, shifted left by 16, or'ed with the number of words)
 * followed by the words, in ascending order of offsets.
 */
export type RegionCode = Uint32Array;

const PAGE_WORDS = 1024;

/** Collects the words of a region. */
export function regionCode(words: Iterable<readonly [offset: number, word: number]>): RegionCode {
  const sorted = [...words].sort(([a], [b]) => a - b);
  const code: number[] = [];
  let header = -1;
  let next = -1;
  for (const [offset, word] of sorted) {
    if (offset !== next) {
      header = code.length;
      code.push(offset << 16);
    }
    code[header]!++;
    code.push(word >>> 0);
    next = offset + 4;
  }
  return Uint32Array.from(code);
}

/** Whether the guest page at host address `host` holds `code`, or what lies of it from `start` to `end`. */
export function holdsCode(view: DataView, host: number, code: RegionCode, start = 0, end = code.length): boolean {
  for (let at = start; at < end; ) {
    const header = code[at++]!;
    const count = header & 0xffff;
    const from = host + (header >>> 16);
    for (let n = 0; n < count; n++) if (view.getUint32(from + n * 4, true) !== code[at + n]) return false;
    at += count;
  }
  return true;
}

/** Sets the bits of all words of `code`, by their number in the page, in `bits`. */
export function noteWords(code: RegionCode, bits: Uint32Array): void {
  for (let at = 0; at < code.length; ) {
    const header = code[at]!;
    const count = header & 0xffff;
    const first = header >>> 18;
    for (let word = first; word < first + count; word++) bits[word >> 5]! |= 1 << (word & 31);
    at += count + 1;
  }
}

/** Whether `code`, or what lies of it from `start` to `end`, is well formed and covers byte `entry` of its page: for code that comes from a file. */
export function isRegionCode(code: RegionCode, entry: number, start = 0, end = code.length): boolean {
  let covered = false;
  let last = 0;
  for (let at = start; at < end; ) {
    const header = code[at++]!;
    const [offset, count] = [header >>> 16, header & 0xffff];
    if (count === 0 || offset % 4 !== 0 || offset < last) return false;
    last = offset + count * 4;
    at += count;
    if (at > end || last > PAGE_WORDS * 4) return false;
    covered ||= entry >= offset && entry < last;
  }
  return covered;
}
