/** Small kernels of every format, and what must hold for a boot plan made from any file. */
import * as assert from 'uvu/assert';
import type { BootPlan, BootRequest } from '../../devices/machine/boot-plan.js';

/** Memory of the sample machine, in bytes. */
export const RAM_BYTES = 64 * 1024 * 1024;
/** The image below, packed by `xz --check=crc32 -9` and `zstd -19 --no-check`. */
export const XZ_SAMPLE =
  '/Td6WFoAAAFpIt42AgAhARwAAAAQz1jM4C//ATZdAA+IwoDH2DFOMpZnpQMtg/Hm3kqqf2WJR2DC5AJHnQ2NkGNqeB5UhctNmLPvMjZvAYu5M77Lw20344hsHkpX/xCkBvZo68JRfF32lCCOBOK8kfrHuaxDq9Ku9NU0LEE+m4++QKkyyCYQbWznIGYETseeKHqNtNkFBOK5TmXnFFb+gyfc9sKNDm17wfa8SkpdtE02cFynE8FtarSYQN3Aoh7vDvOt+pqjzWmhE/BsJPI43jpKUNNx9Co7cb02zJud0UJDbSeIkT0bKFzV7fbxQ4anR0jHEwtxZimHg4VgDwQFiXIHVN+DqIGlh54WPAHo5tnzt0bM0zrzrVgC30s4jwgLkLjk8Nl/68P6VkEbD4Le3mMFpifI3c3bSJeKORsSBcQglCexkT90uunvCAK5ja2kHQBbiAAAAABmFW7kAAHOAoBgAABihfk3PjANiwIAAAAAAVla';
export const ZSTD_SAMPLE =
  'KLUv/QBoFQkABBEfIAPVEAAAFABACgBBUk1kwMfO1dzj6vH4/wYNFBsiKTA3PkVMU1phaG92fYSLkpmgp661vMPK0djf5u30+wIJEBceJSwzOkFIT1ZdZGtyeYCHjpWco6qxuL/GzdTb4unw9/4FDBMaISgvNj1ES1JZYGdudXyDipGYn6attLvCydDX3uXs8/oBCA8WHSQrMjlAR05VXGNqcXh/ho2Um6KpsLe+xczT2uHo7/b9BAsSGSAnLjU8Q0pRWF9mbXR7gomQl56lrLO6wcjP1t3k6/L5AAcOFRwjKjE4P0ZNVFtiaXB3foWMk5qhqK+2vcTL0tng5+71/AMKERgfJi00O0JJUFdeZWxzeoGIj5adpKuyuQUAAL1uYPF0WeIKfDEjgBw=';

/** An arm64 Image of 12 KiB that asks for 16 KiB; the rest of its bytes are (i * 7) & 0xff. */
export function sampleImage(): Uint8Array {
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
export function zboot(payload: Uint8Array, compressor: string): Uint8Array {
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
export function elf(entry: bigint, segments: readonly ElfSegment[]): Uint8Array {
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

export const SAMPLE_ELF = elf(0xffff_8000_0800_0004n, [
  { vaddr: 0xffff_8000_0800_0000n, paddr: 0x4008_0000, bytes: new Uint8Array(64).fill(1), memoryBytes: 0x1000 },
  { vaddr: 0xffff_8000_0801_0000n, paddr: 0x4009_0000, bytes: new Uint8Array(32).fill(2), memoryBytes: 32 },
]);

/** A machine of two CPUs that boots the sample Image. */
export const SAMPLE_REQUEST: BootRequest = {
  machine: { cpus: 2, ramBytes: RAM_BYTES, virtioSlots: [0], hasFirmware: false, pmu: true },
  kernel: { file: 'k', bytes: sampleImage() },
  bootArguments: 'console=ttyAMA0',
  acpi: 'offered',
};

/** What must hold for every plan, whatever it was made from. */
export function checkPlan(plan: BootPlan): void {
  const sorted = [...plan.placements].sort((a, b) => a.ipa - b.ipa);
  let end = 0;
  for (const placement of sorted) {
    assert.ok(placement.ipa >= end, `${placement.what} overlaps`);
    assert.ok(placement.reservedBytes >= placement.bytes.byteLength);
    end = placement.ipa + placement.reservedBytes;
  }
  assert.ok(end <= 0x4000_0000 + RAM_BYTES);
}
