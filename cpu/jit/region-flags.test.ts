import * as assert from 'uvu/assert';
import { compareBranchyPrograms } from '../../test/drivers/branchy-program.js';
import { spec } from '../../test/harness/spec.js';
import { seeded } from '../../test/isolation/random-regions.js';

const test = spec('flags of compiled regions');

test('branchy programs that pass flags between blocks end as they do interpreted', () => {
  assert.is(compareBranchyPrograms(seeded(5), 40, 6), undefined);
});

test.run();
