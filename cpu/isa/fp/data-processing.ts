/** Scalar floating-point data processing with one, two and three sources (Arm ARM C4.1.96). */
import { FP_CODE, FP_ROUNDING, fpExtra, fpShape } from '../../fp/helper-codes.js';
import type { Ops } from '../../ops.js';
import type { Val } from '../../wasm/body.js';
import { features } from '../../wasm/features.js';
import { type Instruction, instruction } from '../instruction.js';
import type { Reg } from '../operand.js';
import {
  checkFused,
  type Fast,
  fastFusedDouble,
  fastFusedSingle,
  fastProduct,
  fastQuotient,
  fastRoot,
  fastSum,
  float,
  hostFused,
  type RoundTo,
  roundIntegral,
  stands,
} from './fast.js';
import { checked, doubtful, type Exact, exactVector, type Need, type Scalar, scalarType } from './slow.js';

/** A scalar in the lowest lane, zeros above. */
export function widened(k: Ops, value: Val): Val {
  const zero: Val = { type: 'v128', local: -1, constant: 0 };
  const shape =
    value.type === 'f64' ? 'f64x2' : value.type === 'f32' ? 'f32x4' : value.type === 'i64' ? 'i64x2' : 'i32x4';
  return k.lane(`${shape}.replace_lane`, 0, zero, value);
}

const scalarShape = (t: number): number => fpShape(t + 2, 1);

type Code = Exact['code'];

/** A scalar's condition is an i32 already. */
const asItIs = (ok: Val): Val => ok;

/** The vector with `fast` in its lowest lane, or with the exact operation's result where that does not stand. */
function settled(k: Ops, need: Need, fast: Fast, exact: Exact, operands: () => readonly Val[]): Val {
  const value = widened(k, fast.value);
  if (fast.isBounded !== true) return checked(k, value, doubtful(k, need, stands(k, fast, asItIs)), exact, operands);
  // One comparison where all is well: neither a closer look nor STATE.fpFast joins it there.
  const result = k.variable('v128', value);
  const otherwise = (isDoubtful: Val): void =>
    k.slowIf(isDoubtful, () => k.assign(result, exactVector(k, exact, operands())));
  const { reconsider } = fast;
  if (reconsider === undefined) otherwise(k.eqz(fast.ok));
  else k.if(k.eqz(fast.ok), () => otherwise(doubtful(k, need, reconsider())));
  return result;
}

/** Whether an operation's result is a number: enough for those that round nothing. */
const isNumber = (k: Ops, type: Scalar, value: Val): Val => float(k, type, 'eq', value, value);

/** Two sources. */
function binary(
  name: string,
  opcode: string,
  code: Code,
  need: Need,
  hot: boolean,
  compute: (k: Ops, type: Scalar, a: Val, b: Val) => Fast,
): Instruction {
  return instruction(name, `000 11110 0 t:1 1 vm:5 ${opcode} 10 vn:5 vd:5`, { variant: ['t'], hot }, (op, k) => {
    const type = scalarType(op.t);
    const fast = compute(k, type, k.vscalar(op.vn, type), k.vscalar(op.vm, type));
    const exact = { code, shape: scalarShape(op.t) };
    const registers = (): readonly Val[] => [k.vreg(op.vn), k.vreg(op.vm)];
    k.setVreg(op.vd, settled(k, need, fast, exact, registers));
  });
}

/** FMAX and its relatives: WebAssembly orders the zeros as Arm does, and NaNs are looked at exactly. */
const extremum =
  (operator: 'max' | 'min') =>
  (k: Ops, type: Scalar, a: Val, b: Val): Fast => {
    const value = float(k, type, operator, a, b);
    return { value, ok: isNumber(k, type, value) };
  };

/** One source. */
function unary(
  name: string,
  opcode: string,
  exact: { readonly code: Code; readonly extra?: number },
  need: Need,
  compute: (k: Ops, type: Scalar, a: Val) => Fast,
): Instruction {
  return instruction(name, `000 11110 0 t:1 1 ${opcode} 10000 vn:5 vd:5`, { variant: ['t'] }, (op, k) => {
    const type = scalarType(op.t);
    const fast = compute(k, type, k.vscalar(op.vn, type));
    k.setVreg(
      op.vd,
      settled(k, need, fast, { ...exact, shape: scalarShape(op.t) }, () => [k.vreg(op.vn)]),
    );
  });
}

function roundInt(name: string, opcode: string, rounding: number, need: Need, to: RoundTo): Instruction {
  const extra = fpExtra({ rounding, exact: name === 'FRINTX' });
  return unary(name, opcode, { code: FP_CODE.roundInt, extra }, need, (k, type, a) => {
    const value = roundIntegral(k, type, to, a);
    return { value, ok: isNumber(k, type, value) };
  });
}

/** FMOV, FABS, FNEG: bits, whatever they mean. */
function bitwise(name: string, opcode: string, compute: (k: Ops, t: number, bits: Val) => Val): Instruction {
  return instruction(
    name,
    `000 11110 0 t:1 1 ${opcode} 10000 vn:5 vd:5`,
    { variant: ['t'], hot: name === 'FMOV (register)' },
    (op, k) => k.setVscalar(op.vd, compute(k, op.t, k.vscalar(op.vn, op.t === 1 ? 'i64' : 'i32'))),
  );
}

const signMask = (k: Ops, t: number): Val => (t === 1 ? k.i64(1n << 63n) : k.i32(1 << 31));

/** n * m + a, with n or a negated first. */
function fusedScalar(
  k: Ops,
  type: Scalar,
  op: { readonly vn: Reg; readonly vm: Reg; readonly va: Reg },
  negateFactor: boolean,
  negateAddend: boolean,
): Fast {
  const b = k.vscalar(op.vm, type);
  if (features.fusedMadd) {
    // The vector operator on whole registers; only the lowest lane is looked at and kept.
    const shape = type === 'f64' ? 'f64x2' : 'f32x4';
    const a = k.vreg(op.va);
    const addend = negateAddend ? float(k, shape, 'neg', a) : a;
    const vector = hostFused(k, shape, negateFactor, k.vreg(op.vn), k.vreg(op.vm), addend);
    const sum = k.lane(`${shape}.extract_lane`, 0, vector);
    return checkFused(k, type, sum, k.vscalar(op.vn, type), b);
  }
  const n = k.vscalar(op.vn, type);
  const a = k.vscalar(op.va, type);
  const factor = negateFactor ? float(k, type, 'neg', n) : n;
  const addend = negateAddend ? float(k, type, 'neg', a) : a;
  return type === 'f64' ? fastFusedDouble(k, type, factor, b, addend) : fastFusedSingle(k, factor, b, addend);
}

/** FMADD and its relatives; the exact operation negates by its code. */
function fused(name: string, o1: '0' | '1', o0: '0' | '1', code: Code): Instruction {
  return instruction(
    name,
    `000 11111 0 t:1 ${o1} vm:5 ${o0} va:5 vn:5 vd:5`,
    { variant: ['t'], hot: o1 === '0' },
    (op, k) => {
      const type = scalarType(op.t);
      const fast = fusedScalar(k, type, op, o1 !== o0, o1 === '1');
      const registers = (): readonly Val[] => [k.vreg(op.vn), k.vreg(op.vm), k.vreg(op.va)];
      k.setVreg(op.vd, settled(k, 'rounding', fast, { code, shape: scalarShape(op.t) }, registers));
    },
  );
}

/** Instructions of this chapter. */
export const FP_DATA_PROCESSING: readonly Instruction[] = [
  binary('FMUL (scalar)', '0000', FP_CODE.mul, 'rounding', true, fastProduct),
  binary('FDIV (scalar)', '0001', FP_CODE.div, 'rounding', false, fastQuotient),
  binary('FADD (scalar)', '0010', FP_CODE.add, 'rounding', true, (k, t, a, b) => fastSum(k, t, 'add', a, b)),
  binary('FSUB (scalar)', '0011', FP_CODE.sub, 'rounding', true, (k, t, a, b) => fastSum(k, t, 'sub', a, b)),
  binary('FMAX (scalar)', '0100', FP_CODE.max, 'no-flush', false, extremum('max')),
  binary('FMIN (scalar)', '0101', FP_CODE.min, 'no-flush', false, extremum('min')),
  binary('FMAXNM (scalar)', '0110', FP_CODE.maxnm, 'no-flush', false, extremum('max')),
  binary('FMINNM (scalar)', '0111', FP_CODE.minnm, 'no-flush', false, extremum('min')),
  binary('FNMUL (scalar)', '1000', FP_CODE.nmul, 'rounding', false, (k, t, a, b) => {
    const fast = fastProduct(k, t, a, b);
    return { ...fast, value: float(k, t, 'neg', fast.value) };
  }),
  bitwise('FMOV (register)', '000000', (_k, _t, bits) => bits),
  bitwise('FABS (scalar)', '000001', (k, t, bits) => k.and(bits, k.not(signMask(k, t)))),
  bitwise('FNEG (scalar)', '000010', (k, t, bits) => k.xor(bits, signMask(k, t))),
  unary('FSQRT (scalar)', '000011', { code: FP_CODE.sqrt }, 'rounding', fastRoot),
  roundInt('FRINTN', '001000', FP_ROUNDING.tieEven, 'no-flush', 'nearest'),
  roundInt('FRINTP', '001001', FP_ROUNDING.up, 'no-flush', 'ceil'),
  roundInt('FRINTM', '001010', FP_ROUNDING.down, 'no-flush', 'floor'),
  roundInt('FRINTZ', '001011', FP_ROUNDING.zero, 'no-flush', 'trunc'),
  roundInt('FRINTA', '001100', FP_ROUNDING.tieAway, 'no-flush', 'away'),
  roundInt('FRINTX', '001110', FP_ROUNDING.fpcr, 'rounding', 'nearest'),
  roundInt('FRINTI', '001111', FP_ROUNDING.fpcr, 'rounding', 'nearest'),
  fused('FMADD', '0', '0', FP_CODE.madd),
  fused('FMSUB', '0', '1', FP_CODE.msub),
  fused('FNMADD', '1', '0', FP_CODE.nmadd),
  fused('FNMSUB', '1', '1', FP_CODE.nmsub),
];
