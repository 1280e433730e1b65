/** The `simd` helper: saturating and rounding shifts by register (Arm ARM C7.2, SQSHL, SRSHL, SQRSHL and unsigned). */
import { STATE } from '../../state.js';
import { SIMD_HELPER } from './helper-codes.js';

const QC = 1 << 27;

/** One lane of `bits` bits, shifted left by the signed `amount`; `saturated` reports through its result's second member. */
function shiftLane(
  value: bigint,
  amount: number,
  bits: number,
  options: { readonly signed: boolean; readonly rounding: boolean; readonly saturating: boolean },
): { readonly lane: bigint; readonly saturated: boolean } {
  let result: bigint;
  if (amount >= 0) {
    // More than the width is as good as the width: only whether anything is lost matters.
    result = value << BigInt(Math.min(amount, bits));
  } else {
    const right = BigInt(-amount);
    const half = options.rounding ? 1n << (right - 1n) : 0n;
    result = (value + half) >> right;
  }
  if (!options.saturating) return { lane: BigInt.asUintN(bits, result), saturated: false };
  const maximum = options.signed ? (1n << BigInt(bits - 1)) - 1n : (1n << BigInt(bits)) - 1n;
  const minimum = options.signed ? -(1n << BigInt(bits - 1)) : 0n;
  const limited = result > maximum ? maximum : result < minimum ? minimum : result;
  return { lane: BigInt.asUintN(bits, limited), saturated: limited !== result };
}

/** Reads the operands at STATE.operands of the state block at `state`, replaces the first by the result, and sets FPSR.QC. */
export function simdHelper(view: DataView, state: number, code: number, size: number): number {
  const bits = 8 << size;
  const kind = code & ~1;
  const signed = (code & 1) === 0;
  const options = {
    signed,
    rounding: kind === SIMD_HELPER.srshl || kind === SIMD_HELPER.sqrshl,
    saturating: kind === SIMD_HELPER.sqshl || kind === SIMD_HELPER.sqrshl,
  };
  let saturated = false;
  for (let at = state + STATE.operands; at < state + STATE.operands + 16; at += bits / 8) {
    const raw = readLane(view, at, bits);
    const value = signed ? BigInt.asIntN(bits, raw) : raw;
    const result = shiftLane(value, view.getInt8(at + 16), bits, options);
    saturated ||= result.saturated;
    writeLane(view, at, bits, result.lane);
  }
  if (saturated) view.setInt32(state + STATE.fpsr, view.getInt32(state + STATE.fpsr, true) | QC, true);
  return 0;
}

/** A lane as an unsigned number. */
function readLane(view: DataView, at: number, bits: number): bigint {
  if (bits === 64) return view.getBigUint64(at, true);
  return BigInt(bits === 32 ? view.getUint32(at, true) : bits === 16 ? view.getUint16(at, true) : view.getUint8(at));
}

function writeLane(view: DataView, at: number, bits: number, value: bigint): void {
  if (bits === 64) view.setBigUint64(at, value, true);
  else if (bits === 32) view.setUint32(at, Number(value), true);
  else if (bits === 16) view.setUint16(at, Number(value), true);
  else view.setUint8(at, Number(value));
}
