/**
 * Exclusive and ordered loads and stores (Arm ARM C4.1.94, B2.9). The local monitor remembers virtual address, size and
 * the value read; a store-exclusive succeeds if the memory still holds that value, by one atomic compare-and-exchange,
 * so it is correct across vCPUs (a location changed and changed back in between passes, as it does in QEMU).
 *
 * WebAssembly has no 16-byte atomics: pairs of 64 bits compare and store under one lock word shared by all vCPUs, so
 * they are atomic against each other, and against single-copy writers of either half up to the ABA case.
 */
import type { Ops } from '../ops.js';
import { STATE } from '../state.js';
import type { Val } from '../wasm/body.js';
import { instruction } from './instruction.js';
import type { Reg } from './operand.js';

const LOAD_KIND = ['u8x', 'u16x', 'u32x', 'u64'] as const;
const ALIGNED = { aligned: true, ordered: true } as const;

/** Opens the monitor (CLREX, and every store-exclusive). */
export function openMonitor(k: Ops): void {
  k.stateStore('u64', STATE.monitorAddress, k.i64(-1n));
}

/** Notes an exclusive load of 2^`log2` bytes in the monitor. */
function closeMonitor(k: Ops, address: Val, log2: number): void {
  k.stateStore('u64', STATE.monitorAddress, address);
  k.stateStore('u32', STATE.monitorSize, k.i32(1 << log2));
}

/** Whether the monitor holds this address and size, as i32. */
function monitorHolds(k: Ops, address: Val, log2: number): Val {
  const sameAddress = k.eq(k.stateLoad('u64', STATE.monitorAddress), address);
  const sameSize = k.eq(k.stateLoad('u32', STATE.monitorSize), k.i32(1 << log2));
  const holds = k.and(sameAddress, sameSize);
  // An open monitor's address is that of the last byte there is: no reservation is ever found for that one.
  return log2 === 0 ? k.and(holds, k.ne(address, k.i64(-1n))) : holds;
}

/** LDXR and LDAXR: the acquire form needs nothing more, since the load is sequentially consistent. */
function loadExclusive(k: Ops, log2: number, rt: Reg, base: Reg): void {
  const address = k.base(base);
  const value = k.extendU(k.atomicLoad(log2, k.hostAddress(address, 1 << log2, false, ALIGNED)));
  closeMonitor(k, address, log2);
  k.stateStore('u64', STATE.monitorValue, value);
  k.setReg(rt, value);
}

function storeExclusive(k: Ops, log2: number, rs: Reg, rt: Reg, base: Reg): void {
  const address = k.base(base);
  const failed = k.variable('i32', k.i32(1));
  k.if(monitorHolds(k, address, log2), () => {
    const host = k.hostAddress(address, 1 << log2, true, ALIGNED);
    const expected = k.stateLoad('u64', STATE.monitorValue);
    const old = k.atomicCompareExchange(log2, host, expected, k.reg(rt));
    k.assign(failed, k.ne(k.extendU(old), expected));
  });
  openMonitor(k);
  k.setReg(rs, k.extendU(failed));
}

/** LDXP: 32-bit pairs are one 64-bit access; 64-bit pairs are read until both halves belong together. */
function loadExclusivePair(k: Ops, size: number, rt: Reg, rt2: Reg, base: Reg): void {
  const address = k.base(base);
  if (size === 2) {
    const both = k.atomicLoad(3, k.hostAddress(address, 8, false, ALIGNED));
    closeMonitor(k, address, 3);
    k.stateStore('u64', STATE.monitorValue, both);
    k.setReg(rt, k.and(both, k.i64(0xffff_ffff)));
    k.setReg(rt2, k.shrU(both, k.i64(32)));
    return;
  }
  const host = k.hostAddress(address, 16, false, ALIGNED);
  const high = k.add(host, k.i32(8));
  const lock = acquirePairLock(k);
  const first = k.atomicLoad(3, host);
  const second = k.atomicLoad(3, high);
  releasePairLock(k, lock);
  closeMonitor(k, address, 4);
  k.stateStore('u64', STATE.monitorValue, first);
  k.stateStore('u64', STATE.monitorValue + 8, second);
  k.setReg(rt, first);
  k.setReg(rt2, second);
}

function storeExclusivePair(k: Ops, size: number, rs: Reg, rt: Reg, rt2: Reg, base: Reg): void {
  const address = k.base(base);
  const failed = k.variable('i32', k.i32(1));
  if (size === 2) {
    k.if(monitorHolds(k, address, 3), () => {
      const host = k.hostAddress(address, 8, true, ALIGNED);
      const value = k.or(k.and(k.reg(rt), k.i64(0xffff_ffff)), k.shl(k.reg(rt2), k.i64(32)));
      const expected = k.stateLoad('u64', STATE.monitorValue);
      k.assign(failed, k.ne(k.atomicCompareExchange(3, host, expected, value), expected));
    });
  } else {
    k.if(monitorHolds(k, address, 4), () => {
      const host = k.hostAddress(address, 16, true, ALIGNED);
      const expected = [k.stateLoad('u64', STATE.monitorValue), k.stateLoad('u64', STATE.monitorValue + 8)] as const;
      const old = compareExchangePair(k, host, expected, [k.reg(rt), k.reg(rt2)]);
      k.assign(failed, k.or(k.ne(old[0], expected[0]), k.ne(old[1], expected[1])));
    });
  }
  openMonitor(k);
  k.setReg(rs, k.extendU(failed));
}

/** Takes the lock word for 16-byte accesses. Critical sections are a few instructions, so waiting spins. */
function acquirePairLock(k: Ops): Val {
  const lock = k.pairLock();
  k.repeatWhile(() => k.atomicCompareExchange(2, lock, k.i32(0), k.i32(1)));
  return lock;
}
function releasePairLock(k: Ops, lock: Val): void {
  k.atomicStore(2, lock, k.i32(0));
}

/** Compares and exchanges 16 bytes at a host address under the lock; returns the old halves. */
export function compareExchangePair(
  k: Ops,
  host: Val,
  expected: readonly [Val, Val],
  value: readonly [Val, Val],
): readonly [Val, Val] {
  const high = k.add(host, k.i32(8));
  const lock = acquirePairLock(k);
  const first = k.atomicLoad(3, host);
  const second = k.atomicLoad(3, high);
  k.if(k.and(k.eq(first, expected[0]), k.eq(second, expected[1])), () => {
    k.atomicStore(3, host, value[0]);
    k.atomicStore(3, high, value[1]);
  });
  releasePairLock(k, lock);
  return [first, second];
}

/** Instructions of this chapter. The unused register fields are "should be one" bits and ignored, as QEMU does. */
export const EXCLUSIVES = [
  instruction('LDXR/LDAXR', 'size:2 001000 0 1 0 s:5 o0:1 t2:5 rn_sp:5 rt:5', { variant: ['size'] }, (op, k) =>
    loadExclusive(k, op.size, op.rt, op.rn_sp),
  ),
  instruction('STXR/STLXR', 'size:2 001000 0 0 0 rs:5 o0:1 t2:5 rn_sp:5 rt:5', { variant: ['size'] }, (op, k) =>
    storeExclusive(k, op.size, op.rs, op.rt, op.rn_sp),
  ),
  instruction('LDXP/LDAXP', '1 sz:1 001000 0 1 1 s:5 o0:1 rt2:5 rn_sp:5 rt:5', { variant: ['sz'] }, (op, k) =>
    loadExclusivePair(k, op.sz + 2, op.rt, op.rt2, op.rn_sp),
  ),
  instruction('STXP/STLXP', '1 sz:1 001000 0 0 1 rs:5 o0:1 rt2:5 rn_sp:5 rt:5', { variant: ['sz'] }, (op, k) =>
    storeExclusivePair(k, op.sz + 2, op.rs, op.rt, op.rt2, op.rn_sp),
  ),
  instruction('LDAR/LDLAR', 'size:2 001000 1 1 0 s:5 o0:1 t2:5 rn_sp:5 rt:5', { variant: ['size'] }, (op, k) =>
    k.setReg(op.rt, k.load(LOAD_KIND[op.size] ?? 'u64', k.base(op.rn_sp), ALIGNED)),
  ),
  instruction('STLR/STLLR', 'size:2 001000 1 0 0 s:5 o0:1 t2:5 rn_sp:5 rt:5', { variant: ['size'] }, (op, k) =>
    k.store(LOAD_KIND[op.size] ?? 'u64', k.base(op.rn_sp), k.reg(op.rt), ALIGNED),
  ),
  instruction('LDAPR', 'size:2 111000 1 0 1 11111 1 100 00 rn_sp:5 rt:5', { variant: ['size'] }, (op, k) =>
    k.setReg(op.rt, k.load(LOAD_KIND[op.size] ?? 'u64', k.base(op.rn_sp), ALIGNED)),
  ),
];
