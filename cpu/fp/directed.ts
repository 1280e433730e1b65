/**
 * The helper's short cut for all rounding modes and for flushing to zero: the host's arithmetic rounds to nearest, the error of that is known
 * exactly, and its sign says whether the other directions end one step further. Only in the middle of each format's range, where nothing
 * is subnormal, zero by cancellation, or overflows, on the way or at the end; else the exact operation does it. It makes no objects: a
 * guest that computes like this all the time would have its vCPU collect garbage all the time (docs/adr/0286).
 */
import { fmaF32Fast, fmaF64Fast, productError, split, splitFma, sumError } from './fast-path.js';
import { ROUNDING } from './format.js';
import { FP_CODE } from './helper-codes.js';

/** Operands of double precision are zero or within these: all products, quotients and error terms are then far from the format's ends. */
const DOUBLE_MIN = 2 ** -400;
const DOUBLE_MAX = 2 ** 400;
/** Operands of single precision are zero or normal, results within the last two; doubles hold all that lies between. */
const SINGLE_MIN = 2 ** -126;
const SINGLE_MAX = 2 ** 127;
const SINGLE_RESULT_MIN = 2 ** -120;
const SINGLE_RESULT_MAX = 2 ** 126;
/** The tail of a sum of three is at most this part of its head where nothing has cancelled. */
const TAIL_PART = 2 ** -20;

/** What a lane came to: the nearest number (or one of the two nearest), and something with the sign of what is missing from it. */
const at = { nearest: 0, missing: 1 } as const;
const lane = new Float64Array(2);
const results = new Float64Array(4);

const stepped = new Float64Array(1);
const steppedWords = new Int32Array(stepped.buffer); // [0] is the low word: WebAssembly hosts are little-endian
const steppedSingle = new Float32Array(1);
const steppedSingleWord = new Int32Array(steppedSingle.buffer);

/** The double next to `value`, which is normal: away from zero, or towards it. */
function nextDouble(value: number, away: boolean): number {
  stepped[0] = value;
  const low = steppedWords[0]!;
  steppedWords[0] = away ? low + 1 : low - 1;
  if (away && low === -1) steppedWords[1] = steppedWords[1]! + 1;
  else if (!away && low === 0) steppedWords[1] = steppedWords[1]! - 1;
  return stepped[0]!;
}

function nextSingle(value: number, away: boolean): number {
  steppedSingle[0] = value;
  steppedSingleWord[0] = steppedSingleWord[0]! + (away ? 1 : -1);
  return steppedSingle[0]!;
}

/** Whether the number of which `missing` is missing from `nearest` is rounded to the next one, and that one lies further from zero. */
function goesAway(rounding: number, nearest: number, missing: number): boolean | undefined {
  const isAbove = missing > 0;
  const away = isAbove === nearest > 0;
  if (rounding === ROUNDING.plusInfinity) return isAbove ? away : undefined;
  if (rounding === ROUNDING.minusInfinity) return isAbove ? undefined : away;
  return rounding === ROUNDING.zero && !away ? false : undefined;
}

const isMiddle = (a: number): boolean => a === 0 || (Math.abs(a) >= DOUBLE_MIN && Math.abs(a) <= DOUBLE_MAX);
const isNormalSingle = (a: number): boolean => a === 0 || (Math.abs(a) >= SINGLE_MIN && Math.abs(a) <= SINGLE_MAX);

/** `a * b + c` in double precision; false where the terms do not tell. */
function doubleFma(a: number, b: number, c: number, rounding: number): boolean {
  splitFma(a, b, c, a * b);
  const { head, tail, tailError } = split;
  if (tailError !== 0 && !(Math.abs(tail) <= TAIL_PART * Math.abs(head))) return false;
  const sum = head + tail;
  const error = sumError(head, tail, sum);
  // All of head, tail and sum are multiples of the tail's unit, and so is the error: where there is one, it is more than tailError.
  lane[at.missing] = error === 0 ? tailError : error;
  lane[at.nearest] = rounding === ROUNDING.tieEven ? (fmaF64Fast(a, b, c) ?? 0) : sum;
  return true;
}

/** One operation in double precision, to {@link lane}. False: not known. */
function double(code: number, a: number, b: number, c: number, rounding: number): boolean {
  switch (code) {
    case FP_CODE.add: {
      const sum = a + b;
      lane[at.nearest] = sum;
      lane[at.missing] = sumError(a, b, sum);
      return true;
    }
    case FP_CODE.mul: {
      const product = a * b;
      lane[at.nearest] = product;
      lane[at.missing] = productError(a, b, product);
      return true;
    }
    case FP_CODE.div: {
      const quotient = a / b;
      const back = quotient * b;
      // What remains of a division is representable, and so is each difference on the way.
      const rest = a - back - productError(quotient, b, back);
      lane[at.nearest] = quotient;
      lane[at.missing] = b > 0 ? rest : -rest;
      return true;
    }
    case FP_CODE.sqrt: {
      const root = Math.sqrt(a);
      const square = root * root;
      lane[at.nearest] = root;
      lane[at.missing] = a - square - productError(root, root, square);
      return true;
    }
    case FP_CODE.madd:
      return doubleFma(a, b, c, rounding);
    default:
      return false;
  }
}

/** One operation in single precision. */
function single(code: number, a: number, b: number, c: number, rounding: number): boolean {
  switch (code) {
    case FP_CODE.add:
    case FP_CODE.madd: {
      const first = code === FP_CODE.add ? a : a * b; // exact
      const second = code === FP_CODE.add ? b : c;
      const sum = first + second;
      const nearest = Math.fround(sum);
      const error = sum - nearest;
      lane[at.missing] = error === 0 ? sumError(first, second, sum) : error;
      const isFused = code === FP_CODE.madd && rounding === ROUNDING.tieEven;
      lane[at.nearest] = isFused ? (fmaF32Fast(a, b, c) ?? 0) : nearest;
      return true;
    }
    case FP_CODE.mul: {
      const product = a * b; // exact
      const nearest = Math.fround(product);
      lane[at.nearest] = nearest;
      lane[at.missing] = product - nearest;
      return true;
    }
    case FP_CODE.div: {
      const nearest = Math.fround(a / b);
      const rest = a - nearest * b; // both exact
      lane[at.nearest] = nearest;
      lane[at.missing] = b > 0 ? rest : -rest;
      return true;
    }
    case FP_CODE.sqrt: {
      const nearest = Math.fround(Math.sqrt(a));
      lane[at.nearest] = nearest;
      lane[at.missing] = a - nearest * nearest; // both exact
      return true;
    }
    default:
      return false;
  }
}

/** The operation that is done with signs of operands, or of the result, changed. */
function plain(code: number): number {
  switch (code) {
    case FP_CODE.sub:
    case FP_CODE.abd:
      return FP_CODE.add;
    case FP_CODE.nmul:
      return FP_CODE.mul;
    case FP_CODE.msub:
    case FP_CODE.nmadd:
    case FP_CODE.nmsub:
      return FP_CODE.madd;
    default:
      return code;
  }
}

/** What {@link directedLanes} answers. */
export const DIRECTED = { unknown: 0, exact: 1, inexact: 2 } as const;

/**
 * Computes `lanes` lanes of 2^`log2` bytes at `base` (operands 16 bytes apart), rounding as `rounding` (FPCR.RMode) says, with or without
 * flushing. On success the results replace the first operands, and the rest of the vector is zero. Unknown, and nothing written, if some lane
 * needs the exact operation.
 */
export function directedLanes(
  view: DataView,
  base: number,
  code: number,
  log2: number,
  lanes: number,
  rounding: number,
): number {
  const isDouble = log2 === 3;
  if (!isDouble && log2 !== 2) return DIRECTED.unknown;
  const operation = plain(code);
  const hasThree = operation === FP_CODE.madd;
  const hasTwo = operation !== FP_CODE.sqrt;
  let isInexact = false;
  for (let n = 0; n < lanes; n++) {
    const from = base + (n << log2);
    let a = isDouble ? view.getFloat64(from, true) : view.getFloat32(from, true);
    let b = hasTwo ? (isDouble ? view.getFloat64(from + 16, true) : view.getFloat32(from + 16, true)) : 0;
    let c = hasThree ? (isDouble ? view.getFloat64(from + 32, true) : view.getFloat32(from + 32, true)) : 0;
    const areGood = isDouble
      ? isMiddle(a) && isMiddle(b) && isMiddle(c)
      : isNormalSingle(a) && isNormalSingle(b) && isNormalSingle(c);
    if (!areGood) return DIRECTED.unknown;
    if (code === FP_CODE.sub || code === FP_CODE.abd) b = -b;
    else if (code === FP_CODE.msub || code === FP_CODE.nmadd) a = -a;
    if (code === FP_CODE.nmadd || code === FP_CODE.nmsub) c = -c;
    if (!(isDouble ? double(operation, a, b, c, rounding) : single(operation, a, b, c, rounding)))
      return DIRECTED.unknown;
    let result = lane[at.nearest]!;
    const missing = lane[at.missing]!;
    const magnitude = Math.abs(result);
    // A zero's sign depends on the rounding mode; a NaN is neither.
    const isPlain = isDouble
      ? magnitude > 0 && magnitude < Infinity
      : magnitude > SINGLE_RESULT_MIN && magnitude < SINGLE_RESULT_MAX;
    if (!isPlain || !(Math.abs(missing) < Infinity)) return DIRECTED.unknown;
    if (missing !== 0) {
      isInexact = true;
      const away = goesAway(rounding, result, missing);
      if (away !== undefined) result = isDouble ? nextDouble(result, away) : nextSingle(result, away);
    }
    if (code === FP_CODE.nmul) result = -result;
    else if (code === FP_CODE.abd) result = Math.abs(result);
    results[n] = result;
  }
  view.setInt32(base, 0, true);
  view.setInt32(base + 4, 0, true);
  view.setInt32(base + 8, 0, true);
  view.setInt32(base + 12, 0, true);
  for (let n = 0; n < lanes; n++) {
    if (isDouble) view.setFloat64(base + n * 8, results[n]!, true);
    else view.setFloat32(base + n * 4, results[n]!, true);
  }
  return isInexact ? DIRECTED.inexact : DIRECTED.exact;
}
