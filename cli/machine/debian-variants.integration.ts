/** Debian kernels on machines of every size: 8 vCPUs, the least and the most memory, 6.12 by tree and by ACPI; time and sleep. */
import * as assert from 'uvu/assert';
import { runUnderWurley, type WurleyOutcome } from '../../test/drivers/wurley.js';
import { spec } from '../../test/harness/spec.js';

const test = spec('debian on machines of every size');
/** Lines of a kernel log that mean something is wrong. */
const TROUBLE = /\b(BUG|WARNING|Oops|Call trace|Kernel panic|Firmware Bug|RCU stall|rcu_.*detected)\b/i;
const MINUTES = 60_000;
const DEADLINE = { deadlineMs: 6 * MINUTES } as const;

interface Size {
  readonly image: string;
  readonly cpus: number;
  readonly memoryMiB: number;
  readonly more?: readonly string[];
}

async function boot({ image, cpus, memoryMiB, more = [] }: Size, input: string): Promise<WurleyOutcome> {
  const run = { boot: [image], cpus, memoryMiB, bootargs: '', deadlineMs: 5 * MINUTES, input, more };
  const outcome = await runUnderWurley(run);
  if (!outcome.ok) throw new Error(`${outcome.error.text}: ${outcome.error.console}`);
  return outcome.value;
}

const SIZES: readonly (readonly [string, Size])[] = [
  ['6.1, 8 vCPUs', { image: 'debian:6.1-cloud', cpus: 8, memoryMiB: 1024 }],
  ['6.1, 64 MiB', { image: 'debian:6.1-cloud', cpus: 1, memoryMiB: 64 }],
  ['6.1, 3 GiB', { image: 'debian:6.1-cloud', cpus: 2, memoryMiB: 3072 }],
  ['6.12, by device tree', { image: 'debian:6.12-cloud', cpus: 2, memoryMiB: 512 }],
  ['6.12, 1 vCPU', { image: 'debian:6.12-cloud', cpus: 1, memoryMiB: 64 }],
  ['6.12, 8 vCPUs', { image: 'debian:6.12-cloud', cpus: 8, memoryMiB: 1024 }],
  ['6.1, 8 vCPUs, by ACPI', { image: 'debian:6.1-cloud', cpus: 8, memoryMiB: 1024, more: ['--acpi'] }],
  ['6.12, by ACPI', { image: 'debian:6.12-cloud', cpus: 4, memoryMiB: 512, more: ['--acpi'] }],
];
for (const [name, size] of SIZES) {
  test(
    `${name}: a shell, all processors and all memory, a clean log`,
    async () => {
      const end = await boot(
        size,
        "nproc\nuname -r\nawk '/MemTotal/ { print $2 }' /proc/meminfo\ndmesg\npoweroff -f\n",
      );
      assert.is(end.exitCode, 0, end.errors);
      const version = size.image.slice('debian:'.length).replace('-cloud', '').replace('.', '\\.');
      const shown = new RegExp(`^${size.cpus}\\n${version}\\..*-cloud-arm64\\n(\\d+)$`, 'm').exec(end.console);
      assert.ok(shown !== null, end.console.slice(0, 500));
      // The kernel keeps some for itself: 25 MiB of 64 (6.12: 31), less than a tenth of more.
      const totalMiB = Number(shown[1]) / 1024;
      assert.ok(
        totalMiB <= size.memoryMiB && totalMiB > Math.min(size.memoryMiB - 32, size.memoryMiB * 0.9),
        `${totalMiB}`,
      );
      assert.equal(
        end.console.split('\n').filter((line) => TROUBLE.test(line)),
        [],
      );
    },
    DEADLINE,
  );
}

test(
  'the guest sleeps as long as it asks for, and its clocks agree with each other and the host',
  async () => {
    const stamp = "awk '{ print $1 }' /proc/uptime; date +%s; cat /proc/driver/rtc 2>/dev/null | grep rtc_time; ";
    const input = `modprobe -q rtc_pl031; ${stamp}sleep 2; sleep 0.5; ${stamp}\npoweroff -f\n`;
    const startedS = Date.now() / 1000;
    const end = await boot({ image: 'debian:6.1-cloud', cpus: 1, memoryMiB: 256 }, input);
    const endedS = Date.now() / 1000;
    assert.is(end.exitCode, 0, end.errors);
    const uptimes = [...end.console.matchAll(/^(\d+\.\d\d)$/gm)].map(([, text]) => Number(text));
    const dates = [...end.console.matchAll(/^(\d{9,})$/gm)].map(([, text]) => Number(text));
    const [from = 0, to = 0] = uptimes;
    assert.ok(uptimes.length === 2 && dates.length === 2, end.console);
    // Never shorter; how much longer is the host's load.
    assert.ok(to - from >= 2.49, `slept ${to - from} s`);
    assert.ok(to - from < endedS - startedS, `slept ${to - from} s of ${endedS - startedS}`);
    assert.ok(Math.abs((dates[1] ?? 0) - (dates[0] ?? 0) - (to - from)) <= 1.01, 'the two clocks agree');
    for (const date of dates) assert.ok(date >= startedS - 2 && date <= endedS + 2, 'the clock is the host’s');
  },
  DEADLINE,
);
test.run();
