/** Saturating and rounding shifts by register, at their edges; and the helper's lanes and QC. */
import * as assert from 'uvu/assert';
import { spec } from '../../../test/harness/spec.js';
import { STATE } from '../../state.js';
import { simdHelper } from './helper.js';
import { SIMD_HELPER } from './helper-codes.js';

const test = spec('cpu/isa/simd/helper');
const QC = 1 << 27;

/** Shifts byte lanes; returns the first two results and FPSR. */
function shiftBytes(code: number, values: readonly number[], amounts: readonly number[]): readonly number[] {
  const view = new DataView(new ArrayBuffer(1024));
  values.forEach((value, i) => {
    view.setUint8(STATE.operands + i, value & 0xff);
  });
  amounts.forEach((amount, i) => {
    view.setInt8(STATE.operands + 16 + i, amount);
  });
  simdHelper(view, 0, code, 0);
  return [view.getUint8(STATE.operands), view.getUint8(STATE.operands + 1), view.getUint32(STATE.fpsr, true)];
}

test('SQSHL saturates either way, and shifts of zero by any amount do not', () => {
  assert.equal(shiftBytes(SIMD_HELPER.sqshl, [0x40, 0xc0], [1, 1]), [0x7f, 0x80, QC]);
  assert.equal(shiftBytes(SIMD_HELPER.sqshl, [1, 0xff], [127, -128]), [0x7f, 0xff, QC]);
  assert.equal(shiftBytes(SIMD_HELPER.sqshl, [0, 0], [127, 100]), [0, 0, 0]);
});

test('UQSHL takes lanes as unsigned', () => {
  assert.equal(shiftBytes(SIMD_HELPER.sqshl + 1, [0xff, 0x80], [1, -7]), [0xff, 1, QC]);
});

test('SRSHL rounds to nearest with ties up, and far right shifts give zero', () => {
  assert.equal(shiftBytes(SIMD_HELPER.srshl, [3, 0xfd], [-1, -1]), [2, 0xff, 0]);
  assert.equal(shiftBytes(SIMD_HELPER.srshl, [0x80, 0x7f], [-8, -128]), [0, 0, 0]);
});

test('URSHL by the width keeps the rounding carry', () => {
  assert.equal(shiftBytes(SIMD_HELPER.srshl + 1, [0x80, 0x7f], [-8, -8]), [1, 0, 0]);
});

test('SQRSHL does both', () => {
  assert.equal(shiftBytes(SIMD_HELPER.sqrshl, [0x7f, 0x7f], [1, -1]), [0x7f, 0x40, QC]);
});

test.run();
