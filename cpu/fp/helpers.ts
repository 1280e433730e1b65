/**
 * The `fp` helper of generated code: does exactly, lane by lane, what the fast path cannot vouch for (docs/adr/0030).
 * Operands are vectors at STATE.operands; FPCR and FPSR are the state block's.
 */
import { STATE } from '../state.js';
import { fpAbs, fpAdd, fpDiv, fpMul, fpMulX, fpNeg, fpSqrt, fpSub } from './arithmetic.js';
import { fpCompare, fpCompareEQ, fpCompareGE, fpCompareGT, fpMax, fpMaxNum, fpMin, fpMinNum } from './compare.js';
import { fixedToFp, fpConvert, fpRoundInt, fpToFixed, fpToFixedJS } from './convert.js';
import { DIRECTED, directedLanes } from './directed.js';
import { fpRecipEstimate, fpRecpX, fpRSqrtEstimate, unsignedRecipEstimate, unsignedRSqrtEstimate } from './estimate.js';
import {
  F16,
  F32,
  F64,
  type FloatFormat,
  FPCR,
  FPSR,
  type FpContext,
  ROUNDING,
  type Rounding,
  roundingMode,
} from './format.js';
import { fpMulAdd, fpRecipStepFused, fpRSqrtStepFused } from './fused.js';
import { FP_CODE, FP_FRACTION_BITS_SHIFT } from './helper-codes.js';
import { quickLanes } from './quick.js';

type Lane = (f: FloatFormat, n: bigint, m: bigint, d: bigint, context: FpContext) => bigint;

const mask = (f: FloatFormat, is: boolean): bigint => (is ? (f.signBit << 1n) - 1n : 0n);

/** Operations that need nothing but their operands, by code. */
const OPERATIONS: readonly Lane[] = (() => {
  const list: Lane[] = [];
  list[FP_CODE.add] = (f, n, m, _d, x) => fpAdd(f, n, m, x);
  list[FP_CODE.sub] = (f, n, m, _d, x) => fpSub(f, n, m, x);
  list[FP_CODE.mul] = (f, n, m, _d, x) => fpMul(f, n, m, x);
  list[FP_CODE.div] = (f, n, m, _d, x) => fpDiv(f, n, m, x);
  list[FP_CODE.nmul] = (f, n, m, _d, x) => fpNeg(f, fpMul(f, n, m, x));
  list[FP_CODE.mulx] = (f, n, m, _d, x) => fpMulX(f, n, m, x);
  list[FP_CODE.abd] = (f, n, m, _d, x) => fpAbs(f, fpSub(f, n, m, x));
  list[FP_CODE.max] = (f, n, m, _d, x) => fpMax(f, n, m, x);
  list[FP_CODE.min] = (f, n, m, _d, x) => fpMin(f, n, m, x);
  list[FP_CODE.maxnm] = (f, n, m, _d, x) => fpMaxNum(f, n, m, x);
  list[FP_CODE.minnm] = (f, n, m, _d, x) => fpMinNum(f, n, m, x);
  list[FP_CODE.recps] = (f, n, m, _d, x) => fpRecipStepFused(f, n, m, x);
  list[FP_CODE.rsqrts] = (f, n, m, _d, x) => fpRSqrtStepFused(f, n, m, x);
  list[FP_CODE.cmeq] = (f, n, m, _d, x) => mask(f, fpCompareEQ(f, n, m, x));
  list[FP_CODE.cmge] = (f, n, m, _d, x) => mask(f, fpCompareGE(f, n, m, x));
  list[FP_CODE.cmgt] = (f, n, m, _d, x) => mask(f, fpCompareGT(f, n, m, x));
  list[FP_CODE.acge] = (f, n, m, _d, x) => mask(f, fpCompareGE(f, fpAbs(f, n), fpAbs(f, m), x));
  list[FP_CODE.acgt] = (f, n, m, _d, x) => mask(f, fpCompareGT(f, fpAbs(f, n), fpAbs(f, m), x));
  list[FP_CODE.madd] = (f, n, m, d, x) => fpMulAdd(f, d, n, m, x);
  list[FP_CODE.msub] = (f, n, m, d, x) => fpMulAdd(f, d, fpNeg(f, n), m, x);
  list[FP_CODE.nmadd] = (f, n, m, d, x) => fpMulAdd(f, fpNeg(f, d), fpNeg(f, n), m, x);
  list[FP_CODE.nmsub] = (f, n, m, d, x) => fpMulAdd(f, fpNeg(f, d), n, m, x);
  list[FP_CODE.sqrt] = (f, n, _m, _d, x) => fpSqrt(f, n, x);
  list[FP_CODE.recpe] = (f, n, _m, _d, x) => fpRecipEstimate(f, n, x);
  list[FP_CODE.rsqrte] = (f, n, _m, _d, x) => fpRSqrtEstimate(f, n, x);
  list[FP_CODE.recpx] = (f, n, _m, _d, x) => fpRecpX(f, n, x);
  list[FP_CODE.urecpe] = (_f, n) => BigInt(unsignedRecipEstimate(Number(n)));
  list[FP_CODE.ursqrte] = (_f, n) => BigInt(unsignedRSqrtEstimate(Number(n)));
  return list;
})();

const ROUNDINGS: readonly Rounding[] = [
  ROUNDING.tieEven,
  ROUNDING.plusInfinity,
  ROUNDING.minusInfinity,
  ROUNDING.zero,
  ROUNDING.tieAway,
  ROUNDING.odd,
];
const FORMATS: readonly FloatFormat[] = [F16, F16, F32, F64];
const WIDTHS = [16, 16, 32, 64] as const;

const at = (log2: number): FloatFormat => FORMATS[log2] ?? F64;

/** An operation of lanes whose input and output may differ in size; `extra` as fpExtra packs it. */
function convertLane(code: number, from: FloatFormat, extra: number, n: bigint, context: FpContext): bigint {
  const rounding = ROUNDINGS[extra & 7] ?? roundingMode(context.fpcr);
  const unsigned = (extra & 8) !== 0;
  const log2 = (extra >> 4) & 3;
  const fractionBits = extra >> FP_FRACTION_BITS_SHIFT;
  switch (code) {
    case FP_CODE.roundInt:
      return fpRoundInt(from, n, rounding, (extra & 64) !== 0, context);
    case FP_CODE.toInt:
      return fpToFixed(from, n, WIDTHS[log2] ?? 64, fractionBits, unsigned, rounding, context);
    case FP_CODE.fromInt:
      return fixedToFp(at(log2), n, from.width, fractionBits, unsigned, rounding, context);
    default:
      return fpConvert(from, at(log2), n, rounding, context);
  }
}

/** FPCR bits under which the host's arithmetic is not Arm's. */
const NOT_QUICK = FPCR.fz | (3 << FPCR.rmodeShift);

/** Reads a lane as an unsigned number. */
function readLane(view: DataView, address: number, log2: number): bigint {
  if (log2 === 3) return view.getBigUint64(address, true);
  return BigInt(log2 === 2 ? view.getUint32(address, true) : view.getUint16(address, true));
}
function writeLane(view: DataView, address: number, log2: number, value: bigint): void {
  if (log2 === 3) view.setBigUint64(address, value, true);
  else if (log2 === 2) view.setUint32(address, Number(value), true);
  else view.setUint16(address, Number(value), true);
}

/**
 * Runs operation `code` on the operands of the vCPU whose state block lies at `state`; see helper-codes.ts for the
 * arguments. Unused lanes of the result are zero. Returns what the code says, else 0. FPSR only gains bits.
 */
export function fpHelper(view: DataView, state: number, code: number, shape: number, extra: number): number {
  const fpcr = view.getInt32(state + STATE.fpcr, true);
  const isNearest = (fpcr & NOT_QUICK) === 0;
  if (isNearest) {
    const isInexact = quickLanes(view, state + STATE.operands, code, shape & 15, shape >> 4);
    if (isInexact === false) return 0;
    if (isInexact === true) {
      setInexact(view, state);
      view.setInt32(state + STATE.fpFast, 1, true);
      return 0;
    }
  }
  const rounding = (fpcr >>> FPCR.rmodeShift) & 3;
  const done = directedLanes(view, state + STATE.operands, code, shape & 15, shape >> 4, rounding);
  if (done === DIRECTED.unknown) return runExact(view, state, code, shape, extra);
  if (done === DIRECTED.inexact) {
    setInexact(view, state);
    if (isNearest) view.setInt32(state + STATE.fpFast, 1, true);
  }
  return 0;
}

function setInexact(view: DataView, state: number): void {
  view.setInt32(state + STATE.fpsr, view.getInt32(state + STATE.fpsr, true) | FPSR.ixc, true);
}

/** {@link fpHelper} without its short cut. */
export function runExact(view: DataView, state: number, code: number, shape: number, extra: number): number {
  const context = {
    fpcr: view.getUint32(state + STATE.fpcr, true),
    fpsr: view.getUint32(state + STATE.fpsr, true),
  };
  const result = runLanes(view, state + STATE.operands, code, shape, extra, context);
  view.setUint32(state + STATE.fpsr, context.fpsr, true);
  refreshFpFast(view, state);
  return result;
}

function runLanes(
  view: DataView,
  base: number,
  code: number,
  shape: number,
  extra: number,
  context: FpContext,
): number {
  const log2 = shape & 15;
  const format = at(log2);
  const read = (operand: number, lane: number): bigint => readLane(view, base + operand * 16 + (lane << log2), log2);
  if (code === FP_CODE.compare) return fpCompare(format, read(0, 0), read(1, 0), extra !== 0, context);
  if (code === FP_CODE.toIntJs) {
    const { bits, z } = fpToFixedJS(read(0, 0), context);
    view.setBigUint64(base, bits, true);
    return z;
  }
  const operation = OPERATIONS[code];
  const results: bigint[] = [];
  for (let lane = 0; lane < shape >> 4; lane++) {
    const n = read(0, lane);
    if (operation !== undefined) results.push(operation(format, n, read(1, lane), read(2, lane), context));
    else results.push(convertLane(code, format, extra, n, context));
  }
  const sameSize = operation !== undefined || code === FP_CODE.roundInt;
  const outLog2 = sameSize ? log2 : (extra >> 4) & 3;
  view.setBigUint64(base, 0n, true);
  view.setBigUint64(base + 8, 0n, true);
  results.forEach((value, lane) => {
    writeLane(view, base + (lane << outLog2), outLog2, value);
  });
  return 0;
}

/**
 * Recomputes STATE.fpFast from FPCR and FPSR: to be called after either changed. NaN results always take the exact
 * path, so default-NaN mode does not matter, and half precision is only converted, always exactly.
 */
export function refreshFpFast(view: DataView, state: number): void {
  const isRoundToNearest = (view.getUint32(state + STATE.fpcr, true) & NOT_QUICK) === 0;
  const isInexactSeen = (view.getUint32(state + STATE.fpsr, true) & FPSR.ixc) !== 0;
  view.setInt32(state + STATE.fpFast, isRoundToNearest && isInexactSeen ? 1 : 0, true);
}
