/** Conversions between floating-point formats and to and from integers and fixed point (Arm ARM shared/functions/float). */
import {
  conversionFormat,
  F64,
  type FloatFormat,
  FPCR,
  FPSR,
  type FpContext,
  ROUNDING,
  type Rounding,
  type Sign,
} from './format.js';
import { convertNaN, processNaN } from './nan.js';
import { bitLength, compareWithHalf, infinityOf, KIND, round, roundsAway, unpack, zeroOf } from './real.js';

/**
 * FPConvert: `op` of format `from` as `to`. FCVT, FCVTN and FCVTL pass the FPCR's rounding, FCVTXN passes
 * `ROUNDING.odd`. FZ16 is ignored; FPCR.AHP selects alternative half precision on either side.
 */
export function fpConvert(
  from: FloatFormat,
  to: FloatFormat,
  op: bigint,
  rounding: Rounding,
  context: FpContext,
): bigint {
  const source = conversionFormat(from, context.fpcr);
  const target = conversionFormat(to, context.fpcr);
  const u = unpack(source, op, context);
  if (u.kind >= KIND.quietNaN) {
    if (u.kind === KIND.signallingNaN || !target.hasSpecials) context.fpsr |= FPSR.ioc;
    if (!target.hasSpecials) return zeroOf(target, u.sign);
    return (context.fpcr & FPCR.dn) !== 0 ? target.defaultNaN : convertNaN(source, target, op);
  }
  if (u.kind === KIND.infinity) {
    if (target.hasSpecials) return infinityOf(target, u.sign);
    context.fpsr |= FPSR.ioc;
    return (target.signBit - 1n) | zeroOf(target, u.sign);
  }
  if (u.kind === KIND.zero) return zeroOf(target, u.sign);
  return round(target, u.sign, u.mantissa, u.exponent, rounding, context);
}

/** An integer magnitude and whether anything non-zero was cut off to get it. */
interface RoundedInteger {
  readonly magnitude: bigint;
  readonly inexact: boolean;
}

/** `mantissa * 2^exponent` (mantissa at least 0) rounded to an integer; `sign` is what directed rounding looks at. */
function roundToInteger(sign: Sign, mantissa: bigint, exponent: number, rounding: Rounding): RoundedInteger {
  if (mantissa === 0n) return { magnitude: 0n, inexact: false };
  if (exponent >= 0) return { magnitude: mantissa << BigInt(exponent), inexact: false };
  const isAllTail = -exponent > bitLength(mantissa); // then it is below one half
  const shift = BigInt(-exponent);
  const kept = isAllTail ? 0n : mantissa >> shift;
  const tail = isAllTail ? mantissa : mantissa - (kept << shift);
  if (tail === 0n) return { magnitude: kept, inexact: false };
  const isUp = roundsAway(rounding, sign, kept, isAllTail ? -1 : compareWithHalf(tail, shift));
  return { magnitude: isUp ? kept + 1n : kept, inexact: true };
}

/** FPRoundInt: `op` rounded to an integral number of the same format; IXC is set only if `exact` (FRINTX). */
export function fpRoundInt(
  format: FloatFormat,
  op: bigint,
  rounding: Rounding,
  exact: boolean,
  context: FpContext,
): bigint {
  const u = unpack(format, op, context);
  if (u.kind >= KIND.quietNaN) return processNaN(format, u.kind, op, context);
  if (u.kind === KIND.infinity) return infinityOf(format, u.sign);
  if (u.kind === KIND.zero) return zeroOf(format, u.sign);
  if (u.exponent >= 0) return op;
  const { magnitude, inexact } = roundToInteger(u.sign, u.mantissa, u.exponent, rounding);
  if (inexact && exact) context.fpsr |= FPSR.ixc;
  if (magnitude === 0n) return zeroOf(format, u.sign);
  return round(format, u.sign, magnitude, 0, ROUNDING.zero, context);
}

/**
 * FPToFixed: `op * 2^fractionBits` as an integer of `width` (16, 32 or 64) bits, two's complement if not `unsigned`,
 * saturating with IOC (NaNs give 0), IXC if inexact. The result is the bit pattern, a non-negative bigint.
 */
export function fpToFixed(
  format: FloatFormat,
  op: bigint,
  width: 16 | 32 | 64,
  fractionBits: number,
  unsigned: boolean,
  rounding: Rounding,
  context: FpContext,
): bigint {
  const u = unpack(format, op, context);
  if (u.kind >= KIND.quietNaN) {
    context.fpsr |= FPSR.ioc;
    return 0n;
  }
  const bits = BigInt(width);
  const maximum = unsigned ? (1n << bits) - 1n : (1n << (bits - 1n)) - 1n;
  const minimum = unsigned ? 0n : -(1n << (bits - 1n));
  if (u.kind === KIND.infinity) {
    context.fpsr |= FPSR.ioc;
    return BigInt.asUintN(width, u.sign === 0 ? maximum : minimum);
  }
  const { magnitude, inexact } = roundToInteger(u.sign, u.mantissa, u.exponent + fractionBits, rounding);
  const value = u.sign === 0 ? magnitude : -magnitude;
  if (value > maximum || value < minimum) {
    context.fpsr |= FPSR.ioc;
    return BigInt.asUintN(width, value > maximum ? maximum : minimum);
  }
  if (inexact) context.fpsr |= FPSR.ixc;
  return BigInt.asUintN(width, value);
}

/** FixedToFP: the integer pattern `op` of `width` bits, divided by `2^fractionBits`, in `format`; zero is +0. */
export function fixedToFp(
  format: FloatFormat,
  op: bigint,
  width: 16 | 32 | 64,
  fractionBits: number,
  unsigned: boolean,
  rounding: Rounding,
  context: FpContext,
): bigint {
  const value = unsigned ? BigInt.asUintN(width, op) : BigInt.asIntN(width, op);
  if (value === 0n) return 0n;
  return value < 0n
    ? round(format, 1, -value, -fractionBits, rounding, context)
    : round(format, 0, value, -fractionBits, rounding, context);
}

/** What FJCVTZS writes: the 32-bit result pattern, and PSTATE.Z (N, C and V become 0). */
export interface JsConversion {
  readonly bits: bigint;
  readonly z: 0 | 1;
}

/**
 * FPToFixedJS (FJCVTZS): a double truncated to an integer modulo 2^32, as ECMAScript's ToInt32. Z is 1 only if the
 * result is the operand's exact value: -0, a flushed subnormal and everything out of range or inexact clear it.
 */
export function fpToFixedJS(op: bigint, context: FpContext): JsConversion {
  const u = unpack(F64, op, context);
  if (u.kind >= KIND.infinity) {
    context.fpsr |= FPSR.ioc;
    return { bits: 0n, z: 0 };
  }
  const { magnitude, inexact } = roundToInteger(u.sign, u.mantissa, u.exponent, ROUNDING.zero);
  const value = u.sign === 0 ? magnitude : -magnitude;
  const bits = BigInt.asUintN(32, value);
  if (value < -0x8000_0000n || value > 0x7fff_ffffn) {
    context.fpsr |= FPSR.ioc;
    return { bits, z: 0 };
  }
  if (inexact) context.fpsr |= FPSR.ixc;
  const isExact = !inexact && (u.kind === KIND.finite || op === 0n);
  return { bits, z: isExact ? 1 : 0 };
}
