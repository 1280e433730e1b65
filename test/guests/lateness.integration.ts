/** Timer interrupts of a guest in WFI: never early, and not lost; how late they are is the benchmark's (bench/machine/timer). */
import * as assert from 'uvu/assert';
import { runUnderWurley } from '../drivers/wurley.js';
import { spec } from '../harness/spec.js';
import { guestImage, parseLateness } from './reports.js';

const test = spec('timer lateness');

test(
  'a thousand sleeps end, none before its time',
  async () => {
    const boot = ['--kernel', guestImage('lateness')];
    const end = await runUnderWurley({ boot, cpus: 1, memoryMiB: 128, bootargs: 'rounds=1000', deadlineMs: 90_000 });
    assert.ok(end.ok, 'the guest ends');
    const report = parseLateness(end.value.console);
    assert.ok(report !== undefined, end.value.console);
    assert.is(report.rounds, 1000);
    assert.is(report.early, 0);
    assert.ok(report.p50Ns <= report.p99Ns && report.p99Ns <= report.maxNs);
    process.stdout.write(`  p50 ${report.p50Ns / 1e6} ms, p99 ${report.p99Ns / 1e6} ms\n`);
  },
  { deadlineMs: 100_000 },
);
test.run();
