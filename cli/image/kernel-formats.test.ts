/** Kernel loading through the host's real decompressors: formats, faults, and damaged files by the thousand. */
import { gzipSync } from 'node:zlib';
import * as assert from 'uvu/assert';
import type { BootFault } from '../../devices/machine/boot-fault.js';
import { faultSentence } from '../../devices/machine/boot-fault.js';
import { type BootPlan, type BootRequest, planBoot } from '../../devices/machine/boot-plan.js';
import { loadKernel } from '../../devices/machine/loaders/kernel.js';
import type { LoadedImage } from '../../devices/machine/loaders/placement.js';
import { mutate, seededRandom } from '../../test/harness/mutations.js';
import { spec } from '../../test/harness/spec.js';
import { hostUnpackers } from './unpackers.js';

const test = spec('kernel-formats');
const RAM_BYTES = 64 * 1024 * 1024;
/** The image below, packed by `xz --check=crc32 -9` and `zstd -19 --no-check`. */
const XZ =
  '/Td6WFoAAAFpIt42AgAhARwAAAAQz1jM4C//ATZdAA+IwoDH2DFOMpZnpQMtg/Hm3kqqf2WJR2DC5AJHnQ2NkGNqeB5UhctNmLPvMjZvAYu5M77Lw20344hsHkpX/xCkBvZo68JRfF32lCCOBOK8kfrHuaxDq9Ku9NU0LEE+m4++QKkyyCYQbWznIGYETseeKHqNtNkFBOK5TmXnFFb+gyfc9sKNDm17wfa8SkpdtE02cFynE8FtarSYQN3Aoh7vDvOt+pqjzWmhE/BsJPI43jpKUNNx9Co7cb02zJud0UJDbSeIkT0bKFzV7fbxQ4anR0jHEwtxZimHg4VgDwQFiXIHVN+DqIGlh54WPAHo5tnzt0bM0zrzrVgC30s4jwgLkLjk8Nl/68P6VkEbD4Le3mMFpifI3c3bSJeKORsSBcQglCexkT90uunvCAK5ja2kHQBbiAAAAABmFW7kAAHOAoBgAABihfk3PjANiwIAAAAAAVla';
const ZSTD =
  'KLUv/QBoFQkABBEfIAPVEAAAFABACgBBUk1kwMfO1dzj6vH4/wYNFBsiKTA3PkVMU1phaG92fYSLkpmgp661vMPK0djf5u30+wIJEBceJSwzOkFIT1ZdZGtyeYCHjpWco6qxuL/GzdTb4unw9/4FDBMaISgvNj1ES1JZYGdudXyDipGYn6attLvCydDX3uXs8/oBCA8WHSQrMjlAR05VXGNqcXh/ho2Um6KpsLe+xczT2uHo7/b9BAsSGSAnLjU8Q0pRWF9mbXR7gomQl56lrLO6wcjP1t3k6/L5AAcOFRwjKjE4P0ZNVFtiaXB3foWMk5qhqK+2vcTL0tng5+71/AMKERgfJi00O0JJUFdeZWxzeoGIj5adpKuyuQUAAL1uYPF0WeIKfDEjgBw=';

/** An arm64 Image of 12 KiB that asks for 16 KiB; the rest of its bytes are (i * 7) & 0xff. */
function sampleImage(): Uint8Array {
  const image = Uint8Array.from({ length: 0x3000 }, (_, i) => (i * 7) & 0xff);
  image.fill(0, 0, 64);
  const view = new DataView(image.buffer);
  view.setUint32(0, 0xd503201f, true);
  view.setUint32(4, 0x14000010, true);
  view.setBigUint64(16, 0x4000n, true);
  view.setBigUint64(24, 0xan, true);
  view.setUint32(56, 0x644d5241, true);
  return image;
}

/** An EFI zboot image around `payload`; compressors other than gzip append the unpacked size. */
function zboot(payload: Uint8Array, compressor: string): Uint8Array {
  const out = new Uint8Array(0x400 + payload.byteLength + 4);
  const view = new DataView(out.buffer);
  out.set(Buffer.from('MZ\0\0zimg'));
  view.setUint32(8, 0x400, true);
  view.setUint32(12, payload.byteLength, true);
  out.set(Buffer.from(compressor), 24);
  view.setUint32(56, 0x818223cd, true);
  out.set(payload, 0x400);
  return out;
}

interface ElfSegment {
  readonly vaddr: bigint;
  readonly paddr: number;
  readonly bytes: Uint8Array;
  readonly memoryBytes: number;
}

/** An ELF64 executable with the given segments. */
function elf(entry: bigint, segments: readonly ElfSegment[]): Uint8Array {
  const dataAt = 64 + segments.length * 56;
  const out = new Uint8Array(dataAt + segments.reduce((sum, s) => sum + s.bytes.byteLength, 0));
  const view = new DataView(out.buffer);
  out.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, 183, true);
  view.setBigUint64(24, entry, true);
  view.setBigUint64(32, 64n, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, segments.length, true);
  let at = dataAt;
  segments.forEach((segment, index) => {
    const header = 64 + index * 56;
    view.setUint32(header, 1, true);
    view.setBigUint64(header + 8, BigInt(at), true);
    view.setBigUint64(header + 16, segment.vaddr, true);
    view.setBigUint64(header + 24, BigInt(segment.paddr), true);
    view.setBigUint64(header + 32, BigInt(segment.bytes.byteLength), true);
    view.setBigUint64(header + 40, BigInt(segment.memoryBytes), true);
    out.set(segment.bytes, at);
    at += segment.bytes.byteLength;
  });
  return out;
}

const SAMPLE_ELF = elf(0xffff_8000_0800_0004n, [
  { vaddr: 0xffff_8000_0800_0000n, paddr: 0x4008_0000, bytes: new Uint8Array(64).fill(1), memoryBytes: 0x1000 },
  { vaddr: 0xffff_8000_0801_0000n, paddr: 0x4009_0000, bytes: new Uint8Array(32).fill(2), memoryBytes: 32 },
]);

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
    zboot(Buffer.from(XZ, 'base64'), 'xzkern'),
    zboot(Buffer.from(ZSTD, 'base64'), 'zstd22'),
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
  const image = Buffer.from(XZ, 'base64');
  assert.ok(!(await hostUnpackers.xz(image, 1000)).ok);
  assert.ok(!(await hostUnpackers.zstd(Buffer.from(ZSTD, 'base64'), 1000)).ok);
  assert.ok((await hostUnpackers.xz(image, 0x3000)).ok, 'and the decoder still works afterwards');
  assert.ok((await hostUnpackers.zstd(Buffer.from(ZSTD, 'base64'), 0x3000)).ok);
});

const REQUEST: BootRequest = {
  machine: { cpus: 2, ramBytes: RAM_BYTES, virtioSlots: [0], fwCfg: false, pmu: true },
  kernel: { file: 'k', bytes: sampleImage() },
  bootArguments: 'console=ttyAMA0',
  acpi: 'offered',
};

/** What must hold for every plan, whatever it was made from. */
function checkPlan(plan: BootPlan): void {
  const sorted = [...plan.placements].sort((a, b) => a.ipa - b.ipa);
  let end = 0;
  for (const placement of sorted) {
    assert.ok(placement.ipa >= end, `${placement.what} overlaps`);
    assert.ok(placement.reservedBytes >= placement.bytes.byteLength);
    end = placement.ipa + placement.reservedBytes;
  }
  assert.ok(end <= 0x4000_0000 + RAM_BYTES);
}

test('a plan has tree, tables, kernel and initrd in their places and x0 at the tree', async () => {
  const plan = await planBoot({ ...REQUEST, initrd: { file: 'i', bytes: new Uint8Array(5000) } }, hostUnpackers);
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
  const { kernel: _, ...rest } = REQUEST;
  const plan = await planBoot({ ...rest, firmware }, hostUnpackers);
  assert.ok(plan.ok && plan.value.entry === 0 && plan.value.registers[0] === 0x4000_0000n);
  const atStart = elf(0x4000_0000n, [
    { vaddr: 0x4000_0000n, paddr: 0x4000_0000, bytes: new Uint8Array(8), memoryBytes: 0x10_0000 },
  ]);
  const moved = await planBoot({ ...REQUEST, kernel: { file: 'k', bytes: atStart }, acpi: 'off' }, hostUnpackers);
  assert.ok(moved.ok && moved.value.registers[0] === 0x4020_0000n);
  const both = await planBoot({ ...REQUEST, firmware }, hostUnpackers);
  assert.ok(!both.ok && both.error.field === 'kernel');
});

test('a description out of range is refused', async () => {
  const machine = REQUEST.machine;
  const cases: [Partial<BootRequest>, string][] = [
    [{ machine: { ...machine, cpus: 9 } }, 'cpus'],
    [{ machine: { ...machine, ramBytes: 4 << 20 } }, 'memory'],
    [{ machine: { ...machine, ramBytes: 0x1_0000_0000 } }, 'memory'],
    [{ machine: { ...machine, virtioSlots: [3, 3] } }, 'virtio slots'],
    [{ bootArguments: 'a\0b' }, 'bootargs'],
    [{ bootArguments: 'x'.repeat(3000) }, 'bootargs'],
    [{ initrd: { file: 'i', bytes: new Uint8Array(RAM_BYTES) } }, 'file'],
  ];
  for (const [change, field] of cases) {
    const plan = await planBoot({ ...REQUEST, ...change }, hostUnpackers);
    assert.is(plan.ok ? 'accepted' : plan.error.field, field);
  }
});

const SAMPLES: readonly (readonly [string, Uint8Array])[] = [
  ['Image', sampleImage()],
  ['ELF', SAMPLE_ELF],
  ['gzip', gzipSync(sampleImage())],
  ['zboot gzip', zboot(gzipSync(sampleImage()), 'gzip')],
  ['zboot xz', zboot(Buffer.from(XZ, 'base64'), 'xzkern')],
  ['zboot zstd', zboot(Buffer.from(ZSTD, 'base64'), 'zstd22')],
];
for (const [name, sample] of SAMPLES)
  test(
    `5,000 damaged ${name} kernels each end in a sound plan or one sentence, within a second and 1 GiB`,
    async () => {
      const random = seededRandom(name.length);
      let refused = 0;
      for (let i = 0; i < 5000; i++) {
        const bytes = mutate(sample, random, 1100);
        const started = performance.now();
        const plan = await planBoot({ ...REQUEST, kernel: { file: 'bad', bytes } }, hostUnpackers);
        const ms = performance.now() - started;
        assert.ok(ms < 1000, `took ${ms} ms`);
        if (plan.ok) checkPlan(plan.value);
        else {
          refused++;
          assert.match(faultSentence(plan.error), /^[^\n]{5,250}$/);
        }
      }
      const { rss } = process.memoryUsage();
      assert.ok(rss < 1024 * 1024 * 1024, `resident ${Math.round(rss / 1048576)} MiB`);
      process.stdout.write(`  ${name}: ${refused} of 5000 refused, resident ${Math.round(rss / 1048576)} MiB\n`);
      assert.ok(refused > 0);
    },
    { deadlineMs: 60_000 },
  );

test.run();
