/** Fused multiply-add and the Newton-step instructions built on it: one rounding of an exact sum of products. */
import { F16, F32, type FloatFormat, type FpContext, type Sign } from './format.js';
import { convertNaN, invalid, processNaN, processNaNs } from './nan.js';
import { infinityOf, KIND, roundSum, type Unpacked, unpack, zeroOf } from './real.js';

/** True if the product is infinity times zero. */
function isInvalidProduct(u1: Unpacked, u2: Unpacked): boolean {
  return (u1.kind === KIND.infinity && u2.kind === KIND.zero) || (u1.kind === KIND.zero && u2.kind === KIND.infinity);
}

/** `addend + op1 * op2` when none of the three is a NaN; the addend and the result are in `format`. */
function addProduct(format: FloatFormat, addend: Unpacked, u1: Unpacked, u2: Unpacked, context: FpContext): bigint {
  if (isInvalidProduct(u1, u2)) return invalid(format, context);
  const signProduct: Sign = u1.sign === u2.sign ? 0 : 1;
  const isInfiniteProduct = u1.kind === KIND.infinity || u2.kind === KIND.infinity;
  if (addend.kind === KIND.infinity) {
    if (isInfiniteProduct && addend.sign !== signProduct) return invalid(format, context);
    return infinityOf(format, addend.sign);
  }
  if (isInfiniteProduct) return infinityOf(format, signProduct);
  const isZeroProduct = u1.kind === KIND.zero || u2.kind === KIND.zero;
  if (addend.kind === KIND.zero && isZeroProduct && addend.sign === signProduct) return zeroOf(format, addend.sign);
  const product = u1.mantissa * u2.mantissa;
  return roundSum(
    format,
    addend.sign === 0 ? addend.mantissa : -addend.mantissa,
    addend.exponent,
    signProduct === 0 ? product : -product,
    u1.exponent + u2.exponent,
    context,
  );
}

/**
 * FPMulAdd and FPMulAddH: `addend + op1 * op2` rounded once; the addend has format `wide`, the factors `narrow`.
 * NaN order: signalling addend, op1, op2, then quiet addend, op1, op2; a quiet addend loses to infinity times zero.
 */
function mulAdd(
  wide: FloatFormat,
  narrow: FloatFormat,
  addend: bigint,
  op1: bigint,
  op2: bigint,
  context: FpContext,
): bigint {
  const uA = unpack(wide, addend, context);
  const u1 = unpack(narrow, op1, context);
  const u2 = unpack(narrow, op2, context);
  if (uA.kind === KIND.signallingNaN) return processNaN(wide, uA.kind, addend, context);
  if (u1.kind < KIND.quietNaN && u2.kind < KIND.quietNaN) {
    if (uA.kind < KIND.quietNaN) return addProduct(wide, uA, u1, u2, context);
    return isInvalidProduct(u1, u2) ? invalid(wide, context) : processNaN(wide, uA.kind, addend, context);
  }
  const isQuietAddendFirst =
    uA.kind === KIND.quietNaN && u1.kind !== KIND.signallingNaN && u2.kind !== KIND.signallingNaN;
  if (isQuietAddendFirst) return processNaN(wide, uA.kind, addend, context);
  const nan = processNaNs(narrow, u1, op1, u2, op2, context) ?? narrow.defaultNaN;
  return wide === narrow ? nan : convertNaN(narrow, wide, nan);
}

/**
 * FPMulAdd: `addend + op1 * op2` with one rounding. FMADD is `(Ra, Rn, Rm)`; FMSUB negates op1, FNMADD negates op1 and
 * the addend, FNMSUB the addend, each with fpNeg beforehand, so NaNs are negated too.
 */
export function fpMulAdd(format: FloatFormat, addend: bigint, op1: bigint, op2: bigint, context: FpContext): bigint {
  return mulAdd(format, format, addend, op1, op2, context);
}

/** FPMulAddH (FMLAL, FMLAL2 and, with op1 negated, FMLSL): single-precision addend, half-precision factors. */
export function fpMulAddH(addend: bigint, op1: bigint, op2: bigint, context: FpContext): bigint {
  return mulAdd(F32, F16, addend, op1, op2, context);
}

/** `(constant + -op1 * op2) * 2^scale`, `constant * 2^scale` for infinity times zero; NaNs see op1 negated. */
function newtonStep(
  format: FloatFormat,
  constant: bigint,
  scale: number,
  op1: bigint,
  op2: bigint,
  context: FpContext,
): bigint {
  const negated = op1 ^ format.signBit;
  const u1 = unpack(format, negated, context);
  const u2 = unpack(format, op2, context);
  const nan = processNaNs(format, u1, negated, u2, op2, context);
  if (nan !== undefined) return nan;
  const sign: Sign = u1.sign === u2.sign ? 0 : 1;
  if (isInvalidProduct(u1, u2)) return roundSum(format, constant, scale, 0n, 0, context);
  if (u1.kind === KIND.infinity || u2.kind === KIND.infinity) return infinityOf(format, sign);
  const product = u1.mantissa * u2.mantissa;
  const exponent = u1.exponent + u2.exponent + scale;
  return roundSum(format, constant, scale, sign === 0 ? product : -product, exponent, context);
}

/** FPRecipStepFused (FRECPS): `2 - op1 * op2` with one rounding. */
export function fpRecipStepFused(format: FloatFormat, op1: bigint, op2: bigint, context: FpContext): bigint {
  return newtonStep(format, 2n, 0, op1, op2, context);
}

/** FPRSqrtStepFused (FRSQRTS): `(3 - op1 * op2) / 2` with one rounding. */
export function fpRSqrtStepFused(format: FloatFormat, op1: bigint, op2: bigint, context: FpContext): bigint {
  return newtonStep(format, 3n, -1, op1, op2, context);
}
