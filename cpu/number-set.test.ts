import * as assert from 'uvu/assert';
import { spec } from '../test/harness/spec.js';
import { seeded } from '../test/isolation/random-regions.js';
import { NumberSet } from './number-set.js';

const test = spec('number set');

test('it does what a Set does, through a million random steps', () => {
  const below = seeded(3);
  const ours = new NumberSet();
  const theirs = new Set<number>();
  // Few numbers, many, and such that differ in their upper bits only.
  const kinds = [
    () => below(8),
    () => below(3_000),
    () => below(40) * 2 ** 32 + 7,
    () => below(2 ** 30) * 2 ** 14 + below(2 ** 14),
  ];
  for (let step = 0; step < 1_000_000; step++) {
    const value = kinds[(step >> 12) % kinds.length]!();
    const what = below(1_000);
    if (what < 450) {
      ours.add(value);
      theirs.add(value);
    } else if (what < 850) assert.is(ours.delete(value), theirs.delete(value));
    else if (what < 999) assert.is(ours.has(value), theirs.has(value));
    else {
      ours.clear();
      theirs.clear();
    }
    assert.is(ours.size, theirs.size);
  }
});

test.run();
