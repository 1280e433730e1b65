/** Advanced SIMD shift by immediate, integer, with the scalar forms (Arm ARM C4.1.96). */
import type { Ops } from '../../ops.js';
import type { Val } from '../../wasm/body.js';
import { type Instruction, instruction } from '../instruction.js';
import { type Shift, shiftImmediate, shiftNarrow, UP_TO_WORDS } from './forms.js';
import {
  choose,
  extend,
  lanewise,
  type Narrowing,
  roundingShiftRight,
  saturatingNarrow,
  setNarrow,
  setSaturatedUnlessEqual,
  shiftRightS,
  shiftRightU,
  signedLimit,
  signs,
  splatConstant,
  truncateLanes,
  zeroVector,
} from './lanes.js';

const ALL = [0, 1, 2, 3];
const D = { scalar: [3] };

const shiftRight = (k: Ops, size: number, signed: boolean, n: Val, amount: Val): Val =>
  signed ? shiftRightS(k, size, n, amount) : shiftRightU(k, size, n, amount);

const plain =
  (signed: boolean): Shift =>
  (k, size, n, amount) =>
    shiftRight(k, size, signed, n, amount);
const rounding =
  (signed: boolean): Shift =>
  (k, size, n, amount) =>
    roundingShiftRight(k, size, signed, n, amount);
const accumulate =
  (shift: Shift): Shift =>
  (k, size, n, amount, d) =>
    lanewise(k, size, 'add', d(), shift(k, size, n, amount, d));

/** SQSHL, UQSHL (immediate): what does not come back when shifted right again was lost. */
function saturatingLeft(signed: boolean): Shift {
  return (k, size, n, amount) => {
    const result = lanewise(k, size, 'shl', n, amount);
    const back = lanewise(k, size, signed ? 'shr_s' : 'shr_u', result, amount);
    setSaturatedUnlessEqual(k, back, n);
    const kept = lanewise(k, size, 'eq', back, n);
    const limit = signed ? signedLimit(k, size, n) : splatConstant(k, size, -1n);
    return choose(k, kept, result, limit);
  };
}

/** SQSHLU: negative lanes give zero, the others saturate as unsigned. */
const saturatingLeftUnsigned: Shift = (k, size, n, amount) => {
  const positive = k.op('v128.andnot', n, signs(k, size, n));
  const result = lanewise(k, size, 'shl', positive, amount);
  const back = lanewise(k, size, 'shr_u', result, amount);
  setSaturatedUnlessEqual(k, back, n);
  return choose(k, lanewise(k, size, 'eq', back, positive), result, splatConstant(k, size, -1n));
};

const insertLeft: Shift = (k, size, n, amount, d) => {
  const mask = lanewise(k, size, 'shl', splatConstant(k, size, -1n), amount);
  return choose(k, mask, lanewise(k, size, 'shl', n, amount), d());
};
const insertRight: Shift = (k, size, n, amount, d) => {
  const mask = shiftRightU(k, size, splatConstant(k, size, -1n), amount);
  return choose(k, mask, shiftRightU(k, size, n, amount), d());
};

function signedPairs(u: '0' | '1'): Instruction[] {
  const signed = u === '0';
  const s = signed ? 'S' : 'U';
  return [
    ...shiftImmediate(`${s}SHR`, u, '00000', 'right', plain(signed), D),
    ...shiftImmediate(`${s}SRA`, u, '00010', 'right', accumulate(plain(signed)), D),
    ...shiftImmediate(`${s}RSHR`, u, '00100', 'right', rounding(signed), D),
    ...shiftImmediate(`${s}RSRA`, u, '00110', 'right', accumulate(rounding(signed)), D),
    ...shiftImmediate(`${s}QSHL (immediate)`, u, '01110', 'left', saturatingLeft(signed), {
      scalar: ALL,
      saturates: true,
    }),
    ...saturatingNarrowing(`${s}QSHRN`, u, '10010', signed ? 'signed' : 'unsigned', false),
    ...saturatingNarrowing(`${s}QRSHRN`, u, '10011', signed ? 'signed' : 'unsigned', true),
    ...UP_TO_WORDS.map((size) => shiftLong(`${s}SHLL`, u, size)),
  ];
}

function saturatingNarrowing(
  name: string,
  u: '0' | '1',
  opcode: string,
  kind: Narrowing,
  isRounding: boolean,
): Instruction[] {
  const signed = kind !== 'unsigned';
  return shiftNarrow(
    name,
    u,
    opcode,
    (k, size, n, amount) => {
      const shifted = isRounding
        ? roundingShiftRight(k, size + 1, signed, n, amount)
        : shiftRight(k, size + 1, signed, n, amount);
      return saturatingNarrow(k, size, kind, shifted);
    },
    setNarrow,
    true,
  );
}

/** SSHLL, USHLL: the selected half extended, then shifted; SXTL and UXTL are shifts by zero. */
function shiftLong(name: string, u: '0' | '1', size: number): Instruction {
  const immh = (['0001', '001', '01'] as const)[size] ?? '01';
  return instruction(
    `${name} (${8 << size} bits)`,
    `0 q:1 ${u} 011110 ${immh} low:${3 + size} 10100 1 vn:5 vd:5`,
    { variant: ['q'], imm: { shift: (f) => f.low } },
    (op, k) => {
      const wide = extend(k, size, op.q === 1, u === '0', k.vreg(op.vn));
      k.setVreg(op.vd, lanewise(k, size + 1, 'shl', wide, k.wrap(op.shift)));
    },
  );
}

/** Instructions of this chapter. */
export const SIMD_SHIFT_IMMEDIATE: readonly Instruction[] = [
  ...signedPairs('0'),
  ...signedPairs('1'),
  ...shiftImmediate('SHL', '0', '01010', 'left', (k, size, n, amount) => lanewise(k, size, 'shl', n, amount), D),
  ...shiftImmediate('SLI', '1', '01010', 'left', insertLeft, D),
  ...shiftImmediate('SRI', '1', '01000', 'right', insertRight, D),
  ...shiftImmediate('SQSHLU', '1', '01100', 'left', saturatingLeftUnsigned, { scalar: ALL, saturates: true }),
  ...saturatingNarrowing('SQSHRUN', '1', '10000', 'signed-to-unsigned', false),
  ...saturatingNarrowing('SQRSHRUN', '1', '10001', 'signed-to-unsigned', true),
  ...shiftNarrow(
    'SHRN',
    '0',
    '10000',
    (k, size, n, amount) => truncateLanes(k, size, lanewise(k, size + 1, 'shr_u', n, amount), zeroVector),
    setNarrow,
    false,
  ),
  ...shiftNarrow(
    'RSHRN',
    '0',
    '10001',
    (k, size, n, amount) => truncateLanes(k, size, roundingShiftRight(k, size + 1, false, n, amount), zeroVector),
    setNarrow,
    false,
  ),
];
