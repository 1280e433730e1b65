/** TRNG 1.0: which functions there are, how many bits come and where. */
import * as assert from 'uvu/assert';
import { spec } from '../../../test/harness/spec.js';
import { type Entropy, trngCall, trngName } from './trng.js';

const test = spec('trng');
const ONES: Entropy = (into) => {
  into.fill(0xff);
  return true;
};
const ALL64 = 2n ** 64n - 1n;

test('version, features and identity', () => {
  assert.equal(trngCall(0x8400_0050, 0n, ONES), [0x1_0000n, 0n, 0n, 0n]);
  for (const id of [0x8400_0050, 0x8400_0051, 0x8400_0052, 0x8400_0053, 0xc400_0053]) {
    assert.ok(trngName(id)?.startsWith('TRNG_'));
    assert.is(trngCall(0x8400_0051, BigInt(id), ONES)[0], 0n);
  }
  assert.is(trngCall(0x8400_0051, 0x8400_0054n, ONES)[0], -1n);
  assert.is(trngName(0x8400_0000), undefined);
  const uuid = trngCall(0x8400_0052, 0n, ONES);
  assert.ok(uuid.every((word) => word > 0n && word < 0xffff_ffffn));
});
test('as many bits as asked for, the lowest in x3, nothing beside them', () => {
  assert.equal(trngCall(0xc400_0053, 1n, ONES), [0n, 0n, 0n, 1n]);
  assert.equal(trngCall(0xc400_0053, 64n, ONES), [0n, 0n, 0n, ALL64]);
  assert.equal(trngCall(0xc400_0053, 65n, ONES), [0n, 0n, 1n, ALL64]);
  assert.equal(trngCall(0xc400_0053, 192n, ONES), [0n, ALL64, ALL64, ALL64]);
  assert.equal(trngCall(0x8400_0053, 40n, ONES), [0n, 0n, 0xffn, 0xffff_ffffn]);
  assert.equal(trngCall(0x8400_0053, 96n, ONES), [0n, 0xffff_ffffn, 0xffff_ffffn, 0xffff_ffffn]);
});
test('too many bits, none, and a host without entropy are refused', () => {
  for (const bits of [0n, 193n, ALL64]) assert.equal(trngCall(0xc400_0053, bits, ONES), [-2n, 0n, 0n, 0n]);
  for (const bits of [0n, 97n]) assert.is(trngCall(0x8400_0053, bits, ONES)[0], -2n);
  assert.is(trngCall(0xc400_0053, 64n, () => false)[0], -3n);
});
test.run();
