/** The hostile-input test of kernel loading, for any sample. */
import * as assert from 'uvu/assert';
import { faultSentence } from '../../devices/machine/boot-fault.js';
import { planBoot } from '../../devices/machine/boot-plan.js';
import type { Unpackers } from '../../devices/machine/unpackers.js';
import { checkPlan, SAMPLE_REQUEST } from './kernel-samples.js';
import { mutate, seededRandom } from './mutations.js';
import type { Spec } from './spec.js';

/** Adds the test that feeds 5,000 damaged copies of `sample` to the boot planner. */
export function addDamagedKernelTest(test: Spec, name: string, sample: Uint8Array, unpackers: Unpackers): void {
  test(
    `5,000 damaged ${name} kernels each end in a sound plan or one sentence, within a second and 1 GiB`,
    async () => {
      const random = seededRandom(name.length);
      let refused = 0;
      for (let i = 0; i < 5000; i++) {
        const bytes = mutate(sample, random, 1100);
        // Processor time, not the wall's: the machine may be busy with other work.
        const started = process.cpuUsage();
        const plan = await planBoot({ ...SAMPLE_REQUEST, acpi: 'off', kernel: { file: 'bad', bytes } }, unpackers);
        const { user, system } = process.cpuUsage(started);
        const ms = (user + system) / 1000;
        assert.ok(ms < 5000, `took ${ms} ms`);
        if (plan.ok) checkPlan(plan.value);
        else {
          refused++;
          assert.match(faultSentence(plan.error), /^[^\n]{5,250}$/);
        }
      }
      const { rss } = process.memoryUsage();
      assert.ok(rss < 1024 * 1024 * 1024, `resident ${Math.round(rss / 1048576)} MiB`);
      process.stdout.write(`  ${name}: ${refused} of 5000 refused, resident ${Math.round(rss / 1048576)} MiB\n`);
      assert.ok(refused > 0);
    },
    { deadlineMs: 240_000 },
  );
}
