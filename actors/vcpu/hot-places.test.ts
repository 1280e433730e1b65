/** Places counted, against a map that forgets by the same rule. */
import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { seeded } from '../../test/isolation/random-regions.js';
import { HotPlaces } from './hot-places.js';

const test = spec('hot places');
const MAX = 2048;

test('it counts what a map counts that forgets what was seen once when it is full', () => {
  const below = seeded(5);
  const places = new HotPlaces<string>();
  const model = new Map<string, number>();
  let [looks, nextSweep] = [0, 0];
  for (let step = 0; step < 40_000; step++) {
    // Half of all looks see a few places, the rest some that are seldom seen twice.
    const [lo, hi] = below(2) === 0 ? [below(40) * 4, 1] : [below(20_000) * 4, below(2)];
    const key = `${hi}:${lo}`;
    looks++;
    const slot = places.look(lo, hi);
    if (slot >= 0) places.show(slot, key);
    if (model.has(key)) model.set(key, model.get(key)! + 1);
    else {
      if (model.size >= MAX) {
        if (looks < nextSweep) continue;
        nextSweep = looks + MAX;
        for (const [at, count] of model) if (count === 1) model.delete(at);
        if (model.size >= MAX) continue;
      }
      model.set(key, 1);
    }
  }
  assert.is(places.looks, looks);
  const shown = places.hottest(100);
  assert.is(shown.length, 100);
  for (const { looks: count, shown: key } of shown) assert.is(model.get(key), count);
  const least = [...model.values()].sort((a, b) => b - a)[99];
  assert.is(shown.at(-1)?.looks, least);
});
test.run();
