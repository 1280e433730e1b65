/**
 * Real images on a real machine model: Debian's kernels are pulled, then booted in QEMU from our own boot plan (device
 * tree, and ACPI with EFI tables) to a busybox shell that is typed into. Needs a Debian mirror and qemu-system-aarch64.
 */
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { faultSentence } from '../../devices/machine/boot-fault.js';
import { type BootRequest, planBoot } from '../../devices/machine/boot-plan.js';
import { bootInQemu, hasQemuSystem, type QemuBoot } from '../../test/harness/qemu-boot.js';
import { spec } from '../../test/harness/spec.js';
import { READY_MARKER } from './initramfs.js';
import { type Pulled, pullImage } from './pull.js';
import { listImages, type StoredImage } from './store.js';
import { hostUnpackers } from './unpackers.js';

const test = spec('image');
/** Kept between runs, so that a second run downloads nothing. */
const CACHE = join(tmpdir(), 'wurley-integration-cache');
const MINUTES = 60_000;
/** Lines of a kernel log that mean something is wrong. */
const TROUBLE = /\b(BUG|WARNING|Oops|Call trace|Kernel panic|FW_BUG|Firmware Bug|RCU stall|rcu_.*detected)\b/i;

async function pull(name: string, via: 'auto' | 'https' = 'auto', cache = CACHE): Promise<Pulled> {
  const pulled = await pullImage(name, {
    cache,
    env: process.env,
    report: () => undefined,
    now: () => Date.now(),
    via,
  });
  if (!pulled.ok) throw new Error(faultSentence(pulled.error));
  return pulled.value;
}

interface BootVariant {
  readonly acpi: BootRequest['acpi'];
  readonly cpus: number;
  readonly bootArguments?: string;
  readonly input: string;
}

async function boot(image: StoredImage, variant: BootVariant): Promise<QemuBoot> {
  const request: BootRequest = {
    machine: { cpus: variant.cpus, ramBytes: 512 * 1024 * 1024, virtioSlots: [0, 31], hasFirmware: false, pmu: true },
    kernel: { file: image.kernelPath, bytes: new Uint8Array(await readFile(image.kernelPath)) },
    initrd: { file: image.initrdPath, bytes: new Uint8Array(await readFile(image.initrdPath)) },
    bootArguments: variant.bootArguments ?? 'console=ttyAMA0',
    kaslrSeed: 0x1234_5678_9abc_def0n,
    rngSeed: new Uint8Array(64).fill(0x5a),
    acpi: variant.acpi,
  };
  const plan = await planBoot(request, hostUnpackers);
  if (!plan.ok) throw new Error(faultSentence(plan.error));
  const { cpus, input } = variant;
  // One virtio-mmio device, in the last slot as QEMU fills them: the entropy source.
  const extraArguments = ['-device', 'virtio-rng-device'];
  return bootInQemu(plan.value, {
    cpus,
    memoryMib: 512,
    marker: READY_MARKER,
    deadlineMs: MINUTES,
    input,
    extraArguments,
  });
}

/** Boots, types `input`, and checks what must hold for every good boot. */
async function bootToShell(image: StoredImage, variant: BootVariant): Promise<string> {
  const { output, markerMs, ended } = await boot(image, variant);
  const tail = output.slice(-3000);
  assert.ok(markerMs !== undefined, `the marker came; the end was:\n${tail}`);
  assert.ok(ended, `poweroff ended the machine; the end was:\n${tail}`);
  const trouble = output.split('\n').find((line) => TROUBLE.test(line));
  assert.is(trouble, undefined, trouble);
  process.stdout.write(
    `  ${image.manifest.release} acpi=${variant.acpi} ${variant.cpus} CPUs: ${Math.round(markerMs)} ms to the marker\n`,
  );
  return output;
}

const INPUT =
  'echo "cpus $(nproc) release $(uname -r) rng $(cat /sys/class/misc/hw_random/rng_current)"; ls /sys/firmware; poweroff -f\n';

if (!hasQemuSystem)
  test.skip('Debian kernels boot to a shell from our boot plans', 'qemu-system-aarch64 is not installed');
else
  for (const name of ['debian:6.1-cloud', 'debian:6.12-cloud'])
    test(
      `${name} boots to a shell on device tree and on ACPI`,
      async () => {
        const { image } = await pull(name);
        const { release } = image.manifest;
        const variants: BootVariant[] = [
          { acpi: 'off', cpus: 1, input: INPUT },
          { acpi: 'off', cpus: 8, input: INPUT },
          { acpi: 'only', cpus: 2, input: INPUT },
          { acpi: 'offered', cpus: 4, input: INPUT, bootArguments: 'console=ttyAMA0 acpi=force' },
        ];
        for (const variant of variants) {
          const output = await bootToShell(image, variant);
          assert.match(
            output,
            new RegExp(`cpus ${variant.cpus} release ${release.replaceAll('+', '\\+')} rng virtio_rng`),
          );
          assert.is(/ACPI: Interpreter enabled/.test(output), variant.acpi !== 'off');
          assert.is(/Power Button \[PWRB\]/.test(output), variant.acpi !== 'off');
        }
      },
      { deadlineMs: 8 * MINUTES },
    );

if (!hasQemuSystem) test.skip('a script gets plain output', 'qemu-system-aarch64 is not installed');
else
  test(
    'a script gets plain output, and the machine goes off when its input ends',
    async () => {
      const { image } = await pull('debian:6.1-cloud');
      const input = 'read line\nthis is read\necho "got $line"\nfalse || echo two\n\x04';
      const bootArguments = 'console=ttyAMA0 quiet wurley_plain=1';
      const output = await bootToShell(image, { acpi: 'off', cpus: 1, input, bootArguments });
      const said = output.slice(output.indexOf(READY_MARKER) + READY_MARKER.length);
      assert.match(said, /^\r?\ngot this is read\ntwo\n/);
    },
    { deadlineMs: 3 * MINUTES },
  );

test(
  'over HTTPS the same packages come, signed, as through apt',
  async () => {
    const apt = await pull('debian:6.1-cloud');
    const https = await pull('debian:6.1-cloud', 'https', join(CACHE, 'https-only'));
    assert.is(https.via, 'https');
    assert.is(https.caveat, undefined);
    assert.is(https.image.manifest.kernelPackage, apt.image.manifest.kernelPackage);
    assert.equal(await readFile(https.image.initrdPath), await readFile(apt.image.initrdPath));
    assert.equal(
      (await listImages(join(CACHE, 'https-only'))).map((image) => image.manifest.name),
      ['debian:6.1-cloud'],
    );
  },
  { deadlineMs: 5 * MINUTES },
);

test.run();
