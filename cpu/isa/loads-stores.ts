/** Loads and stores of one general register (Arm ARM C4.1.94), unsigned offset form; the rest follows. */
import type { MemoryKind } from '../memory-kinds.js';
import { instruction } from './instruction.js';

/** Access kind of a general-register load or store by its `size` and `opc` fields; undefined for PRFM and unallocated. */
function accessKind(size: number, opc: number): MemoryKind | undefined {
  const unsigned = (['u8x', 'u16x', 'u32x', 'u64'] as const)[size];
  if (opc < 2) return unsigned;
  if (opc === 2) return (['s8x', 's16x', 's32x'] as const)[size];
  return (['s8', 's16'] as const)[size];
}

/** Instructions of this chapter. */
export const LOADS_STORES = [
  instruction(
    'LDR/STR (unsigned offset)',
    'size:2 111 0 01 opc:2 imm12:12 rn_sp:5 rt:5',
    {
      variant: ['size', 'opc'],
      when: (f) => accessKind(f.size, f.opc) !== undefined,
      imm: { offset: (f) => f.imm12 << f.size },
      hot: true,
    },
    (op, k) => {
      const kind = accessKind(op.size, op.opc);
      if (kind === undefined) return; // never decoded
      const address = k.add(k.reg(op.rn_sp), op.offset);
      if (op.opc === 0) k.store(kind, address, k.reg(op.rt));
      else k.setReg(op.rt, k.extendU(k.load(kind, address)));
    },
  ),
];
