/** Advanced SIMD three different: widening and narrowing arithmetic, with the scalar forms (Arm ARM C4.1.96). */
import type { Ops } from '../../ops.js';
import type { Val } from '../../wasm/body.js';
import { type Instruction, instruction } from '../instruction.js';
import { UP_TO_WORDS } from './forms.js';
import {
  everySecond,
  extend,
  laneBits,
  lanewise,
  longProduct,
  operand,
  saturatingSum,
  setNarrow,
  setResult,
  splatConstant,
  zeroVector,
} from './lanes.js';
import { doublingLongProduct } from './multiply.js';
import { absoluteDifference, carrylessProduct } from './three-same.js';

/** Lanes of `size` from the half that `high` selects, to lanes of size + 1; `d` reads the destination. */
type Widening = (k: Ops, size: number, high: boolean, n: Val, m: Val, d: () => Val) => Val;

/** `SADDL` and relatives: two sources of half the width. */
function long(name: string, u: '0' | '1', opcode: string, lane: Widening, sizes = UP_TO_WORDS): Instruction {
  return instruction(
    name,
    `0 q:1 ${u} 01110 size:2 1 vm:5 ${opcode} 00 vn:5 vd:5`,
    { variant: ['q', 'size'], when: (f) => sizes.includes(f.size) },
    (op, k) => {
      if (!sizes.includes(op.size)) return; // never decoded
      k.setVreg(
        op.vd,
        lane(k, op.size, op.q === 1, k.vreg(op.vn), k.vreg(op.vm), () => k.vreg(op.vd)),
      );
    },
  );
}

/** The scalar form of a saturating widening multiplication. */
function longScalar(name: string, opcode: string, lane: Widening): Instruction {
  return instruction(
    `${name} (scalar)`,
    `01 0 11110 size:2 1 vm:5 ${opcode} 00 vn:5 vd:5`,
    { variant: ['size'], when: (f) => f.size === 1 || f.size === 2 },
    (op, k) => {
      if (op.size !== 1 && op.size !== 2) return; // never decoded
      const bytes = 1 << op.size;
      const [n, m] = [operand(k, bytes, op.vn), operand(k, bytes, op.vm)];
      setResult(
        k,
        2 * bytes,
        op.vd,
        lane(k, op.size, false, n, m, () => operand(k, 2 * bytes, op.vd)),
      );
    },
  );
}

/** Sum or difference of extended halves; `wide` takes the first source as it is. */
function longSum(operator: 'add' | 'sub', signed: boolean, wide: boolean): Widening {
  return (k, size, high, n, m) => {
    const first = wide ? n : extend(k, size, high, signed, n);
    return lanewise(k, size + 1, operator, first, extend(k, size, high, signed, m));
  };
}

/** ADDHN and relatives: the upper halves of sums, rounded if `rounding`. */
function highNarrow(name: string, u: '0' | '1', opcode: string, operator: 'add' | 'sub'): Instruction {
  return instruction(
    name,
    `0 q:1 ${u} 01110 size:2 1 vm:5 ${opcode} 00 vn:5 vd:5`,
    { variant: ['q', 'size'], when: (f) => f.size < 3 },
    (op, k) => {
      if (op.size === 3) return; // never decoded
      const wide = op.size + 1;
      let sum = lanewise(k, wide, operator, k.vreg(op.vn), k.vreg(op.vm));
      if (u === '1') sum = lanewise(k, wide, 'add', sum, splatConstant(k, wide, 1n << BigInt(laneBits(op.size) - 1)));
      setNarrow(k, op.q === 1, op.vd, everySecond(k, op.size, 1, sum, zeroVector));
    },
  );
}

/** The distance of extended lanes. */
function longDistance(signed: boolean): Widening {
  return (k, size, high, n, m) => extend(k, size, high, false, absoluteDifference(k, size, signed, n, m));
}

/** Accumulates what `lane` computes. */
export function accumulating(operator: 'add' | 'sub', lane: Widening): Widening {
  return (k, size, high, n, m, d) => lanewise(k, size + 1, operator, d(), lane(k, size, high, n, m, d));
}

/** SMULL, UMULL. */
export const longMultiply =
  (signed: boolean): Widening =>
  (k, size, high, n, m) =>
    longProduct(k, size, high, signed, n, m);

/** SQDMULL. */
export const doublingLong: Widening = (k, size, high, n, m) => doublingLongProduct(k, size, high, n, m);

/** SQDMLAL, SQDMLSL: the product saturates, then the sum does. */
export const doublingAccumulate =
  (subtract: boolean): Widening =>
  (k, size, high, n, m, d) =>
    saturatingSum(k, size + 1, subtract, true, d(), doublingLongProduct(k, size, high, n, m));

function signedPairs(u: '0' | '1'): Instruction[] {
  const signed = u === '0';
  const s = signed ? 'S' : 'U';
  return [
    long(`${s}ADDL`, u, '0000', longSum('add', signed, false)),
    long(`${s}ADDW`, u, '0001', longSum('add', signed, true)),
    long(`${s}SUBL`, u, '0010', longSum('sub', signed, false)),
    long(`${s}SUBW`, u, '0011', longSum('sub', signed, true)),
    long(`${s}ABAL`, u, '0101', accumulating('add', longDistance(signed))),
    long(`${s}ABDL`, u, '0111', longDistance(signed)),
    long(`${s}MLAL`, u, '1000', accumulating('add', longMultiply(signed))),
    long(`${s}MLSL`, u, '1010', accumulating('sub', longMultiply(signed))),
    long(`${s}MULL`, u, '1100', longMultiply(signed)),
  ];
}

/** Instructions of this chapter. */
export const SIMD_THREE_DIFFERENT: readonly Instruction[] = [
  ...signedPairs('0'),
  ...signedPairs('1'),
  highNarrow('ADDHN', '0', '0100', 'add'),
  highNarrow('RADDHN', '1', '0100', 'add'),
  highNarrow('SUBHN', '0', '0110', 'sub'),
  highNarrow('RSUBHN', '1', '0110', 'sub'),
  long('SQDMLAL', '0', '1001', doublingAccumulate(false), [1, 2]),
  long('SQDMLSL', '0', '1011', doublingAccumulate(true), [1, 2]),
  long('SQDMULL', '0', '1101', doublingLong, [1, 2]),
  longScalar('SQDMLAL', '1001', doublingAccumulate(false)),
  longScalar('SQDMLSL', '1011', doublingAccumulate(true)),
  longScalar('SQDMULL', '1101', doublingLong),
  long(
    'PMULL',
    '0',
    '1110',
    (k, _size, high, n, m) => carrylessProduct(k, 1, extend(k, 0, high, false, n), extend(k, 0, high, false, m)),
    [0],
  ),
];
