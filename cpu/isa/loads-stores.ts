/**
 * Loads and stores of one general register (Arm ARM C4.1.94): every addressing form. Nothing changes before an access
 * that can fault has succeeded; the base register is written last. Where Rt and a written-back Rn are the same register
 * (CONSTRAINED UNPREDICTABLE, K1.2) we do as QEMU: the old value is stored, and the written-back address stays.
 */
import type { MemoryKind } from '../memory-kinds.js';
import type { AccessOptions, Ops } from '../ops.js';
import type { Val } from '../wasm/body.js';
import { instruction } from './instruction.js';
import type { Reg } from './operand.js';

/** Access kind of a general-register load or store by its `size` and `opc` fields; undefined for PRFM and unallocated. */
function accessKind(size: number, opc: number): MemoryKind | undefined {
  const unsigned = (['u8x', 'u16x', 'u32x', 'u64'] as const)[size];
  if (opc < 2) return unsigned;
  if (opc === 2) return (['s8x', 's16x', 's32x'] as const)[size];
  return (['s8', 's16'] as const)[size];
}
const isAllocated = (f: { readonly size: number; readonly opc: number }): boolean =>
  accessKind(f.size, f.opc) !== undefined;
const isPrefetch = (f: { readonly size: number; readonly opc: number }): boolean => f.size === 3 && f.opc === 2;

const signed = (value: number, width: number): number => (value << (32 - width)) >> (32 - width);

/** Loads or stores `rt` at `address`. */
function access(k: Ops, size: number, opc: number, rt: Reg, address: Val, options?: AccessOptions): void {
  const kind = accessKind(size, opc);
  if (kind === undefined) return; // never decoded
  if (opc === 0) k.store(kind, address, k.reg(rt), options);
  else k.setReg(rt, k.extendU(k.load(kind, address, options)));
}

/** An index register as an offset: extended by `option`, shifted left by `shift`. */
function indexOffset(k: Ops, option: number, rm: Reg, shift: number): Val {
  const value = k.reg(rm);
  const extended = option === 2 ? k.extendU(k.wrap(value)) : option === 6 ? k.extendS(k.wrap(value)) : value;
  return k.shl(extended, k.i64(shift));
}

/** Instructions of this chapter. */
export const LOADS_STORES = [
  instruction(
    'LDR/STR (unsigned offset)',
    'size:2 111 0 01 opc:2 imm12:12 rn_sp:5 rt:5',
    { variant: ['size', 'opc'], when: isAllocated, imm: { offset: (f) => f.imm12 << f.size }, hot: true },
    (op, k) => access(k, op.size, op.opc, op.rt, k.add(k.base(op.rn_sp), op.offset)),
  ),
  instruction(
    'LDUR/STUR',
    'size:2 111 0 00 opc:2 0 imm9:9 00 rn_sp:5 rt:5',
    { variant: ['size', 'opc'], when: isAllocated, imm: { offset: (f) => signed(f.imm9, 9) }, hot: true },
    (op, k) => access(k, op.size, op.opc, op.rt, k.add(k.base(op.rn_sp), op.offset)),
  ),
  instruction(
    'LDR/STR (post-index)',
    'size:2 111 0 00 opc:2 0 imm9:9 01 rn_sp:5 rt:5',
    { variant: ['size', 'opc'], when: isAllocated, imm: { offset: (f) => signed(f.imm9, 9) }, hot: true },
    (op, k) => {
      const address = k.base(op.rn_sp);
      access(k, op.size, op.opc, op.rt, address);
      k.setReg(op.rn_sp, k.add(address, op.offset));
    },
  ),
  instruction(
    'LDR/STR (pre-index)',
    'size:2 111 0 00 opc:2 0 imm9:9 11 rn_sp:5 rt:5',
    { variant: ['size', 'opc'], when: isAllocated, imm: { offset: (f) => signed(f.imm9, 9) }, hot: true },
    (op, k) => {
      const address = k.add(k.base(op.rn_sp), op.offset);
      access(k, op.size, op.opc, op.rt, address);
      k.setReg(op.rn_sp, address);
    },
  ),
  instruction(
    'LDTR/STTR',
    'size:2 111 0 00 opc:2 0 imm9:9 10 rn_sp:5 rt:5',
    { variant: ['size', 'opc'], when: isAllocated, imm: { offset: (f) => signed(f.imm9, 9) } },
    (op, k) => access(k, op.size, op.opc, op.rt, k.add(k.base(op.rn_sp), op.offset), { user: true }),
  ),
  instruction(
    'LDR/STR (register, LSL)',
    'size:2 111 0 00 opc:2 1 rm:5 011 s:1 10 rn_sp:5 rt:5',
    { variant: ['size', 'opc', 's'], when: isAllocated, hot: true },
    (op, k) =>
      access(k, op.size, op.opc, op.rt, k.add(k.base(op.rn_sp), indexOffset(k, 3, op.rm, op.s === 1 ? op.size : 0))),
  ),
  instruction(
    'LDR/STR (register, extended)',
    'size:2 111 0 00 opc:2 1 rm:5 sign:1 1 wide:1 s:1 10 rn_sp:5 rt:5',
    {
      variant: ['size', 'opc', 'sign', 'wide', 's'],
      when: (f) => isAllocated(f) && (f.sign === 1 || f.wide === 0),
    },
    (op, k) => {
      const index = indexOffset(k, op.sign * 4 + 2 + op.wide, op.rm, op.s === 1 ? op.size : 0);
      access(k, op.size, op.opc, op.rt, k.add(k.base(op.rn_sp), index));
    },
  ),
  instruction(
    'LDR (literal)',
    'opc:2 011 0 00 imm19:19 rt:5',
    { variant: ['opc'], when: (f) => f.opc !== 3, imm: { offset: (f) => signed(f.imm19, 19) * 4 }, hot: true },
    (op, k) => {
      const kind = (['u32x', 'u64', 's32x'] as const)[op.opc];
      if (kind !== undefined) k.setReg(op.rt, k.load(kind, k.add(k.pc(), op.offset)));
    },
  ),
  // Prefetches are hints: nothing is done (Arm ARM C6.2.247).
  instruction('PRFM (literal)', '11 011 0 00 imm19:19 prfop:5', {}, () => undefined),
  instruction(
    'PRFM (unsigned offset)',
    'size:2 111 0 01 opc:2 imm12:12 n:5 prfop:5',
    { when: isPrefetch },
    () => undefined,
  ),
  instruction('PRFUM', 'size:2 111 0 00 opc:2 0 imm9:9 00 n:5 prfop:5', { when: isPrefetch }, () => undefined),
  instruction(
    'PRFM (register)',
    'size:2 111 0 00 opc:2 1 m:5 option:3 s:1 10 n:5 prfop:5',
    { when: (f) => isPrefetch(f) && (f.option & 2) !== 0 },
    () => undefined,
  ),
];
