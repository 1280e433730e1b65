/** Random sequences of GICv3 accesses (gic.elf): what they read and signal is QEMU's. WURLEY_PROGRAMS and WURLEY_SEED: how many, from where. */
import * as assert from 'uvu/assert';
import { qemuSystemVersion, runUnderQemu } from '../drivers/qemu-system.js';
import { runUnderWurley } from '../drivers/wurley.js';
import { spec } from '../harness/spec.js';
import { guestImage } from './reports.js';

const PROGRAMS = Number(process.env['WURLEY_PROGRAMS'] ?? 2000);
const SEED = Number(process.env['WURLEY_SEED'] ?? 1);
const DEADLINE_MS = 280_000;

const test = spec('gic programs');
const title = `${PROGRAMS} random programs of 160 GIC accesses give what they give on QEMU`;

/** What the programs print on each machine. */
async function consoles(bootargs: string): Promise<readonly [string, string]> {
  const run = { cpus: 1, memoryMiB: 64, bootargs, deadlineMs: DEADLINE_MS };
  const image = guestImage('gic');
  const qemu = await runUnderQemu({ ...run, image, cpu: 'neoverse-n1' });
  const ours = await runUnderWurley({ ...run, boot: ['--kernel', image] });
  assert.ok(qemu.ok, qemu.ok ? '' : qemu.error.text);
  assert.ok(ours.ok, ours.ok ? '' : ours.error.text);
  return [qemu.ok ? qemu.value.console : '', ours.ok ? ours.value.console : ''];
}

if (qemuSystemVersion() === undefined) test.skip(title, 'qemu-system-aarch64 is absent');
else {
  test(
    title,
    async () => {
      const [qemu, ours] = await consoles(`seed=${SEED} programs=${PROGRAMS}`);
      const [expected, got] = [qemu.trimEnd().split('\n'), ours.trimEnd().split('\n')];
      assert.is(expected.length, PROGRAMS + 1);
      const at = expected.findIndex((line, n) => line !== got[n]);
      if (at < 0) return;
      // The first program that differs, access by access.
      const [listing, ourListing] = await consoles(`seed=${SEED + at} programs=1 show=1`);
      assert.is(ourListing, listing, `program ${SEED + at}`);
    },
    { deadlineMs: 2 * DEADLINE_MS },
  );
}
test.run();
