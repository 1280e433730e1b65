/** Debian's 6.1 cloud kernel through `wurley run`: to a shell and off again, on 1, 2 and 4 vCPUs, by tree and by ACPI. */
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as assert from 'uvu/assert';
import { runUnderWurley, type WurleyOutcome } from '../../test/drivers/wurley.js';
import { spec } from '../../test/harness/spec.js';

const test = spec('debian through wurley run');
const MAIN = join(dirname(fileURLToPath(import.meta.url)), '..', 'main.js');
/** Lines of a kernel log that mean something is wrong. */
const TROUBLE = /\b(BUG|WARNING|Oops|Call trace|Kernel panic|Firmware Bug|RCU stall|rcu_.*detected)\b/i;
const MINUTES = 60_000;

async function boot(cpus: number, input: string, more: readonly string[] = [], bootargs = ''): Promise<WurleyOutcome> {
  const run = { boot: ['debian:6.1-cloud'], cpus, memoryMiB: 512, bootargs, deadlineMs: 3 * MINUTES, input, more };
  const outcome = await runUnderWurley(run);
  if (!outcome.ok) throw new Error(`${outcome.error.text}: ${outcome.error.console}`);
  return outcome.value;
}

for (const cpus of [1, 2, 4]) {
  test(
    `a shell on ${cpus} vCPUs`,
    async () => {
      const end = await boot(cpus, 'nproc\nuname -m\ndmesg\npoweroff -f\n');
      assert.is(end.exitCode, 0, end.errors);
      assert.match(end.console, new RegExp(`^${cpus}\naarch64$`, 'm'));
      const lines = end.console.split('\n').filter((line) => TROUBLE.test(line));
      assert.equal(lines, []);
    },
    { deadlineMs: 3 * MINUTES },
  );
}
for (const cpus of [1, 2, 4]) {
  test(
    `a shell by ACPI alone on ${cpus} vCPUs`,
    async () => {
      const end = await boot(cpus, 'ls /sys/firmware/acpi/tables\nnproc\npoweroff -f\n', ['--acpi']);
      assert.is(end.exitCode, 0, end.errors);
      assert.match(end.console, new RegExp(`APIC[\\s\\S]*GTDT[\\s\\S]*^${cpus}$`, 'm'));
    },
    { deadlineMs: 3 * MINUTES },
  );
}
test(
  'a kernel that is told acpi=force is offered ACPI',
  async () => {
    const end = await boot(2, 'ls /sys/firmware/acpi/tables\nnproc\npoweroff -f\n', [], 'acpi=force');
    assert.is(end.exitCode, 0, end.errors);
    assert.match(end.console, /APIC[\s\S]*GTDT[\s\S]*^2$/m);
  },
  { deadlineMs: 3 * MINUTES },
);
test(
  'a CPU goes off and on',
  async () => {
    const online = '/sys/devices/system/cpu/cpu1/online';
    const end = await boot(2, `echo 0 > ${online}; nproc\necho 1 > ${online}; nproc\npoweroff -f\n`);
    assert.match(end.console, /^1\n2$/m);
    assert.is(end.exitCode, 0);
  },
  { deadlineMs: 3 * MINUTES },
);
test(
  'a reset and a panic end with code 3',
  async () => {
    assert.is((await boot(1, 'reboot -f\n')).exitCode, 3);
    assert.is((await boot(1, 'echo c > /proc/sysrq-trigger\n')).exitCode, 3);
  },
  { deadlineMs: 3 * MINUTES },
);
test('what cannot run is one sentence', () => {
  const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
    [
      ['--kernel', '/nowhere/vmlinuz'],
      65,
      /^wurley: \/nowhere\/vmlinuz: kernel: there is no such file; give another path\.\n$/,
    ],
    [['debian:5.10'], 64, /^wurley: there is no image "debian:5\.10"; there are debian:/],
    [['--cpus', '9', 'debian:6.1-cloud'], 64, /^wurley: --cpus takes a whole number from 1 to 8, not "9"\.\n$/],
    [['--platform', 'hyperv', 'debian:6.1-cloud'], 64, /^wurley: --platform hyperv is not available yet/],
    [[], 64, /^wurley: nothing to run/],
  ];
  for (const [args, exitCode, text] of cases) {
    const run = spawnSync(process.execPath, [MAIN, 'run', ...args], { encoding: 'utf8' });
    assert.match(run.stderr, text);
    assert.is(run.status, exitCode);
    assert.is(run.stdout, '');
  }
});
test.run();
