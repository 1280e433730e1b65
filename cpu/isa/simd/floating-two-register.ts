/** Floating-point two-register miscellaneous: rounding, comparison with zero, conversions, estimates (Arm ARM C4.1.96). */
import { FP_CODE, FP_FRACTION_BITS_SHIFT, FP_ROUNDING, fpExtra, fpShape } from '../../fp/helper-codes.js';
import type { Ops } from '../../ops.js';
import { i32, i64, type Val } from '../../wasm/body.js';
import { DIRECTION, type Direction } from '../fp/convert.js';
import { constant, fastRoot, float, isPlain, type RoundTo, roundIntegral } from '../fp/fast.js';
import { checked, doubtful, type Exact, exactVector } from '../fp/slow.js';
import { type Instruction, instruction } from '../instruction.js';
import {
  allLanes,
  areNumbers,
  type Compute,
  computeLanes,
  type Encoding,
  type FloatOperation,
  type FloatVector,
  floatTwoRegister,
  floatTwoRegisterScalar,
  vectorLanes,
  vectorType,
} from './floating.js';
import { comparison } from './floating-three-same.js';
import { shiftImmediate } from './forms.js';
import { keepLow, setNarrow, setResult, shiftedDown, splatConstant, vxor } from './lanes.js';

const at = (u: '0' | '1', a: '0' | '1', opcode: string): Encoding => ({ u, a, opcode });
const zero: Val = { type: 'v128', local: -1, constant: 0 };
/** Every lane stands. */
const always = (k: Ops): Val => splatConstant(k, 3, -1n);

/** FRINT?. */
function roundInt(name: string, encoding: Encoding, rounding: number, to: RoundTo): Instruction[] {
  const compute: Compute = (k, type, _lanes, n) => {
    const value = roundIntegral(k, type, to, n);
    return { value, ok: areNumbers(k, type, value) };
  };
  const need = rounding === FP_ROUNDING.fpcr ? 'rounding' : 'no-flush';
  const extra = fpExtra({ rounding, exact: name === 'FRINTX' });
  return floatTwoRegister(name, encoding, { code: FP_CODE.roundInt, extra, need, compute }, false);
}

/** Applies a scalar conversion to both doublewords. */
function eachDouble(k: Ops, count: number, convert: (lane: number) => Val): Val {
  const low = convert(0);
  const first = k.op(low.type === 'i64' ? 'i64x2.splat' : 'f64x2.splat', low);
  if (count === 1) return first;
  return k.lane(low.type === 'i64' ? 'i64x2.replace_lane' : 'f64x2.replace_lane', 1, first, convert(1));
}

/** Lanes to integers of the same width, where they fit. */
function toIntegers(unsigned: boolean, direction: Direction): Compute {
  return (k, type, lanes, n) => {
    const rounded = roundIntegral(k, type, direction.to, n);
    const bits = type === 'f64x2' ? 64 : 32;
    const limit = constant(k, type, 2 ** (unsigned ? bits : bits - 1));
    const ok = unsigned
      ? k.op('v128.and', float(k, type, 'ge', rounded, constant(k, type, 0)), float(k, type, 'lt', rounded, limit))
      : float(k, type, 'lt', float(k, type, 'abs', rounded), limit);
    return { value: truncate(k, type, unsigned, lanes.count, rounded), ok };
  };
}
function truncate(k: Ops, type: FloatVector, unsigned: boolean, count: number, rounded: Val): Val {
  if (type === 'f32x4') return k.op(`i32x4.trunc_sat_f32x4_${unsigned ? 'u' : 's'}`, rounded);
  return eachDouble(k, count, (lane) =>
    k.op(unsigned ? 'i64.trunc_sat_f64_u' : 'i64.trunc_sat_f64_s', k.lane('f64x2.extract_lane', lane, rounded)),
  );
}

/** Integer lanes to floating point of the same width. */
function convertIntegers(k: Ops, type: FloatVector, unsigned: boolean, count: number, n: Val): Val {
  if (type === 'f32x4') return k.op(`f32x4.convert_i32x4_${unsigned ? 'u' : 's'}`, n);
  return eachDouble(k, count, (lane) =>
    k.op(unsigned ? 'f64.convert_i64_u' : 'f64.convert_i64_s', k.lane('i64x2.extract_lane', lane, n)),
  );
}

/** FCVT?S and FCVT?U; `extra` depends on the lane size, so each sz has its own entry data. */
function toInteger(letter: keyof typeof DIRECTION, a: '0' | '1', opcode: string): Instruction[] {
  return (['0', '1'] as const).flatMap((u) => {
    const direction = DIRECTION[letter];
    const unsigned = u === '1';
    return sized(`FCVT${letter}${unsigned ? 'U' : 'S'}`, at(u, a, opcode), (sz) => ({
      code: FP_CODE.toInt,
      extra: fpExtra({ rounding: direction.rounding, unsigned, bytesLog2: sz + 2 }),
      need: 'rounding',
      compute: toIntegers(unsigned, direction),
    }));
  });
}

/** Vector and scalar entries of an operation whose exact call depends on the lane size. */
function sized(name: string, { u, a, opcode }: Encoding, operation: (sz: number) => FloatOperation): Instruction[] {
  return (['0', '1'] as const).flatMap((bit, sz) => [
    instruction(
      `${name} (vector, ${32 << sz} bits)`,
      `0 q:1 ${u} 01110 ${a}${bit} 10000 ${opcode} 10 vn:5 vd:5`,
      { variant: ['q'], when: (f) => sz <= f.q },
      (op, k) => {
        if (sz > op.q) return; // never decoded
        const { count } = vectorLanes(sz, op.q);
        setResult(
          k,
          8 << op.q,
          op.vd,
          computeLanes(k, operation(sz), { sz, count }, k.vreg(op.vn), zero, () => zero),
        );
      },
    ),
    instruction(
      `${name} (scalar, ${32 << sz} bits)`,
      `01 ${u} 11110 ${a}${bit} 10000 ${opcode} 10 vn:5 vd:5`,
      {},
      (op, k) =>
        k.setVreg(
          op.vd,
          computeLanes(k, operation(sz), { sz, count: 1 }, k.vreg(op.vn), zero, () => zero),
        ),
    ),
  ]);
}

const fromInteger = (u: '0' | '1'): Instruction[] =>
  sized(`${u === '0' ? 'S' : 'U'}CVTF`, at(u, '0', '11101'), (sz) => ({
    code: FP_CODE.fromInt,
    extra: fpExtra({ rounding: FP_ROUNDING.fpcr, unsigned: u === '1', bytesLog2: sz + 2 }),
    need: 'rounding',
    compute: (k, type, lanes, n) => ({ value: convertIntegers(k, type, u === '1', lanes.count, n), ok: always(k) }),
  }));

/** 2^exponent in every lane; `exponent` is i32. */
function scaleVector(k: Ops, type: FloatVector, exponent: Val): Val {
  if (type === 'f32x4') return k.op('i32x4.splat', k.shl(k.add(exponent, i32(127)), i32(23)));
  return k.op('i64x2.splat', k.shl(k.extendS(k.add(exponent, i32(1023))), i64(52)));
}

const FIXED = { sizes: [2, 3], scalar: [2, 3], saturates: true };

/** Fixed-point conversions; operands are zero above what counts, and zeros convert without a trace. */
function fixedPoint(u: '0' | '1'): Instruction[] {
  const unsigned = u === '1';
  const letter = unsigned ? 'U' : 'S';
  const fixedExtra = (options: Parameters<typeof fpExtra>[0], fractionBits: Val, k: Ops): Val =>
    k.or(k.shl(fractionBits, i32(FP_FRACTION_BITS_SHIFT)), i32(fpExtra(options)));
  return [
    ...shiftImmediate(
      `${letter}CVTF (fixed-point)`,
      u,
      '11100',
      'right',
      (k, size, n, fractionBits) => {
        const type = vectorType(size - 2);
        const value = convertIntegers(k, type, unsigned, 2, n);
        const scaled = float(k, type, 'mul', value, scaleVector(k, type, k.neg(fractionBits)));
        const extra = fixedExtra({ rounding: FP_ROUNDING.fpcr, unsigned, bytesLog2: size }, fractionBits, k);
        const exact = { code: FP_CODE.fromInt, shape: fpShape(size, 16 >> size), extra };
        return checked(k, scaled, doubtful(k, 'rounding', i32(1)), exact, () => [n]);
      },
      FIXED,
    ),
    ...shiftImmediate(
      `FCVTZ${letter} (fixed-point)`,
      u,
      '11111',
      'right',
      (k, size, n, fractionBits) => {
        const type = vectorType(size - 2);
        const lanes = { sz: size - 2, count: 16 >> size };
        const scaled = float(k, type, 'mul', n, scaleVector(k, type, fractionBits));
        const { value, ok } = toIntegers(unsigned, DIRECTION.Z)(k, type, lanes, scaled, zero, () => zero);
        const extra = fixedExtra({ rounding: FP_ROUNDING.zero, unsigned, bytesLog2: size }, fractionBits, k);
        const exact = { code: FP_CODE.toInt, shape: fpShape(size, lanes.count), extra };
        return checked(k, value, doubtful(k, 'rounding', allLanes(k, lanes, ok)), exact, () => [n]);
      },
      FIXED,
    ),
  ];
}

/** Comparison with zero; `swapped` compares zero with the lane. */
function compareZero(
  name: string,
  u: '0' | '1',
  opcode: string,
  relation: 'eq' | 'ge' | 'gt',
  swapped: boolean,
): Instruction[] {
  const code = { eq: FP_CODE.cmeq, ge: FP_CODE.cmge, gt: FP_CODE.cmgt }[relation];
  const run = (k: Ops, sz: number, count: number, n: Val): Val => {
    const [first, second] = swapped ? [zero, n] : [n, zero];
    const lanes = { sz, count };
    const fast = comparison(relation)(k, vectorType(sz), lanes, first, second, () => zero);
    const exact = { code, shape: fpShape(sz + 2, count) };
    const low = keepLow(k, count * (4 << sz), fast.value);
    return checked(k, low, doubtful(k, 'no-flush', allLanes(k, lanes, fast.ok)), exact, () => [first, second]);
  };
  return [
    instruction(
      `${name} (zero, vector)`,
      `0 q:1 ${u} 01110 1 sz:1 10000 ${opcode} 10 vn:5 vd:5`,
      { variant: ['q', 'sz'], when: (f) => f.sz <= f.q },
      (op, k) => {
        if (op.sz <= op.q) k.setVreg(op.vd, run(k, op.sz, vectorLanes(op.sz, op.q).count, k.vreg(op.vn)));
      },
    ),
    instruction(
      `${name} (zero, scalar)`,
      `01 ${u} 11110 1 sz:1 10000 ${opcode} 10 vn:5 vd:5`,
      { variant: ['sz'] },
      (op, k) => k.setVreg(op.vd, run(k, op.sz, 1, k.vreg(op.vn))),
    ),
  ];
}

/** FABS and FNEG: sign bits, whatever the lanes mean. */
function signs(name: string, u: '0' | '1', lane: (k: Ops, sz: number, n: Val) => Val): Instruction {
  return instruction(
    `${name} (vector)`,
    `0 q:1 ${u} 01110 1 sz:1 10000 01111 10 vn:5 vd:5`,
    { variant: ['q', 'sz'], when: (f) => f.sz <= f.q },
    (op, k) => {
      if (op.sz <= op.q) setResult(k, 8 << op.q, op.vd, lane(k, op.sz, k.vreg(op.vn)));
    },
  );
}
const signBits = (k: Ops, sz: number): Val => splatConstant(k, sz + 2, 1n << BigInt((32 << sz) - 1));

const narrowExtra = (sz: number, rounding: number): number => fpExtra({ rounding, bytesLog2: sz + 1 });

/** FCVTL, FCVTN and FCVTXN. */
const FORMATS: readonly Instruction[] = [
  instruction('FCVTL (half to single)', '0 q:1 0 01110 00 10000 10111 10 vn:5 vd:5', { variant: ['q'] }, (op, k) => {
    const n = op.q === 1 ? shiftedDown(k, k.vreg(op.vn), 8) : k.vreg(op.vn);
    const extra = fpExtra({ rounding: FP_ROUNDING.fpcr, bytesLog2: 2 });
    k.setVreg(op.vd, exactVector(k, { code: FP_CODE.convert, shape: fpShape(1, 4), extra }, [n]));
  }),
  instruction('FCVTL (single to double)', '0 q:1 0 01110 01 10000 10111 10 vn:5 vd:5', { variant: ['q'] }, (op, k) => {
    const n = op.q === 1 ? shiftedDown(k, k.vreg(op.vn), 8) : k.vreg(op.vn);
    const value = k.op('f64x2.promote_low_f32x4', n);
    const isNumber = allLanes(k, { sz: 1, count: 2 }, areNumbers(k, 'f64x2', value));
    const extra = fpExtra({ rounding: FP_ROUNDING.fpcr, bytesLog2: 3 });
    const exact = { code: FP_CODE.convert, shape: fpShape(2, 2), extra };
    k.setVreg(
      op.vd,
      checked(k, value, doubtful(k, 'no-flush', isNumber), exact, () => [n]),
    );
  }),
  instruction('FCVTN (single to half)', '0 q:1 0 01110 00 10000 10110 10 vn:5 vd:5', { variant: ['q'] }, (op, k) => {
    const extra = narrowExtra(0, FP_ROUNDING.fpcr);
    const value = exactVector(k, { code: FP_CODE.convert, shape: fpShape(2, 4), extra }, [k.vreg(op.vn)]);
    setNarrow(k, op.q === 1, op.vd, value);
  }),
  instruction('FCVTN (double to single)', '0 q:1 0 01110 01 10000 10110 10 vn:5 vd:5', { variant: ['q'] }, (op, k) => {
    const n = k.vreg(op.vn);
    const value = k.op('f32x4.demote_f64x2_zero', n);
    const isZero = k.op('f64x2.eq', n, zero);
    const zeros = k.shuffle(isZero, isZero, [0, 1, 2, 3, 8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11]);
    const ok = allLanes(k, { sz: 0, count: 2 }, k.op('v128.or', isPlain(k, 'f32x4', value), zeros));
    const exact = { code: FP_CODE.convert, shape: fpShape(3, 2), extra: narrowExtra(1, FP_ROUNDING.fpcr) };
    setNarrow(
      k,
      op.q === 1,
      op.vd,
      checked(k, value, doubtful(k, 'rounding', ok), exact, () => [n]),
    );
  }),
  instruction('FCVTXN', '0 q:1 1 01110 01 10000 10110 10 vn:5 vd:5', { variant: ['q'] }, (op, k) => {
    const exact = { code: FP_CODE.convert, shape: fpShape(3, 2), extra: narrowExtra(1, FP_ROUNDING.odd) };
    setNarrow(k, op.q === 1, op.vd, exactVector(k, exact, [k.vreg(op.vn)]));
  }),
  instruction('FCVTXN (scalar)', '01 1 11110 01 10000 10110 10 vn:5 vd:5', {}, (op, k) => {
    const exact = { code: FP_CODE.convert, shape: fpShape(3, 1), extra: narrowExtra(1, FP_ROUNDING.odd) };
    k.setVreg(op.vd, exactVector(k, exact, [k.vreg(op.vn)]));
  }),
];

/** URECPE, URSQRTE: integer estimates of words. */
const integerEstimate = (name: string, u: '0' | '1', code: Exact['code']): Instruction =>
  instruction(name, `0 q:1 ${u} 01110 10 10000 11100 10 vn:5 vd:5`, { variant: ['q'] }, (op, k) =>
    k.setVreg(op.vd, exactVector(k, { code, shape: fpShape(2, 2 << op.q) }, [k.vreg(op.vn)])),
  );

const root: FloatOperation = {
  code: FP_CODE.sqrt,
  need: 'rounding',
  compute: (k, type, _lanes, n) => fastRoot(k, type, n),
};

/** Instructions of this chapter. */
export const SIMD_FLOATING_TWO_REGISTER: readonly Instruction[] = [
  signs('FABS', '0', (k, sz, n) => k.op('v128.andnot', n, signBits(k, sz))),
  signs('FNEG', '1', (k, sz, n) => vxor(k, n, signBits(k, sz))),
  ...floatTwoRegister('FSQRT', at('1', '1', '11111'), root, false),
  ...roundInt('FRINTN', at('0', '0', '11000'), FP_ROUNDING.tieEven, 'nearest'),
  ...roundInt('FRINTM', at('0', '0', '11001'), FP_ROUNDING.down, 'floor'),
  ...roundInt('FRINTP', at('0', '1', '11000'), FP_ROUNDING.up, 'ceil'),
  ...roundInt('FRINTZ', at('0', '1', '11001'), FP_ROUNDING.zero, 'trunc'),
  ...roundInt('FRINTA', at('1', '0', '11000'), FP_ROUNDING.tieAway, 'away'),
  ...roundInt('FRINTX', at('1', '0', '11001'), FP_ROUNDING.fpcr, 'nearest'),
  ...roundInt('FRINTI', at('1', '1', '11001'), FP_ROUNDING.fpcr, 'nearest'),
  ...toInteger('N', '0', '11010'),
  ...toInteger('M', '0', '11011'),
  ...toInteger('A', '0', '11100'),
  ...toInteger('P', '1', '11010'),
  ...toInteger('Z', '1', '11011'),
  ...fromInteger('0'),
  ...fromInteger('1'),
  ...fixedPoint('0'),
  ...fixedPoint('1'),
  ...compareZero('FCMGT', '0', '01100', 'gt', false),
  ...compareZero('FCMEQ', '0', '01101', 'eq', false),
  ...compareZero('FCMLT', '0', '01110', 'gt', true),
  ...compareZero('FCMGE', '1', '01100', 'ge', false),
  ...compareZero('FCMLE', '1', '01101', 'ge', true),
  ...floatTwoRegister('FRECPE', at('0', '1', '11101'), { code: FP_CODE.recpe, need: 'rounding' }, true),
  ...floatTwoRegister('FRSQRTE', at('1', '1', '11101'), { code: FP_CODE.rsqrte, need: 'rounding' }, true),
  floatTwoRegisterScalar('FRECPX', at('0', '1', '11111'), { code: FP_CODE.recpx, need: 'rounding' }),
  integerEstimate('URECPE', '0', FP_CODE.urecpe),
  integerEstimate('URSQRTE', '1', FP_CODE.ursqrte),
  ...FORMATS,
];
