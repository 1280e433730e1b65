/** Data processing, immediate (Arm ARM C4.1.92). */
import { instruction } from './instruction.js';

const signed = (value: number, width: number): number => (value << (32 - width)) >> (32 - width);

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
];
