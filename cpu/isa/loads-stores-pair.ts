/** Loads and stores of register pairs: LDP, STP, LDPSW, LDNP, STNP (Arm ARM C4.1.94). One check serves both halves. */
import type { Ops } from '../ops.js';
import type { Val } from '../wasm/body.js';
import { instruction } from './instruction.js';
import type { Reg } from './operand.js';

const scaled = (f: { readonly opc: number; readonly imm7: number }): number =>
  ((f.imm7 << 25) >> 25) * (f.opc === 2 ? 8 : 4);
/** opc 0: 32-bit, 1: LDPSW (load only), 2: 64-bit. */
const isAllocated = (f: { readonly opc: number; readonly load: number }): boolean =>
  f.opc !== 3 && (f.opc !== 1 || f.load === 1);

/**
 * The access itself; loads write the registers. Two equal ones are CONSTRAINED UNPREDICTABLE (Arm ARM K1.2.8); as in QEMU
 * the first element stays.
 */
function access(k: Ops, opc: number, load: number, rt: Reg, rt2: Reg, address: Val): void {
  const kind = opc === 2 ? 'u64' : opc === 1 ? 's32x' : 'u32x';
  if (load === 0) {
    k.storePair(kind, address, k.reg(rt), k.reg(rt2));
    return;
  }
  const [first, second] = k.loadPair(kind, address);
  k.setReg(rt2, second);
  k.setReg(rt, first);
}

/** Instructions of this chapter. */
export const LOADS_STORES_PAIR = [
  instruction(
    'LDP/STP (offset)',
    'opc:2 101 0 010 load:1 imm7:7 rt2:5 rn_sp:5 rt:5',
    { variant: ['opc', 'load'], when: isAllocated, imm: { offset: scaled }, hot: true },
    (op, k) => access(k, op.opc, op.load, op.rt, op.rt2, k.add(k.base(op.rn_sp), op.offset)),
  ),
  instruction(
    'LDNP/STNP',
    'opc:2 101 0 000 load:1 imm7:7 rt2:5 rn_sp:5 rt:5',
    { variant: ['opc', 'load'], when: (f) => f.opc === 0 || f.opc === 2, imm: { offset: scaled } },
    (op, k) => access(k, op.opc, op.load, op.rt, op.rt2, k.add(k.base(op.rn_sp), op.offset)),
  ),
  instruction(
    'LDP/STP (post-index)',
    'opc:2 101 0 001 load:1 imm7:7 rt2:5 rn_sp:5 rt:5',
    { variant: ['opc', 'load'], when: isAllocated, imm: { offset: scaled }, hot: true },
    (op, k) => {
      const address = k.base(op.rn_sp);
      access(k, op.opc, op.load, op.rt, op.rt2, address);
      k.setReg(op.rn_sp, k.add(address, op.offset));
    },
  ),
  instruction(
    'LDP/STP (pre-index)',
    'opc:2 101 0 011 load:1 imm7:7 rt2:5 rn_sp:5 rt:5',
    { variant: ['opc', 'load'], when: isAllocated, imm: { offset: scaled }, hot: true },
    (op, k) => {
      const address = k.add(k.base(op.rn_sp), op.offset);
      access(k, op.opc, op.load, op.rt, op.rt2, address);
      k.setReg(op.rn_sp, address);
    },
  ),
];
