/** SSHL and USHL: each lane shifted by its own signed amount, left if positive (Arm ARM C7.2, SSHL). */
import type { Ops } from '../../ops.js';
import type { Val } from '../../wasm/body.js';
import { choose, compare, laneBits, lanewise, signs, splatConstant, vand, zeroVector } from './lanes.js';

/** Shifts lanes by per-lane amounts below the width, one power of two after the other. */
function barrel(k: Ops, size: number, operator: 'shl' | 'shr_s' | 'shr_u', value: Val, amounts: Val): Val {
  let result = value;
  for (let bit = 0; bit < 3 + size; bit++) {
    const mask = splatConstant(k, size, 1n << BigInt(bit));
    const isSet = lanewise(k, size, 'eq', vand(k, amounts, mask), mask);
    result = choose(k, isSet, lanewise(k, size, operator, result, k.i32(1 << bit)), result);
  }
  return result;
}

/** One doubleword shifted by a signed amount. */
function shiftScalar(k: Ops, signed: boolean, value: Val, shift: Val): Val {
  const amount = k.op('i64.extend8_s', shift);
  const right = k.neg(amount);
  const left = k.select(k.geU(amount, k.i64(64)), k.i64(0), k.shl(value, amount));
  const most = k.select(k.ltU(right, k.i64(63)), right, k.i64(63));
  const down = signed ? k.shrS(value, most) : k.select(k.geU(right, k.i64(64)), k.i64(0), k.shrU(value, right));
  return k.select(k.ltS(amount, k.i64(0)), down, left);
}

/** All lanes by the same amount: a vector shift by a scalar. */
function shiftUniform(k: Ops, size: number, signed: boolean, n: Val, amount: Val, result: Val): void {
  const bits = laneBits(size);
  k.if(
    k.ltS(amount, k.i32(0)),
    () => {
      const right = k.neg(amount);
      if (signed) {
        const most = k.select(k.ltU(right, k.i32(bits - 1)), right, k.i32(bits - 1));
        k.assign(result, lanewise(k, size, 'shr_s', n, most));
      } else {
        k.assign(result, lanewise(k, size, 'shr_u', n, right));
        k.if(k.geU(right, k.i32(bits)), () => k.assign(result, zeroVector));
      }
    },
    () => {
      k.assign(result, lanewise(k, size, 'shl', n, amount));
      k.if(k.geU(amount, k.i32(bits)), () => k.assign(result, zeroVector));
    },
  );
}

/** See the head of this file. Compiled code nearly always shifts by a broadcast amount. */
export function shiftByRegister(k: Ops, size: number, signed: boolean, n: Val, m: Val): Val {
  if (size === 3) {
    const lane = (i: number): Val =>
      shiftScalar(k, signed, k.lane('i64x2.extract_lane', i, n), k.lane('i64x2.extract_lane', i, m));
    return k.lane('i64x2.replace_lane', 1, k.op('i64x2.splat', lane(0)), lane(1));
  }
  const first = k.lane('i8x16.extract_lane_s', 0, m);
  const isUniform = k.op('i8x16.all_true', lanewise(k, size, 'eq', m, broadcastFirst(k, size, m)));
  const result = k.variable('v128');
  k.if(
    isUniform,
    () => shiftUniform(k, size, signed, n, first, result),
    () => k.assign(result, shiftEach(k, size, signed, n, m)),
  );
  return result;
}

/** The lowest lane in every lane. */
function broadcastFirst(k: Ops, size: number, a: Val): Val {
  return k.shuffle(
    a,
    a,
    Array.from({ length: 16 }, (_, i) => i & ((1 << size) - 1)),
  );
}

/** Lanes by their own amounts. */
function shiftEach(k: Ops, size: number, signed: boolean, n: Val, m: Val): Val {
  const bits = laneBits(size);
  const up = k.i32(bits - 8);
  // Only the lowest byte of each lane counts, as a signed number.
  const amounts = size === 0 ? m : lanewise(k, size, 'shr_s', lanewise(k, size, 'shl', m, up), up);
  const isRight = signs(k, size, amounts);
  const right = lanewise(k, size, 'neg', amounts);
  const width = splatConstant(k, size, BigInt(bits));
  const tooLeft = compare(k, size, 'ge', false, amounts, width);
  const left = k.op('v128.andnot', barrel(k, size, 'shl', n, amounts), tooLeft);
  let down: Val;
  if (signed) {
    const most = splatConstant(k, size, BigInt(bits - 1));
    down = barrel(k, size, 'shr_s', n, lanewise(k, size, 'min_u', right, most));
  } else {
    down = k.op('v128.andnot', barrel(k, size, 'shr_u', n, right), compare(k, size, 'ge', false, right, width));
  }
  return choose(k, isRight, down, left);
}
