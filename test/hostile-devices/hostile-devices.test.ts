/** A short campaign of every device; `npm run fuzz:devices` is the long one. */
import * as assert from 'uvu/assert';
import { spec } from '../harness/spec.js';
import { attack, SUBJECTS } from './campaign.js';

const test = spec('hostile input of virtio devices');
const CHAINS = 20_000;
const SEED = 0xdec0de;

for (const device of Object.keys(SUBJECTS)) {
  test(
    `${device}: ${CHAINS} chains, half changed while in use, touch nothing outside the guest, and it serves on`,
    async () => {
      const { lives, served, changes, refusals } = await attack(device, SEED, CHAINS);
      const counts = JSON.stringify({ lives, served, changes, refusals });
      assert.ok(lives > 100 && served > 2_000 && refusals > 100 && changes > 2_000, counts);
    },
    { deadlineMs: 60_000 },
  );
}

test.run();
