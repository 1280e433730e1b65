/** Data processing, register: logical, add and subtract, conditional (Arm ARM C4.1.95; multiplication and division elsewhere). */
import type { Ops } from '../ops.js';
import { isConstant, type Val } from '../wasm/body.js';
import { type Instruction, instruction } from './instruction.js';
import type { Reg } from './operand.js';

/** Shift types of the `shift` field. */
const SHIFT = { lsl: 0, lsr: 1, asr: 2, ror: 3 } as const;

/** Register `r` at width `sf`, shifted by `amount` (i64) as the `shift` field says (Arm ARM: ShiftReg). */
function shifted(k: Ops, sf: number, r: Reg, shift: number, amount: Val): Val {
  const value = k.regW(sf, r);
  const by = k.immW(sf, amount);
  if (shift === SHIFT.lsl) return k.shl(value, by);
  if (shift === SHIFT.lsr) return k.shrU(value, by);
  return shift === SHIFT.asr ? k.shrS(value, by) : k.rotr(value, by);
}

/**
 * Register `r` extended from its low 64 - `drop` bits and shifted left by `amount` (Arm ARM: ExtendReg), at width `sf`.
 */
function extended(k: Ops, sf: number, r: Reg, signed: number, drop: Val, amount: Val): Val {
  const value = k.reg(r);
  let wide: Val;
  if (isConstant(drop) && BigInt(drop.constant) === 32n) {
    wide = signed === 1 ? k.extendS(k.wrap(value)) : k.extendU(k.wrap(value));
  } else {
    const top = k.shl(value, drop);
    wide = signed === 1 ? k.shrS(top, drop) : k.shrU(top, drop);
  }
  const result = k.shl(wide, amount);
  return sf === 1 ? result : k.wrap(result);
}

/** The two operation bits of most groups here. */
type Opcode = '00' | '01' | '10' | '11';
const amountFits = (f: { readonly sf: number; readonly imm6: number }): boolean => f.sf === 1 || f.imm6 < 32;

/** What a two-operand instruction computes and whether it sets the flags. */
type Operation = (k: Ops, a: Val, b: Val) => Val;

const ADD: Operation = (k, a, b) => k.add(a, b);
const ADDS: Operation = (k, a, b) => k.addSetFlags(a, b);
const SUB: Operation = (k, a, b) => k.sub(a, b);
const SUBS: Operation = (k, a, b) => k.subSetFlags(a, b);
const AND: Operation = (k, a, b) => k.and(a, b);
const ORR: Operation = (k, a, b) => k.or(a, b);
const EOR: Operation = (k, a, b) => k.xor(a, b);
const ANDS: Operation = (k, a, b) => {
  const result = k.and(a, b);
  k.setLogicFlags(result);
  return result;
};

/**
 * Add or subtract (shifted register): one entry for LSL, which compilers use nearly always, and one for the rest, so
 * that the interpreter's inner loop stays small.
 */
function addSubShifted(name: string, opcode: Opcode, operation: Operation): Instruction[] {
  return [
    instruction(
      `${name} (shifted register)`,
      `sf:1 ${opcode} 01011 00 0 rm:5 imm6:6 rn:5 rd:5`,
      { variant: ['sf'], when: amountFits, imm: { amount: (f) => f.imm6 }, hot: true },
      (op, k) => k.setRegW(op.rd, operation(k, k.regW(op.sf, op.rn), shifted(k, op.sf, op.rm, SHIFT.lsl, op.amount))),
    ),
    instruction(
      `${name} (shifted register, LSR or ASR)`,
      `sf:1 ${opcode} 01011 shift:2 0 rm:5 imm6:6 rn:5 rd:5`,
      {
        variant: ['sf', 'shift'],
        when: (f) => amountFits(f) && (f.shift === SHIFT.lsr || f.shift === SHIFT.asr),
        imm: { amount: (f) => f.imm6 },
      },
      (op, k) => k.setRegW(op.rd, operation(k, k.regW(op.sf, op.rn), shifted(k, op.sf, op.rm, op.shift, op.amount))),
    ),
  ];
}

/** Logical (shifted register): with the second operand as it is (n = 0) or inverted (n = 1). */
function logicalShifted(name: string, opcode: Opcode, operation: Operation): Instruction[] {
  const second = (k: Ops, n: number, value: Val): Val => (n === 1 ? k.not(value) : value);
  return [
    instruction(
      `${name} (shifted register)`,
      `sf:1 ${opcode} 01010 00 n:1 rm:5 imm6:6 rn:5 rd:5`,
      { variant: ['sf', 'n'], when: amountFits, imm: { amount: (f) => f.imm6 }, hot: true },
      (op, k) => {
        const b = second(k, op.n, shifted(k, op.sf, op.rm, SHIFT.lsl, op.amount));
        k.setRegW(op.rd, operation(k, k.regW(op.sf, op.rn), b));
      },
    ),
    instruction(
      `${name} (shifted register, LSR, ASR or ROR)`,
      `sf:1 ${opcode} 01010 shift:2 n:1 rm:5 imm6:6 rn:5 rd:5`,
      {
        variant: ['sf', 'shift', 'n'],
        when: (f) => amountFits(f) && f.shift !== SHIFT.lsl,
        imm: { amount: (f) => f.imm6 },
      },
      (op, k) => {
        const b = second(k, op.n, shifted(k, op.sf, op.rm, op.shift, op.amount));
        k.setRegW(op.rd, operation(k, k.regW(op.sf, op.rn), b));
      },
    ),
  ];
}

type ExtendedFields = { readonly size: number; readonly imm3: number };
const extendImmediates = {
  drop: (f: ExtendedFields) => 64 - (8 << f.size),
  amount: (f: ExtendedFields) => f.imm3,
} as const;
const extendAmountFits = (f: ExtendedFields): boolean => f.imm3 <= 4;

/** CCMP, CCMN with either second operand. `test`: condition code and the flags if it does not hold (`nzcv << 4`). */
function conditionalCompare(k: Ops, op: number, a: Val, b: Val, test: Val): void {
  k.compareIf(k.conditionOf(k.and(test, k.i64(15))), op === 1, a, b, k.wrap(k.shl(test, k.i64(24))));
}

/** Instructions of this chapter. */
export const DATA_PROCESSING_REGISTER: readonly Instruction[] = [
  ...addSubShifted('ADD', '00', ADD),
  ...addSubShifted('ADDS', '01', ADDS),
  ...addSubShifted('SUB', '10', SUB),
  ...addSubShifted('SUBS', '11', SUBS),
  ...logicalShifted('AND, BIC', '00', AND),
  ...logicalShifted('ORR, ORN', '01', ORR),
  ...logicalShifted('EOR, EON', '10', EOR),
  ...logicalShifted('ANDS, BICS', '11', ANDS),
  instruction(
    'ADD, SUB (extended register)',
    'sf:1 op:1 0 01011 00 1 rm:5 signed:1 size:2 imm3:3 rn_sp:5 rd_sp:5',
    { variant: ['sf', 'op', 'signed'], when: extendAmountFits, imm: extendImmediates, hot: true },
    (op, k) => {
      const b = extended(k, op.sf, op.rm, op.signed, op.drop, op.amount);
      k.setRegW(op.rd_sp, (op.op === 0 ? ADD : SUB)(k, k.regW(op.sf, op.rn_sp), b));
    },
  ),
  instruction(
    'ADDS, SUBS (extended register)',
    'sf:1 op:1 1 01011 00 1 rm:5 signed:1 size:2 imm3:3 rn_sp:5 rd:5',
    { variant: ['sf', 'op', 'signed'], when: extendAmountFits, imm: extendImmediates, hot: true },
    (op, k) => {
      const b = extended(k, op.sf, op.rm, op.signed, op.drop, op.amount);
      k.setRegW(op.rd, (op.op === 0 ? ADDS : SUBS)(k, k.regW(op.sf, op.rn_sp), b));
    },
  ),
  instruction(
    'ADC, ADCS, SBC, SBCS',
    'sf:1 op:1 set:1 11010000 rm:5 000000 rn:5 rd:5',
    { variant: ['sf', 'op', 'set'] },
    (op, k) => {
      const b = k.regW(op.sf, op.rm);
      k.setRegW(op.rd, k.addWithCarry(k.regW(op.sf, op.rn), op.op === 0 ? b : k.not(b), op.set === 1));
    },
  ),
  instruction(
    'CCMN, CCMP (register)',
    'sf:1 op:1 1 11010010 rm:5 cond:4 0 0 rn:5 0 nzcv:4',
    { variant: ['sf', 'op'], imm: { test: (f) => (f.nzcv << 4) | f.cond }, hot: true },
    (op, k) => conditionalCompare(k, op.op, k.regW(op.sf, op.rn), k.regW(op.sf, op.rm), op.test),
  ),
  instruction(
    'CCMN, CCMP (immediate)',
    'sf:1 op:1 1 11010010 imm5:5 cond:4 1 0 rn:5 0 nzcv:4',
    { variant: ['sf', 'op'], imm: { imm: (f) => f.imm5, test: (f) => (f.nzcv << 4) | f.cond }, hot: true },
    (op, k) => conditionalCompare(k, op.op, k.regW(op.sf, op.rn), k.immW(op.sf, op.imm), op.test),
  ),
  instruction(
    'CSEL, CSINC, CSINV, CSNEG',
    'sf:1 op:1 0 11010100 rm:5 cond:4 0 o2:1 rn:5 rd:5',
    {
      variant: ['sf', 'cond'],
      // Rm is inverted and incremented as asked: the four operations are one.
      imm: { invert: (f) => -f.op, increment: (f) => f.o2 },
      hot: true,
    },
    (op, k) => {
      const condition = k.condition(op.cond);
      const other = k.add(k.xor(k.regW(op.sf, op.rm), k.immW(op.sf, op.invert)), k.immW(op.sf, op.increment));
      k.setRegW(op.rd, k.select(condition, k.regW(op.sf, op.rn), other));
    },
  ),
];
