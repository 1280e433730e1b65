import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { faultSentence, refuse } from './boot-fault.js';

const test = spec('boot faults');

test('a fault is file, field and reason', () => {
  assert.is(faultSentence(refuse('vmlinuz', 'image_size', 'is 0').error), 'vmlinuz: image_size: is 0');
});

test('a name from inside a file stays one short line, whatever is in it', () => {
  assert.is(faultSentence(refuse('x.deb', 'a\nb\u001b[2J\u0000', 'is cut off').error), 'x.deb: a?b?[2J?: is cut off');
  assert.is(faultSentence(refuse('x.deb', 'größe', 'is cut off').error), 'x.deb: größe: is cut off');
  const { field } = refuse('x.deb', 'n'.repeat(255), 'is cut off').error;
  assert.is(field, `${'n'.repeat(97)}...`);
});

test.run();
