/** As random-code.test.ts, in numbers that take minutes; prints how many executions found nothing. */
import * as assert from 'uvu/assert';
import { spec } from '../../../test/harness/spec.js';
import { acceptAll, mutateAll } from '../../../test/isolation/campaigns.js';

const test = spec('random code, at length');
const MINUTES_10 = { deadlineMs: 600_000 };

test(
  'modules the emitter makes of hundreds of thousands of random guest instructions are accepted',
  () => {
    const { modules, instructions } = acceptAll({ firstSeed: 1_000_000, seeds: 4500 });
    process.stdout.write(`  ${instructions} guest instructions in ${modules} modules: none refused\n`);
    assert.ok(instructions > 400_000, `${instructions} guest instructions`);
  },
  MINUTES_10,
);

test(
  'twenty thousand mutants are refused, or touch no canary',
  () => {
    const tally = mutateAll({ firstSeed: 1_000_000, modules: 200, mutantsEach: 100 });
    process.stdout.write(`  mutants: ${tally.refused} refused, ${tally.run} run without touching a canary\n`);
    assert.ok(tally.refused > 2000 && tally.run > 2000);
  },
  MINUTES_10,
);

test.run();
