/** NaN operands: which one a result takes, made quiet or replaced by the default NaN (Arm ARM A1.5.6, FPProcessNaNs). */
import { type FloatFormat, FPCR, FPSR, type FpContext } from './format.js';
import { KIND, type Unpacked } from './real.js';

/** Sets IOC and returns the default NaN: the answer to every invalid operation on numbers. */
export function invalid(format: FloatFormat, context: FpContext): bigint {
  context.fpsr |= FPSR.ioc;
  return format.defaultNaN;
}

/** The result for a NaN operand `bits` of the given kind (FPProcessNaN). */
export function processNaN(format: FloatFormat, kind: number, bits: bigint, context: FpContext): bigint {
  if (kind === KIND.signallingNaN) context.fpsr |= FPSR.ioc;
  return (context.fpcr & FPCR.dn) !== 0 ? format.defaultNaN : bits | format.quietBit;
}

/** The NaN result of two operands, or undefined if neither is one: signalling before quiet, then first before second. */
export function processNaNs(
  format: FloatFormat,
  u1: Unpacked,
  op1: bigint,
  u2: Unpacked,
  op2: bigint,
  context: FpContext,
): bigint | undefined {
  if (u1.kind < KIND.quietNaN && u2.kind < KIND.quietNaN) return undefined;
  if (u1.kind === KIND.signallingNaN) return processNaN(format, u1.kind, op1, context);
  if (u2.kind === KIND.signallingNaN) return processNaN(format, u2.kind, op2, context);
  if (u1.kind === KIND.quietNaN) return processNaN(format, u1.kind, op1, context);
  return processNaN(format, u2.kind, op2, context);
}

/** `bits`, a NaN of `from`, as a quiet NaN of `to`: sign and the payload's leading bits are kept (FPConvertNaN). */
export function convertNaN(from: FloatFormat, to: FloatFormat, bits: bigint): bigint {
  const payload = bits & (from.quietBit - 1n);
  const moved = to.fractionBits - from.fractionBits;
  const sign = (bits & from.signBit) === 0n ? 0n : to.signBit;
  return sign | to.infinity | to.quietBit | (moved >= 0 ? payload << BigInt(moved) : payload >> BigInt(-moved));
}
