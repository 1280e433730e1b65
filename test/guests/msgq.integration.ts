/** The guest that measures message queues and doorbells does every job of its, and what it sends arrives whole and in order. */
import * as assert from 'uvu/assert';
import { GuestPair } from '../drivers/guest-pair.js';
import { spec } from '../harness/spec.js';

const test = spec('msgq guest');
const MINUTE = 60_000;

test(
  'two VMs exchange messages and doorbells over links, and one has a queue with itself',
  async () => {
    const pair = await GuestPair.start();
    try {
      assert.is((await pair.job('one', 'psci 3')).length, 3);
      assert.is((await pair.job('one', 'self 64 3')).length, 3);
      assert.is((await pair.job('one', 'kept 240 3')).length, 3);
      assert.is((await pair.jobs('echo', 'ask 240 50 0')).length, 50);
      assert.is((await pair.jobs('echo', 'ask 2 3 2000')).length, 3);
      assert.is((await pair.jobs('take short 500', 'send short 500', 'two')).length, 1);
      assert.is((await pair.jobs('take long 2000', 'send long 2000', 'two')).length, 1);
      assert.is((await pair.jobs('answer 50', 'ring 50 10')).length, 50);
    } finally {
      await pair.close();
    }
  },
  { deadlineMs: 2 * MINUTE },
);

test.run();
