/** Hostile input: seeded damage of the kinds files really suffer, for tests that feed thousands of bad files to a parser. */

/** A small seeded generator (mulberry32): the same seed gives the same mutations on every machine. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Values that lengths, offsets and counts break at. */
const EDGES = [0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fff8, 0xffff_ffff];

/**
 * A damaged copy of `original`: truncated, extended, bit-flipped, overwritten with edge values, or with a piece copied
 * elsewhere. Half of all damage falls into the first `headBytes`, where headers are.
 */
export function mutate(original: Uint8Array, random: () => number, headBytes = 256): Uint8Array {
  const below = (limit: number): number => Math.floor(random() * limit);
  // Buffer's slice() is a view: copying through the constructor keeps the original whole.
  if (random() < 0.15) return new Uint8Array(original.subarray(0, below(original.byteLength)));
  const out =
    random() < 0.05
      ? Uint8Array.from([...original, ...Array.from({ length: below(4096) }, () => below(256))])
      : new Uint8Array(original);
  const view = new DataView(out.buffer);
  const place = (): number => below(random() < 0.5 ? Math.min(headBytes, out.byteLength) : out.byteLength);
  for (let left = 1 + below(4); left > 0; left--) {
    const at = place();
    const kind = below(4);
    if (kind === 0) out[at] = (out[at] ?? 0) ^ (1 << below(8));
    else if (kind === 1) out[at] = below(256);
    else if (kind === 2 && at + 4 <= out.byteLength)
      view.setUint32(at, EDGES[below(EDGES.length)] ?? 0, random() < 0.5);
    else out.copyWithin(at, place(), Math.min(out.byteLength, at + 1 + below(64)));
  }
  return out;
}
