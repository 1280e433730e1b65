/**
 * From bit patterns to exact numbers and back: FPUnpack and FPRound of the Arm ARM (shared/functions/float). An exact
 * finite number is `(-1)^sign * mantissa * 2^exponent`; one that is not representable exactly (a quotient, a root, a sum
 * of far-apart terms) carries its non-zero tail as a sticky lowest bit, below every bit that rounding can look at.
 */
import { type FloatFormat, FPSR, type FpContext, ROUNDING, type Rounding, roundingMode, type Sign } from './format.js';

/** What an operand is; NaNs are the two largest so that `kind >= KIND.quietNaN` means NaN. */
export const KIND = { zero: 0, finite: 1, infinity: 2, quietNaN: 3, signallingNaN: 4 } as const;
type Kind = (typeof KIND)[keyof typeof KIND];

/** An operand taken apart; `mantissa` is 0n unless `kind` is finite, and then its value is `mantissa * 2^exponent`. */
export interface Unpacked {
  readonly kind: Kind;
  readonly sign: Sign;
  readonly mantissa: bigint;
  readonly exponent: number;
}

/** Takes `bits` apart (FPUnpackBase): a subnormal is flushed if FPCR says so, setting FPSR.IDC where the format does. */
export function unpack(format: FloatFormat, bits: bigint, context: FpContext): Unpacked {
  const sign: Sign = (bits & format.signBit) === 0n ? 0 : 1;
  const fraction = bits & format.fractionMask;
  const biased = Number(bits >> format.fractionBitsBig) & format.exponentOnes;
  if (biased === 0) {
    if (fraction === 0n) return { kind: KIND.zero, sign, mantissa: 0n, exponent: 0 };
    if ((context.fpcr & format.flushBit) !== 0) {
      context.fpsr |= format.flushedInputFlag;
      return { kind: KIND.zero, sign, mantissa: 0n, exponent: 0 };
    }
    return { kind: KIND.finite, sign, mantissa: fraction, exponent: format.exponentMin - format.fractionBits };
  }
  if (biased === format.exponentOnes && format.hasSpecials) {
    const kind =
      fraction === 0n ? KIND.infinity : (fraction & format.quietBit) !== 0n ? KIND.quietNaN : KIND.signallingNaN;
    return { kind, sign, mantissa: 0n, exponent: 0 };
  }
  return {
    kind: KIND.finite,
    sign,
    mantissa: fraction | (1n << format.fractionBitsBig),
    exponent: format.exponentMin - format.fractionBits + biased - 1,
  };
}

const exponentProbe = new Float64Array(1);
const exponentWords = new Uint32Array(exponentProbe.buffer); // [1] is the high word: WebAssembly hosts are little-endian

/** Number of bits of `n`, which is at least 1 and below 2^1000. */
export function bitLength(n: bigint): number {
  exponentProbe[0] = Number(n);
  const length = ((exponentWords[1] ?? 0) >>> 20) - 1022;
  // Number() rounds to nearest, so 2^k - 1 may arrive as 2^k; only then is the converted fraction zero.
  if (((exponentWords[1] ?? 0) & 0xfffff) === 0 && exponentWords[0] === 0 && n >> BigInt(length - 1) === 0n) {
    return length - 1;
  }
  return length;
}

/** A zero of the given sign. */
export function zeroOf(format: FloatFormat, sign: Sign): bigint {
  return sign === 0 ? 0n : format.signBit;
}

/** An infinity of the given sign. */
export function infinityOf(format: FloatFormat, sign: Sign): bigint {
  return sign === 0 ? format.infinity : format.infinity | format.signBit;
}

/** True if `rounding` takes a magnitude that overflows to infinity, false if to the largest normal number. */
export function overflowsToInfinity(rounding: Rounding, sign: Sign): boolean {
  switch (rounding) {
    case ROUNDING.plusInfinity:
      return sign === 0;
    case ROUNDING.minusInfinity:
      return sign === 1;
    case ROUNDING.zero:
    case ROUNDING.odd:
      return false;
    default:
      return true;
  }
}

/**
 * Whether a magnitude truncated to `kept` is to be incremented; `tail` compares what was cut off with half a unit:
 * -1 below, 0 exactly half, 1 above. Call only when something non-zero was cut off.
 */
export function roundsAway(rounding: Rounding, sign: Sign, kept: bigint, tail: -1 | 0 | 1): boolean {
  switch (rounding) {
    case ROUNDING.tieEven:
      return tail > 0 || (tail === 0 && (kept & 1n) !== 0n);
    case ROUNDING.tieAway:
      return tail >= 0;
    case ROUNDING.plusInfinity:
      return sign === 0;
    case ROUNDING.minusInfinity:
      return sign === 1;
    default:
      return false;
  }
}

/** Compares the low `shift` bits of `mantissa`, given as `tail`, with half of 2^shift. */
export function compareWithHalf(tail: bigint, shift: bigint): -1 | 0 | 1 {
  const half = 1n << (shift - 1n);
  return tail < half ? -1 : tail > half ? 1 : 0;
}

/**
 * Rounds `(-1)^sign * mantissa * 2^exponent` to `format` (FPRoundBase), setting UFC, OFC, IXC (or IOC for overflow of
 * alternative half precision). `mantissa` is above 0; if its lowest bit is sticky it has at least fractionBits + 3 bits.
 */
export function round(
  format: FloatFormat,
  sign: Sign,
  mantissa: bigint,
  exponent: number,
  rounding: Rounding,
  context: FpContext,
): bigint {
  const length = bitLength(mantissa);
  const leading = exponent + length - 1; // the value lies in [2^leading, 2^(leading+1))
  const tiny = leading < format.exponentMin; // tininess is detected before rounding
  if (tiny && (context.fpcr & format.flushBit) !== 0) {
    context.fpsr |= FPSR.ufc; // and not IXC
    return zeroOf(format, sign);
  }
  const cut = (tiny ? format.exponentMin : leading) - format.fractionBits - exponent;
  let kept: bigint;
  let inexact = false;
  if (cut <= 0) {
    kept = mantissa << BigInt(-cut);
  } else {
    const shift = BigInt(cut);
    kept = cut > length ? 0n : mantissa >> shift;
    const tail = cut > length ? mantissa : mantissa - (kept << shift);
    inexact = tail !== 0n;
    if (inexact) {
      if (rounding === ROUNDING.odd) kept |= 1n;
      else if (roundsAway(rounding, sign, kept, cut > length ? -1 : compareWithHalf(tail, shift))) kept += 1n;
    }
  }
  if (tiny && inexact) context.fpsr |= FPSR.ufc;
  // The leading 1 of `kept` adds one to the exponent field, and so does a carry out of the fraction.
  const magnitude = tiny ? kept : kept + (BigInt(leading - format.exponentMin) << format.fractionBitsBig);
  if (format.hasSpecials) {
    if (magnitude >= format.infinity) {
      context.fpsr |= FPSR.ofc | FPSR.ixc;
      const limit = overflowsToInfinity(rounding, sign) ? format.infinity : format.maxNormal;
      return sign === 0 ? limit : limit | format.signBit;
    }
  } else if (magnitude >= format.signBit) {
    context.fpsr |= FPSR.ioc; // alternative half precision saturates, and the result does not count as inexact
    return sign === 0 ? format.signBit - 1n : (format.signBit << 1n) - 1n;
  }
  if (inexact) context.fpsr |= FPSR.ixc;
  return sign === 0 ? magnitude : magnitude | format.signBit;
}

/** Beyond this distance between lowest bits the lower term (below 2^110 units) cannot reach the higher one's guard bits. */
const ALIGN_BITS_MAX = 300;
const STICKY_BITS = 130n;

/**
 * Rounds the sum of two signed terms, `a * 2^exponentA + b * 2^exponentB`, each of at most 110 bits; the exact sum zero
 * is +0, or -0 when rounding towards minus infinity. FPCR.RMode rounds.
 */
export function roundSum(
  format: FloatFormat,
  a: bigint,
  exponentA: number,
  b: bigint,
  exponentB: number,
  context: FpContext,
): bigint {
  let exponent: number;
  let sum: bigint;
  if (a === 0n) {
    sum = b;
    exponent = exponentB;
  } else if (b === 0n) {
    sum = a;
    exponent = exponentA;
  } else {
    const distance = exponentA - exponentB;
    if (distance > ALIGN_BITS_MAX) {
      sum = (a << STICKY_BITS) + (b < 0n ? -1n : 1n);
      exponent = exponentA - Number(STICKY_BITS);
    } else if (distance < -ALIGN_BITS_MAX) {
      sum = (b << STICKY_BITS) + (a < 0n ? -1n : 1n);
      exponent = exponentB - Number(STICKY_BITS);
    } else if (distance >= 0) {
      sum = (a << BigInt(distance)) + b;
      exponent = exponentB;
    } else {
      sum = a + (b << BigInt(-distance));
      exponent = exponentA;
    }
  }
  const rounding = roundingMode(context.fpcr);
  if (sum === 0n) return zeroOf(format, rounding === ROUNDING.minusInfinity ? 1 : 0);
  return sum < 0n
    ? round(format, 1, -sum, exponent, rounding, context)
    : round(format, 0, sum, exponent, rounding, context);
}
