/** Loads and stores of one or two SIMD&FP registers (Arm ARM C4.1.94). Structures: loads-stores-structures.ts. */
import type { AccessOptions, Ops } from '../../ops.js';
import type { Val } from '../../wasm/body.js';
import { type Instruction, instruction } from '../instruction.js';
import type { Reg } from '../operand.js';

/** Reads 2^`scale` bytes into a vector register's lowest bytes; the rest becomes zero. */
export function loadScalar(k: Ops, scale: number, address: Val, options?: AccessOptions): Val {
  if (scale === 4) return k.load('v128', address, options);
  if (scale === 3) return k.load('z64', address, options);
  if (scale === 2) return k.load('z32', address);
  const zero: Val = { type: 'v128', local: -1, constant: 0 };
  return k.lane('i32x4.replace_lane', 0, zero, k.load(scale === 1 ? 'u16' : 'u8', address));
}

/** Writes the lowest 2^`scale` bytes of a vector register. */
export function storeScalar(k: Ops, scale: number, address: Val, r: Reg): void {
  if (scale === 4) k.store('v128', address, k.vreg(r));
  else if (scale === 3) k.store('f64', address, k.vscalar(r, 'f64'));
  else if (scale === 2) k.store('f32', address, k.vscalar(r, 'f32'));
  else k.store(scale === 1 ? 'u16' : 'u8', address, k.vscalar(r, 'i32'));
}

/** The exponent of the access size: opc's upper bit means 16 bytes. */
const scaleOf = (f: { readonly size: number; readonly opc: number }): number => ((f.opc & 2) !== 0 ? 4 : f.size);
const isAllocated = (f: { readonly size: number; readonly opc: number }): boolean => f.opc < 2 || f.size === 0;
const signed = (value: number, width: number): number => (value << (32 - width)) >> (32 - width);

/** Transfers one register: opc's low bit tells loads. */
function transfer(k: Ops, op: { readonly size: number; readonly opc: number }, address: Val, r: Reg): void {
  if (!isAllocated(op)) return; // never decoded
  if ((op.opc & 1) === 1) k.setVreg(r, loadScalar(k, scaleOf(op), address));
  else storeScalar(k, scaleOf(op), address, r);
}

/** The unsigned-offset form for one size; the two sizes that compiled code uses most are part of the inner loop. */
function unsignedOffset(scale: 0 | 1 | 2 | 3 | 4): Instruction {
  const size = (['00', '01', '10', '11', '00'] as const)[scale] ?? '00';
  return instruction(
    `LDR/STR (SIMD&FP, ${'BHSDQ'[scale]}, unsigned offset)`,
    `${size} 111 1 01 ${scale === 4 ? '1' : '0'} l:1 imm12:12 rn_sp:5 vt:5`,
    { variant: ['l'], imm: { offset: (f) => f.imm12 * 2 ** scale }, hot: scale >= 3 },
    (op, k) => {
      const address = k.add(k.base(op.rn_sp), op.offset);
      if (op.l === 1) k.setVreg(op.vt, loadScalar(k, scale, address));
      else storeScalar(k, scale, address, op.vt);
    },
  );
}

/** Register offset, by how the offset register is extended. */
function registerOffset(
  name: string,
  option: '010' | '110' | 'same:1 11',
  extend: (k: Ops, m: Val) => Val,
): Instruction {
  return instruction(
    `LDR/STR (SIMD&FP, register offset, ${name})`,
    `size:2 111 1 00 opc:2 1 rm:5 ${option} s:1 10 rn_sp:5 vt:5`,
    { variant: ['size', 'opc'], when: isAllocated, imm: { shift: (f) => f.s * scaleOf(f) } },
    (op, k) => transfer(k, op, k.add(k.base(op.rn_sp), k.shl(extend(k, k.reg(op.rm)), op.shift)), op.vt),
  );
}

/** Immediate forms with a signed byte offset: unscaled, and with write-back before or after. */
function signedOffset(name: string, code: '00' | '01' | '11'): Instruction {
  return instruction(
    `LDR/STR (SIMD&FP, ${name})`,
    `size:2 111 1 00 opc:2 0 imm9:9 ${code} rn_sp:5 vt:5`,
    { variant: ['size', 'opc'], when: isAllocated, imm: { offset: (f) => signed(f.imm9, 9) } },
    (op, k) => {
      const base = k.base(op.rn_sp);
      const moved = k.add(base, op.offset);
      transfer(k, op, code === '01' ? base : moved, op.vt);
      if (code !== '00') k.setReg(op.rn_sp, moved);
    },
  );
}

const PAIR_LOADS = ['z32', 'z64', 'v128'] as const;
const PAIR_STORES = ['f32', 'f64', 'v128'] as const;

/** Pairs of 4, 8 or 16 bytes each (`scale` 2 to 4); the registers are written only when both accesses are done. */
function transferPair(k: Ops, scale: number, load: boolean, address: Val, first: Reg, second: Reg): void {
  if (load) {
    const [low, high] = k.loadPair(PAIR_LOADS[scale - 2] ?? 'v128', address);
    k.setVreg(first, low);
    k.setVreg(second, high);
    return;
  }
  const kind = PAIR_STORES[scale - 2] ?? 'v128';
  const read = (r: Reg): Val => (kind === 'v128' ? k.vreg(r) : k.vscalar(r, kind));
  k.storePair(kind, address, read(first), read(second));
}

function pair(name: string, index: '00' | '01' | '10' | '11'): Instruction {
  const isOffset = index === '00' || index === '10';
  return instruction(
    `LDP/STP (SIMD&FP, ${name})`,
    `opc:2 101 1 0 ${index} l:1 imm7:7 vt2:5 rn_sp:5 vt:5`,
    {
      variant: ['opc', 'l'],
      when: (f) => f.opc < 3 && !(f.opc === 2 && index === '10'),
      imm: { offset: (f) => signed(f.imm7, 7) * (4 << f.opc) },
    },
    (op, k) => {
      if (op.opc === 3 || (op.opc === 2 && index === '10')) return; // never decoded
      const base = k.base(op.rn_sp);
      const moved = k.add(base, op.offset);
      transferPair(k, op.opc + 2, op.l === 1, index === '01' ? base : moved, op.vt, op.vt2);
      if (!isOffset) k.setReg(op.rn_sp, moved);
    },
  );
}

/** Instructions of this chapter. */
export const SIMD_LOADS_STORES: readonly Instruction[] = [
  ...([0, 1, 2, 3, 4] as const).map(unsignedOffset),
  signedOffset('unscaled', '00'),
  signedOffset('post-index', '01'),
  signedOffset('pre-index', '11'),
  registerOffset('UXTW', '010', (k, m) => k.and(m, k.i64(0xffffffff))),
  registerOffset('SXTW', '110', (k, m) => k.op('i64.extend32_s', m)),
  registerOffset('LSL or SXTX', 'same:1 11', (_k, m) => m),
  instruction(
    'LDR (SIMD&FP, literal)',
    'opc:2 011 1 00 imm19:19 vt:5',
    { variant: ['opc'], when: (f) => f.opc < 3, imm: { offset: (f) => signed(f.imm19, 19) * 4 } },
    (op, k) => {
      if (op.opc < 3) k.setVreg(op.vt, loadScalar(k, op.opc + 2, k.add(k.pc(), op.offset)));
    },
  ),
  instruction(
    'LDP/STP (SIMD&FP, Q, offset)',
    '10 101 1 0 10 l:1 imm7:7 vt2:5 rn_sp:5 vt:5',
    { variant: ['l'], imm: { offset: (f) => signed(f.imm7, 7) * 16 }, hot: true },
    (op, k) => transferPair(k, 4, op.l === 1, k.add(k.base(op.rn_sp), op.offset), op.vt, op.vt2),
  ),
  pair('offset', '10'),
  pair('post-index', '01'),
  pair('pre-index', '11'),
  pair('no allocate', '00'),
];
