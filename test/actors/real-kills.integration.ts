/** Every actor kind of the product dies in every way while it serves; `npm run kills` does it a hundred times each. */
import * as assert from 'uvu/assert';
import { spec } from '../harness/spec.js';
import { killKind } from './real-kills.js';
import { REAL_KINDS } from './real-kinds.js';

const test = spec('every actor kind dies in every way');
const DEADLINE_MS = 400_000;
/** Blocking actors have no event loop in which something could throw later. */
const WAYS_MIN = 6;

for (const kind of REAL_KINDS) {
  test(
    `${kind.module}: one sentence, everything given back, the machine beside it goes on`,
    async () => assert.ok((await killKind(kind)).length >= WAYS_MIN),
    { deadlineMs: DEADLINE_MS },
  );
}
test.run();
