/** Floating-point three same, pairwise, across lanes and by element (Arm ARM C4.1.96). */
import { FP_CODE, fpShape } from '../../fp/helper-codes.js';
import type { Ops } from '../../ops.js';
import type { Val } from '../../wasm/body.js';
import { type Fast, fastFusedVector, fastProduct, fastQuotient, fastSum, float } from '../fp/fast.js';
import { doubtful, exactVector } from '../fp/slow.js';
import { type Instruction, instruction } from '../instruction.js';
import {
  areNumbers,
  type Compute,
  computeLanes,
  type Encoding,
  type FloatOperation,
  type FloatVector,
  floatByElement,
  floatThreeSame,
  vectorLanes,
} from './floating.js';
import { everySecond, keepLow, pairs, shiftedDown } from './lanes.js';

const sum =
  (operator: 'add' | 'sub'): Compute =>
  (k, type, _lanes, n, m) =>
    fastSum(k, type, operator, n, m);
const extremum =
  (operator: 'max' | 'min'): Compute =>
  (k, type, _lanes, n, m) => {
    const value = float(k, type, operator, n, m);
    return { value, ok: areNumbers(k, type, value) };
  };
const product: Compute = (k, type, _lanes, n, m) => fastProduct(k, type, n, m);

/** d + n * m or d - n * m, rounded once. */
const fused =
  (negate: boolean): Compute =>
  (k, type, lanes, n, m, d) =>
    fastFusedVector(k, type, lanes.count > 2 ? 1 : 0, negate, n, m, d());

/** A comparison; of magnitudes if `absolute`. NaNs are looked at exactly, because they may set IOC. */
export const comparison =
  (relation: 'eq' | 'ge' | 'gt', absolute = false): Compute =>
  (k, type, _lanes, n, m) => {
    const a = absolute ? float(k, type, 'abs', n) : n;
    const b = absolute ? float(k, type, 'abs', m) : m;
    return { value: float(k, type, relation, a, b), ok: bothNumbers(k, type, n, m) };
  };
function bothNumbers(k: Ops, type: FloatVector, n: Val, m: Val): Val {
  return k.op('v128.and', areNumbers(k, type, n), areNumbers(k, type, m));
}

const at = (u: '0' | '1', a: '0' | '1', opcode: string): Encoding => ({ u, a, opcode });

const ADD: FloatOperation = { code: FP_CODE.add, need: 'rounding', compute: sum('add') };
const MUL: FloatOperation = { code: FP_CODE.mul, need: 'rounding', compute: product };
const MULX: FloatOperation = { code: FP_CODE.mulx, need: 'rounding', compute: product };
const MLA: FloatOperation = { code: FP_CODE.madd, need: 'rounding', compute: fused(false), accumulates: true };
const MLS: FloatOperation = { code: FP_CODE.msub, need: 'rounding', compute: fused(true), accumulates: true };
const MAX: FloatOperation = { code: FP_CODE.max, need: 'no-flush', compute: extremum('max') };
const MIN: FloatOperation = { code: FP_CODE.min, need: 'no-flush', compute: extremum('min') };
const MAXNM: FloatOperation = { ...MAX, code: FP_CODE.maxnm };
const MINNM: FloatOperation = { ...MIN, code: FP_CODE.minnm };

/** Pairwise: vectors, and the scalar form that combines the two lanes of one register. */
function pairwise(name: string, encoding: Encoding, scalarOpcode: string, operation: FloatOperation): Instruction[] {
  const { u, a, opcode } = encoding;
  return [
    instruction(
      `${name} (vector)`,
      `0 q:1 ${u} 01110 ${a} sz:1 1 vm:5 ${opcode} 1 vn:5 vd:5`,
      { variant: ['q', 'sz'], when: (f) => f.sz <= f.q },
      (op, k) => {
        if (op.sz > op.q) return; // never decoded
        const [n, m] = pairs(k, op.sz + 2, op.q, k.vreg(op.vn), k.vreg(op.vm));
        k.setVreg(
          op.vd,
          computeLanes(k, operation, vectorLanes(op.sz, op.q), n, m, () => n),
        );
      },
    ),
    instruction(
      `${name} (scalar)`,
      `01 1 11110 ${a} sz:1 11000 ${scalarOpcode} 10 vn:5 vd:5`,
      { variant: ['sz'] },
      (op, k) => {
        const n = k.vreg(op.vn);
        const m = shiftedDown(k, n, 4 << op.sz);
        k.setVreg(
          op.vd,
          computeLanes(k, operation, { sz: op.sz, count: 1 }, n, m, () => n),
        );
      },
    ),
  ];
}

/** FMAXV and its relatives: four singles; the exact operation combines neighbours first, as the architecture does. */
function across(
  name: string,
  a: '0' | '1',
  opcode: string,
  operator: 'max' | 'min',
  operation: FloatOperation,
): Instruction {
  return instruction(name, `0 1 1 01110 ${a} 0 11000 ${opcode} 10 vn:5 vd:5`, {}, (op, k) => {
    const n = k.vreg(op.vn);
    const halves = float(k, 'f32x4', operator, n, shiftedDown(k, n, 8));
    const value = float(k, 'f32x4', operator, halves, shiftedDown(k, halves, 4));
    const single = k.lane('f32x4.extract_lane', 0, value);
    const result = k.variable('v128', keepLow(k, 4, value));
    k.slowIf(doubtful(k, 'no-flush', k.op('f32.eq', single, single)), () => {
      const neighbours = [everySecond(k, 2, 0, n, n), everySecond(k, 2, 1, n, n)];
      const two = exactVector(k, { code: operation.code, shape: fpShape(2, 2) }, neighbours);
      const last = [two, shiftedDown(k, two, 4)];
      k.assign(result, exactVector(k, { code: operation.code, shape: fpShape(2, 1) }, last));
    });
    k.setVreg(op.vd, result);
  });
}

const absoluteDifference: Compute = (k, type, lanes, n, m, d): Fast => {
  const { value, ok } = sum('sub')(k, type, lanes, n, m, d);
  return { value: float(k, type, 'abs', value), ok };
};

/** Instructions of this chapter. */
export const SIMD_FLOATING_THREE_SAME: readonly Instruction[] = [
  ...floatThreeSame('FMAXNM', at('0', '0', '11000'), MAXNM, false),
  ...floatThreeSame('FMINNM', at('0', '1', '11000'), MINNM, false),
  ...floatThreeSame('FMLA', at('0', '0', '11001'), MLA, false),
  ...floatThreeSame('FMLS', at('0', '1', '11001'), MLS, false),
  ...floatThreeSame('FADD', at('0', '0', '11010'), ADD, false),
  ...floatThreeSame('FSUB', at('0', '1', '11010'), { ...ADD, code: FP_CODE.sub, compute: sum('sub') }, false),
  ...floatThreeSame('FMULX', at('0', '0', '11011'), MULX, true),
  ...floatThreeSame('FMUL', at('1', '0', '11011'), MUL, false),
  ...floatThreeSame(
    'FDIV',
    at('1', '0', '11111'),
    { code: FP_CODE.div, need: 'rounding', compute: (k, type, _lanes, n, m) => fastQuotient(k, type, n, m) },
    false,
  ),
  ...floatThreeSame('FABD', at('1', '1', '11010'), { ...ADD, code: FP_CODE.abd, compute: absoluteDifference }, true),
  ...floatThreeSame('FMAX', at('0', '0', '11110'), MAX, false),
  ...floatThreeSame('FMIN', at('0', '1', '11110'), MIN, false),
  ...floatThreeSame(
    'FCMEQ',
    at('0', '0', '11100'),
    { code: FP_CODE.cmeq, need: 'no-flush', compute: comparison('eq') },
    true,
  ),
  ...floatThreeSame(
    'FCMGE',
    at('1', '0', '11100'),
    { code: FP_CODE.cmge, need: 'no-flush', compute: comparison('ge') },
    true,
  ),
  ...floatThreeSame(
    'FCMGT',
    at('1', '1', '11100'),
    { code: FP_CODE.cmgt, need: 'no-flush', compute: comparison('gt') },
    true,
  ),
  ...floatThreeSame(
    'FACGE',
    at('1', '0', '11101'),
    { code: FP_CODE.acge, need: 'no-flush', compute: comparison('ge', true) },
    true,
  ),
  ...floatThreeSame(
    'FACGT',
    at('1', '1', '11101'),
    { code: FP_CODE.acgt, need: 'no-flush', compute: comparison('gt', true) },
    true,
  ),
  ...floatThreeSame('FRECPS', at('0', '0', '11111'), { code: FP_CODE.recps, need: 'rounding' }, true),
  ...floatThreeSame('FRSQRTS', at('0', '1', '11111'), { code: FP_CODE.rsqrts, need: 'rounding' }, true),
  ...pairwise('FADDP', at('1', '0', '11010'), '01101', ADD),
  ...pairwise('FMAXNMP', at('1', '0', '11000'), '01100', MAXNM),
  ...pairwise('FMINNMP', at('1', '1', '11000'), '01100', MINNM),
  ...pairwise('FMAXP', at('1', '0', '11110'), '01111', MAX),
  ...pairwise('FMINP', at('1', '1', '11110'), '01111', MIN),
  across('FMAXNMV', '0', '01100', 'max', MAXNM),
  across('FMINNMV', '1', '01100', 'min', MINNM),
  across('FMAXV', '0', '01111', 'max', MAX),
  across('FMINV', '1', '01111', 'min', MIN),
  ...floatByElement('FMLA', '0', '0001', MLA),
  ...floatByElement('FMLS', '0', '0101', MLS),
  ...floatByElement('FMUL', '0', '1001', MUL),
  ...floatByElement('FMULX', '1', '1001', MULX),
];
