import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { CollectionHint } from './collection-hint.js';
import { isHeapPressed, pressHeap, releaseHeap } from './heap-pressure.js';

const test = spec('hint to collect');
const MIB = 1 << 20;
const DEADLINE_MS = 5_000;

// First, since a collection that is under way does not see what dies meanwhile.
test('V8 collects what is dead once it is given, though hardly anything is allocated', async () => {
  let dead = 0;
  const registry = new FinalizationRegistry(() => dead++);
  (() => registry.register({}, 0))();
  const hint = new CollectionHint(MIB);
  hint.note(MIB);
  hint.give();
  for (const end = performance.now() + DEADLINE_MS; dead === 0 && performance.now() < end; ) {
    new ArrayBuffer(64);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assert.is(dead, 1);
});

test('it is given when there is enough to collect', () => {
  releaseHeap();
  const hint = new CollectionHint(4 * MIB);
  hint.give();
  hint.note(3 * MIB);
  hint.give();
  assert.is(hint.count, 0);
  hint.note(MIB);
  hint.give();
  hint.give();
  assert.is(hint.count, 1);
  const small = new CollectionHint(1);
  small.note(1);
  small.give();
  assert.is(small.count, 0, 'a tiny budget is no reason to collect all the time');
});

test('it is not given while somebody else has a collection made', () => {
  pressHeap();
  const hint = new CollectionHint(MIB);
  hint.note(MIB);
  hint.give();
  assert.is(hint.count, 0);
  releaseHeap();
  assert.is(isHeapPressed(), false);
  hint.give();
  assert.is(hint.count, 1);
  hint.note(MIB);
  hint.give();
  assert.is(hint.count, 2, 'its own weight is replaced');
});

test.run();
