/** The guest programs through `wurley run`: the product's machine, with its actors, on one and two vCPUs. */
import * as assert from 'uvu/assert';
import { runUnderWurley } from '../drivers/wurley.js';
import { spec } from '../harness/spec.js';
import { guestImage, parseSuite } from './reports.js';

const test = spec('guests through wurley run');

for (const cpus of [1, 2]) {
  test(
    `the guest suite passes on ${cpus} vCPUs`,
    async () => {
      const boot = ['--kernel', guestImage('suite')];
      const outcome = await runUnderWurley({ boot, cpus, memoryMiB: 256, bootargs: '', deadlineMs: 100_000 });
      assert.ok(outcome.ok, outcome.ok ? '' : outcome.error.text + outcome.error.console);
      if (!outcome.ok) return;
      const report = parseSuite(outcome.value.console);
      assert.ok(report !== undefined, outcome.value.console);
      assert.equal(report?.failures, []);
      assert.is(outcome.value.exitCode, 0);
      assert.is(outcome.value.errors, '');
    },
    { deadlineMs: 120_000 },
  );
}
test.run();
