/** Decodes the immediates of logical instructions (Arm ARM shared/functions: DecodeBitMasks). */

/**
 * The immediate described by `n`, `imms` and `immr` for an operation of `bits` (32 or 64) bits, as an unsigned number, or
 * undefined if the encoding is reserved.
 */
export function logicalImmediate(n: number, imms: number, immr: number, bits: 32 | 64): bigint | undefined {
  const key = (bits === 64 ? 1 << 13 : 0) | (n << 12) | (imms << 6) | immr;
  const seen = known[key];
  if (seen !== undefined) return seen === RESERVED ? undefined : seen;
  const immediate = workOut(n, imms, immr, bits);
  known[key] = immediate ?? RESERVED;
  return immediate;
}

/** By fields and width, what was worked out before. */
const known: (bigint | undefined)[] = new Array<bigint | undefined>(1 << 14).fill(undefined);
/** Stands for a reserved encoding: no immediate is zero. */
const RESERVED = 0n;

function workOut(n: number, imms: number, immr: number, bits: 32 | 64): bigint | undefined {
  if (bits === 32 && n !== 0) return undefined;
  const sizeLog2 = 31 - Math.clz32((n << 6) | (~imms & 0x3f));
  if (sizeLog2 < 1) return undefined;
  const size = 1 << sizeLog2;
  const ones = imms & (size - 1);
  if (ones === size - 1) return undefined;
  const rotate = BigInt(immr & (size - 1));
  const wide = BigInt(size);
  const run = (1n << BigInt(ones + 1)) - 1n;
  let element = BigInt.asUintN(size, (run >> rotate) | (run << (wide - rotate)));
  for (let filled = wide; filled < BigInt(bits); filled *= 2n) element |= element << filled;
  return element;
}
