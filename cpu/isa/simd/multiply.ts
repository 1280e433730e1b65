/** Saturating doubling multiplications: SQDMULH, SQRDMULH, SQRDMLAH, SQRDMLSH and SQDMULL. */
import type { Ops } from '../../ops.js';
import type { Val } from '../../wasm/body.js';
import {
  laneBits,
  lanewise,
  longProduct,
  saturatingNarrow,
  setSaturatedIfAny,
  splatConstant,
  truncateLanes,
  vand,
  vxor,
} from './lanes.js';

/** An accumulator that goes into the product's upper half before rounding (FEAT_RDM). */
export interface Accumulator {
  readonly accumulate: 'add' | 'sub';
  readonly d: Val;
}

/** The low (or upper) half's lanes of `d` shifted to the weight of an undoubled product's upper half. */
function aligned(k: Ops, size: number, high: boolean, d: Val): Val {
  const half = lanewise(k, size + 1, `extend_${high ? 'high' : 'low'}_${size === 1 ? 'i16x8' : 'i32x4'}_s`, d);
  return lanewise(k, size + 1, 'shl', half, k.i32(laneBits(size) - 1));
}

/** The upper half of twice the product, rounded if `rounding`, saturated, setting QC; halfword or word lanes. */
export function doublingHighProduct(
  k: Ops,
  size: number,
  n: Val,
  m: Val,
  rounding: boolean,
  accumulator?: Accumulator,
): Val {
  const bits = laneBits(size);
  const wide = size + 1;
  if (accumulator === undefined) {
    // Only the square of the smallest number saturates.
    const smallest = splatConstant(k, size, 1n << BigInt(bits - 1));
    const over = vand(k, lanewise(k, size, 'eq', n, smallest), lanewise(k, size, 'eq', m, smallest));
    setSaturatedIfAny(k, over);
    if (size === 1 && rounding) return k.op('i16x8.q15mulr_sat_s', n, m);
    const half = (high: boolean): Val => {
      let value = longProduct(k, size, high, true, n, m);
      if (rounding) value = lanewise(k, wide, 'add', value, splatConstant(k, wide, 1n << BigInt(bits - 2)));
      return lanewise(k, wide, 'shr_s', value, k.i32(bits - 1));
    };
    const low = half(false);
    return vxor(k, truncateLanes(k, size, low, half(true)), over);
  }
  const half = (high: boolean): Val => {
    const value = longProduct(k, size, high, true, n, m);
    const sum = lanewise(k, wide, accumulator.accumulate, aligned(k, size, high, accumulator.d), value);
    const rounded = lanewise(k, wide, 'add', sum, splatConstant(k, wide, 1n << BigInt(bits - 2)));
    return lanewise(k, wide, 'shr_s', rounded, k.i32(bits - 1));
  };
  const low = saturatingNarrow(k, size, 'signed', half(false));
  const high = saturatingNarrow(k, size, 'signed', half(true));
  return k.shuffle(low, high, [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23]);
}

/** Twice the full product of the low (or upper) half's lanes, saturated, setting QC. */
export function doublingLongProduct(k: Ops, size: number, high: boolean, n: Val, m: Val): Val {
  const wide = size + 1;
  const value = longProduct(k, size, high, true, n, m);
  const over = lanewise(k, wide, 'eq', value, splatConstant(k, wide, 1n << BigInt(laneBits(wide) - 2)));
  setSaturatedIfAny(k, over);
  return vxor(k, lanewise(k, wide, 'shl', value, k.i32(1)), over);
}
