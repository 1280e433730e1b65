/**
 * Seeded floating-point operands that look for trouble: zeros, subnormals, both ends of the normal range, infinities,
 * quiet and signalling NaNs, halfway patterns, neighbours of integer limits, and pairs that nearly cancel.
 */
import type { FloatFormat } from '../../cpu/fp/format.js';

/** A seeded generator (xorshift, 128 bits of state) of 32- and 64-bit patterns; not for anything but tests. */
export class TestRandom {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  constructor(seed: number) {
    this.#a = seed | 0;
    this.#b = 0x9e3779b9 | 0;
    this.#c = 0x243f6a88 | 0;
    this.#d = 0xb7e15162 | 0;
    for (let i = 0; i < 20; i++) this.u32();
  }

  /** 0 to 2^32 - 1. */
  u32(): number {
    let t = this.#d;
    t ^= t << 11;
    t ^= t >>> 8;
    this.#d = this.#c;
    this.#c = this.#b;
    this.#b = this.#a;
    this.#a = t ^ this.#a ^ (this.#a >>> 19);
    return this.#a >>> 0;
  }

  /** 0 to `limit - 1`; `limit` at most 2^16 to be near enough uniform. */
  below(limit: number): number {
    return this.u32() % limit;
  }

  u64(): bigint {
    return (BigInt(this.u32()) << 32n) | BigInt(this.u32());
  }
}

/** The fixed list of a format's landmarks, without signs. */
function landmarks(format: FloatFormat): bigint[] {
  const one = BigInt(1 - format.exponentMin) << format.fractionBitsBig;
  const list: bigint[] = [0n, 1n, 2n, 3n, format.fractionMask, format.fractionMask - 1n, format.quietBit];
  list.push(format.quietBit - 1n, format.quietBit >> 1n, (format.quietBit >> 1n) - 1n); // FRECPE's overflow boundary
  list.push(
    format.infinity,
    format.infinity - 1n,
    format.infinity - 2n,
    format.infinity - (1n << format.fractionBitsBig),
  );
  list.push(format.defaultNaN, format.defaultNaN | 1n, format.infinity | 1n, format.defaultNaN - 1n);
  list.push(format.infinity | format.fractionMask, format.infinity | (format.quietBit >> 1n));
  const oneBinade = 1n << format.fractionBitsBig;
  const edges = [
    -130, -127, -126, -25, -24, -16, -15, -14, -2, -1, 0, 1, 2, 3, 7, 8, 10, 11, 13, 14, 15, 16, 23, 24, 30, 31, 32,
  ];
  edges.push(52, 53, 62, 63, 64, 125, 126, 127, 128, 1021, 1022, 1023, -1021, -1022, -1023, -1074, -149, -150);
  for (const power of edges) {
    const bits = one + BigInt(power) * oneBinade;
    if (bits < 0n || bits >= format.infinity) continue;
    list.push(bits, bits + 1n, bits | format.quietBit, bits | (format.quietBit - 1n));
    if (bits > 0n) list.push(bits - 1n, bits - 2n);
    // power + 1/2 and neighbours, where an integer conversion has its ties
    const half = format.fractionBits - 1 - power;
    if (power >= 0 && half >= 0) list.push(bits | (1n << BigInt(half)), (bits - oneBinade) | format.fractionMask);
  }
  return list.map((bits) => BigInt.asUintN(format.width - 1, bits));
}

const landmarkCache = new Map<FloatFormat, readonly bigint[]>();

/** One operand of `format`, as a bit pattern. */
export function nastyOperand(format: FloatFormat, random: TestRandom): bigint {
  let list = landmarkCache.get(format);
  if (list === undefined) landmarkCache.set(format, (list = landmarks(format)));
  const sign = (random.u32() & 1) === 0 ? 0n : format.signBit;
  const pattern = random.u64();
  const landmark = list[random.below(list.length)] ?? 0n;
  switch (random.below(11)) {
    case 0:
    case 1:
    case 2:
      return sign | landmark;
    case 3: // a neighbour of a landmark
      return sign | BigInt.asUintN(format.width - 1, landmark + BigInt(random.below(9) - 4));
    case 4: // a subnormal
      return sign | ((pattern & format.fractionMask) >> BigInt(random.below(format.fractionBits)));
    case 5: {
      // few significant bits, so that products and quotients are exact or halfway
      const keep = random.below(format.fractionBits);
      return sign | (BigInt.asUintN(format.width - 1, pattern) & ~((1n << BigInt(keep)) - 1n));
    }
    case 6: {
      // an exponent near zero, where sums align and integer conversions happen
      const power = random.below(72) - 4;
      const exponent = BigInt(Math.min(format.exponentOnes - 1, Math.max(0, 1 - format.exponentMin + power)));
      return sign | (exponent << format.fractionBitsBig) | (pattern & format.fractionMask);
    }
    case 7: {
      // what an operation treats apart, often enough that all three operands are
      const payload = pattern & (format.quietBit - 1n);
      const kinds = [
        0n,
        format.infinity,
        format.defaultNaN | payload,
        format.infinity | payload | 1n,
        format.maxNormal,
      ];
      return sign | (kinds[random.below(kinds.length)] ?? 0n);
    }
    default:
      return BigInt.asUintN(format.width, pattern);
  }
}

/** An integer operand of up to 64 bits: limits, neighbours of powers of two, short and long random ones. */
export function nastyInteger(random: TestRandom): bigint {
  const pattern = random.u64();
  switch (random.below(4)) {
    case 0:
      return BigInt.asUintN(64, (1n << BigInt(random.below(65))) + BigInt(random.below(5) - 2));
    case 1:
      return BigInt.asUintN(64, -(1n << BigInt(random.below(65))) + BigInt(random.below(5) - 2));
    case 2:
      return pattern >> BigInt(random.below(64));
    default:
      return pattern;
  }
}

/** An FPCR: the reset value a third of the time, else any rounding mode with any of FZ16, FZ, DN and AHP. */
export function anyFpcr(random: TestRandom): number {
  if (random.below(3) === 0) return 0;
  return ((random.u32() & 0xff) << 19) & 0x07c8_0000;
}
