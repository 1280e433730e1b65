/** Branches and exception generation (Arm ARM C4.1.93). */
import { EXIT, STATE } from '../state.js';
import { instruction } from './instruction.js';

const offset = (value: number, width: number): number => ((value << (32 - width)) >> (32 - width)) * 4;

/** Instructions of this chapter. */
export const BRANCHES = [
  instruction(
    'B',
    '0 00101 imm26:26',
    { imm: { offset: (f) => offset(f.imm26, 26) }, flow: 'jump', hot: true },
    (op, k) => k.jump(op.offset),
  ),
  instruction(
    'BL',
    '1 00101 imm26:26',
    { imm: { offset: (f) => offset(f.imm26, 26) }, flow: 'call', hot: true },
    (op, k) => k.call(op.offset),
  ),
  instruction(
    'B.cond',
    '01010100 imm19:19 0 cond:4',
    { variant: ['cond'], imm: { offset: (f) => offset(f.imm19, 19) }, flow: 'branch', hot: true },
    (op, k) => k.branchIf(k.condition(op.cond), op.offset),
  ),
  instruction(
    'CBZ, CBNZ',
    'sf:1 011010 op:1 imm19:19 rt:5',
    { variant: ['sf', 'op'], imm: { offset: (f) => offset(f.imm19, 19) }, flow: 'branch', hot: true },
    (op, k) => {
      const value = k.regW(op.sf, op.rt);
      k.branchIf(op.op === 0 ? k.eqz(value) : k.ne(value, k.like(value, 0)), op.offset);
    },
  ),
  instruction(
    'TBZ, TBNZ',
    'b5:1 011011 op:1 b40:5 imm14:14 rt:5',
    {
      variant: ['op'],
      imm: { offset: (f) => offset(f.imm14, 14), bit: (f) => (f.b5 << 5) | f.b40 },
      flow: 'branch',
      hot: true,
    },
    (op, k) => {
      const bit = k.wrap(k.and(k.shrU(k.reg(op.rt), op.bit), k.i64(1)));
      k.branchIf(op.op === 0 ? k.eqz(bit) : bit, op.offset);
    },
  ),
  instruction('BR', '1101011 0000 11111 000000 rn:5 00000', { flow: 'indirect', hot: true }, (op, k) =>
    k.jumpTo(k.reg(op.rn), 'jump'),
  ),
  instruction('BLR', '1101011 0001 11111 000000 rn:5 00000', { flow: 'indirect-call', hot: true }, (op, k) => {
    const target = k.reg(op.rn); // read before the link register is written: BLR X30 is allowed
    k.setLink(k.add(k.pc(), k.i64(4)));
    k.jumpTo(target, 'call');
  }),
  instruction('RET', '1101011 0010 11111 000000 rn:5 00000', { flow: 'indirect', hot: true }, (op, k) =>
    k.jumpTo(k.reg(op.rn), 'return'),
  ),
  instruction(
    'SVC',
    '11010100 000 imm16:16 00001',
    { imm: { imm: (f) => f.imm16 }, flow: 'exit', untested: true },
    (op, k) => k.exit(EXIT.svc, op.imm),
  ),
  instruction('HVC', '11010100 000 imm16:16 00010', { imm: { imm: (f) => f.imm16 }, untested: true }, (op, k) => {
    k.stateStore('u64', STATE.exitInfo, op.imm);
    // Calls that only answer are answered at once; all others leave, with pc at the instruction.
    k.if(k.helper('hypercall', []), () => k.exit(EXIT.hvc));
  }),
  instruction(
    'SMC',
    '11010100 000 imm16:16 00011',
    { imm: { imm: (f) => f.imm16 }, flow: 'exit', untested: true },
    (op, k) => k.exit(EXIT.smc, op.imm),
  ),
  instruction(
    'BRK',
    '11010100 001 imm16:16 00000',
    { imm: { imm: (f) => f.imm16 }, flow: 'exit', untested: true },
    (op, k) => k.exit(EXIT.brk, op.imm),
  ),
  instruction(
    'HLT',
    '11010100 010 imm16:16 00000',
    { imm: { imm: (f) => f.imm16 }, flow: 'exit', untested: true },
    (op, k) => k.exit(EXIT.hlt, op.imm),
  ),
  instruction('ERET', '1101011 0100 11111 000000 11111 00000', { flow: 'exit', untested: true }, (_op, k) =>
    k.exit(EXIT.eret),
  ),
];
