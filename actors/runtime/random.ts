/** Seeded random numbers: the only source of chance an actor sees, so that a seed replays a run. */

/** A stream of pseudo-random numbers (sfc32: 128-bit state, passes PractRand; not for secrets). */
export interface Random {
  /** The next 32 bits, 0 .. 2^32-1. */
  u32(): number;
  /** A whole number in 0 .. `limit`-1 (`limit` 1 .. 2^32). */
  below(limit: number): number;
  /** True once in `n` times on average. */
  oneIn(n: number): boolean;
}

/** 32-bit FNV-1a of `text` (its UTF-16 units' low bytes), continued from `hash`. */
export function fnv1a(text: string, hash = 0x811c9dc5): number {
  let h = hash;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ (text.charCodeAt(i) & 0xff), 0x01000193);
  return h >>> 0;
}

/** A generator determined by `seed` (32 bits used) and `stream` (say, the actor's name). */
export function seededRandom(seed: number, stream = ''): Random {
  let a = seed >>> 0;
  let b = fnv1a(stream);
  let c = 0x9e3779b9;
  let counter = 1;
  const u32 = (): number => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    return sum >>> 0;
  };
  for (let i = 0; i < 12; i++) u32();
  const below = (limit: number): number => Math.floor((u32() / 0x1_0000_0000) * limit);
  return { u32, below, oneIn: (n) => below(n) === 0 };
}
