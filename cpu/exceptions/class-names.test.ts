import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { exceptionClassName, faultName, isAbort } from './class-names.js';

const test = spec('names of exceptions');

test('classes and faults have the names people know', () => {
  assert.is(exceptionClassName(0x56000000), 'svc');
  assert.is(exceptionClassName(0x92000047), 'data-abort-el0');
  assert.is(exceptionClassName(0x8600000f | 0), 'instruction-abort-el1');
  assert.is(exceptionClassName(0xf2000800 | 0), 'brk');
  assert.is(exceptionClassName(0x7c000000), 'class-0x1f');
  assert.equal([0x92000047, 0x9600004f, 0x8200000b, 0x96000061, 0x96000010, 0x96000015, 0x96000022].map(faultName), [
    'translation-l3',
    'permission-l3',
    'access-flag-l3',
    'alignment',
    'external',
    'external-on-walk-l1',
    'status-0x22',
  ]);
  assert.equal([0x82000007, 0x86000007, 0x92000047, 0x96000047, 0x56000000, 0xd2000022].map(isAbort), [
    ...[true, true, true, true, false, false],
  ]);
});
test.run();
