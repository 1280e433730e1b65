/**
 * Compiled code under constant eviction: a budget that holds a few modules, so that nothing stays compiled for long. What
 * guests compute must not depend on it.
 */
import * as assert from 'uvu/assert';
import { runUnderWurley } from '../../test/drivers/wurley.js';
import { guestImage } from '../../test/guests/reports.js';
import { spec } from '../../test/harness/spec.js';

const test = spec('constant eviction');
const DEADLINE_MS = 5 * 60_000;
const TROUBLE = /\b(BUG|WARNING|Oops|Call trace|Kernel panic|RCU stall)\b/i;
process.env['WURLEY_JIT_BUDGET'] = '64:3';

test(
  'the bare-metal suite passes',
  async () => {
    const boot = ['--kernel', guestImage('suite')];
    const end = await runUnderWurley({ boot, cpus: 2, memoryMiB: 256, bootargs: '', deadlineMs: DEADLINE_MS });
    assert.ok(end.ok);
    assert.is(end.value.exitCode, 0, end.value.console.slice(-2000));
  },
  { deadlineMs: DEADLINE_MS + 10_000 },
);

test(
  'Debian boots, works and powers off',
  async () => {
    const input = 'for i in 1 2 3 4 5 6 7 8; do seq 1 2000 | sort -n | md5sum; done\ndmesg\npoweroff -f\n';
    const run = { boot: ['debian:6.1-cloud'], cpus: 2, memoryMiB: 512, bootargs: '', deadlineMs: DEADLINE_MS, input };
    const end = await runUnderWurley({ ...run, more: ['--stats'] });
    assert.ok(end.ok);
    const { exitCode, console, errors } = end.value;
    assert.is(exitCode, 0, errors);
    assert.is(console.match(/^[0-9a-f]{32} {2}-$/gm)?.length, 8);
    assert.is(new Set(console.match(/^[0-9a-f]{32}/gm)).size, 1);
    assert.equal(
      console.split('\n').filter((line) => TROUBLE.test(line)),
      [],
    );
    const evicted = Number(/([\d,]+) evicted/.exec(errors)?.[1]?.replaceAll(',', '') ?? 0);
    assert.ok(evicted > 100, errors);
  },
  { deadlineMs: DEADLINE_MS + 10_000 },
);

test.run();
