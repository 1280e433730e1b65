/** Data processing, immediate (Arm ARM C4.1.92). */

import type { Ops } from '../ops.js';
import { isConstant, type Val } from '../wasm/body.js';
import { logicalImmediate } from './bitmask.js';
import { instruction } from './instruction.js';

const signed = (value: number, width: number): number => (value << (32 - width)) >> (32 - width);

type BitmaskFields = {
  readonly sf: number;
  readonly n: number;
  readonly immr: number;
  readonly imms: number;
};
const bitmask = (f: BitmaskFields): bigint | undefined => logicalImmediate(f.n, f.imms, f.immr, f.sf === 1 ? 64 : 32);
const isBitmask = (f: BitmaskFields): boolean => bitmask(f) !== undefined;
/** The immediate zero-extended: `when` has refused what has none. */
const bitmaskValue = (f: BitmaskFields): bigint => bitmask(f) ?? 0n;

/**
 * Bit-field moves as two shifts of the 64-bit register: left until the field's top bit is bit 63, then right to where
 * the field goes. It serves both widths, because a 32-bit field never reaches what the left shift brings in.
 */
type BitfieldFields = { readonly sf: number; readonly n: number; readonly immr: number; readonly imms: number };
const isBitfield = (f: BitfieldFields): boolean => f.n === f.sf && (f.sf === 1 || (f.immr < 32 && f.imms < 32));
const shiftLeft = (f: BitfieldFields): number => 63 - f.imms;
const shiftRight = (f: BitfieldFields): number => 63 - f.imms + f.immr - (f.imms >= f.immr ? 0 : f.sf === 1 ? 64 : 32);

/** (value << left) >> right without sign; a plain mask where both are the same constant. */
function extractField(k: Ops, value: Val, left: Val, right: Val): Val {
  if (isConstant(left) && isConstant(right) && BigInt(left.constant) === BigInt(right.constant)) {
    return k.and(value, k.i64(BigInt.asUintN(64, -1n) >> BigInt(left.constant)));
  }
  return k.shrU(k.shl(value, left), right);
}

/** Instructions of this chapter. */
export const DATA_PROCESSING_IMMEDIATE = [
  instruction(
    'ADR',
    '0 immlo:2 10000 immhi:19 rd:5',
    { imm: { offset: (f) => signed((f.immhi << 2) | f.immlo, 21) }, hot: true },
    (op, k) => k.setReg(op.rd, k.add(k.pc(), op.offset)),
  ),
  instruction(
    'ADRP',
    '1 immlo:2 10000 immhi:19 rd:5',
    { imm: { offset: (f) => BigInt(signed((f.immhi << 2) | f.immlo, 21)) << 12n }, hot: true },
    (op, k) => k.setReg(op.rd, k.add(k.and(k.pc(), k.i64(~0xfffn)), op.offset)),
  ),
  instruction(
    'ADD (immediate)',
    'sf:1 00 100010 sh:1 imm12:12 rn_sp:5 rd_sp:5',
    { variant: ['sf'], imm: { imm: (f) => f.imm12 << (f.sh * 12) }, hot: true },
    (op, k) => k.setRegW(op.rd_sp, k.add(k.regW(op.sf, op.rn_sp), k.immW(op.sf, op.imm))),
  ),
  instruction(
    'ADDS (immediate)',
    'sf:1 01 100010 sh:1 imm12:12 rn_sp:5 rd:5',
    { variant: ['sf'], imm: { imm: (f) => f.imm12 << (f.sh * 12) }, hot: true },
    (op, k) => k.setRegW(op.rd, k.addSetFlags(k.regW(op.sf, op.rn_sp), k.immW(op.sf, op.imm))),
  ),
  instruction(
    'SUB (immediate)',
    'sf:1 10 100010 sh:1 imm12:12 rn_sp:5 rd_sp:5',
    { variant: ['sf'], imm: { imm: (f) => f.imm12 << (f.sh * 12) }, hot: true },
    (op, k) => k.setRegW(op.rd_sp, k.sub(k.regW(op.sf, op.rn_sp), k.immW(op.sf, op.imm))),
  ),
  instruction(
    'SUBS (immediate)',
    'sf:1 11 100010 sh:1 imm12:12 rn_sp:5 rd:5',
    { variant: ['sf'], imm: { imm: (f) => f.imm12 << (f.sh * 12) }, hot: true },
    (op, k) => k.setRegW(op.rd, k.subSetFlags(k.regW(op.sf, op.rn_sp), k.immW(op.sf, op.imm))),
  ),
  instruction(
    'MOVZ',
    'sf:1 10 100101 hw:2 imm16:16 rd:5',
    { when: (f) => f.sf === 1 || f.hw < 2, imm: { imm: (f) => BigInt(f.imm16) << BigInt(f.hw * 16) }, hot: true },
    (op, k) => k.setReg(op.rd, op.imm),
  ),
  instruction(
    'MOVN',
    'sf:1 00 100101 hw:2 imm16:16 rd:5',
    {
      when: (f) => f.sf === 1 || f.hw < 2,
      imm: { imm: (f) => BigInt.asUintN(f.sf === 1 ? 64 : 32, ~(BigInt(f.imm16) << BigInt(f.hw * 16))) },
      hot: true,
    },
    (op, k) => k.setReg(op.rd, op.imm),
  ),
  instruction(
    'MOVK',
    'sf:1 11 100101 hw:2 imm16:16 rd:5',
    {
      variant: ['sf', 'hw'],
      when: (f) => f.sf === 1 || f.hw < 2,
      imm: { imm: (f) => BigInt(f.imm16) << BigInt(f.hw * 16) },
      hot: true,
    },
    (op, k) => {
      const keep = BigInt.asUintN(op.sf === 1 ? 64 : 32, ~(0xffffn << BigInt(op.hw * 16)));
      k.setReg(op.rd, k.or(k.and(k.reg(op.rd), k.i64(keep)), op.imm));
    },
  ),
  instruction(
    'AND (immediate)',
    'sf:1 00 100100 n:1 immr:6 imms:6 rn:5 rd_sp:5',
    { when: isBitmask, imm: { imm: bitmaskValue }, hot: true },
    // A 32-bit immediate is zero-extended, so no separate 32-bit form is needed.
    (op, k) => k.setReg(op.rd_sp, k.and(k.reg(op.rn), op.imm)),
  ),
  instruction(
    'ORR (immediate)',
    'sf:1 01 100100 n:1 immr:6 imms:6 rn:5 rd_sp:5',
    { variant: ['sf'], when: isBitmask, imm: { imm: bitmaskValue }, hot: true },
    (op, k) => k.setRegW(op.rd_sp, k.or(k.regW(op.sf, op.rn), k.immW(op.sf, op.imm))),
  ),
  instruction(
    'EOR (immediate)',
    'sf:1 10 100100 n:1 immr:6 imms:6 rn:5 rd_sp:5',
    { variant: ['sf'], when: isBitmask, imm: { imm: bitmaskValue }, hot: true },
    (op, k) => k.setRegW(op.rd_sp, k.xor(k.regW(op.sf, op.rn), k.immW(op.sf, op.imm))),
  ),
  instruction(
    'ANDS (immediate)',
    'sf:1 11 100100 n:1 immr:6 imms:6 rn:5 rd:5',
    { variant: ['sf'], when: isBitmask, imm: { imm: bitmaskValue }, hot: true },
    (op, k) => {
      const result = k.and(k.regW(op.sf, op.rn), k.immW(op.sf, op.imm));
      k.setLogicFlags(result);
      k.setRegW(op.rd, result);
    },
  ),
  instruction(
    'SBFM',
    'sf:1 00 100110 n:1 immr:6 imms:6 rn:5 rd:5',
    { variant: ['sf'], when: isBitfield, imm: { left: shiftLeft, right: shiftRight }, hot: true },
    (op, k) => {
      const result = k.shrS(k.shl(k.reg(op.rn), op.left), op.right);
      k.setRegW(op.rd, op.sf === 1 ? result : k.wrap(result));
    },
  ),
  instruction(
    'BFM',
    'sf:1 01 100110 n:1 immr:6 imms:6 rn:5 rd:5',
    { variant: ['sf'], when: isBitfield, imm: { left: shiftLeft, right: shiftRight }, hot: true },
    (op, k) => {
      const mask = k.shrU(k.shl(k.i64(-1), op.left), op.right);
      const field = extractField(k, k.reg(op.rn), op.left, op.right);
      const result = k.or(k.and(k.reg(op.rd), k.not(mask)), field);
      k.setRegW(op.rd, op.sf === 1 ? result : k.wrap(result));
    },
  ),
  instruction(
    'UBFM',
    'sf:1 10 100110 n:1 immr:6 imms:6 rn:5 rd:5',
    { when: isBitfield, imm: { left: shiftLeft, right: shiftRight }, hot: true },
    (op, k) => k.setReg(op.rd, extractField(k, k.reg(op.rn), op.left, op.right)),
  ),
  instruction(
    'EXTR',
    'sf:1 00 100111 n:1 0 rm:5 imms:6 rn:5 rd:5',
    {
      variant: ['sf'],
      when: (f) => f.n === f.sf && (f.sf === 1 || f.imms < 32),
      imm: { lsb: (f) => f.imms },
      hot: true,
    },
    (op, k) => {
      if (k.areSame(op.rn, op.rm)) {
        k.setRegW(op.rd, k.rotr(k.regW(op.sf, op.rn), k.immW(op.sf, op.lsb)));
      } else if (op.sf === 0) {
        const pair = k.or(k.shl(k.reg(op.rn), k.i64(32)), k.extendU(k.regW(0, op.rm)));
        k.setRegW(op.rd, k.wrap(k.shrU(pair, op.lsb)));
      } else {
        // Shifting left by 64 - lsb in two steps keeps lsb = 0 right.
        const high = k.shl(k.shl(k.reg(op.rn), k.i64(1)), k.xor(op.lsb, k.i64(63)));
        k.setReg(op.rd, k.or(high, k.shrU(k.reg(op.rm), op.lsb)));
      }
    },
  ),
];
