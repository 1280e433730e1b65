/** Data processing with one, two and three sources: bit counting, division, shifts, CRC32, multiplication (Arm ARM C4.1.95). */
import type { Ops } from '../ops.js';
import type { Val } from '../wasm/body.js';
import { emitCrc32 } from './crc32.js';
import { instruction } from './instruction.js';

/** Reverses the order of the bytes of an i64 with every byte group of `bytes` bytes turned round. */
function reverseBytes(k: Ops, value: Val, bytes: number): Val {
  const lanes = Array.from({ length: 16 }, (_, i) => (i & 7) ^ (bytes - 1));
  const vector = k.op('i64x2.splat', value);
  return k.lane('i64x2.extract_lane', 0, k.shuffle(vector, vector, lanes));
}

/** The 16 values of four bits reversed. */
const REVERSED_NIBBLES = [0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15];

/** Reverses the bits of an i64: nibbles by table, then the bytes. */
function reverseBits(k: Ops, value: Val): Val {
  const vector = k.op('i64x2.splat', value);
  const low = k.op('v128.and', vector, k.v128(new Uint8Array(16).fill(15)));
  const high = k.op('i8x16.shr_u', vector, k.i32(4));
  const lowTurned = k.op('i8x16.swizzle', k.v128(REVERSED_NIBBLES.map((nibble) => nibble << 4)), low);
  const highTurned = k.op('i8x16.swizzle', k.v128(REVERSED_NIBBLES), high);
  const bytes = k.op('v128.or', lowTurned, highTurned);
  return k.lane('i64x2.extract_lane', 0, k.shuffle(bytes, bytes, [7, 6, 5, 4, 3, 2, 1, 0, 7, 6, 5, 4, 3, 2, 1, 0]));
}

/** Upper 64 bits of the unsigned 128-bit product, from four 32-bit multiplications. */
function multiplyHighUnsigned(k: Ops, a: Val, b: Val): Val {
  const low = (value: Val): Val => k.and(value, k.i64(0xffffffffn));
  const high = (value: Val): Val => k.shrU(value, k.i64(32));
  const [a0, a1, b0, b1] = [low(a), high(a), low(b), high(b)];
  const middle = k.add(k.mul(a1, b0), high(k.mul(a0, b0)));
  const carry = k.add(k.mul(a0, b1), low(middle));
  return k.add(k.add(k.mul(a1, b1), high(middle)), high(carry));
}

/** Instructions of this chapter. */
export const DATA_PROCESSING_SOURCE = [
  instruction('RBIT', 'sf:1 1 0 11010110 00000 000000 rn:5 rd:5', { variant: ['sf'], hot: true }, (op, k) => {
    const reversed = reverseBits(k, k.reg(op.rn));
    k.setReg(op.rd, op.sf === 1 ? reversed : k.shrU(reversed, k.i64(32)));
  }),
  instruction('REV16 (general)', 'sf:1 1 0 11010110 00000 000001 rn:5 rd:5', { variant: ['sf'] }, (op, k) =>
    k.setRegW(op.rd, k.immW(op.sf, reverseBytes(k, k.reg(op.rn), 2))),
  ),
  instruction(
    'REV32, REV (32-bit)',
    'sf:1 1 0 11010110 00000 000010 rn:5 rd:5',
    { variant: ['sf'], hot: true },
    (op, k) => k.setRegW(op.rd, k.immW(op.sf, reverseBytes(k, k.reg(op.rn), 4))),
  ),
  instruction('REV', '1 1 0 11010110 00000 000011 rn:5 rd:5', { hot: true }, (op, k) =>
    k.setReg(op.rd, reverseBytes(k, k.reg(op.rn), 8)),
  ),
  instruction('CLZ (general)', 'sf:1 1 0 11010110 00000 000100 rn:5 rd:5', { variant: ['sf'], hot: true }, (op, k) =>
    k.setRegW(op.rd, k.clz(k.regW(op.sf, op.rn))),
  ),
  instruction('CLS (general)', 'sf:1 1 0 11010110 00000 000101 rn:5 rd:5', { variant: ['sf'] }, (op, k) => {
    const value = k.regW(op.sf, op.rn);
    const changes = k.xor(value, k.shrS(value, k.like(value, 1)));
    k.setRegW(op.rd, k.sub(k.clz(changes), k.like(value, 1)));
  }),
  instruction('UDIV', 'sf:1 0 0 11010110 rm:5 000010 rn:5 rd:5', { variant: ['sf'], hot: true }, (op, k) => {
    const divisor = k.regW(op.sf, op.rm);
    const byZero = k.eqz(divisor);
    const safe = k.select(byZero, k.like(divisor, 1), divisor);
    const quotient = k.op(op.sf === 1 ? 'i64.div_u' : 'i32.div_u', k.regW(op.sf, op.rn), safe);
    k.setRegW(op.rd, k.select(byZero, k.like(divisor, 0), quotient));
  }),
  instruction('SDIV', 'sf:1 0 0 11010110 rm:5 000011 rn:5 rd:5', { variant: ['sf'], hot: true }, (op, k) => {
    const dividend = k.regW(op.sf, op.rn);
    const divisor = k.regW(op.sf, op.rm);
    // Dividing by 0 gives 0 and by -1 the (wrapping) negation: both are the product.
    const special = k.ltU(k.add(divisor, k.like(divisor, 1)), k.like(divisor, 2));
    const safe = k.select(special, k.like(divisor, 1), divisor);
    const quotient = k.op(op.sf === 1 ? 'i64.div_s' : 'i32.div_s', dividend, safe);
    k.setRegW(op.rd, k.select(special, k.mul(dividend, divisor), quotient));
  }),
  instruction(
    'LSLV, LSRV, ASRV, RORV',
    'sf:1 0 0 11010110 rm:5 0010 op:2 rn:5 rd:5',
    { variant: ['sf', 'op'], hot: true },
    (op, k) => {
      const value = k.regW(op.sf, op.rn);
      const amount = k.regW(op.sf, op.rm); // WebAssembly takes it modulo the width, as Arm does
      const shift = [k.shl, k.shrU, k.shrS, k.rotr][op.op] ?? k.shl;
      k.setRegW(op.rd, shift.call(k, value, amount));
    },
  ),
  instruction(
    'CRC32B, CRC32H, CRC32W, CRC32X, CRC32CB, CRC32CH, CRC32CW, CRC32CX',
    'sf:1 0 0 11010110 rm:5 010 c:1 sz:2 rn:5 rd:5',
    { variant: ['c', 'sz'], when: (f) => (f.sz === 3) === (f.sf === 1) },
    (op, k) => k.setRegW(op.rd, emitCrc32(k, op.c === 1, op.sz, k.regW(0, op.rn), k.reg(op.rm))),
  ),
  instruction(
    'MADD, MSUB',
    'sf:1 00 11011000 rm:5 o0:1 ra:5 rn:5 rd:5',
    { variant: ['sf', 'o0'], hot: true },
    (op, k) => {
      const product = k.mul(k.regW(op.sf, op.rn), k.regW(op.sf, op.rm));
      const addend = k.regW(op.sf, op.ra);
      k.setRegW(op.rd, op.o0 === 0 ? k.add(addend, product) : k.sub(addend, product));
    },
  ),
  instruction(
    'SMADDL, SMSUBL, UMADDL, UMSUBL',
    '1 00 11011 u:1 01 rm:5 o0:1 ra:5 rn:5 rd:5',
    { variant: ['u', 'o0'], hot: true },
    (op, k) => {
      const widen = (value: Val): Val => (op.u === 1 ? k.extendU(value) : k.extendS(value));
      const product = k.mul(widen(k.regW(0, op.rn)), widen(k.regW(0, op.rm)));
      const addend = k.reg(op.ra);
      k.setReg(op.rd, op.o0 === 0 ? k.add(addend, product) : k.sub(addend, product));
    },
  ),
  instruction(
    'SMULH, UMULH',
    // Ra is not checked: any value but 31 is CONSTRAINED UNPREDICTABLE (should-be-one bits), and QEMU ignores it too.
    '1 00 11011 u:1 10 rm:5 0 ra:5 rn:5 rd:5',
    { variant: ['u'], hot: true },
    (op, k) => {
      const a = k.reg(op.rn);
      const b = k.reg(op.rm);
      const high = multiplyHighUnsigned(k, a, b);
      if (op.u === 1) k.setReg(op.rd, high);
      else {
        // A negative factor counted 2^64 too much of the other.
        const excess = k.add(k.and(k.shrS(a, k.i64(63)), b), k.and(k.shrS(b, k.i64(63)), a));
        k.setReg(op.rd, k.sub(high, excess));
      }
    },
  ),
];
