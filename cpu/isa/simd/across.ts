/** Reductions: across lanes, scalar pairwise ADDP; and the modified immediates (Arm ARM C4.1.96). */
import type { Ops } from '../../ops.js';
import type { Val } from '../../wasm/body.js';
import { type Instruction, instruction } from '../instruction.js';
import { extremum, keepLow, lanewise, pairwiseLong, setResult, shiftedDown, vand, vor } from './lanes.js';

/** Folds the low `bytes` bytes of `value` in halves until one lane is left, in the lowest. */
export function reduce(k: Ops, size: number, bytes: number, value: Val, combine: (a: Val, b: Val) => Val): Val {
  let result = value;
  for (let width = bytes / 2; width >= 1 << size; width /= 2) {
    result = combine(result, shiftedDown(k, result, width));
  }
  return result;
}

/** An across-lanes instruction; word lanes need all four. */
function across(
  name: string,
  u: '0' | '1',
  opcode: string,
  lane: (k: Ops, size: number, q: number, n: Val) => Val,
  long = 0,
): Instruction {
  return instruction(
    name,
    `0 q:1 ${u} 01110 size:2 11000 ${opcode} 10 vn:5 vd:5`,
    { variant: ['q', 'size'], when: (f) => f.size < 2 + f.q && f.size < 3 },
    (op, k) => {
      if (op.size >= 2 + op.q || op.size === 3) return; // never decoded
      setResult(k, 1 << (op.size + long), op.vd, lane(k, op.size, op.q, k.vreg(op.vn)));
    },
  );
}

/** Sum of all lanes in lanes of the next size. */
function longSum(signed: boolean): (k: Ops, size: number, q: number, n: Val) => Val {
  return (k, size, q, n) => {
    const sums = pairwiseLong(k, size, signed, n);
    return reduce(k, size + 1, 8 << q, sums, (a, b) => lanewise(k, size + 1, 'add', a, b));
  };
}

/** AdvSIMDExpandImm (Arm ARM shared/functions/vector) without the inversion that MVNI and BIC add. */
export function expandImmediate(op: number, cmode: number, imm8: number): bigint {
  const byte = BigInt(imm8);
  const twice = (word: bigint): bigint => (word << 32n) | word;
  if (cmode < 8) return twice(byte << BigInt((cmode >> 1) * 8));
  if (cmode < 12) {
    const half = byte << BigInt(((cmode >> 1) & 1) * 8);
    return twice((half << 16n) | half);
  }
  if (cmode === 12) return twice((byte << 8n) | 0xffn);
  if (cmode === 13) return twice((byte << 16n) | 0xffffn);
  if (cmode === 14 && op === 0) return byte * 0x0101010101010101n;
  if (cmode === 14) {
    let mask = 0n;
    for (let i = 0; i < 8; i++) if (((imm8 >> i) & 1) === 1) mask |= 0xffn << BigInt(i * 8);
    return mask;
  }
  return op === 0 ? twice(expandFloat(imm8, 32)) : expandFloat(imm8, 64);
}

/** VFPExpandImm: the 8-bit floating-point immediate as a pattern of `bits` (16, 32 or 64) bits. */
export function expandFloat(imm8: number, bits: 16 | 32 | 64): bigint {
  const exponentBits = bits === 16 ? 5 : bits === 32 ? 8 : 11;
  const fractionBits = bits - exponentBits - 1;
  const sign = BigInt(imm8 >> 7);
  const b = BigInt((imm8 >> 6) & 1);
  const repeated = b === 1n ? (1n << BigInt(exponentBits - 3)) - 1n : 0n;
  const exponent = ((1n - b) << BigInt(exponentBits - 1)) | (repeated << 2n) | BigInt((imm8 >> 4) & 3);
  return (
    (sign << BigInt(bits - 1)) | (exponent << BigInt(fractionBits)) | (BigInt(imm8 & 15) << BigInt(fractionBits - 4))
  );
}

const imm8 = (f: { readonly abc: number; readonly defgh: number }): number => (f.abc << 5) | f.defgh;

/** MOVI, MVNI, ORR, BIC and FMOV with an expanded immediate. */
const MODIFIED_IMMEDIATE: readonly Instruction[] = [
  instruction(
    'MOVI, MVNI, FMOV (vector, immediate)',
    '0 q:1 op:1 0111100000 abc:3 cmode:4 01 defgh:5 vd:5',
    {
      variant: ['q'],
      when: (f) => (f.cmode >= 12 || (f.cmode & 1) === 0) && !(f.cmode === 15 && f.op === 1 && f.q === 0),
      imm: {
        value: (f) => {
          const value = expandImmediate(f.op, f.cmode, imm8(f));
          return f.op === 1 && f.cmode < 14 ? ~value : value;
        },
      },
    },
    (op, k) => setResult(k, 8 << op.q, op.vd, k.op('i64x2.splat', op.value)),
  ),
  instruction(
    'ORR (vector, immediate)',
    '0 q:1 0 0111100000 abc:3 cmode:4 01 defgh:5 vd:5',
    {
      variant: ['q'],
      when: (f) => f.cmode < 12 && (f.cmode & 1) === 1,
      imm: { value: (f) => expandImmediate(0, f.cmode, imm8(f)) },
    },
    (op, k) => setResult(k, 8 << op.q, op.vd, vor(k, k.vreg(op.vd), k.op('i64x2.splat', op.value))),
  ),
  instruction(
    'BIC (vector, immediate)',
    '0 q:1 1 0111100000 abc:3 cmode:4 01 defgh:5 vd:5',
    {
      variant: ['q'],
      when: (f) => f.cmode < 12 && (f.cmode & 1) === 1,
      imm: { value: (f) => ~expandImmediate(1, f.cmode, imm8(f)) },
    },
    (op, k) => setResult(k, 8 << op.q, op.vd, vand(k, k.vreg(op.vd), k.op('i64x2.splat', op.value))),
  ),
];

/** Instructions of this chapter. */
export const SIMD_ACROSS: readonly Instruction[] = [
  across('SADDLV', '0', '00011', longSum(true), 1),
  across('UADDLV', '1', '00011', longSum(false), 1),
  ...(['0', '1'] as const).flatMap((u) => {
    const fold =
      (larger: boolean) =>
      (k: Ops, size: number, q: number, n: Val): Val =>
        reduce(k, size, 8 << q, n, (a, b) => extremum(k, size, larger, u === '0', a, b));
    const s = u === '0' ? 'S' : 'U';
    return [across(`${s}MAXV`, u, '01010', fold(true)), across(`${s}MINV`, u, '11010', fold(false))];
  }),
  across('ADDV', '0', '11011', (k, size, q, n) => reduce(k, size, 8 << q, n, (a, b) => lanewise(k, size, 'add', a, b))),
  instruction('ADDP (scalar)', '01 0 11110 11 11000 11011 10 vn:5 vd:5', {}, (op, k) => {
    const n = k.vreg(op.vn);
    k.setVreg(op.vd, keepLow(k, 8, k.op('i64x2.add', n, shiftedDown(k, n, 8))));
  }),
  ...MODIFIED_IMMEDIATE,
];
