/**
 * Reference forms of the fast path (docs/adr/0030): when a result of the host's own round-to-nearest arithmetic is
 * exactly Arm's under FPCR = 0, including the flags. The JIT's WebAssembly is a transcription of these functions, one
 * f64 or f32 instruction per operator, and the tests compare them with the exact operations. Each `...Fast` function
 * returns undefined where it cannot vouch for the result; the caller then runs the exact operation. What it does vouch
 * for raises no flag but IXC. Where FPSR.IXC is still clear, the `...Inexact` functions tell whether to set it; they
 * are valid for the operands and result of a `...Fast` function that answered, and return undefined where unsure.
 */

const F64_MIN_NORMAL = 2 ** -1022;
const F32_MIN_NORMAL = 2 ** -126;

/** Below this a product's error term may not be representable, and above it every cancellation stays normal. */
const PRODUCT_MIN = 2 ** -900;

/** Veltkamp's constant, which splits a double into two halves of at most 26 bits. */
export const SPLITTER = 2 ** 27 + 1;

/**
 * True if `result` is normal, finite and above the smallest normal number, which a tiny value may have been rounded up
 * to. As integers, one subtraction and one unsigned comparison: `(bits & ~sign) - (minNormal + 1) < infinity - (minNormal + 1)`.
 */
function isPlainF64(result: number): boolean {
  return Math.abs(result) > F64_MIN_NORMAL && Math.abs(result) < Infinity;
}

/** {@link isPlainF64} for a single-precision result. */
function isPlainF32(result: number): boolean {
  return Math.abs(result) > F32_MIN_NORMAL && Math.abs(result) < Infinity;
}

/** FADD of doubles (FSUB with `-b`): a subnormal sum is always exact, so only infinities and NaNs are left out. */
export function addF64Fast(a: number, b: number): number | undefined {
  const sum = a + b;
  return Math.abs(sum) < Infinity ? sum : undefined;
}

/** FMUL of doubles. */
export function mulF64Fast(a: number, b: number): number | undefined {
  const product = a * b;
  return isPlainF64(product) || (product === 0 && (a === 0 || b === 0)) ? product : undefined;
}

/** FDIV of doubles; a division by zero is left out because it sets DZC. */
export function divF64Fast(a: number, b: number): number | undefined {
  const quotient = a / b;
  return isPlainF64(quotient) || (quotient === 0 && a === 0) ? quotient : undefined;
}

/** FSQRT of a double, which can neither overflow nor underflow. */
export function sqrtF64Fast(a: number): number | undefined {
  const root = Math.sqrt(a);
  return root < Infinity ? root : undefined;
}

/** FADD of singles. Math.fround is WebAssembly's f32 arithmetic: double rounding is innocuous for one operation. */
export function addF32Fast(a: number, b: number): number | undefined {
  const sum = Math.fround(a + b);
  return Math.abs(sum) < Infinity ? sum : undefined;
}

/** FMUL of singles. */
export function mulF32Fast(a: number, b: number): number | undefined {
  const product = Math.fround(a * b);
  return isPlainF32(product) || (product === 0 && (a === 0 || b === 0)) ? product : undefined;
}

/** FDIV of singles. */
export function divF32Fast(a: number, b: number): number | undefined {
  const quotient = Math.fround(a / b);
  return isPlainF32(quotient) || (quotient === 0 && a === 0) ? quotient : undefined;
}

/** FSQRT of a single. */
export function sqrtF32Fast(a: number): number | undefined {
  const root = Math.fround(Math.sqrt(a));
  return root < Infinity ? root : undefined;
}

/** FCVT from double to single. */
export function narrowFast(a: number): number | undefined {
  const narrow = Math.fround(a);
  return isPlainF32(narrow) || a === 0 ? narrow : undefined;
}

/** The rounding error of `sum = a + b` (Knuth's TwoSum); exact unless an intermediate overflows, which gives a NaN. */
export function sumError(a: number, b: number, sum: number): number {
  const bVirtual = sum - a;
  const aVirtual = sum - bVirtual;
  return a - aVirtual + (b - bVirtual);
}

/**
 * The rounding error of `product = a * b` (Dekker, with Veltkamp's splitting); exact if `|product| >= 2^-969`. An
 * overflow on the way gives a NaN or an infinity.
 */
function productError(a: number, b: number, product: number): number {
  const aScaled = SPLITTER * a;
  const aHigh = aScaled - (aScaled - a);
  const aLow = a - aHigh;
  const bScaled = SPLITTER * b;
  const bHigh = bScaled - (bScaled - b);
  const bLow = b - bHigh;
  return aLow * bLow - (product - aHigh * bHigh - aLow * bHigh - aHigh * bLow);
}

const doubles = new Float64Array(1);
const words = new Int32Array(doubles.buffer); // [0] is the low word: WebAssembly hosts are little-endian

/** `value`, whose lowest bit is 0, moved one unit in the last place towards `error`'s sign: an i64 addition of +1 or -1. */
function stepTowards(value: number, error: number): number {
  doubles[0] = value;
  const low = words[0] ?? 0;
  if (error > 0 === value > 0) {
    words[0] = low + 1;
  } else {
    words[0] = low - 1;
    if (low === 0) words[1] = (words[1] ?? 0) - 1;
  }
  return doubles[0];
}

/**
 * FMADD of singles, `a * b + c` rounded once. Proven for all finite operands whose result is zero by exact cancellation,
 * or normal and above 2^-126 in magnitude: the product of two 24-bit numbers is exact in 53 bits, the sum is one
 * rounding away from exact, and rounding again to 24 bits goes wrong only from the middle between two singles, where
 * the sum's rounding error decides. Replacing that middle by its odd neighbour is rounding to odd where it matters.
 */
export function fmaF32Fast(a: number, b: number, c: number): number | undefined {
  const product = a * b;
  let sum = product + c;
  doubles[0] = sum;
  if (((words[0] ?? 0) & 0x1fff_ffff) === 0x1000_0000) {
    const error = sumError(product, c, sum);
    if (error !== 0) sum = stepTowards(sum, error);
  }
  const result = Math.fround(sum);
  return isPlainF32(result) || sum === 0 ? result : undefined;
}

/** `head + tail + tailError` is `a * b + c` exactly, with `|tailError|` at most half a unit of `tail`; see {@link splitFma}. */
const split = { head: 0, tail: 0, tailError: 0 };

/** Writes {@link split}: the product and two sums with their errors, then the two small errors added. */
function splitFma(a: number, b: number, c: number, product: number): void {
  const low = productError(a, b, product);
  const inner = c + low;
  const innerError = sumError(c, low, inner);
  split.head = product + inner;
  const headError = sumError(product, inner, split.head);
  split.tail = innerError + headError;
  split.tailError = sumError(innerError, headError, split.tail);
}

/**
 * FMADD of doubles, `a * b + c` rounded once, after Boldo and Melquiond (IEEE Transactions on Computers 57(4), 2008):
 * product and sums with their errors, the two small errors added with rounding to odd, then one rounding. Proven if a
 * factor is zero, or `|a * b| >= 2^-900` and nothing overflows. Then the error terms are exact, and a result is zero by
 * exact cancellation or normal: its lowest set bit is at least 2^-1005. An overflow anywhere ends in a NaN or infinity.
 */
export function fmaF64Fast(a: number, b: number, c: number): number | undefined {
  const product = a * b;
  let result: number;
  if (Math.abs(product) >= PRODUCT_MIN) {
    splitFma(a, b, c, product);
    let tail = split.tail;
    if (split.tailError !== 0) {
      doubles[0] = tail;
      if (((words[0] ?? 0) & 1) === 0) tail = stepTowards(tail, split.tailError);
    }
    result = split.head + tail;
  } else if (a === 0 || b === 0) {
    result = product + c;
  } else {
    return undefined;
  }
  return Math.abs(result) < Infinity ? result : undefined;
}

/** Turns an error term into an answer; a NaN or an infinity means that computing it overflowed. */
function isNonZero(error: number): boolean | undefined {
  return Math.abs(error) < Infinity ? error !== 0 : undefined;
}

/** Whether `sum`, the result of {@link addF64Fast}, sets IXC. */
export function addF64Inexact(a: number, b: number, sum: number): boolean | undefined {
  return isNonZero(sumError(a, b, sum));
}

/** Whether `product`, the result of {@link mulF64Fast}, sets IXC. */
export function mulF64Inexact(a: number, b: number, product: number): boolean | undefined {
  if (product === 0) return false;
  return Math.abs(product) >= PRODUCT_MIN ? isNonZero(productError(a, b, product)) : undefined;
}

/** Whether `quotient`, the result of {@link divF64Fast}, sets IXC: whether `quotient * b` differs from `a`. */
export function divF64Inexact(a: number, b: number, quotient: number): boolean | undefined {
  if (a === 0) return false;
  if (Math.abs(a) < PRODUCT_MIN) return undefined;
  const back = quotient * b;
  return back !== a ? true : isNonZero(productError(quotient, b, back));
}

/** Whether `root`, the result of {@link sqrtF64Fast}, sets IXC: whether its square differs from `a`. */
export function sqrtF64Inexact(a: number, root: number): boolean | undefined {
  if (a === 0) return false;
  if (a < PRODUCT_MIN) return undefined;
  const square = root * root;
  return square !== a ? true : isNonZero(productError(root, root, square));
}

/** Whether `sum`, the result of {@link addF32Fast}, sets IXC. Each difference is one f32 operation. */
export function addF32Inexact(a: number, b: number, sum: number): boolean | undefined {
  const bVirtual = Math.fround(sum - a);
  const aVirtual = Math.fround(sum - bVirtual);
  return isNonZero(Math.fround(Math.fround(a - aVirtual) + Math.fround(b - bVirtual)));
}

/** Whether `product`, the result of {@link mulF32Fast}, sets IXC; the double product is exact. */
export function mulF32Inexact(a: number, b: number, product: number): boolean {
  return a * b !== product;
}

/** Whether `quotient`, the result of {@link divF32Fast}, sets IXC; the double product is exact. */
export function divF32Inexact(a: number, b: number, quotient: number): boolean {
  return a !== 0 && quotient * b !== a;
}

/** Whether `root`, the result of {@link sqrtF32Fast}, sets IXC; the double square is exact. */
export function sqrtF32Inexact(a: number, root: number): boolean {
  return root * root !== a;
}

/** Whether `result`, the result of {@link fmaF32Fast}, sets IXC. */
export function fmaF32Inexact(a: number, b: number, c: number, result: number): boolean {
  const product = a * b;
  const sum = product + c;
  return sum !== result || sumError(product, c, sum) !== 0;
}

/** Whether `result`, the result of {@link fmaF64Fast}, sets IXC; the fast path has the terms at hand. */
export function fmaF64Inexact(a: number, b: number, c: number, result: number): boolean | undefined {
  const product = a * b;
  if (product === 0) return false; // a factor is zero, or there was no fast result
  splitFma(a, b, c, product);
  return split.tailError !== 0 ? true : isNonZero(sumError(split.head, split.tail, result));
}
