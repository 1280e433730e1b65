/**
 * Lane arithmetic that chapters of SIMD instructions share: WebAssembly's own operators by lane size, and what it lacks
 * composed from them. `size` is the exponent of a lane's bytes as in the instructions' size field: 0 byte, 1 halfword,
 * 2 word, 3 doubleword.
 */
import type { Ops } from '../../ops.js';
import { STATE } from '../../state.js';
import { isConstant, type Val } from '../../wasm/body.js';
import type { WasmOp } from '../../wasm/opcodes.js';
import type { Reg } from '../operand.js';

/** WebAssembly's names of integer vectors by lane size. */
export const SHAPE = ['i8x16', 'i16x8', 'i32x4', 'i64x2'] as const;

/** Bits of a lane. */
export const laneBits = (size: number): number => 8 << size;

/** Applies operator `name` of lane size `size`. */
export function lanewise(k: Ops, size: number, name: string, ...args: readonly Val[]): Val {
  return k.op(`${SHAPE[size]}.${name}` as WasmOp, ...args); // WHY: FunctionBody.op refuses names that do not exist
}

/** The bytes of `value` (an unsigned lane of `bits` bits) repeated over 16 bytes. */
function repeated(value: bigint, bits: number): Uint8Array {
  const bytes = new Uint8Array(16);
  const length = bits / 8;
  for (let i = 0; i < 16; i++) bytes[i] = Number((value >> BigInt((i % length) * 8)) & 0xffn);
  return bytes;
}

/** A vector with every lane `value`. */
export function splatConstant(k: Ops, size: number, value: bigint): Val {
  return k.v128(repeated(BigInt.asUintN(laneBits(size), value), laneBits(size)));
}

/** The zero vector. */
export const zeroVector: Val = { type: 'v128', local: -1, constant: 0 };

/** Every lane a copy of `value` (i64 for doublewords; i64 is wrapped for smaller lanes). */
export function splat(k: Ops, size: number, value: Val): Val {
  return lanewise(k, size, 'splat', size === 3 ? value : k.wrap(value));
}

/** Clears everything above the lowest `bytes` bytes. */
export function keepLow(k: Ops, bytes: number, value: Val): Val {
  if (bytes === 16) return value;
  const mask = new Uint8Array(16);
  mask.fill(0xff, 0, bytes);
  return k.op('v128.and', value, k.v128(mask));
}

/** A register's content as an operand of `bytes` bytes; what lies above is zero, so it cannot saturate or trap. */
export function operand(k: Ops, bytes: number, r: Reg): Val {
  return keepLow(k, bytes, k.vreg(r));
}

/** Writes a result of `bytes` bytes and zero above. */
export function setResult(k: Ops, bytes: number, r: Reg, value: Val): void {
  k.setVreg(r, keepLow(k, bytes, value));
}

/** Bitwise selection: bits of `a` where `mask` is set, else of `b`. */
export const choose = (k: Ops, mask: Val, a: Val, b: Val): Val => k.op('v128.bitselect', a, b, mask);
/** Bitwise and, or, exclusive or, complement of vectors. */
export const vand = (k: Ops, a: Val, b: Val): Val => k.op('v128.and', a, b);
export const vor = (k: Ops, a: Val, b: Val): Val => k.op('v128.or', a, b);
export const vxor = (k: Ops, a: Val, b: Val): Val => k.op('v128.xor', a, b);
export const vnot = (k: Ops, a: Val): Val => k.op('v128.not', a);

/** Sets FPSR.QC if the i32 `condition` is not zero. */
function setSaturated(k: Ops, condition: Val): void {
  // Saturation is rare and a branch is predicted: this keeps FPSR out of the chain of every saturating instruction.
  k.if(condition, () => {
    k.stateStore('u32', STATE.fpsr, k.or(k.stateLoad('u32', STATE.fpsr), k.i32(1 << 27)));
  });
}

/** Sets FPSR.QC if `a` and `b` differ anywhere. */
export function setSaturatedUnlessEqual(k: Ops, a: Val, b: Val): void {
  setSaturated(k, k.op('v128.any_true', vxor(k, a, b)));
}

/** Sets FPSR.QC if any bit of `lanes` is set. */
export function setSaturatedIfAny(k: Ops, lanes: Val): void {
  setSaturated(k, k.op('v128.any_true', lanes));
}

/** Flips the sign bits, which turns unsigned comparison into signed. */
function flipSigns(k: Ops, size: number, a: Val): Val {
  return vxor(k, a, splatConstant(k, size, 1n << BigInt(laneBits(size) - 1)));
}

/** Lane comparison `gt` or `ge`; WebAssembly lacks the unsigned one of doublewords. */
export function compare(k: Ops, size: number, relation: 'gt' | 'ge', signed: boolean, a: Val, b: Val): Val {
  if (signed) return lanewise(k, size, `${relation}_s`, a, b);
  if (size < 3) return lanewise(k, size, `${relation}_u`, a, b);
  return lanewise(k, size, `${relation}_s`, flipSigns(k, size, a), flipSigns(k, size, b));
}

/** Lane maximum or minimum. */
export function extremum(k: Ops, size: number, larger: boolean, signed: boolean, a: Val, b: Val): Val {
  if (size < 3) return lanewise(k, size, `${larger ? 'max' : 'min'}_${signed ? 's' : 'u'}`, a, b);
  const isGreater = compare(k, size, 'gt', signed, a, b);
  return larger ? choose(k, isGreater, a, b) : choose(k, isGreater, b, a);
}

/** Lane product, low half. WebAssembly lacks that of bytes. */
export function product(k: Ops, size: number, a: Val, b: Val): Val {
  if (size > 0) return lanewise(k, size, 'mul', a, b);
  const low = k.op('i16x8.extmul_low_i8x16_u', a, b);
  const high = k.op('i16x8.extmul_high_i8x16_u', a, b);
  return k.shuffle(low, high, [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30]);
}

/** The sign of each lane spread over it. */
export const signs = (k: Ops, size: number, a: Val): Val => lanewise(k, size, 'shr_s', a, k.i32(laneBits(size) - 1));

/** A lane's largest signed value, or, where `negative`'s sign is set, its smallest. */
export function signedLimit(k: Ops, size: number, negative: Val): Val {
  const maximum = splatConstant(k, size, (1n << BigInt(laneBits(size) - 1)) - 1n);
  return vxor(k, signs(k, size, negative), maximum);
}

/** Saturating sum or difference, setting QC. Lanes above the operation must hold zeros. */
export function saturatingSum(k: Ops, size: number, subtract: boolean, signed: boolean, a: Val, b: Val): Val {
  const plain = lanewise(k, size, subtract ? 'sub' : 'add', a, b);
  if (size < 2) {
    const limited = lanewise(k, size, `${subtract ? 'sub' : 'add'}_sat_${signed ? 's' : 'u'}`, a, b);
    setSaturatedUnlessEqual(k, plain, limited);
    return limited;
  }
  if (!signed) {
    const over = subtract ? compare(k, size, 'gt', false, b, a) : compare(k, size, 'gt', false, a, plain);
    setSaturatedIfAny(k, over);
    return subtract ? k.op('v128.andnot', plain, over) : vor(k, plain, over);
  }
  const differs = vxor(k, a, plain);
  const over = signs(k, size, vand(k, differs, subtract ? vxor(k, a, b) : vxor(k, b, plain)));
  setSaturatedIfAny(k, over);
  return choose(k, over, signedLimit(k, size, a), plain);
}

/** Extends the low (or, with `high`, the upper) half's lanes of `size` to the next size. */
export function extend(k: Ops, size: number, high: boolean, signed: boolean, a: Val): Val {
  return lanewise(k, size + 1, `extend_${high ? 'high' : 'low'}_${SHAPE[size]}_${signed ? 's' : 'u'}`, a);
}

/** Full products of the low or upper half's lanes of `size`. */
export function longProduct(k: Ops, size: number, high: boolean, signed: boolean, a: Val, b: Val): Val {
  return lanewise(k, size + 1, `extmul_${high ? 'high' : 'low'}_${SHAPE[size]}_${signed ? 's' : 'u'}`, a, b);
}

/** The low half of each lane of `a` (of `size` + 1), gathered in the low 8 bytes, and those of `b` in the upper. */
export const truncateLanes = (k: Ops, size: number, a: Val, b: Val): Val => everySecond(k, size, 0, a, b);

/** Writes a narrowed result (in the low 8 bytes): to the low half and zero above, or (`upper`) to the upper half only. */
export function setNarrow(k: Ops, upper: boolean, r: Reg, value: Val): void {
  if (upper) k.setVreg(r, k.shuffle(k.vreg(r), value, [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23]));
  else setResult(k, 8, r, value);
}

/** What a saturating narrowing reads and writes. */
export type Narrowing = 'signed' | 'unsigned' | 'signed-to-unsigned';

/** Saturates lanes of `size` + 1 into lanes of `size` in the low 8 bytes (zero above), setting QC. */
export function saturatingNarrow(k: Ops, size: number, kind: Narrowing, a: Val): Val {
  const bits = BigInt(laneBits(size));
  const wide = size + 1;
  const low = splatConstant(k, wide, kind === 'signed' ? -(1n << (bits - 1n)) : 0n);
  const high = splatConstant(k, wide, kind === 'signed' ? (1n << (bits - 1n)) - 1n : (1n << bits) - 1n);
  const signed = kind !== 'unsigned';
  let limited = extremum(k, wide, false, signed, a, high);
  if (signed) limited = extremum(k, wide, true, true, limited, low);
  setSaturatedUnlessEqual(k, a, limited);
  return truncateLanes(k, size, limited, zeroVector);
}

/** Logical shift right by `amount` (i32, 1 to the lane's width inclusive). */
export function shiftRightU(k: Ops, size: number, a: Val, amount: Val): Val {
  const bits = laneBits(size);
  if (isConstant(amount)) {
    return Number(amount.constant) === bits ? zeroVector : lanewise(k, size, 'shr_u', a, amount);
  }
  // Every emission has amounts up to the width; WebAssembly takes them modulo the width, so the shift is done in two.
  const once = lanewise(k, size, 'shr_u', a, k.sub(amount, k.i32(1)));
  return lanewise(k, size, 'shr_u', once, k.i32(1));
}

/** Arithmetic shift right by `amount` (i32, 1 to the lane's width inclusive). */
export function shiftRightS(k: Ops, size: number, a: Val, amount: Val): Val {
  const most = laneBits(size) - 1;
  if (isConstant(amount)) return lanewise(k, size, 'shr_s', a, k.i32(Math.min(Number(amount.constant), most)));
  const once = lanewise(k, size, 'shr_s', a, k.sub(amount, k.i32(1)));
  return lanewise(k, size, 'shr_s', once, k.i32(1));
}

/** Shift right with rounding to nearest, ties up; amount as above. */
export function roundingShiftRight(k: Ops, size: number, signed: boolean, a: Val, amount: Val): Val {
  const before = lanewise(k, size, signed ? 'shr_s' : 'shr_u', a, k.sub(amount, k.i32(1)));
  const carry = vand(k, before, splatConstant(k, size, 1n));
  return lanewise(k, size, 'add', lanewise(k, size, signed ? 'shr_s' : 'shr_u', before, k.i32(1)), carry);
}

/** Sums of neighbouring lanes as lanes of the next size. */
export function pairwiseLong(k: Ops, size: number, signed: boolean, a: Val): Val {
  const s = signed ? 's' : 'u';
  if (size < 2) return lanewise(k, size + 1, `extadd_pairwise_${SHAPE[size]}_${s}`, a);
  const even = lanewise(k, 3, `shr_${s}`, k.op('i64x2.shl', a, k.i32(32)), k.i32(32));
  return k.op('i64x2.add', even, lanewise(k, 3, `shr_${s}`, a, k.i32(32)));
}

/** The even (0) or odd (1) lanes of `a` then of `b`. */
export function everySecond(k: Ops, size: number, odd: 0 | 1, a: Val, b: Val): Val {
  const bytes = 1 << size;
  return k.shuffle(
    a,
    b,
    Array.from({ length: 16 }, (_, i) => (Math.floor(i / bytes) * 2 + odd) * bytes + (i % bytes)),
  );
}

/** For Q = 0 pairwise forms: the low halves of `a` and `b` joined. */
export function joinLow(k: Ops, a: Val, b: Val): Val {
  return k.shuffle(a, b, [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23]);
}

/** Operands of a pairwise operation as two vectors whose lanes correspond; the result's low `bytes` bytes count. */
export function pairs(k: Ops, size: number, q: number, n: Val, m: Val): readonly [Val, Val] {
  if (q === 1) return [everySecond(k, size, 0, n, m), everySecond(k, size, 1, n, m)];
  const joined = joinLow(k, n, m);
  return [everySecond(k, size, 0, joined, joined), everySecond(k, size, 1, joined, joined)];
}

/** Index pattern of {@link broadcast} for element `index` of lanes of `size`, for use as an immediate. */
export function elementPattern(size: number, index: number): bigint {
  let pattern = 0n;
  for (let i = 0; i < 8; i++) pattern |= BigInt(index * (1 << size) + (i % (1 << size))) << BigInt(i * 8);
  return pattern;
}

/** Every lane a copy of one element of `a`; `pattern` (i64) is an immediate made by {@link elementPattern}. */
export function broadcast(k: Ops, a: Val, pattern: Val): Val {
  if (isConstant(pattern)) {
    const bits = BigInt.asUintN(64, BigInt(pattern.constant));
    return k.shuffle(
      a,
      a,
      Array.from({ length: 16 }, (_, i) => Number((bits >> BigInt((i % 8) * 8)) & 0xffn)),
    );
  }
  return k.op('i8x16.swizzle', a, k.op('i64x2.splat', pattern));
}

/** Calls the integer helper (cpu/isa/simd is its only user) on up to two operands; see simd/helper.ts for the codes. */
export function callSimdHelper(k: Ops, code: number, size: number, n: Val, m: Val): Val {
  k.stateStore('v128', STATE.operands, n);
  k.stateStore('v128', STATE.operands + 16, m);
  k.helper('simd', [k.i32(code), k.i32(size)]);
  return k.stateLoad('v128', STATE.operands);
}

/** The bytes from `bytes` on, moved down; the upper bytes are not meaningful. */
export function shiftedDown(k: Ops, value: Val, bytes: number): Val {
  return k.shuffle(
    value,
    value,
    Array.from({ length: 16 }, (_, i) => (i + bytes) % 16),
  );
}
