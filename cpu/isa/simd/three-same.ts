/** Advanced SIMD three same, integer, with the scalar forms (Arm ARM C4.1.96). Floating point: three-same-fp.ts. */
import type { Ops } from '../../ops.js';
import type { Val } from '../../wasm/body.js';
import { type Instruction, instruction } from '../instruction.js';
import { type Binary, threeSame, UP_TO_WORDS } from './forms.js';
import { SIMD_HELPER } from './helper-codes.js';
import {
  callSimdHelper,
  choose,
  compare,
  extremum,
  lanewise,
  operand,
  pairs,
  product,
  saturatingSum,
  setResult,
  splatConstant,
  vand,
  vnot,
  vor,
  vxor,
} from './lanes.js';
import { doublingHighProduct } from './multiply.js';
import { shiftByRegister } from './shift-register.js';

const HALVES_AND_WORDS = [1, 2];
const signOf = (u: '0' | '1'): boolean => u === '0';
const U = ['0', '1'] as const;

/** Halving: the sum's (or difference's) common and different bits apart, so that nothing overflows. */
const halvingAdd =
  (signed: boolean): Binary =>
  (k, size, n, m) =>
    lanewise(k, size, 'add', vand(k, n, m), lanewise(k, size, signed ? 'shr_s' : 'shr_u', vxor(k, n, m), k.i32(1)));
const halvingSub =
  (signed: boolean): Binary =>
  (k, size, n, m) =>
    lanewise(
      k,
      size,
      'sub',
      lanewise(k, size, signed ? 'shr_s' : 'shr_u', vxor(k, n, m), k.i32(1)),
      k.op('v128.andnot', m, n),
    );
const roundingHalvingAdd =
  (signed: boolean): Binary =>
  (k, size, n, m) => {
    if (!signed && size < 2) return lanewise(k, size, 'avgr_u', n, m);
    const half = lanewise(k, size, signed ? 'shr_s' : 'shr_u', vxor(k, n, m), k.i32(1));
    return lanewise(k, size, 'sub', vor(k, n, m), half);
  };

/** The distance of two lanes. */
export function absoluteDifference(k: Ops, size: number, signed: boolean, n: Val, m: Val): Val {
  return lanewise(k, size, 'sub', extremum(k, size, true, signed, n, m), extremum(k, size, false, signed, n, m));
}

/** Carry-less product of lanes, low half: the sum without carries of one lane shifted by each bit set in the other. */
export function carrylessProduct(k: Ops, size: number, a: Val, b: Val): Val {
  let sum: Val | undefined;
  for (let bit = 0; bit < 8; bit++) {
    const mask = splatConstant(k, size, 1n << BigInt(bit));
    const isSet = lanewise(k, size, 'eq', vand(k, a, mask), mask);
    const term = vand(k, lanewise(k, size, 'shl', b, k.i32(bit)), isSet);
    sum = sum === undefined ? term : vxor(k, sum, term);
  }
  return sum ?? a;
}

/** Operations that exist signed (U = 0) and unsigned (U = 1). */
function signedPairs(u: '0' | '1'): Instruction[] {
  const signed = signOf(u);
  const s = signed ? 'S' : 'U';
  const all = [0, 1, 2, 3];
  const helped =
    (code: number): Binary =>
    (k, size, n, m) =>
      callSimdHelper(k, code + (signed ? 0 : 1), size, n, m);
  const sizes = UP_TO_WORDS;
  return [
    ...threeSame(`${s}HADD`, u, '00000', halvingAdd(signed), { sizes }),
    ...threeSame(`${s}RHADD`, u, '00010', roundingHalvingAdd(signed), { sizes }),
    ...threeSame(`${s}HSUB`, u, '00100', halvingSub(signed), { sizes }),
    ...threeSame(`${s}QADD`, u, '00001', (k, size, n, m) => saturatingSum(k, size, false, signed, n, m), {
      scalar: all,
      saturates: true,
    }),
    ...threeSame(`${s}QSUB`, u, '00101', (k, size, n, m) => saturatingSum(k, size, true, signed, n, m), {
      scalar: all,
      saturates: true,
    }),
    ...threeSame(signed ? 'CMGT' : 'CMHI', u, '00110', (k, size, n, m) => compare(k, size, 'gt', signed, n, m), {
      scalar: [3],
    }),
    ...threeSame(signed ? 'CMGE' : 'CMHS', u, '00111', (k, size, n, m) => compare(k, size, 'ge', signed, n, m), {
      scalar: [3],
    }),
    ...threeSame(`${s}SHL`, u, '01000', (k, size, n, m) => shiftByRegister(k, size, signed, n, m), { scalar: [3] }),
    ...threeSame(`${s}QSHL`, u, '01001', helped(SIMD_HELPER.sqshl), { scalar: all, saturates: true }),
    ...threeSame(`${s}RSHL`, u, '01010', helped(SIMD_HELPER.srshl), { scalar: [3] }),
    ...threeSame(`${s}QRSHL`, u, '01011', helped(SIMD_HELPER.sqrshl), { scalar: all, saturates: true }),
    ...threeSame(`${s}MAX`, u, '01100', (k, size, n, m) => extremum(k, size, true, signed, n, m), { sizes }),
    ...threeSame(`${s}MIN`, u, '01101', (k, size, n, m) => extremum(k, size, false, signed, n, m), { sizes }),
    ...threeSame(`${s}ABD`, u, '01110', (k, size, n, m) => absoluteDifference(k, size, signed, n, m), { sizes }),
    ...threeSame(
      `${s}ABA`,
      u,
      '01111',
      (k, size, n, m, d) => lanewise(k, size, 'add', d(), absoluteDifference(k, size, signed, n, m)),
      { sizes },
    ),
    ...pairwise(`${s}MAXP`, u, '10100', sizes, (k, size, a, b) => extremum(k, size, true, signed, a, b)),
    ...pairwise(`${s}MINP`, u, '10101', sizes, (k, size, a, b) => extremum(k, size, false, signed, a, b)),
  ];
}

/** Pairwise operations: neighbouring lanes of the first, then of the second operand. */
function pairwise(name: string, u: '0' | '1', opcode: string, sizes: readonly number[], lane: Binary): Instruction[] {
  return [
    instruction(
      name,
      `0 q:1 ${u} 01110 size:2 1 vm:5 ${opcode} 1 vn:5 vd:5`,
      { variant: ['q', 'size'], when: (f) => sizes.includes(f.size) && f.size < 3 + f.q },
      (op, k) => {
        if (!sizes.includes(op.size) || op.size === 3 + op.q) return; // never decoded
        const [a, b] = pairs(k, op.size, op.q, k.vreg(op.vn), k.vreg(op.vm));
        setResult(
          k,
          8 << op.q,
          op.vd,
          lane(k, op.size, a, b, () => a),
        );
      },
    ),
  ];
}

/** The bitwise operations, whose size field selects one of eight. */
const LOGIC: readonly [string, '0' | '1', string, (k: Ops, n: Val, m: Val, d: () => Val) => Val][] = [
  ['AND', '0', '00', (k, n, m) => vand(k, n, m)],
  ['BIC', '0', '01', (k, n, m) => k.op('v128.andnot', n, m)],
  ['ORR', '0', '10', (k, n, m) => vor(k, n, m)],
  ['ORN', '0', '11', (k, n, m) => vor(k, n, vnot(k, m))],
  ['EOR', '1', '00', (k, n, m) => vxor(k, n, m)],
  ['BSL', '1', '01', (k, n, m, d) => choose(k, d(), n, m)],
  ['BIT', '1', '10', (k, n, m, d) => choose(k, m, n, d())],
  ['BIF', '1', '11', (k, n, m, d) => choose(k, m, d(), n)],
];

/** SQRDMLAH and SQRDMLSH of FEAT_RDM, which live among the three-same-extra encodings. */
function roundingMultiplyAccumulate(name: string, opcode: '10000' | '10001', subtract: boolean): Instruction[] {
  const accumulate = subtract ? 'sub' : 'add';
  return [
    instruction(
      name,
      `0 q:1 1 01110 size:2 0 vm:5 ${opcode} 1 vn:5 vd:5`,
      { variant: ['q', 'size'], when: (f) => HALVES_AND_WORDS.includes(f.size) },
      (op, k) => {
        if (!HALVES_AND_WORDS.includes(op.size)) return; // never decoded
        const bytes = 8 << op.q;
        const [d, n, m] = [operand(k, bytes, op.vd), operand(k, bytes, op.vn), operand(k, bytes, op.vm)];
        setResult(k, bytes, op.vd, doublingHighProduct(k, op.size, n, m, true, { accumulate, d }));
      },
    ),
    instruction(
      `${name} (scalar)`,
      `01 1 11110 size:2 0 vm:5 ${opcode} 1 vn:5 vd:5`,
      { variant: ['size'], when: (f) => HALVES_AND_WORDS.includes(f.size) },
      (op, k) => {
        if (!HALVES_AND_WORDS.includes(op.size)) return; // never decoded
        const bytes = 1 << op.size;
        const [d, n, m] = [operand(k, bytes, op.vd), operand(k, bytes, op.vn), operand(k, bytes, op.vm)];
        setResult(k, bytes, op.vd, doublingHighProduct(k, op.size, n, m, true, { accumulate, d }));
      },
    ),
  ];
}

/** Instructions of this chapter. */
export const SIMD_THREE_SAME: readonly Instruction[] = [
  ...U.flatMap(signedPairs),
  ...LOGIC.map(([name, u, size, compute]) =>
    instruction(
      `${name} (vector)`,
      `0 q:1 ${u} 01110 ${size} 1 vm:5 00011 1 vn:5 vd:5`,
      { variant: ['q'] },
      (op, k) => {
        const result = compute(k, k.vreg(op.vn), k.vreg(op.vm), () => k.vreg(op.vd));
        setResult(k, 8 << op.q, op.vd, result);
      },
    ),
  ),
  ...threeSame('ADD (vector)', '0', '10000', (k, size, n, m) => lanewise(k, size, 'add', n, m), { scalar: [3] }),
  ...threeSame('SUB (vector)', '1', '10000', (k, size, n, m) => lanewise(k, size, 'sub', n, m), { scalar: [3] }),
  ...threeSame(
    'CMTST',
    '0',
    '10001',
    (k, size, n, m) => lanewise(k, size, 'ne', vand(k, n, m), { type: 'v128', local: -1, constant: 0 }),
    { scalar: [3] },
  ),
  ...threeSame('CMEQ', '1', '10001', (k, size, n, m) => lanewise(k, size, 'eq', n, m), { scalar: [3] }),
  ...threeSame('MLA', '0', '10010', (k, size, n, m, d) => lanewise(k, size, 'add', d(), product(k, size, n, m)), {
    sizes: UP_TO_WORDS,
  }),
  ...threeSame('MLS', '1', '10010', (k, size, n, m, d) => lanewise(k, size, 'sub', d(), product(k, size, n, m)), {
    sizes: UP_TO_WORDS,
  }),
  ...threeSame('MUL (vector)', '0', '10011', (k, size, n, m) => product(k, size, n, m), { sizes: UP_TO_WORDS }),
  ...threeSame('PMUL', '1', '10011', (k, size, n, m) => carrylessProduct(k, size, n, m), { sizes: [0] }),
  ...threeSame('SQDMULH', '0', '10110', (k, size, n, m) => doublingHighProduct(k, size, n, m, false), {
    sizes: HALVES_AND_WORDS,
    scalar: HALVES_AND_WORDS,
    saturates: true,
  }),
  ...threeSame('SQRDMULH', '1', '10110', (k, size, n, m) => doublingHighProduct(k, size, n, m, true), {
    sizes: HALVES_AND_WORDS,
    scalar: HALVES_AND_WORDS,
    saturates: true,
  }),
  ...pairwise('ADDP (vector)', '0', '10111', [0, 1, 2, 3], (k, size, a, b) => lanewise(k, size, 'add', a, b)),
  ...roundingMultiplyAccumulate('SQRDMLAH', '10000', false),
  ...roundingMultiplyAccumulate('SQRDMLSH', '10001', true),
  ...(['0', '1'] as const).map((u) =>
    instruction(
      u === '0' ? 'SDOT' : 'UDOT',
      `0 q:1 ${u} 01110 10 0 vm:5 10010 1 vn:5 vd:5`,
      { variant: ['q'] },
      (op, k) => setResult(k, 8 << op.q, op.vd, dotProduct(k, u === '0', k.vreg(op.vn), k.vreg(op.vm), k.vreg(op.vd))),
    ),
  ),
];

/** The sum of four byte products in each word, added to `d` (FEAT_DotProd). */
export function dotProduct(k: Ops, signed: boolean, n: Val, m: Val, d: Val): Val {
  const s = signed ? 's' : 'u';
  const low = k.op(`i16x8.extmul_low_i8x16_${s}`, n, m);
  const high = k.op(`i16x8.extmul_high_i8x16_${s}`, n, m);
  const sumLow = k.op(`i32x4.extadd_pairwise_i16x8_${s}`, low);
  const sumHigh = k.op(`i32x4.extadd_pairwise_i16x8_${s}`, high);
  const [a, b] = pairs(k, 2, 1, sumLow, sumHigh);
  return k.op('i32x4.add', d, k.op('i32x4.add', a, b));
}
