/** The `fp` helper's calling convention: lanes, formats, results and flags. */
import * as assert from 'uvu/assert';
import { nastyOperand, TestRandom } from '../../test/drivers/fp-operands.js';
import { spec } from '../../test/harness/spec.js';
import { STATE } from '../state.js';
import { DIRECTED, directedLanes } from './directed.js';
import { F32, F64, FPCR, FPSR } from './format.js';
import { FP_CODE, FP_ROUNDING, fpExtra, fpShape } from './helper-codes.js';
import { fpHelper, refreshFpFast, runExact } from './helpers.js';
import { quickLanes } from './quick.js';

const test = spec('cpu/fp/helpers');
const fresh = (): DataView => new DataView(new ArrayBuffer(1024));
const OP = STATE.operands;

test('every operation code has its own number', () => {
  const codes = Object.values(FP_CODE);
  assert.is(new Set(codes).size, codes.length);
});

test('the result replaces the first operand, unused lanes become zero, and FPSR gains flags', () => {
  const view = fresh();
  for (let i = 0; i < 4; i++) view.setFloat32(OP + i * 4, 1, true);
  view.setFloat32(OP + 16, 3, true);
  view.setUint32(STATE.fpsr, FPSR.idc, true);
  assert.is(fpHelper(view, 0, FP_CODE.div, fpShape(2, 2), 0), 0);
  assert.is(view.getFloat32(OP, true), Math.fround(1 / 3));
  assert.is(view.getFloat32(OP + 4, true), Infinity);
  assert.is(view.getBigUint64(OP + 8, true), 0n);
  assert.is(view.getUint32(STATE.fpsr, true), FPSR.idc | FPSR.ixc | FPSR.dzc);
  assert.is(view.getUint32(STATE.fpFast, true), 1);
});

test('conversions change the lane size', () => {
  const view = fresh();
  view.setFloat64(OP, 1.5, true);
  view.setFloat64(OP + 8, -2.5, true);
  const extra = fpExtra({ rounding: FP_ROUNDING.tieEven, bytesLog2: 2 });
  fpHelper(view, 0, FP_CODE.convert, fpShape(3, 2), extra);
  assert.equal([view.getFloat32(OP, true), view.getFloat32(OP + 4, true)], [1.5, -2.5]);
  assert.is(view.getBigUint64(OP + 8, true), 0n);
});

test('fixed-point conversion takes its fraction bits from the extra argument', () => {
  const view = fresh();
  view.setFloat64(OP, -1.75, true);
  const extra = fpExtra({ rounding: FP_ROUNDING.zero, bytesLog2: 2 }) | (1 << 8);
  fpHelper(view, 0, FP_CODE.toInt, fpShape(3, 1), extra);
  assert.is(view.getInt32(OP, true), -3);
  assert.is(view.getUint32(STATE.fpsr, true), FPSR.ixc);
});

test('comparison returns NZCV and leaves the operands', () => {
  const view = fresh();
  view.setFloat64(OP, Number.NaN, true);
  assert.is(fpHelper(view, 0, FP_CODE.compare, fpShape(3, 1), 0), 0b0011);
  assert.is(view.getUint32(STATE.fpsr, true), 0);
  fpHelper(view, 0, FP_CODE.compare, fpShape(3, 1), 1);
  assert.is(view.getUint32(STATE.fpsr, true), FPSR.ioc);
});

test('the fast path is open only with rounding to nearest, no flushing, and IXC set', () => {
  const fast = (fpcr: number, fpsr: number): number => {
    const view = fresh();
    view.setUint32(STATE.fpcr, fpcr >>> 0, true);
    view.setUint32(STATE.fpsr, fpsr, true);
    refreshFpFast(view, 0);
    return view.getUint32(STATE.fpFast, true);
  };
  assert.is(fast(0, FPSR.ixc), 1);
  assert.is(fast(0, 0), 0);
  assert.is(fast(FPCR.dn | FPCR.ahp, FPSR.ixc), 1);
  for (const bit of [FPCR.fz, 1 << FPCR.rmodeShift, 2 << FPCR.rmodeShift]) assert.is(fast(bit, FPSR.ixc), 0);
});

test('the short cut agrees with the exact operation in bits and flags', () => {
  const random = new TestRandom(7);
  const codes = [FP_CODE.add, FP_CODE.sub, FP_CODE.mul, FP_CODE.div];
  const fused = [FP_CODE.madd, FP_CODE.msub, FP_CODE.nmadd, FP_CODE.nmsub];
  const [quick, exact] = [fresh(), fresh()];
  let answered = 0;
  for (let i = 0; i < 60_000; i++) {
    const code = [...codes, ...fused][i % 8] ?? FP_CODE.add;
    const log2 = (i >> 3) % 2 === 0 ? 3 : 2;
    for (const operand of [0, 16, 32]) {
      const value = random.below(2) === 0 ? BigInt(random.below(7) + 1) << 51n : 0n;
      const nasty = nastyOperand(log2 === 3 ? F64 : F32, random);
      const bits = random.below(3) === 0 ? nasty : log2 === 3 ? (1023n << 52n) + value : (127n << 23n) + (value >> 29n);
      for (const view of [quick, exact]) {
        if (log2 === 3) view.setBigUint64(OP + operand, bits, true);
        else view.setUint32(OP + operand, Number(bits), true);
      }
    }
    const isInexact = quickLanes(quick, OP, code, log2, 1);
    if (isInexact === undefined) continue;
    answered++;
    exact.setUint32(STATE.fpsr, 0, true);
    exact.setUint32(STATE.fpcr, 0, true);
    runExact(exact, 0, code, fpShape(log2, 1), 0);
    assert.is(quick.getBigUint64(OP, true), exact.getBigUint64(OP, true), `case ${i}, code ${code}`);
    assert.is(isInexact ? FPSR.ixc : 0, exact.getUint32(STATE.fpsr, true), `flags of case ${i}, code ${code}`);
  }
  assert.ok(answered > 30_000, `answered ${answered}`);
});

test('the short cut for all rounding modes agrees with the exact operation in bits and flags', () => {
  const random = new TestRandom(11);
  const { add, sub, mul, nmul, div, abd, sqrt, madd, msub, nmadd, nmsub } = FP_CODE;
  const codes = [add, sub, mul, nmul, div, abd, sqrt, madd, msub, nmadd, nmsub];
  const [quick, exact] = [fresh(), fresh()];
  /** Ordinary, nasty, few bits (ties and exact results), or close to another operand (cancellation). */
  const operand = (isDouble: boolean, other: bigint): bigint => {
    const format = isDouble ? F64 : F32;
    const kind = random.below(8);
    if (kind === 0) return nastyOperand(format, random);
    if (kind === 1) return (other ^ (random.below(2) === 0 ? format.signBit : 0n)) + BigInt(random.below(3));
    const spread = kind < 5 ? 4 : isDouble ? 900 : 120;
    const exponent = BigInt(1 - format.exponentMin + random.below(spread) - (spread >> 1));
    let fraction = random.u64() & format.fractionMask;
    if (kind === 2) fraction &= ~((1n << BigInt(random.below(format.fractionBits))) - 1n);
    return (exponent << format.fractionBitsBig) | fraction | (random.below(2) === 0 ? format.signBit : 0n);
  };
  const answered = new Map<string, number>();
  for (let i = 0; i < 200_000; i++) {
    const code = codes[i % codes.length] ?? add;
    const log2 = random.below(2) === 0 ? 3 : 2;
    const mode = random.below(4);
    const fpcr = (mode << FPCR.rmodeShift) | (random.below(2) === 0 ? FPCR.fz : 0);
    const lanes = random.below(4) === 0 ? 16 >> log2 : 1;
    let bits = 0n;
    for (let at = 0; at < 48; at += 1 << log2) {
      bits = operand(log2 === 3, bits);
      for (const view of [quick, exact]) {
        if (log2 === 3) view.setBigUint64(OP + at, bits, true);
        else view.setUint32(OP + at, Number(BigInt.asUintN(32, bits)), true);
      }
    }
    const done = directedLanes(quick, OP, code, log2, lanes, mode);
    if (done === DIRECTED.unknown) continue;
    answered.set(`${code} ${log2} ${mode}`, (answered.get(`${code} ${log2} ${mode}`) ?? 0) + 1);
    exact.setUint32(STATE.fpsr, 0, true);
    exact.setUint32(STATE.fpcr, fpcr, true);
    runExact(exact, 0, code, fpShape(log2, lanes), 0);
    for (const at of [0, 8])
      assert.is(
        quick.getBigUint64(OP + at, true),
        exact.getBigUint64(OP + at, true),
        `case ${i}, code ${code}, mode ${mode}`,
      );
    const flags = done === DIRECTED.inexact ? FPSR.ixc : 0;
    assert.is(flags, exact.getUint32(STATE.fpsr, true), `flags of case ${i}, code ${code}`);
  }
  assert.is(answered.size, codes.length * 8);
  assert.ok(Math.min(...answered.values()) > 300, `${Math.min(...answered.values())}`);
});

test.run();
