/**
 * The scanner against random code: everything the emitter makes of random guest words is accepted, and of what a mutation
 * of its bytes leaves valid, nothing is accepted that reads or writes what it must not. `integration` runs more.
 */
import * as assert from 'uvu/assert';
import { spec } from '../../../test/harness/spec.js';
import { acceptAll, mutateAll } from '../../../test/isolation/campaigns.js';

const test = spec('random code');

test('modules the emitter makes of random guest code are accepted', () => {
  const { modules, instructions, remembered } = acceptAll({ firstSeed: 1, seeds: 240 });
  assert.ok(modules > 100);
  assert.ok(instructions > 12_000, `${instructions} guest instructions`);
  assert.ok(remembered > 100, `${remembered} pages remembered`);
});

test('mutated modules are refused, or touch no canary', () => {
  const tally = mutateAll({ firstSeed: 1, modules: 12, mutantsEach: 40 });
  assert.ok(tally.refused > 50, `${tally.refused} mutants refused`);
  assert.ok(tally.run > 100, `${tally.run} mutants run`);
});

test.run();
