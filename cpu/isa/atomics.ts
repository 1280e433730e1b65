/** Atomic memory operations (FEAT_LSE, Arm ARM C4.1.94): LDADD and its family, SWP, CAS, CASP. All are sequentially consistent. */
import type { Ops } from '../ops.js';
import type { Val } from '../wasm/body.js';
import { compareExchangePair } from './exclusives.js';
import { type Instruction, instruction } from './instruction.js';

const ALIGNED = { aligned: true, ordered: true, modify: true } as const;

/** An operand of 2^`log2` bytes from a register: i64 for 8 bytes, else i32 truncated to the size. */
function sized(k: Ops, log2: number, value: Val): Val {
  if (log2 === 3) return value;
  return log2 === 2 ? k.wrap(value) : k.and(k.wrap(value), k.i32(log2 === 1 ? 0xffff : 0xff));
}

/** The value with its sign extended from 2^`log2` bytes, for signed comparison. */
function signExtended(k: Ops, log2: number, value: Val): Val {
  if (log2 >= 2) return value;
  return k.op(log2 === 0 ? 'i32.extend8_s' : 'i32.extend16_s', value);
}

/** LDSMAX, LDSMIN, LDUMAX, LDUMIN: WebAssembly has no such operation, so compare and exchange until it holds. */
function minMax(k: Ops, log2: number, address: Val, operand: Val, signed: boolean, max: boolean): Val {
  const old = k.variable(log2 === 3 ? 'i64' : 'i32', k.atomicLoad(log2, address));
  const compare = (a: Val, b: Val): Val => (signed ? k.ltS(a, b) : k.ltU(a, b));
  const extend = (value: Val): Val => (signed ? signExtended(k, log2, value) : value);
  const wanted = extend(operand);
  k.repeatWhile(() => {
    const current = extend(old);
    const keep = max ? compare(wanted, current) : compare(current, wanted);
    const seen = k.atomicCompareExchange(log2, address, old, k.select(keep, old, operand));
    const again = k.ne(seen, old);
    k.assign(old, seen);
    return again;
  });
  return old;
}

/** The operations by their opc field. */
const OPERATIONS: readonly {
  readonly name: string;
  readonly run: (k: Ops, log2: number, address: Val, operand: Val) => Val;
}[] = [
  { name: 'LDADD', run: (k, log2, at, v) => k.atomicRmw('add', log2, at, v) },
  { name: 'LDCLR', run: (k, log2, at, v) => k.atomicRmw('and', log2, at, k.not(v)) },
  { name: 'LDEOR', run: (k, log2, at, v) => k.atomicRmw('xor', log2, at, v) },
  { name: 'LDSET', run: (k, log2, at, v) => k.atomicRmw('or', log2, at, v) },
  { name: 'LDSMAX', run: (k, log2, at, v) => minMax(k, log2, at, v, true, true) },
  { name: 'LDSMIN', run: (k, log2, at, v) => minMax(k, log2, at, v, true, false) },
  { name: 'LDUMAX', run: (k, log2, at, v) => minMax(k, log2, at, v, false, true) },
  { name: 'LDUMIN', run: (k, log2, at, v) => minMax(k, log2, at, v, false, false) },
];

/** An entry for each operation and size: the family shares everything but `run`. */
const FAMILY: readonly Instruction[] = OPERATIONS.map(({ name, run }, opc) => {
  const bits = `${(opc >> 2) & 1}${(opc >> 1) & 1}${opc & 1}` as '000';
  return instruction(name, `size:2 111000 ar:2 1 rs:5 0 ${bits} 00 rn_sp:5 rt:5`, { variant: ['size'] }, (op, k) => {
    const address = k.hostAddress(k.base(op.rn_sp), 1 << op.size, true, ALIGNED);
    k.setReg(op.rt, k.extendU(run(k, op.size, address, sized(k, op.size, k.reg(op.rs)))));
  });
});

/** Instructions of this chapter. */
export const ATOMICS: readonly Instruction[] = [
  ...FAMILY,
  instruction('SWP', 'size:2 111000 ar:2 1 rs:5 1 000 00 rn_sp:5 rt:5', { variant: ['size'] }, (op, k) => {
    const address = k.hostAddress(k.base(op.rn_sp), 1 << op.size, true, ALIGNED);
    k.setReg(op.rt, k.extendU(k.atomicRmw('xchg', op.size, address, sized(k, op.size, k.reg(op.rs)))));
  }),
  instruction('CAS', 'size:2 001000 1 l:1 1 rs:5 o0:1 11111 rn_sp:5 rt:5', { variant: ['size'] }, (op, k) => {
    const address = k.hostAddress(k.base(op.rn_sp), 1 << op.size, true, ALIGNED);
    const expected = sized(k, op.size, k.reg(op.rs));
    const value = sized(k, op.size, k.reg(op.rt));
    k.setReg(op.rs, k.extendU(k.atomicCompareExchange(op.size, address, expected, value)));
  }),
  instruction(
    'CASP',
    '0 sz:1 001000 0 l:1 1 rs:5 o0:1 11111 rn_sp:5 rt:5',
    {
      variant: ['sz'],
      when: (f) => (f.rs & 1) === 0 && (f.rt & 1) === 0,
      derived: { rs2: ['x', (f) => f.rs + 1], rt2: ['x', (f) => f.rt + 1] },
    },
    (op, k) => {
      const address = k.base(op.rn_sp);
      const value = [k.reg(op.rt), k.reg(op.rt2)] as const;
      const expected = [k.reg(op.rs), k.reg(op.rs2)] as const;
      if (op.sz === 0) {
        const pack = (pair: readonly [Val, Val]): Val =>
          k.or(k.and(pair[0], k.i64(0xffff_ffff)), k.shl(pair[1], k.i64(32)));
        const host = k.hostAddress(address, 8, true, ALIGNED);
        const old = k.atomicCompareExchange(3, host, pack(expected), pack(value));
        k.setReg(op.rs, k.and(old, k.i64(0xffff_ffff)));
        k.setReg(op.rs2, k.shrU(old, k.i64(32)));
      } else {
        const host = k.hostAddress(address, 16, true, ALIGNED);
        const old = compareExchangePair(k, host, expected, value);
        k.setReg(op.rs, old[0]);
        k.setReg(op.rs2, old[1]);
      }
    },
  ),
];
