/**
 * The reciprocal and reciprocal-square-root estimates, exact to the bit as the architecture prescribes them
 * (Arm ARM shared/functions/float: RecipEstimate, RecipSqrtEstimate, FPRecipEstimate, FPRSqrtEstimate, FPRecpX).
 */
import { type FloatFormat, FPSR, type FpContext, roundingMode } from './format.js';
import { invalid, processNaN } from './nan.js';
import { infinityOf, KIND, overflowsToInfinity, unpack, zeroOf } from './real.js';

/** RecipEstimate: for `a` in [256, 512) meaning a/512, its reciprocal in units of 1/256, in [256, 512). */
function recipEstimate(a: number): number {
  const centre = a * 2 + 1; // the middle of the interval, in units of 1/1024
  return (Math.floor(2 ** 19 / centre) + 1) >> 1;
}

/** RecipSqrtEstimate: for `a` in [128, 512) meaning a/512, the reciprocal of its root in units of 1/256, in [256, 512). */
function recipSqrtEstimate(a: number): number {
  const centre = a < 256 ? a * 2 + 1 : ((a >> 1) * 2 + 1) * 2;
  let b = 512;
  while (centre * (b + 1) * (b + 1) < 2 ** 28) b += 1;
  return (b + 1) >> 1;
}

/** UnsignedRecipEstimate (URECPE) of a 32-bit operand; below one half the result is all ones. */
export function unsignedRecipEstimate(operand: number): number {
  if (operand >>> 31 === 0) return 0xffff_ffff;
  return (recipEstimate(operand >>> 23) << 23) >>> 0;
}

/** UnsignedRSqrtEstimate (URSQRTE) of a 32-bit operand; below one quarter the result is all ones. */
export function unsignedRSqrtEstimate(operand: number): number {
  if (operand >>> 30 === 0) return 0xffff_ffff;
  return (recipSqrtEstimate(operand >>> 23) << 23) >>> 0;
}

/** The eight fraction bits of an estimate (it is in [256, 512)), moved to the top of `format`'s fraction, plus the leading one. */
function significandOf(format: FloatFormat, estimate: number): bigint {
  return BigInt(estimate) << BigInt(format.fractionBits - 8);
}

/** Normalises an unpacked finite mantissa: biased exponent (0 and below for subnormals) and nine leading bits. */
function leadingBits(format: FloatFormat, mantissa: bigint, exponent: number): { biased: number; leading: number } {
  let m = mantissa;
  let biased = exponent - (format.exponentMin - format.fractionBits) + 1;
  const one = 1n << format.fractionBitsBig;
  while (m < one) {
    m <<= 1n;
    biased -= 1;
  }
  return { biased, leading: Number(m >> BigInt(format.fractionBits - 8)) };
}

/** FPRecipEstimate (FRECPE). */
export function fpRecipEstimate(format: FloatFormat, op: bigint, context: FpContext): bigint {
  const u = unpack(format, op, context);
  if (u.kind >= KIND.quietNaN) return processNaN(format, u.kind, op, context);
  if (u.kind === KIND.infinity) return zeroOf(format, u.sign);
  if (u.kind === KIND.zero) {
    context.fpsr |= FPSR.dzc;
    return infinityOf(format, u.sign);
  }
  const { biased, leading } = leadingBits(format, u.mantissa, u.exponent);
  const sign = zeroOf(format, u.sign);
  if (biased < -1) {
    // Below 2^(exponentMin - 2): the reciprocal overflows.
    context.fpsr |= FPSR.ofc | FPSR.ixc;
    return sign | (overflowsToInfinity(roundingMode(context.fpcr), u.sign) ? format.infinity : format.maxNormal);
  }
  // 253 - exp for single precision: the two biases less one, because the estimate lies in [1, 2).
  const resultBiased = format.exponentOnes - 2 - biased;
  if (resultBiased < 1 && (context.fpcr & format.flushBit) !== 0) {
    context.fpsr |= FPSR.ufc;
    return sign;
  }
  const significand = significandOf(format, recipEstimate(leading));
  if (resultBiased < 1) return sign | (significand >> BigInt(1 - resultBiased));
  return sign | (significand + (BigInt(resultBiased - 1) << format.fractionBitsBig));
}

/** FPRSqrtEstimate (FRSQRTE). */
export function fpRSqrtEstimate(format: FloatFormat, op: bigint, context: FpContext): bigint {
  const u = unpack(format, op, context);
  if (u.kind >= KIND.quietNaN) return processNaN(format, u.kind, op, context);
  if (u.kind === KIND.zero) {
    context.fpsr |= FPSR.dzc;
    return infinityOf(format, u.sign);
  }
  if (u.sign === 1) return invalid(format, context);
  if (u.kind === KIND.infinity) return 0n;
  const { biased, leading } = leadingBits(format, u.mantissa, u.exponent);
  const scaled = (biased & 1) === 0 ? leading : leading >> 1;
  const significand = significandOf(format, recipSqrtEstimate(scaled));
  // 380 - exp for single precision: three biases less one, halved; the result is always a normal number.
  const resultBiased = Math.floor((3 * (1 - format.exponentMin) - 1 - biased) / 2);
  return significand + (BigInt(resultBiased - 1) << format.fractionBitsBig);
}

/** FPRecpX (FRECPX): the exponent inverted, the fraction zero; zeros and subnormals give the largest exponent. */
export function fpRecpX(format: FloatFormat, op: bigint, context: FpContext): bigint {
  const u = unpack(format, op, context); // also sets IDC when a subnormal is flushed
  if (u.kind >= KIND.quietNaN) return processNaN(format, u.kind, op, context);
  const exponentField = op & format.infinity;
  const inverted =
    exponentField === 0n ? BigInt(format.exponentOnes - 1) << format.fractionBitsBig : format.infinity ^ exponentField;
  return zeroOf(format, u.sign) | inverted;
}
