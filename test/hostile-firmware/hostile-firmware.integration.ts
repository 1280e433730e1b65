/** Damaged firmware, a few; `npm run fuzz:firmware` is the long campaign. */
import * as assert from 'uvu/assert';
import { spec } from '../harness/spec.js';
import { attack, boot, environment, uBoot } from './campaign.js';

const test = spec('damaged firmware');
const MACHINES = 12;
/** Enough for U-Boot to read its environment. */
const SLICES = 60_000;
const SEED = 0xf1a5;

const program = uBoot();
if (program === undefined) test.skip('damaged firmware', "Debian's u-boot-qemu is not installed");
else {
  test(
    'undamaged it starts and takes its environment from the flash',
    async () => {
      const { output } = await boot(program, environment(), SLICES);
      assert.match(output ?? '', /U-Boot 20\d\d\.\d\d/);
      assert.match(output ?? '', /Loading Environment from Flash\.\.\. OK/);
    },
    { deadlineMs: 120_000 },
  );
  test(
    `${MACHINES} damaged images and stores touch nothing outside the guest and end within their bound`,
    async () => {
      const { refused, ends } = await attack(program, SEED, MACHINES, SLICES);
      const ran = Object.values(ends).reduce((sum, n) => sum + n, 0);
      assert.is(refused + ran, MACHINES);
      assert.ok(ran > MACHINES / 2, JSON.stringify(ends));
    },
    { deadlineMs: 120_000 },
  );
}
test.run();
