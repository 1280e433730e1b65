/** Kernel loading through the host's real decompressors: formats, faults. */
import { gzipSync } from 'node:zlib';
import * as assert from 'uvu/assert';
import type { BootFault } from '../../devices/machine/boot-fault.js';
import { faultSentence } from '../../devices/machine/boot-fault.js';
import { type BootRequest, planBoot } from '../../devices/machine/boot-plan.js';
import { loadKernel } from '../../devices/machine/loaders/kernel.js';
import type { LoadedImage } from '../../devices/machine/loaders/placement.js';
import {
  checkPlan,
  elf,
  RAM_BYTES,
  SAMPLE_ELF,
  SAMPLE_REQUEST,
  sampleImage,
  XZ_SAMPLE,
  ZSTD_SAMPLE,
  zboot,
} from '../../test/harness/kernel-samples.js';
import { spec } from '../../test/harness/spec.js';
import { hostUnpackers } from './unpackers.js';

const test = spec('kernel-formats');
async function load(bytes: Uint8Array, ramBytes = RAM_BYTES): Promise<LoadedImage> {
  const loaded = await loadKernel('k', bytes, ramBytes, hostUnpackers);
  if (!loaded.ok) throw new Error(faultSentence(loaded.error));
  return loaded.value;
}

async function refusal(bytes: Uint8Array, ramBytes = RAM_BYTES): Promise<BootFault> {
  const loaded = await loadKernel('k', bytes, ramBytes, hostUnpackers);
  if (loaded.ok) throw new Error(`was accepted as ${loaded.value.format}`);
  return loaded.error;
}

test('raw, gzip and zboot (gzip, xz, zstd) all give the same Image at RAM + 2 MiB', async () => {
  const image = sampleImage();
  const forms = [
    image,
    gzipSync(image),
    zboot(gzipSync(image), 'gzip'),
    zboot(Buffer.from(XZ_SAMPLE, 'base64'), 'xzkern'),
    zboot(Buffer.from(ZSTD_SAMPLE, 'base64'), 'zstd22'),
  ];
  for (const form of forms) {
    const loaded = await load(form);
    assert.is(loaded.format, 'arm64-image');
    assert.is(loaded.entry, 0x4020_0000);
    assert.is(loaded.placements[0]?.reservedBytes, 0x4000);
    assert.equal(Buffer.from(loaded.placements[0]?.bytes ?? []), Buffer.from(image));
  }
});

test('an ELF goes to its physical addresses, and its virtual entry is translated', async () => {
  const loaded = await load(SAMPLE_ELF);
  assert.is(loaded.format, 'elf64');
  assert.is(loaded.entry, 0x4008_0004);
  assert.equal(
    loaded.placements.map((p) => [p.ipa, p.bytes.byteLength, p.reservedBytes]),
    [
      [0x4008_0000, 64, 0x1000],
      [0x4009_0000, 32, 32],
    ],
  );
});

test('anything else is a raw binary at RAM + 0x8_0000', async () => {
  const loaded = await load(new Uint8Array([0, 0, 0, 0x14]));
  assert.is(loaded.format, 'raw');
  assert.is(loaded.entry, 0x4008_0000);
});

test('wrong fields are named', async () => {
  const at64 = (bytes: Uint8Array, at: number, value: bigint): Uint8Array => {
    const copy = bytes.slice();
    new DataView(copy.buffer).setBigUint64(at, value, true);
    return copy;
  };
  const image = sampleImage();
  assert.is((await refusal(at64(image, 16, 1n << 40n))).field, 'image_size');
  assert.is((await refusal(at64(image, 16, 100n))).field, 'image_size');
  assert.is((await refusal(at64(image, 8, 3n << 20n))).field, 'text_offset');
  assert.is((await refusal(at64(image, 24, 1n))).field, 'flags');
  assert.is((await refusal(at64(SAMPLE_ELF, 24, 0x10n))).field, 'e_entry');
  assert.is((await refusal(at64(SAMPLE_ELF, 64 + 24, 0n))).field, 'program header 0 p_paddr');
  assert.is((await refusal(at64(SAMPLE_ELF, 64 + 32, 1n << 60n))).field, 'program header 0 p_filesz');
  assert.is((await refusal(at64(SAMPLE_ELF, 64 + 56 + 24, 0x4008_0800n))).field, 'program header 1 p_paddr');
  assert.is((await refusal(zboot(image, 'lzma'))).field, 'zboot compression');
  assert.is((await refusal(new Uint8Array(0))).field, 'file');
  assert.is((await refusal(gzipSync(gzipSync(gzipSync(image))))).field, 'compression');
  assert.match((await refusal(gzipSync(image).subarray(0, 100))).reason, /damaged/);
});

test('a small file cannot unpack to more than the limit', async () => {
  const bomb = gzipSync(new Uint8Array(64 * 1024 * 1024));
  const answer = await hostUnpackers.gzip(bomb, 1024 * 1024);
  assert.ok(!answer.ok && answer.error.includes('more than the 1 MiB allowed'));
  const image = Buffer.from(XZ_SAMPLE, 'base64');
  assert.ok(!(await hostUnpackers.xz(image, 1000)).ok);
  assert.ok(!(await hostUnpackers.zstd(Buffer.from(ZSTD_SAMPLE, 'base64'), 1000)).ok);
  assert.ok((await hostUnpackers.xz(image, 0x3000)).ok, 'and the decoder still works afterwards');
  assert.ok((await hostUnpackers.zstd(Buffer.from(ZSTD_SAMPLE, 'base64'), 0x3000)).ok);
});

test('a plan has tree, tables, kernel and initrd in their places and x0 at the tree', async () => {
  const plan = await planBoot({ ...SAMPLE_REQUEST, initrd: { file: 'i', bytes: new Uint8Array(5000) } }, hostUnpackers);
  if (!plan.ok) throw new Error(faultSentence(plan.error));
  checkPlan(plan.value);
  assert.equal(
    plan.value.placements.map((p) => [p.what, p.ipa]),
    [
      ['kernel', 0x4020_0000],
      ['initrd', 0x4040_0000],
      ['ACPI and EFI tables', 0x4010_0000],
      ['device tree', 0x4000_0000],
    ],
  );
  assert.equal(plan.value.registers, [0x4000_0000n, 0n, 0n, 0n]);
});

test('firmware starts at 0 and finds the tree at the start of RAM; a program there moves the tree', async () => {
  const firmware = { file: 'fw', bytes: new Uint8Array(1024) };
  const { kernel: _, ...rest } = SAMPLE_REQUEST;
  const plan = await planBoot({ ...rest, firmware }, hostUnpackers);
  assert.ok(plan.ok && plan.value.entry === 0 && plan.value.registers[0] === 0x4000_0000n);
  const atStart = elf(0x4000_0000n, [
    { vaddr: 0x4000_0000n, paddr: 0x4000_0000, bytes: new Uint8Array(8), memoryBytes: 0x10_0000 },
  ]);
  const moved = await planBoot(
    { ...SAMPLE_REQUEST, kernel: { file: 'k', bytes: atStart }, acpi: 'off' },
    hostUnpackers,
  );
  assert.ok(moved.ok && moved.value.registers[0] === 0x4020_0000n);
  const both = await planBoot({ ...SAMPLE_REQUEST, firmware }, hostUnpackers);
  assert.ok(!both.ok && both.error.field === 'kernel');
});

test('a description out of range is refused', async () => {
  const machine = SAMPLE_REQUEST.machine;
  const cases: [Partial<BootRequest>, string][] = [
    [{ machine: { ...machine, cpus: 9 } }, 'cpus'],
    [{ machine: { ...machine, ramBytes: 2 << 20 } }, 'memory'],
    [{ machine: { ...machine, ramBytes: 0x1_0000_0000 } }, 'memory'],
    [{ machine: { ...machine, virtioSlots: [3, 3] } }, 'virtio slots'],
    [{ bootArguments: 'a\0b' }, 'bootargs'],
    [{ bootArguments: 'x'.repeat(3000) }, 'bootargs'],
    [{ initrd: { file: 'i', bytes: new Uint8Array(RAM_BYTES) } }, 'file'],
  ];
  for (const [change, field] of cases) {
    const plan = await planBoot({ ...SAMPLE_REQUEST, ...change }, hostUnpackers);
    assert.is(plan.ok ? 'accepted' : plan.error.field, field);
  }
});

test.run();
