/** Scalar conversions between formats, integers and fixed point, and moves (Arm ARM C4.1.96). */
import { FP_CODE, FP_FRACTION_BITS_SHIFT, FP_ROUNDING, fpExtra, fpShape } from '../../fp/helper-codes.js';
import type { Ops } from '../../ops.js';
import { STATE } from '../../state.js';
import { i32, type Val } from '../../wasm/body.js';
import type { WasmOp } from '../../wasm/opcodes.js';
import { type Instruction, instruction } from '../instruction.js';
import { expandFloat } from '../simd/across.js';
import { extractLane, insertLane } from '../simd/permute.js';
import { widened } from './data-processing.js';
import { constant, float, isPlain, type RoundTo, roundIntegral } from './fast.js';
import { callExact, checked, doubtful, exactVector, type Scalar, scalarType } from './slow.js';

/** A rounding direction: the exact operation's code, and WebAssembly's way. */
export interface Direction {
  readonly rounding: number;
  readonly to: RoundTo;
}
/** The directions by the letter in FCVT?S. */
export const DIRECTION = {
  N: { rounding: FP_ROUNDING.tieEven, to: 'nearest' },
  P: { rounding: FP_ROUNDING.up, to: 'ceil' },
  M: { rounding: FP_ROUNDING.down, to: 'floor' },
  Z: { rounding: FP_ROUNDING.zero, to: 'trunc' },
  A: { rounding: FP_ROUNDING.tieAway, to: 'away' },
} as const satisfies Readonly<Record<string, Direction>>;

/** i32: the rounded value fits the integer type, so that conversion raises nothing but IXC. */
export function fitsInteger(k: Ops, type: Scalar, unsigned: boolean, bits: 32 | 64, rounded: Val): Val {
  const limit = constant(k, type, 2 ** (unsigned ? bits : bits - 1));
  if (!unsigned) return float(k, type, 'lt', float(k, type, 'abs', rounded), limit);
  return k.and(float(k, type, 'ge', rounded, constant(k, type, 0)), float(k, type, 'lt', rounded, limit));
}

/** A rounded value in range as an integer of `sf`'s width. */
export function truncated(k: Ops, type: Scalar, unsigned: boolean, sf: number, rounded: Val): Val {
  return k.op(`${sf === 1 ? 'i64' : 'i32'}.trunc_sat_${type}_${unsigned ? 'u' : 's'}` as WasmOp, rounded);
}

/** Converts to an integer in a general register; `scale` (a power of two) and `fractionBits` make it fixed point. */
function toGeneral(
  k: Ops,
  op: { readonly sf: number; readonly t: number },
  unsigned: boolean,
  direction: Direction,
  source: Val,
  registers: () => readonly Val[],
  fixed?: { readonly scale: Val; readonly fractionBits: Val },
): Val {
  const type = scalarType(op.t);
  const scaled = fixed === undefined ? source : float(k, type, 'mul', source, fixed.scale);
  const rounded = roundIntegral(k, type, direction.to, scaled);
  const ok = fitsInteger(k, type, unsigned, op.sf === 1 ? 64 : 32, rounded);
  const result = k.variable('i64', k.extendU(truncated(k, type, unsigned, op.sf, rounded)));
  const extra = fpExtra({ rounding: direction.rounding, unsigned, bytesLog2: op.sf + 2 });
  k.slowIf(doubtful(k, 'rounding', ok), () => {
    const withFraction =
      fixed === undefined ? i32(extra) : k.or(i32(extra), k.shl(fixed.fractionBits, i32(FP_FRACTION_BITS_SHIFT)));
    callExact(k, { code: FP_CODE.toInt, shape: fpShape(op.t + 2, 1), extra: withFraction }, registers());
    k.assign(result, k.stateLoad('u64', STATE.operands));
  });
  return result;
}

const FCVT_TO_INT: readonly [string, Direction, string][] = [
  ['N', DIRECTION.N, '00 00'],
  ['P', DIRECTION.P, '01 00'],
  ['M', DIRECTION.M, '10 00'],
  ['Z', DIRECTION.Z, '11 00'],
  ['A', DIRECTION.A, '00 10'],
];
const U = ['0', '1'] as const;
const suffix = (u: '0' | '1'): string => (u === '0' ? 'S' : 'U');

const TO_INTEGER = FCVT_TO_INT.flatMap(([letter, direction, code]) =>
  U.map((u) =>
    instruction(
      `FCVT${letter}${suffix(u)} (scalar, integer)`,
      `sf:1 00 11110 0 t:1 1 ${code}${u} 000000 vn:5 rd:5`,
      { variant: ['sf', 't'] },
      (op, k) => {
        const source = k.vscalar(op.vn, scalarType(op.t));
        k.setReg(
          op.rd,
          toGeneral(k, op, u === '1', direction, source, () => [k.vreg(op.vn)]),
        );
      },
    ),
  ),
);

const TO_FIXED = U.map((u) =>
  instruction(
    `FCVTZ${suffix(u)} (scalar, fixed-point)`,
    `sf:1 00 11110 0 t:1 0 11 00${u} scale:6 vn:5 rd:5`,
    { variant: ['sf', 't'], when: (f) => f.sf === 1 || f.scale >= 32, imm: { bits: (f) => 64 - f.scale } },
    (op, k) => {
      const fractionBits = k.wrap(op.bits);
      const source = k.vscalar(op.vn, scalarType(op.t));
      const fixed = { scale: powerOfTwo(k, op.t, fractionBits), fractionBits };
      k.setReg(
        op.rd,
        toGeneral(k, op, u === '1', DIRECTION.Z, source, () => [k.vreg(op.vn)], fixed),
      );
    },
  ),
);

/** 2^exponent, where the i32 `exponent` is in -64 to 64. */
function powerOfTwo(k: Ops, t: number, exponent: Val): Val {
  if (t === 1) {
    return k.op('f64.reinterpret_i64', k.shl(k.extendS(k.add(exponent, i32(1023))), k.i64(52)));
  }
  return k.op('f32.reinterpret_i32', k.shl(k.add(exponent, i32(127)), i32(23)));
}

/** Converts from an integer; a word always fits a double, everything else may round. */
function fromGeneral(
  k: Ops,
  op: { readonly sf: number; readonly t: number },
  unsigned: boolean,
  source: Val,
  fractionBits?: Val,
): Val {
  const type = scalarType(op.t);
  const value = k.op(`${type}.convert_i${op.sf === 1 ? 64 : 32}_${unsigned ? 'u' : 's'}` as WasmOp, source);
  const scaled =
    fractionBits === undefined ? value : float(k, type, 'mul', value, powerOfTwo(k, op.t, k.neg(fractionBits)));
  if (op.sf === 0 && op.t === 1) return widened(k, scaled);
  const extra = fpExtra({ rounding: FP_ROUNDING.fpcr, unsigned, bytesLog2: op.t + 2 });
  const withFraction =
    fractionBits === undefined ? i32(extra) : k.or(i32(extra), k.shl(fractionBits, i32(FP_FRACTION_BITS_SHIFT)));
  const exact = { code: FP_CODE.fromInt, shape: fpShape(op.sf + 2, 1), extra: withFraction };
  return checked(k, widened(k, scaled), doubtful(k, 'rounding', i32(1)), exact, () => [widened(k, source)]);
}

const FROM_INTEGER = U.flatMap((u) => [
  instruction(
    `${u === '0' ? 'S' : 'U'}CVTF (scalar, integer)`,
    `sf:1 00 11110 0 t:1 1 00 01${u} 000000 rn:5 vd:5`,
    { variant: ['sf', 't'] },
    (op, k) => k.setVreg(op.vd, fromGeneral(k, op, u === '1', k.regW(op.sf, op.rn))),
  ),
  instruction(
    `${u === '0' ? 'S' : 'U'}CVTF (scalar, fixed-point)`,
    `sf:1 00 11110 0 t:1 0 00 01${u} scale:6 rn:5 vd:5`,
    { variant: ['sf', 't'], when: (f) => f.sf === 1 || f.scale >= 32, imm: { bits: (f) => 64 - f.scale } },
    (op, k) => k.setVreg(op.vd, fromGeneral(k, op, u === '1', k.regW(op.sf, op.rn), k.wrap(op.bits))),
  ),
]);

/** Conversions that only the exact operation does: those with half precision. */
function convertExactly(name: string, type: '00' | '01' | '11', opcode: string, from: number, to: number): Instruction {
  return instruction(name, `000 11110 ${type} 1 0001${opcode} 10000 vn:5 vd:5`, {}, (op, k) => {
    const extra = fpExtra({ rounding: FP_ROUNDING.fpcr, bytesLog2: to });
    k.setVreg(op.vd, exactVector(k, { code: FP_CODE.convert, shape: fpShape(from, 1), extra }, [k.vreg(op.vn)]));
  });
}

/** Instructions of this chapter. */
export const FP_CONVERT: readonly Instruction[] = [
  ...TO_INTEGER,
  ...TO_FIXED,
  ...FROM_INTEGER,
  instruction('FCVT (single to double)', '000 11110 00 1 000101 10000 vn:5 vd:5', {}, (op, k) => {
    const value = k.op('f64.promote_f32', k.vscalar(op.vn, 'f32'));
    const isDoubtful = doubtful(k, 'no-flush', k.op('f64.eq', value, value));
    const extra = fpExtra({ rounding: FP_ROUNDING.fpcr, bytesLog2: 3 });
    const exact = { code: FP_CODE.convert, shape: fpShape(2, 1), extra };
    k.setVreg(
      op.vd,
      checked(k, widened(k, value), isDoubtful, exact, () => [k.vreg(op.vn)]),
    );
  }),
  instruction('FCVT (double to single)', '000 11110 01 1 000100 10000 vn:5 vd:5', {}, (op, k) => {
    const source = k.vscalar(op.vn, 'f64');
    const value = k.op('f32.demote_f64', source);
    const ok = k.or(isPlain(k, 'f32', value), k.op('f64.eq', source, constant(k, 'f64', 0)));
    const extra = fpExtra({ rounding: FP_ROUNDING.fpcr, bytesLog2: 2 });
    const exact = { code: FP_CODE.convert, shape: fpShape(3, 1), extra };
    k.setVreg(
      op.vd,
      checked(k, widened(k, value), doubtful(k, 'rounding', ok), exact, () => [k.vreg(op.vn)]),
    );
  }),
  convertExactly('FCVT (half to single)', '11', '00', 1, 2),
  convertExactly('FCVT (half to double)', '11', '01', 1, 3),
  convertExactly('FCVT (single to half)', '00', '11', 2, 1),
  convertExactly('FCVT (double to half)', '01', '11', 3, 1),
  instruction('FJCVTZS', '0 00 11110 01 1 11 110 000000 vn:5 rd:5', {}, (op, k) => {
    const source = k.vscalar(op.vn, 'f64');
    const integer = k.op('i32.trunc_sat_f64_s', source);
    // Exact and in range, with -0 left out: then Z is set and nothing is raised.
    const back = k.op('i64.reinterpret_f64', k.op('f64.convert_i32_s', integer));
    const isExact = k.eq(back, k.op('i64.reinterpret_f64', source));
    const result = k.variable('i64', k.extendU(integer));
    const z = k.variable('i32', i32(1));
    k.slowIf(k.eqz(isExact), () => {
      k.assign(z, callExact(k, { code: FP_CODE.toIntJs, shape: fpShape(3, 1) }, [k.vreg(op.vn)]));
      k.assign(result, k.stateLoad('u64', STATE.operands));
    });
    k.setReg(op.rd, result);
    k.unpackNzcv(k.shl(z, i32(30)));
  }),
  instruction('FMOV (general, word to single)', '0 00 11110 00 1 00 111 000000 rn:5 vd:5', { hot: true }, (op, k) =>
    k.setVscalar(op.vd, k.wrap(k.reg(op.rn))),
  ),
  instruction('FMOV (general, single to word)', '0 00 11110 00 1 00 110 000000 vn:5 rd:5', { hot: true }, (op, k) =>
    k.setReg(op.rd, k.extendU(k.vscalar(op.vn, 'i32'))),
  ),
  instruction('FMOV (general to double)', '1 00 11110 01 1 00 111 000000 rn:5 vd:5', { hot: true }, (op, k) =>
    k.setVscalar(op.vd, k.reg(op.rn)),
  ),
  instruction('FMOV (double to general)', '1 00 11110 01 1 00 110 000000 vn:5 rd:5', { hot: true }, (op, k) =>
    k.setReg(op.rd, k.vscalar(op.vn, 'i64')),
  ),
  instruction('FMOV (general to upper half)', '1 00 11110 10 1 01 111 000000 rn:5 vd:5', {}, (op, k) =>
    insertLane(k, 3, op.vd, k.i64(1), k.reg(op.rn)),
  ),
  instruction('FMOV (upper half to general)', '1 00 11110 10 1 01 110 000000 vn:5 rd:5', {}, (op, k) =>
    k.setReg(op.rd, extractLane(k, 3, false, op.vn, k.i64(8))),
  ),
  instruction(
    'FMOV (scalar, immediate)',
    '000 11110 0 t:1 1 imm8:8 100 00000 vd:5',
    { imm: { value: (f) => expandFloat(f.imm8, f.t === 1 ? 64 : 32) } },
    (op, k) => k.setVscalar(op.vd, op.value),
  ),
];
