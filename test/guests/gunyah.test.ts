/**
 * The Gunyah guest through `wurley run --platform gunyah`: a bare-metal primary VM identifies the hypervisor, talks to the
 * resource manager, lends memory to a second VM, starts it, exchanges messages with it and takes its memory back.
 */
import * as assert from 'uvu/assert';
import { runUnderWurley } from '../drivers/wurley.js';
import { spec } from '../harness/spec.js';
import { guestImage, parseSuite } from './reports.js';

const test = spec('gunyah guest');

test(
  'every check of the guest passes',
  async () => {
    const boot = ['--kernel', guestImage('gunyah')];
    const more = ['--platform', 'gunyah'];
    const outcome = await runUnderWurley({ boot, cpus: 1, memoryMiB: 64, bootargs: '', deadlineMs: 280_000, more });
    assert.ok(outcome.ok, outcome.ok ? '' : outcome.error.text + outcome.error.console);
    if (!outcome.ok) return;
    const report = parseSuite(outcome.value.console);
    assert.ok(report !== undefined, outcome.value.console);
    assert.equal(report?.failures, []);
    assert.ok((report?.passed ?? 0) === 346, outcome.value.console);
    assert.is(outcome.value.exitCode, 0);
    assert.is(outcome.value.errors, '');
  },
  { deadlineMs: 300_000 },
);

test(
  'a root VM puts VMs together by hypercalls, lets them run or runs them, and takes them apart: every check passes',
  async () => {
    const boot = ['--kernel', guestImage('assembly')];
    const more = ['--platform', 'gunyah', '--root-vm'];
    const outcome = await runUnderWurley({ boot, cpus: 1, memoryMiB: 64, bootargs: '', deadlineMs: 180_000, more });
    assert.ok(outcome.ok, outcome.ok ? '' : outcome.error.text + outcome.error.console);
    if (!outcome.ok) return;
    const report = parseSuite(outcome.value.console);
    assert.equal(report?.failures, [], outcome.value.console);
    assert.is(report?.passed, 201);
    assert.is(outcome.value.exitCode, 0);
    assert.is(outcome.value.errors, '');
  },
  { deadlineMs: 200_000 },
);

test('without the right a VM finds no root node and holds no such capability', async () => {
  const boot = ['--kernel', guestImage('assembly')];
  const more = ['--platform', 'gunyah'];
  const outcome = await runUnderWurley({ boot, cpus: 1, memoryMiB: 64, bootargs: '', deadlineMs: 60_000, more });
  assert.ok(outcome.ok, outcome.ok ? '' : outcome.error.text + outcome.error.console);
  if (outcome.ok)
    assert.equal(parseSuite(outcome.value.console)?.failures, ['not ok 1 tree: this VM may put others together']);
});

test('a watchdog that is not pinged resets the machine: exit code 3 and a sentence', async () => {
  const boot = ['--kernel', guestImage('gunyah')];
  const more = ['--platform', 'gunyah'];
  const outcome = await runUnderWurley({ boot, cpus: 1, memoryMiB: 64, bootargs: 'bite=1', deadlineMs: 60_000, more });
  assert.ok(outcome.ok, outcome.ok ? '' : outcome.error.text + outcome.error.console);
  if (!outcome.ok) return;
  assert.is(outcome.value.exitCode, 3);
  assert.ok(outcome.value.errors.includes('its watchdog was not pinged in time'), outcome.value.errors);
});
test.run();
