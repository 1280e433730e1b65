/** Comparisons and the maximum and minimum family (Arm ARM shared/functions/float). */
import { type FloatFormat, FPSR, type FpContext } from './format.js';
import { processNaNs } from './nan.js';
import { infinityOf, KIND, type Unpacked, unpack, zeroOf } from './real.js';

/** PSTATE.{N,Z,C,V} of a comparison as a 4-bit number, N highest. */
const NZCV = { equal: 0b0110, less: 0b1000, greater: 0b0010, unordered: 0b0011 } as const;

/**
 * A total order key of a number as its operand was unpacked: a flushed operand counts as zero, and both zeros are 0n.
 * IEEE patterns of one sign are ordered as integers.
 */
function orderKey(format: FloatFormat, u: Unpacked, bits: bigint): bigint {
  if (u.kind === KIND.zero) return 0n;
  const magnitude = bits & (format.signBit - 1n);
  return u.sign === 0 ? magnitude : -magnitude;
}

/**
 * FPCompare: the NZCV of comparing `op1` with `op2`, N in bit 3. A signalling NaN sets IOC; with `signalNaNs` (FCMPE)
 * a quiet one does as well.
 */
export function fpCompare(
  format: FloatFormat,
  op1: bigint,
  op2: bigint,
  signalNaNs: boolean,
  context: FpContext,
): number {
  const u1 = unpack(format, op1, context);
  const u2 = unpack(format, op2, context);
  if (u1.kind >= KIND.quietNaN || u2.kind >= KIND.quietNaN) {
    if (signalNaNs || u1.kind === KIND.signallingNaN || u2.kind === KIND.signallingNaN) context.fpsr |= FPSR.ioc;
    return NZCV.unordered;
  }
  const key1 = orderKey(format, u1, op1);
  const key2 = orderKey(format, u2, op2);
  return key1 === key2 ? NZCV.equal : key1 < key2 ? NZCV.less : NZCV.greater;
}

/** FPCompareEQ (FCMEQ): false for NaNs, IOC only for a signalling one. */
export function fpCompareEQ(format: FloatFormat, op1: bigint, op2: bigint, context: FpContext): boolean {
  return fpCompare(format, op1, op2, false, context) === NZCV.equal;
}

/** FPCompareGE (FCMGE, and FACGE of absolute values): false for NaNs, IOC for any. */
export function fpCompareGE(format: FloatFormat, op1: bigint, op2: bigint, context: FpContext): boolean {
  const nzcv = fpCompare(format, op1, op2, true, context);
  return nzcv === NZCV.equal || nzcv === NZCV.greater;
}

/** FPCompareGT (FCMGT, and FACGT of absolute values): false for NaNs, IOC for any. */
export function fpCompareGT(format: FloatFormat, op1: bigint, op2: bigint, context: FpContext): boolean {
  return fpCompare(format, op1, op2, true, context) === NZCV.greater;
}

/** The larger (or smaller) of two operands; opposite zeros give +0 (or -0), and flushed operands are zeros. */
function choose(format: FloatFormat, op1: bigint, op2: bigint, wantsLarger: boolean, context: FpContext): bigint {
  const u1 = unpack(format, op1, context);
  const u2 = unpack(format, op2, context);
  const nan = processNaNs(format, u1, op1, u2, op2, context);
  if (nan !== undefined) return nan;
  if (u1.kind === KIND.zero && u2.kind === KIND.zero) {
    if (u1.sign === u2.sign) return zeroOf(format, u1.sign);
    return zeroOf(format, wantsLarger ? 0 : 1);
  }
  const key1 = orderKey(format, u1, op1);
  const key2 = orderKey(format, u2, op2);
  const isFirst = wantsLarger ? key1 > key2 : key1 < key2;
  const u = isFirst ? u1 : u2;
  return u.kind === KIND.zero ? zeroOf(format, u.sign) : isFirst ? op1 : op2;
}

/** FPMax: a NaN operand gives a NaN. */
export function fpMax(format: FloatFormat, op1: bigint, op2: bigint, context: FpContext): bigint {
  return choose(format, op1, op2, true, context);
}

/** FPMin: a NaN operand gives a NaN. */
export function fpMin(format: FloatFormat, op1: bigint, op2: bigint, context: FpContext): bigint {
  return choose(format, op1, op2, false, context);
}

/** FPMaxNum and FPMinNum: a single quiet NaN is replaced by the infinity that loses. */
function chooseNumber(format: FloatFormat, op1: bigint, op2: bigint, wantsLarger: boolean, context: FpContext): bigint {
  const isQuiet1 = isQuietNaN(format, op1);
  const isQuiet2 = isQuietNaN(format, op2);
  const loser = infinityOf(format, wantsLarger ? 1 : 0);
  if (isQuiet1 && !isQuiet2) return choose(format, loser, op2, wantsLarger, context);
  if (isQuiet2 && !isQuiet1) return choose(format, op1, loser, wantsLarger, context);
  return choose(format, op1, op2, wantsLarger, context);
}

function isQuietNaN(format: FloatFormat, bits: bigint): boolean {
  return (bits & format.defaultNaN) === format.defaultNaN;
}

/** FPMaxNum: a number wins over a quiet NaN. */
export function fpMaxNum(format: FloatFormat, op1: bigint, op2: bigint, context: FpContext): bigint {
  return chooseNumber(format, op1, op2, true, context);
}

/** FPMinNum: a number wins over a quiet NaN. */
export function fpMinNum(format: FloatFormat, op1: bigint, op2: bigint, context: FpContext): bigint {
  return chooseNumber(format, op1, op2, false, context);
}
