/**
 * Fast-path arithmetic: WebAssembly's result, and whether it is exactly Arm's (docs/adr/0030; cpu/fp/fast-path.ts is the
 * reference in TypeScript). Each function works on scalars (`f32`, `f64`; `ok` is i32 0 or 1) and on vectors (`f32x4`,
 * `f64x2`; `ok` is a lane mask). What is common is straight-line; doubts are looked into in a conditional.
 */
import type { Ops } from '../../ops.js';
import { i32, i64, type Val } from '../../wasm/body.js';
import { features } from '../../wasm/features.js';
import type { WasmOp } from '../../wasm/opcodes.js';
import { FAST_BOUNDS, type FastBounds } from './fast-bounds.js';

/** Types that the fast path computes on. */
export type FloatType = 'f32' | 'f64' | 'f32x4' | 'f64x2';

/** A result, and where it stands. */
export interface Fast {
  readonly value: Val;
  readonly ok: Val;
  /** `ok` says as well that STATE.fpFast holds (Ops.fastBounds). */
  readonly isBounded?: boolean;
  /** Looks closer, to be emitted where `ok` fails: whether the result is exact after all. */
  readonly reconsider?: () => Val;
}

/** Applies float operator `name` of `type`. */
export function float(k: Ops, type: FloatType, name: string, ...args: readonly Val[]): Val {
  return k.op(`${type}.${name}` as WasmOp, ...args); // WHY: FunctionBody.op refuses names that do not exist
}

const isVector = (type: FloatType): boolean => type === 'f32x4' || type === 'f64x2';

const WORDS = new DataView(new ArrayBuffer(16));

/** A constant of `type`, in every lane. */
export function constant(k: Ops, type: FloatType, value: number): Val {
  if (type === 'f32' || type === 'f64') return { type, local: -1, constant: value };
  for (let at = 0; at < 16; at += type === 'f64x2' ? 8 : 4) {
    if (type === 'f64x2') WORDS.setFloat64(at, value, true);
    else WORDS.setFloat32(at, value, true);
  }
  return k.v128(new Uint8Array(WORDS.buffer.slice(0)));
}

/** Both conditions hold. */
function both(k: Ops, type: FloatType, a: Val, b: Val): Val {
  return isVector(type) ? k.op('v128.and', a, b) : k.and(a, b);
}
/** One of the conditions holds. */
function either(k: Ops, type: FloatType, a: Val, b: Val): Val {
  return isVector(type) ? k.op('v128.or', a, b) : k.or(a, b);
}

/** i32: a condition fails somewhere. */
function failsAnywhere(k: Ops, type: FloatType, ok: Val): Val {
  return isVector(type) ? k.eqz(k.op('i32x4.all_true', ok)) : k.eqz(ok);
}

const MIN_NORMAL = { f32: 2 ** -126, f64: 2 ** -1022, f32x4: 2 ** -126, f64x2: 2 ** -1022 } as const;

const isZero = (k: Ops, type: FloatType, a: Val): Val => float(k, type, 'eq', a, constant(k, type, 0));

/** Bounds that hold STATE.fpFast too, for scalars, where there are some. */
function boundsFor(k: Ops, type: FloatType): FastBounds['f64'] | undefined {
  return type === 'f64' || type === 'f32' ? k.fastBounds()?.[type] : undefined;
}

/** Below infinity in magnitude, and no NaN. */
function isFiniteNumber(k: Ops, type: FloatType, a: Val, infinity = constant(k, type, Infinity)): Val {
  return float(k, type, 'lt', float(k, type, 'abs', a), infinity);
}

/** Normal, finite, and above the smallest normal number, which a tiny value may have been rounded up to; `bound`: see {@link FastBounds}. */
export function isPlain(k: Ops, type: FloatType, a: Val, bound?: Val): Val {
  if (type === 'f64') {
    const bits = k.and(k.op('i64.reinterpret_f64', a), i64(0x7fff_ffff_ffff_ffffn));
    return k.ltU(k.sub(bits, i64(0x0010_0000_0000_0001n)), bound ?? i64(FAST_BOUNDS.f64.plain));
  }
  if (type === 'f32') {
    const bits = k.and(k.op('i32.reinterpret_f32', a), i32(0x7fff_ffff));
    return k.ltU(k.sub(bits, i32(0x0080_0001)), bound ?? i32(FAST_BOUNDS.f32.plain));
  }
  const magnitude = float(k, type, 'abs', a);
  return both(
    k,
    type,
    float(k, type, 'gt', magnitude, constant(k, type, MIN_NORMAL[type])),
    float(k, type, 'lt', magnitude, constant(k, type, Infinity)),
  );
}

/** a + b or a - b: a subnormal sum is exact. */
export function fastSum(k: Ops, type: FloatType, operator: 'add' | 'sub', a: Val, b: Val): Fast {
  const value = float(k, type, operator, a, b);
  const bounds = boundsFor(k, type);
  return { value, ok: isFiniteNumber(k, type, value, bounds?.infinity), isBounded: bounds !== undefined };
}

/** Plain results stand; a zero stands where `exactZero` says that it is exact. */
function plainOrZero(k: Ops, type: FloatType, value: Val, exactZero: () => Val): Fast {
  const bounds = boundsFor(k, type);
  const ok = isPlain(k, type, value, bounds?.plain);
  const isExactZero = (): Val => both(k, type, isZero(k, type, value), exactZero());
  // Lanes are looked at together: where one fails, the others may be plain.
  const reconsider = isVector(type) ? (): Val => either(k, type, ok, isExactZero()) : isExactZero;
  return { value, ok, isBounded: bounds !== undefined, reconsider };
}

/** a * b. */
export function fastProduct(k: Ops, type: FloatType, a: Val, b: Val): Fast {
  return plainOrZero(k, type, float(k, type, 'mul', a, b), () =>
    either(k, type, isZero(k, type, a), isZero(k, type, b)),
  );
}

/** a / b; a division by zero is not vouched for, because it sets DZC. */
export function fastQuotient(k: Ops, type: FloatType, a: Val, b: Val): Fast {
  return plainOrZero(k, type, float(k, type, 'div', a, b), () => isZero(k, type, a));
}

/** The square root. */
export function fastRoot(k: Ops, type: FloatType, a: Val): Fast {
  const value = float(k, type, 'sqrt', a);
  const bounds = boundsFor(k, type);
  const ok = float(k, type, 'lt', value, bounds?.infinity ?? constant(k, type, Infinity));
  return { value, ok, isBounded: bounds !== undefined };
}

/** The rounding error of `sum = a + b` (Knuth). */
function sumError(k: Ops, type: FloatType, a: Val, b: Val, sum: Val): Val {
  const bVirtual = float(k, type, 'sub', sum, a);
  const aVirtual = float(k, type, 'sub', sum, bVirtual);
  return float(k, type, 'add', float(k, type, 'sub', a, aVirtual), float(k, type, 'sub', b, bVirtual));
}

/** The rounding error of `product = a * b` (Dekker), exact from 2^-969 on; overflow on the way gives a NaN or infinity. */
function productError(k: Ops, type: FloatType, a: Val, b: Val, product: Val): Val {
  const split = (x: Val): readonly [Val, Val] => {
    const scaled = float(k, type, 'mul', constant(k, type, 2 ** 27 + 1), x);
    const high = float(k, type, 'sub', scaled, float(k, type, 'sub', scaled, x));
    return [high, float(k, type, 'sub', x, high)];
  };
  const [aHigh, aLow] = split(a);
  const [bHigh, bLow] = split(b);
  let rest = float(k, type, 'sub', product, float(k, type, 'mul', aHigh, bHigh));
  rest = float(k, type, 'sub', rest, float(k, type, 'mul', aLow, bHigh));
  rest = float(k, type, 'sub', rest, float(k, type, 'mul', aHigh, bLow));
  return float(k, type, 'sub', float(k, type, 'mul', aLow, bLow), rest);
}

/** i32: somewhere `a` is a power of two (or a NaN without payload), so that it could be half a unit of something. */
function isPowerOfTwoAnywhere(k: Ops, type: 'f64' | 'f64x2', a: Val): Val {
  if (type === 'f64') {
    const bits = k.op('i64.reinterpret_f64', a);
    return k.and(k.eqz(k.shl(bits, i64(12))), k.ne(k.shl(bits, i64(1)), i64(0)));
  }
  const zero: Val = { type: 'v128', local: -1, constant: 0 };
  const noFraction = k.op('i64x2.eq', k.op('i64x2.shl', a, i32(12)), zero);
  return k.op('v128.any_true', k.op('v128.andnot', noFraction, isZero(k, type, a)));
}

/** Above these products, a sum that is zero has cancelled exactly: all its bits lie far above the smallest number. */
const CANCELS_EXACTLY = { f32: 2 ** -60, f64: 2 ** -900, f32x4: 2 ** -60, f64x2: 2 ** -900 } as const;

/**
 * A sum a * b + c that the host has rounded once: plain results stand, and a zero does if a factor is zero or the product
 * is large enough for exact cancellation.
 */
export function checkFused(k: Ops, type: FloatType, value: Val, a: Val, b: Val): Fast {
  return plainOrZero(k, type, value, () => {
    const magnitude = float(k, type, 'abs', float(k, type, 'mul', a, b));
    const isLarge = float(k, type, 'ge', magnitude, constant(k, type, CANCELS_EXACTLY[type]));
    return either(k, type, isLarge, either(k, type, isZero(k, type, a), isZero(k, type, b)));
  });
}

/** c + a * b (or c - a * b) by the host's fused operator; only where features.fusedMadd. */
export function hostFused(k: Ops, type: 'f32x4' | 'f64x2', negate: boolean, a: Val, b: Val, c: Val): Val {
  return k.op(`${type}.relaxed_${negate ? 'nmadd' : 'madd'}`, a, b, c);
}

/** c + a * b (or c - a * b) of vectors, by the host's fused operator where it has one. */
export function fastFusedVector(
  k: Ops,
  type: 'f32x4' | 'f64x2',
  q: number,
  negate: boolean,
  a: Val,
  b: Val,
  c: Val,
): Fast {
  if (features.fusedMadd) return checkFused(k, type, hostFused(k, type, negate, a, b, c), a, b);
  const factor = negate ? float(k, type, 'neg', a) : a;
  return type === 'f64x2' ? fastFusedDouble(k, type, factor, b, c) : fastFusedSingles(k, q, factor, b, c);
}

/**
 * a * b + c rounded once, in doubles. The product and the sum are taken apart into heads and errors, `sum + tail` with
 * `tail` the errors' sum. One more rounding gives the result, unless the errors' sum was itself rounded and the result
 * lies exactly in the middle of two numbers: only then could what `tail` lost decide. If `tail` is inexact, the sum did
 * not cancel, so `tail` is below two units of it and its own last bit far below half a unit of the result; a distance
 * from the middle is then at least one unit of `tail`, more than was lost. The middle shows as a residue that is a power
 * of two. The error terms are exact if `abs(a * b) >= 2^-900`; overflow ends in an infinity or a NaN.
 */
export function fastFusedDouble(k: Ops, type: 'f64' | 'f64x2', a: Val, b: Val, c: Val): Fast {
  const product = float(k, type, 'mul', a, b);
  const low = productError(k, type, a, b, product);
  const sum = float(k, type, 'add', product, c);
  const error = sumError(k, type, product, c, sum);
  const tail = float(k, type, 'add', error, low);
  const value = k.copy(float(k, type, 'add', sum, tail));
  const residue = float(k, type, 'sub', tail, float(k, type, 'sub', value, sum));
  const isLarge = float(k, type, 'ge', float(k, type, 'abs', product), constant(k, type, 2 ** -900));
  const ok = k.copy(both(k, type, isLarge, isFiniteNumber(k, type, value)));
  k.if(isPowerOfTwoAnywhere(k, type, residue), () => {
    const lost = sumError(k, type, error, low, tail);
    k.assign(ok, both(k, type, ok, isZero(k, type, lost)));
  });
  k.if(failsAnywhere(k, type, ok), () => {
    // A zero factor: the product is exact, and the sum is what it is, with its own sign of zero.
    const exact = either(k, type, isZero(k, type, a), isZero(k, type, b));
    const stands = both(k, type, exact, isFiniteNumber(k, type, sum));
    k.assign(ok, either(k, type, ok, stands));
    k.assign(value, type === 'f64' ? k.select(stands, sum, value) : k.op('v128.bitselect', sum, value, stands));
  });
  return { value, ok };
}

/**
 * a * b + c rounded once, of singles given as doubles: the product is exact, and rounding the sum again goes wrong only
 * from the middle between two singles; there an inexact sum is not vouched for. `value` is f64 (or f64x2).
 */
function fusedSum(k: Ops, type: 'f64' | 'f64x2', a: Val, b: Val, c: Val): Fast {
  const product = float(k, type, 'mul', a, b);
  const sum = float(k, type, 'add', product, c);
  if (type === 'f64') {
    const ok = k.variable('i32', i32(1));
    const tail = k.and(k.wrap(k.op('i64.reinterpret_f64', sum)), i32(0x1fff_ffff));
    k.if(k.eq(tail, i32(0x1000_0000)), () => {
      k.assign(ok, isZero(k, type, sumError(k, type, product, c, sum)));
    });
    return { value: sum, ok };
  }
  const pattern = (value: number): Val => {
    const bytes = new DataView(new ArrayBuffer(16));
    bytes.setUint32(0, value, true);
    bytes.setUint32(8, value, true);
    return k.v128(new Uint8Array(bytes.buffer));
  };
  const isMiddle = k.op('i64x2.eq', k.op('v128.and', sum, pattern(0x1fff_ffff)), pattern(0x1000_0000));
  const ok = k.copy(k.op('v128.not', isMiddle));
  k.if(k.op('v128.any_true', isMiddle), () => {
    k.assign(ok, k.op('v128.or', ok, isZero(k, type, sumError(k, type, product, c, sum))));
  });
  return { value: sum, ok };
}

/** a * b + c rounded once, of f32 scalars. */
export function fastFusedSingle(k: Ops, a: Val, b: Val, c: Val): Fast {
  const wide = (x: Val): Val => k.op('f64.promote_f32', x);
  const sum = fusedSum(k, 'f64', wide(a), wide(b), wide(c));
  const value = k.op('f32.demote_f64', sum.value);
  const plain = plainOrZero(k, 'f32', value, () => isZero(k, 'f64', sum.value));
  const reconsider = (): Val => k.and(sum.ok, plain.reconsider?.() ?? plain.ok);
  return { ...plain, ok: k.and(sum.ok, plain.ok), reconsider };
}

const UPPER_HALF = [8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15];
const LOW_HALVES = [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23];
/** The low words of four doublewords. */
const LOW_WORDS = [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27];

/** a * b + c rounded once, of f32x4; with `q` 0 only the low half is computed. */
function fastFusedSingles(k: Ops, q: number, a: Val, b: Val, c: Val): Fast {
  const wide = (high: boolean, x: Val): Val => k.op('f64x2.promote_low_f32x4', high ? k.shuffle(x, x, UPPER_HALF) : x);
  const half = (high: boolean): Fast => fusedSum(k, 'f64x2', wide(high, a), wide(high, b), wide(high, c));
  const low = half(false);
  const high = q === 1 ? half(true) : low;
  const narrow = (x: Val): Val => k.op('f32x4.demote_f64x2_zero', x);
  const value = k.shuffle(narrow(low.value), narrow(high.value), LOW_HALVES);
  const plain = plainOrZero(k, 'f32x4', value, () =>
    k.shuffle(isZero(k, 'f64x2', low.value), isZero(k, 'f64x2', high.value), LOW_WORDS),
  );
  const sums = k.shuffle(low.ok, high.ok, LOW_WORDS);
  return {
    value,
    ok: k.op('v128.and', sums, plain.ok),
    reconsider: () => k.op('v128.and', sums, plain.reconsider?.() ?? plain.ok),
  };
}

/** Rounding to an integral number. */
export type RoundTo = 'nearest' | 'ceil' | 'floor' | 'trunc' | 'away';

/** `a` rounded to an integral number in its own format; `away`: to nearest, ties away from zero. */
export function roundIntegral(k: Ops, type: FloatType, to: RoundTo, a: Val): Val {
  if (to !== 'away') return float(k, type, to, a);
  const whole = float(k, type, 'trunc', a);
  const isUp = float(k, type, 'ge', float(k, type, 'abs', float(k, type, 'sub', a, whole)), constant(k, type, 0.5));
  if (type === 'f32' || type === 'f64') {
    const one = k.op(`${type}.copysign`, constant(k, type, 1), a);
    return k.select(isUp, float(k, type, 'add', whole, one), whole);
  }
  const sign = k.op('v128.and', a, constant(k, type, -0));
  const one = k.op('v128.or', sign, constant(k, type, 1));
  return k.op('v128.bitselect', float(k, type, 'add', whole, one), whole, isUp);
}

/** i32: a fast result stands, after a closer look where needed. `holds` reads the condition as i32. */
export function stands(k: Ops, { ok, reconsider }: Fast, holds: (ok: Val) => Val): Val {
  if (reconsider === undefined) return holds(ok);
  const result = k.variable('i32', holds(ok));
  k.if(k.eqz(result), () => k.assign(result, holds(reconsider())));
  return result;
}
