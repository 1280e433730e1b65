/** Advanced SIMD two-register miscellaneous, integer, with the scalar forms (Arm ARM C4.1.96). */
import type { Ops } from '../../ops.js';
import type { Val } from '../../wasm/body.js';
import { type Instruction, instruction } from '../instruction.js';
import { twoRegister, type Unary, UP_TO_WORDS } from './forms.js';
import {
  choose,
  compare,
  extend,
  laneBits,
  lanewise,
  type Narrowing,
  operand,
  pairwiseLong,
  saturatingNarrow,
  setNarrow,
  setResult,
  setSaturatedIfAny,
  signs,
  splatConstant,
  truncateLanes,
  vand,
  vnot,
  vor,
  vxor,
  zeroVector,
} from './lanes.js';

const ALL = [0, 1, 2, 3];

/** Reverses lanes of `size` within groups of `group` bytes. */
function reverse(k: Ops, group: number, size: number, n: Val): Val {
  const bytes = 1 << size;
  return k.shuffle(
    n,
    n,
    Array.from({ length: 16 }, (_, i) => i - (i % group) + group - bytes - ((i % group) - (i % bytes)) + (i % bytes)),
  );
}

const NIBBLE_CLZ = [4, 3, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0];
const NIBBLE_REVERSED = [0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15];

const lowNibbles = (k: Ops, n: Val): Val => vand(k, n, splatConstant(k, 0, 15n));
const highNibbles = (k: Ops, n: Val): Val => k.op('i8x16.shr_u', n, k.i32(4));
const lookUp = (k: Ops, table: readonly number[], index: Val): Val => k.op('i8x16.swizzle', k.v128(table), index);

/** Leading zeros of each lane: of the upper half, and if that is all zeros, of the lower half as well. */
function leadingZeros(k: Ops, size: number, n: Val): Val {
  if (size === 2) {
    let result = n;
    for (let lane = 0; lane < 4; lane++) {
      const count = k.clz(k.lane('i32x4.extract_lane', lane, n));
      result = lane === 0 ? k.op('i32x4.splat', count) : k.lane('i32x4.replace_lane', lane, result, count);
    }
    return result;
  }
  const high = lookUp(k, NIBBLE_CLZ, highNibbles(k, n));
  const low = lookUp(k, NIBBLE_CLZ, lowNibbles(k, n));
  const isHighZero = k.op('i8x16.eq', high, splatConstant(k, 0, 4n));
  const bytes = k.op('i8x16.add', high, vand(k, low, isHighZero));
  if (size === 0) return bytes;
  const upper = k.op('i16x8.shr_u', bytes, k.i32(8));
  const isUpperZero = k.op('i16x8.eq', upper, splatConstant(k, 1, 8n));
  const lower = vand(k, bytes, splatConstant(k, 1, 0xffn));
  return k.op('i16x8.add', upper, vand(k, lower, isUpperZero));
}

/** A comparison with zero. */
function compareZero(name: string, u: '0' | '1', opcode: string, operator: string): Instruction[] {
  return twoRegister(name, u, opcode, (k, size, n) => lanewise(k, size, operator, n, zeroVector), { scalar: [3] });
}

/** SQABS, SQNEG: only the smallest number saturates. */
function saturatingUnary(operator: 'abs' | 'neg'): Unary {
  return (k, size, n) => {
    const over = lanewise(k, size, 'eq', n, splatConstant(k, size, 1n << BigInt(laneBits(size) - 1)));
    setSaturatedIfAny(k, over);
    return vxor(k, lanewise(k, size, operator, n), over);
  };
}

/** SUQADD: an unsigned lane added to the signed destination; the sum wrapped if it fell. */
const signedPlusUnsigned: Unary = (k, size, n, d) => {
  const old = d();
  const sum = lanewise(k, size, 'add', old, n);
  const over = compare(k, size, 'gt', true, old, sum);
  setSaturatedIfAny(k, over);
  return choose(k, over, splatConstant(k, size, (1n << BigInt(laneBits(size) - 1)) - 1n), sum);
};

/** USQADD: a signed lane added to the unsigned destination. */
const unsignedPlusSigned: Unary = (k, size, n, d) => {
  const old = d();
  const sum = lanewise(k, size, 'add', old, n);
  const isNegative = signs(k, size, n);
  const over = k.op('v128.andnot', compare(k, size, 'gt', false, old, sum), isNegative);
  const under = vand(k, compare(k, size, 'gt', false, sum, old), isNegative);
  setSaturatedIfAny(k, vor(k, over, under));
  return k.op('v128.andnot', vor(k, sum, over), under);
};

/** Narrowing forms: the result's half is chosen by Q. */
function narrowing(name: string, u: '0' | '1', opcode: string, kind: Narrowing | undefined): Instruction[] {
  const entries = [
    instruction(
      name,
      `0 q:1 ${u} 01110 size:2 10000 ${opcode} 10 vn:5 vd:5`,
      { variant: ['q', 'size'], when: (f) => f.size < 3 },
      (op, k) => {
        if (op.size === 3) return; // never decoded
        const n = k.vreg(op.vn);
        const result =
          kind === undefined ? truncateLanes(k, op.size, n, zeroVector) : saturatingNarrow(k, op.size, kind, n);
        setNarrow(k, op.q === 1, op.vd, result);
      },
    ),
  ];
  if (kind === undefined) return entries;
  entries.push(
    instruction(
      `${name} (scalar)`,
      `01 ${u} 11110 size:2 10000 ${opcode} 10 vn:5 vd:5`,
      { variant: ['size'], when: (f) => f.size < 3 },
      (op, k) => {
        if (op.size === 3) return; // never decoded
        const n = operand(k, 2 << op.size, op.vn);
        setResult(k, 1 << op.size, op.vd, saturatingNarrow(k, op.size, kind, n));
      },
    ),
  );
  return entries;
}

/** SADDLP, UADDLP, and with `accumulates` SADALP, UADALP. */
function pairwiseSum(name: string, u: '0' | '1', opcode: string, accumulates: boolean): Instruction[] {
  return twoRegister(
    name,
    u,
    opcode,
    (k, size, n, d) => {
      const sums = pairwiseLong(k, size, u === '0', n);
      return accumulates ? lanewise(k, size + 1, 'add', d(), sums) : sums;
    },
    { sizes: UP_TO_WORDS },
  );
}

/** Instructions of this chapter. */
export const SIMD_TWO_REGISTER: readonly Instruction[] = [
  ...twoRegister('REV64', '0', '00000', (k, size, n) => reverse(k, 8, size, n), { sizes: UP_TO_WORDS }),
  ...twoRegister('REV32', '1', '00000', (k, size, n) => reverse(k, 4, size, n), { sizes: [0, 1] }),
  ...twoRegister('REV16', '0', '00001', (k, size, n) => reverse(k, 2, size, n), { sizes: [0] }),
  ...pairwiseSum('SADDLP', '0', '00010', false),
  ...pairwiseSum('UADDLP', '1', '00010', false),
  ...pairwiseSum('SADALP', '0', '00110', true),
  ...pairwiseSum('UADALP', '1', '00110', true),
  ...twoRegister('SUQADD', '0', '00011', signedPlusUnsigned, { scalar: ALL, saturates: true }),
  ...twoRegister('USQADD', '1', '00011', unsignedPlusSigned, { scalar: ALL, saturates: true }),
  ...twoRegister(
    'CLS',
    '0',
    '00100',
    (k, size, n) =>
      lanewise(k, size, 'sub', leadingZeros(k, size, vxor(k, n, signs(k, size, n))), splatConstant(k, size, 1n)),
    { sizes: UP_TO_WORDS },
  ),
  ...twoRegister('CLZ', '1', '00100', leadingZeros, { sizes: UP_TO_WORDS }),
  ...twoRegister('CNT', '0', '00101', (k, _size, n) => k.op('i8x16.popcnt', n), { sizes: [0] }),
  ...twoRegister('NOT', '1', '00101', (k, _size, n) => vnot(k, n), { sizes: [0] }),
  ...twoRegister(
    'RBIT (vector)',
    '1',
    '00101',
    (k, _size, n) => {
      const low = lookUp(k, NIBBLE_REVERSED, lowNibbles(k, n));
      return vor(k, k.op('i8x16.shl', low, k.i32(4)), lookUp(k, NIBBLE_REVERSED, highNibbles(k, n)));
    },
    { sizes: [1] },
  ),
  ...twoRegister('SQABS', '0', '00111', saturatingUnary('abs'), { scalar: ALL, saturates: true }),
  ...twoRegister('SQNEG', '1', '00111', saturatingUnary('neg'), { scalar: ALL, saturates: true }),
  ...compareZero('CMGT (zero)', '0', '01000', 'gt_s'),
  ...compareZero('CMGE (zero)', '1', '01000', 'ge_s'),
  ...compareZero('CMEQ (zero)', '0', '01001', 'eq'),
  ...compareZero('CMLE (zero)', '1', '01001', 'le_s'),
  ...compareZero('CMLT (zero)', '0', '01010', 'lt_s'),
  ...twoRegister('ABS', '0', '01011', (k, size, n) => lanewise(k, size, 'abs', n), { scalar: [3] }),
  ...twoRegister('NEG (vector)', '1', '01011', (k, size, n) => lanewise(k, size, 'neg', n), { scalar: [3] }),
  ...narrowing('XTN', '0', '10010', undefined),
  ...narrowing('SQXTUN', '1', '10010', 'signed-to-unsigned'),
  ...narrowing('SQXTN', '0', '10100', 'signed'),
  ...narrowing('UQXTN', '1', '10100', 'unsigned'),
  instruction(
    'SHLL',
    '0 q:1 1 01110 size:2 10000 10011 10 vn:5 vd:5',
    { variant: ['q', 'size'], when: (f) => f.size < 3 },
    (op, k) => {
      if (op.size === 3) return; // never decoded
      const wide = extend(k, op.size, op.q === 1, false, k.vreg(op.vn));
      k.setVreg(op.vd, lanewise(k, op.size + 1, 'shl', wide, k.i32(laneBits(op.size))));
    },
  ),
];
