/** virtio devices under Debian's 6.1 cloud kernel: console, entropy. */
import * as assert from 'uvu/assert';
import { runUnderWurley, type WurleyOutcome } from '../../test/drivers/wurley.js';
import { spec } from '../../test/harness/spec.js';

const test = spec('virtio devices under debian');
const MINUTES = 60_000;

async function boot(cpus: number, input: string, more: readonly string[]): Promise<WurleyOutcome> {
  const run = { boot: ['debian:6.1-cloud'], cpus, memoryMiB: 512, bootargs: '', deadlineMs: 4 * MINUTES, input, more };
  const outcome = await runUnderWurley(run);
  if (!outcome.ok) throw new Error(`${outcome.error.text}: ${outcome.error.console}`);
  return outcome.value;
}

test(
  'a shell on hvc0, and random bytes of the host',
  async () => {
    const commands = [
      'tty',
      'stty size -F /dev/hvc0',
      'cat /sys/devices/virtual/misc/hw_random/rng_current',
      'head -c 64 /dev/hwrng | wc -c',
      'seq 1 9000',
      'ls /sys/bus/virtio/devices | wc -l',
      'dmesg | grep -ciE "virtio.*(fail|error|broken)"',
      'poweroff -f',
    ];
    const end = await boot(2, `${commands.join('\n')}\n`, ['--console', 'virtio', '--rng']);
    assert.is(end.exitCode, 0, end.errors);
    const numbers = Array.from({ length: 9000 }, (_, i) => `${i + 1}\n`).join('');
    assert.ok(end.console.includes(`/dev/hvc0\n24 80\nvirtio_rng.0\n64\n${numbers}2\n0\n`), end.console.slice(0, 400));
  },
  { deadlineMs: 5 * MINUTES },
);
test(
  'the same devices by ACPI',
  async () => {
    const commands = ['tty', 'cat /sys/devices/virtual/misc/hw_random/rng_current', 'poweroff -f'];
    const end = await boot(1, `${commands.join('\n')}\n`, ['--acpi', '--console', 'virtio', '--rng']);
    assert.is(end.exitCode, 0, end.errors);
    assert.match(end.console, /^\/dev\/hvc0\nvirtio_rng\.0\n/m);
  },
  { deadlineMs: 5 * MINUTES },
);

test.run();
