/** Advanced SIMD by indexed element, integer, with the scalar forms (Arm ARM C4.1.96). */
import { type Instruction, instruction } from '../instruction.js';
import { byElement } from './forms.js';
import { broadcast, elementPattern, lanewise, setResult } from './lanes.js';
import { doublingHighProduct } from './multiply.js';
import { accumulating, doublingAccumulate, doublingLong, longMultiply } from './three-different.js';
import { dotProduct } from './three-same.js';

type Widening = ReturnType<typeof accumulating>;

/** A widening form takes the half that `high` selects of both sources; the element is in every lane. */
function wide(name: string, u: '0' | '1', opcode: string, lane: Widening, scalar = false): Instruction[] {
  return byElement(name, u, opcode, (k, size, n, m, d, high) => lane(k, size, high, n, m, d), { wide: true, scalar });
}

const saturating = { scalar: true, saturates: true };

/** Instructions of this chapter. */
export const SIMD_BY_ELEMENT: readonly Instruction[] = [
  ...byElement('MUL', '0', '1000', (k, size, n, m) => lanewise(k, size, 'mul', n, m)),
  ...byElement('MLA', '1', '0000', (k, size, n, m, d) => lanewise(k, size, 'add', d(), lanewise(k, size, 'mul', n, m))),
  ...byElement('MLS', '1', '0100', (k, size, n, m, d) => lanewise(k, size, 'sub', d(), lanewise(k, size, 'mul', n, m))),
  ...(['0', '1'] as const).flatMap((u) => {
    const s = u === '0' ? 'S' : 'U';
    return [
      ...wide(`${s}MULL`, u, '1010', longMultiply(u === '0')),
      ...wide(`${s}MLAL`, u, '0010', accumulating('add', longMultiply(u === '0'))),
      ...wide(`${s}MLSL`, u, '0110', accumulating('sub', longMultiply(u === '0'))),
    ];
  }),
  ...wide('SQDMULL', '0', '1011', doublingLong, true),
  ...wide('SQDMLAL', '0', '0011', doublingAccumulate(false), true),
  ...wide('SQDMLSL', '0', '0111', doublingAccumulate(true), true),
  ...byElement('SQDMULH', '0', '1100', (k, size, n, m) => doublingHighProduct(k, size, n, m, false), saturating),
  ...byElement('SQRDMULH', '0', '1101', (k, size, n, m) => doublingHighProduct(k, size, n, m, true), saturating),
  ...byElement(
    'SQRDMLAH',
    '1',
    '1101',
    (k, size, n, m, d) => doublingHighProduct(k, size, n, m, true, { accumulate: 'add', d: d() }),
    saturating,
  ),
  ...byElement(
    'SQRDMLSH',
    '1',
    '1111',
    (k, size, n, m, d) => doublingHighProduct(k, size, n, m, true, { accumulate: 'sub', d: d() }),
    saturating,
  ),
  ...(['0', '1'] as const).map((u) =>
    instruction(
      `${u === '0' ? 'SDOT' : 'UDOT'} (by element)`,
      `0 q:1 ${u} 01111 10 l:1 vm:5 1110 h:1 0 vn:5 vd:5`,
      { variant: ['q'], imm: { pattern: (f) => elementPattern(2, f.h * 2 + f.l) } },
      (op, k) => {
        const m = broadcast(k, k.vreg(op.vm), op.pattern);
        setResult(k, 8 << op.q, op.vd, dotProduct(k, u === '0', k.vreg(op.vn), m, k.vreg(op.vd)));
      },
    ),
  ),
];
