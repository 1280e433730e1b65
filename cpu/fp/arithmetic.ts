/** Addition, subtraction, multiplication, division, square root, negation and absolute value (Arm ARM shared/functions/float). */
import { type FloatFormat, FPSR, type FpContext, roundingMode, type Sign } from './format.js';
import { invalid, processNaN, processNaNs } from './nan.js';
import { bitLength, infinityOf, KIND, round, roundSum, unpack, zeroOf } from './real.js';

/** FPNeg: flips the sign bit of anything, NaNs included; sets no flag. */
export function fpNeg(format: FloatFormat, op: bigint): bigint {
  return op ^ format.signBit;
}

/** FPAbs: clears the sign bit of anything, NaNs included; sets no flag. */
export function fpAbs(format: FloatFormat, op: bigint): bigint {
  return op & (format.signBit - 1n);
}

/** FPAdd and FPSub: `flip` is 1 to subtract, which negates the second number but never a NaN. */
function addOrSubtract(format: FloatFormat, op1: bigint, op2: bigint, flip: Sign, context: FpContext): bigint {
  const u1 = unpack(format, op1, context);
  const u2 = unpack(format, op2, context);
  const nan = processNaNs(format, u1, op1, u2, op2, context);
  if (nan !== undefined) return nan;
  const sign2: Sign = u2.sign === flip ? 0 : 1;
  if (u1.kind === KIND.infinity) {
    if (u2.kind === KIND.infinity && u1.sign !== sign2) return invalid(format, context);
    return infinityOf(format, u1.sign);
  }
  if (u2.kind === KIND.infinity) return infinityOf(format, sign2);
  if (u1.kind === KIND.zero && u2.kind === KIND.zero && u1.sign === sign2) return zeroOf(format, u1.sign);
  const a = u1.sign === 0 ? u1.mantissa : -u1.mantissa;
  const b = sign2 === 0 ? u2.mantissa : -u2.mantissa;
  return roundSum(format, a, u1.exponent, b, u2.exponent, context);
}

/** FPAdd: `op1 + op2`. */
export function fpAdd(format: FloatFormat, op1: bigint, op2: bigint, context: FpContext): bigint {
  return addOrSubtract(format, op1, op2, 0, context);
}

/** FPSub: `op1 - op2`. FABD is {@link fpAbs} of it. */
export function fpSub(format: FloatFormat, op1: bigint, op2: bigint, context: FpContext): bigint {
  return addOrSubtract(format, op1, op2, 1, context);
}

/** FPMul and FPMulX, which differ in infinity times zero only. */
function multiply(format: FloatFormat, op1: bigint, op2: bigint, extended: boolean, context: FpContext): bigint {
  const u1 = unpack(format, op1, context);
  const u2 = unpack(format, op2, context);
  const nan = processNaNs(format, u1, op1, u2, op2, context);
  if (nan !== undefined) return nan;
  const sign: Sign = u1.sign === u2.sign ? 0 : 1;
  if (u1.kind === KIND.infinity || u2.kind === KIND.infinity) {
    if (u1.kind !== KIND.zero && u2.kind !== KIND.zero) return infinityOf(format, sign);
    return extended ? twoOf(format, sign) : invalid(format, context);
  }
  if (u1.kind === KIND.zero || u2.kind === KIND.zero) return zeroOf(format, sign);
  const product = u1.mantissa * u2.mantissa;
  return round(format, sign, product, u1.exponent + u2.exponent, roundingMode(context.fpcr), context);
}

/** 2.0 with the given sign (FPTwo). */
function twoOf(format: FloatFormat, sign: Sign): bigint {
  const two = BigInt(2 - format.exponentMin) << format.fractionBitsBig;
  return sign === 0 ? two : two | format.signBit;
}

/** FPMul: `op1 * op2`. FNMUL is {@link fpNeg} of it. */
export function fpMul(format: FloatFormat, op1: bigint, op2: bigint, context: FpContext): bigint {
  return multiply(format, op1, op2, false, context);
}

/** FPMulX: as {@link fpMul}, but infinity times zero is 2.0 with the product's sign and no flag. */
export function fpMulX(format: FloatFormat, op1: bigint, op2: bigint, context: FpContext): bigint {
  return multiply(format, op1, op2, true, context);
}

/** FPDiv: `op1 / op2`. */
export function fpDiv(format: FloatFormat, op1: bigint, op2: bigint, context: FpContext): bigint {
  const u1 = unpack(format, op1, context);
  const u2 = unpack(format, op2, context);
  const nan = processNaNs(format, u1, op1, u2, op2, context);
  if (nan !== undefined) return nan;
  const sign: Sign = u1.sign === u2.sign ? 0 : 1;
  if (u1.kind === u2.kind && u1.kind !== KIND.finite) return invalid(format, context); // 0/0, infinity/infinity
  if (u1.kind === KIND.infinity || u2.kind === KIND.zero) {
    if (u1.kind !== KIND.infinity) context.fpsr |= FPSR.dzc;
    return infinityOf(format, sign);
  }
  if (u1.kind === KIND.zero || u2.kind === KIND.infinity) return zeroOf(format, sign);
  // At least fractionBits + 3 quotient bits, plus a sticky bit for the remainder.
  const lift = Math.max(0, format.fractionBits + 4 + bitLength(u2.mantissa) - bitLength(u1.mantissa));
  const dividend = u1.mantissa << BigInt(lift);
  const quotient = dividend / u2.mantissa;
  const sticky = quotient * u2.mantissa === dividend ? 0n : 1n;
  const exponent = u1.exponent - u2.exponent - lift - 1;
  return round(format, sign, (quotient << 1n) | sticky, exponent, roundingMode(context.fpcr), context);
}

/** The integer square root: the largest `r` with `r * r <= n`, for `n` of 2 to 140 bits. */
function integerSqrt(n: bigint): bigint {
  // A double's root has 53 good bits; one Newton step of an overestimate doubles them, and the rest is exact checking.
  let root = BigInt(Math.floor(Math.sqrt(Number(n))));
  root = (root + n / root) >> 1n;
  while (root * root > n) root -= 1n;
  while ((root + 1n) * (root + 1n) <= n) root += 1n;
  return root;
}

/** FPSqrt. */
export function fpSqrt(format: FloatFormat, op: bigint, context: FpContext): bigint {
  const u = unpack(format, op, context);
  if (u.kind >= KIND.quietNaN) return processNaN(format, u.kind, op, context);
  if (u.kind === KIND.zero) return zeroOf(format, u.sign);
  if (u.sign === 1) return invalid(format, context);
  if (u.kind === KIND.infinity) return infinityOf(format, 0);
  // Twice as many radicand bits as root bits wanted, and an even exponent.
  let lift = Math.max(0, 2 * (format.fractionBits + 4) - bitLength(u.mantissa));
  if (((u.exponent - lift) & 1) !== 0) lift += 1;
  const radicand = u.mantissa << BigInt(lift);
  const root = integerSqrt(radicand);
  const sticky = root * root === radicand ? 0n : 1n;
  const exponent = (u.exponent - lift) / 2 - 1;
  return round(format, 0, (root << 1n) | sticky, exponent, roundingMode(context.fpcr), context);
}
