/**
 * The helper's short cut for all rounding modes and for flushing to zero: the host's arithmetic rounds to nearest, the error of that is known
 * exactly, and its sign says whether the other directions end one step further. Only in the middle of each format's range, where nothing
 * is subnormal, zero by cancellation, or overflows, on the way or at the end; else the exact operation does it. It makes no objects: a
 * guest that computes like this all the time would have its vCPU collect garbage all the time (docs/adr/0286).
 */
import { fmaF32Fast, fmaF64Fast, SPLITTER, sumError } from './fast-path.js';
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

/**
 * A lane's operands, and what it came to: the nearest number (or one of the two nearest), and something with the sign of what is missing
 * from it. They are here because V8 makes an object of each number that one function gives another, unless it joins them.
 */
const at = { a: 0, b: 1, c: 2, nearest: 3, missing: 4, x: 5, y: 6, error: 7 } as const;
const lane = new Float64Array(8);
const results = new Float64Array(4);

const laneWords = new Int32Array(lane.buffer); // a number's low word comes first: WebAssembly hosts are little-endian
const single = new Float32Array(1);
const singleWord = new Int32Array(single.buffer);
const LOW = at.nearest * 2;

/** Moves the lane's result, a normal double, to the next one away from zero, or towards it. */
function stepDouble(away: boolean): void {
  const low = laneWords[LOW]!;
  laneWords[LOW] = away ? low + 1 : low - 1;
  if (away && low === -1) laneWords[LOW + 1] = laneWords[LOW + 1]! + 1;
  else if (!away && low === 0) laneWords[LOW + 1] = laneWords[LOW + 1]! - 1;
}

function stepSingle(away: boolean): void {
  single[0] = lane[at.nearest]!;
  singleWord[0] = singleWord[0]! + (away ? 1 : -1);
  lane[at.nearest] = single[0]!;
}

/** Whether the lane's result is rounded to the next number, and that one lies further from zero. */
function goesAway(rounding: number): boolean | undefined {
  const isAbove = lane[at.missing]! > 0;
  const away = isAbove === lane[at.nearest]! > 0;
  if (rounding === ROUNDING.plusInfinity) return isAbove ? away : undefined;
  if (rounding === ROUNDING.minusInfinity) return isAbove ? undefined : away;
  return rounding === ROUNDING.zero && !away ? false : undefined;
}

const isMiddle = (a: number): boolean => a === 0 || (Math.abs(a) >= DOUBLE_MIN && Math.abs(a) <= DOUBLE_MAX);
const isNormalSingle = (a: number): boolean => a === 0 || (Math.abs(a) >= SINGLE_MIN && Math.abs(a) <= SINGLE_MAX);

/** What the host's product of x and y lacks (productError of fast-path.ts, whose operands and result would be objects here). */
function findProductError(): void {
  const x = lane[at.x]!;
  const y = lane[at.y]!;
  const xScaled = SPLITTER * x;
  const xHigh = xScaled - (xScaled - x);
  const xLow = x - xHigh;
  const yScaled = SPLITTER * y;
  const yHigh = yScaled - (yScaled - y);
  const yLow = y - yHigh;
  lane[at.error] = xLow * yLow - (x * y - xHigh * yHigh - xLow * yHigh - xHigh * yLow);
}

/** `a * b + c` of the lane in double precision, split as splitFma of fast-path.ts does it; false where the terms do not tell. */
function doubleFma(rounding: number): boolean {
  const a = lane[at.a]!;
  const b = lane[at.b]!;
  const c = lane[at.c]!;
  const product = a * b;
  lane[at.x] = a;
  lane[at.y] = b;
  findProductError();
  const low = lane[at.error]!;
  const inner = c + low;
  const head = product + inner;
  const headError = sumError(product, inner, head);
  const innerError = sumError(c, low, inner);
  const tail = headError + innerError;
  const tailError = sumError(headError, innerError, tail);
  if (tailError !== 0 && !(Math.abs(tail) <= TAIL_PART * Math.abs(head))) return false;
  const sum = head + tail;
  const error = sumError(head, tail, sum);
  // All of head, tail and sum are multiples of the tail's unit, and so is the error: where there is one, it is more than tailError.
  lane[at.missing] = error === 0 ? tailError : error;
  lane[at.nearest] = rounding === ROUNDING.tieEven ? (fmaF64Fast(a, b, c) ?? 0) : sum;
  return true;
}

/** One operation of the {@link lane} in double precision. False: not known. */
function inDouble(code: number, rounding: number): boolean {
  const a = lane[at.a]!;
  const b = lane[at.b]!;
  switch (code) {
    case FP_CODE.add: {
      const sum = a + b;
      lane[at.nearest] = sum;
      lane[at.missing] = sumError(a, b, sum);
      return true;
    }
    case FP_CODE.mul: {
      lane[at.nearest] = a * b;
      lane[at.x] = a;
      lane[at.y] = b;
      findProductError();
      lane[at.missing] = lane[at.error]!;
      return true;
    }
    case FP_CODE.div: {
      const quotient = a / b;
      lane[at.nearest] = quotient;
      lane[at.x] = quotient;
      lane[at.y] = b;
      findProductError();
      // What remains of a division is representable, and so is each difference on the way.
      const rest = a - quotient * b - lane[at.error]!;
      lane[at.missing] = b > 0 ? rest : -rest;
      return true;
    }
    case FP_CODE.sqrt: {
      const root = Math.sqrt(a);
      lane[at.nearest] = root;
      lane[at.x] = root;
      lane[at.y] = root;
      findProductError();
      lane[at.missing] = a - root * root - lane[at.error]!;
      return true;
    }
    case FP_CODE.madd:
      return doubleFma(rounding);
    default:
      return false;
  }
}

/** One operation of the {@link lane} in single precision. */
function inSingle(code: number, rounding: number): boolean {
  const a = lane[at.a]!;
  const b = lane[at.b]!;
  const c = lane[at.c]!;
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
    lane[at.a] = a;
    lane[at.b] = b;
    lane[at.c] = c;
    if (!(isDouble ? inDouble(operation, rounding) : inSingle(operation, rounding))) return DIRECTED.unknown;
    const missing = lane[at.missing]!;
    const magnitude = Math.abs(lane[at.nearest]!);
    // A zero's sign depends on the rounding mode; a NaN is neither.
    const isPlain = isDouble
      ? magnitude > 0 && magnitude < Infinity
      : magnitude > SINGLE_RESULT_MIN && magnitude < SINGLE_RESULT_MAX;
    if (!isPlain || !(Math.abs(missing) < Infinity)) return DIRECTED.unknown;
    if (missing !== 0) {
      isInexact = true;
      const away = goesAway(rounding);
      if (away !== undefined && isDouble) stepDouble(away);
      else if (away !== undefined) stepSingle(away);
    }
    const result = lane[at.nearest]!;
    if (code === FP_CODE.nmul) results[n] = -result;
    else if (code === FP_CODE.abd) results[n] = Math.abs(result);
    else results[n] = result;
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
