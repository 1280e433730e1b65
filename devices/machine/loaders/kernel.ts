/**
 * Recognises what a user calls "the kernel" and loads it: arm64 Image, gzip of one, EFI zboot image, ELF64, or anything
 * else as a raw flat binary at RAM + 0x8_0000 (where QEMU's `-kernel` puts it too).
 */
import { ok, type Result } from '../../../bus/result.js';
import { type BootFault, hex, refuse } from '../boot-fault.js';
import { FIRMWARE_BYTES_MAX, MEMORY_MAP } from '../memory-map.js';
import type { Unpackers } from '../unpackers.js';
import { isArm64Image, loadArm64Image } from './arm64-image.js';
import { isElf, loadElf64 } from './elf64.js';
import { type LoadedImage, MIB, viewOf } from './placement.js';

/** Where raw flat binaries are loaded and started. */
export const RAW_BASE = MEMORY_MAP.ramBase + 0x8_0000;
/** Most bytes an unpacked kernel may have. */
const UNPACKED_BYTES_MAX = 512 * MIB;
/** gzip in zboot, zboot in gzip: two layers are real, more are an attack. */
const LAYERS_MAX = 2;
const ZBOOT_HEADER_BYTES = 64;

/** Which compressor an EFI zboot header names (drivers/firmware/efi/libstub/Makefile.zboot, `comp-type-*`). */
const ZBOOT_FORMATS: Readonly<Record<string, keyof Unpackers>> = {
  gzip: 'gzip',
  xzkern: 'xz',
  xz: 'xz',
  zstd22: 'zstd',
  zstd: 'zstd',
};

function isGzip(bytes: Uint8Array): boolean {
  return bytes.byteLength >= 2 && bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/** "MZ" at 0 and "zimg" at 4 (libstub/zboot-header.S). */
function isZboot(bytes: Uint8Array): boolean {
  if (bytes.byteLength < 8) return false;
  const view = viewOf(bytes);
  return view.getUint16(0, true) === 0x5a4d && view.getUint32(4, false) === 0x7a696d67;
}

/** Payload and compressor of a zboot image. */
function zbootPayload(
  file: string,
  bytes: Uint8Array,
): Result<{ payload: Uint8Array; format: keyof Unpackers }, BootFault> {
  if (bytes.byteLength < ZBOOT_HEADER_BYTES) return refuse(file, 'zboot header', 'is cut off');
  const view = viewOf(bytes);
  const offset = view.getUint32(8, true);
  const size = view.getUint32(12, true);
  if (offset < ZBOOT_HEADER_BYTES || offset + size > bytes.byteLength)
    return refuse(
      file,
      'zboot payload',
      `${hex(offset)} + ${size} bytes is not inside the file (${bytes.byteLength} bytes)`,
    );
  const nameBytes = bytes.subarray(24, 56);
  const end = nameBytes.indexOf(0);
  const name = String.fromCharCode(...nameBytes.subarray(0, end < 0 ? nameBytes.length : end)).replace(/[^ -~]/g, '?');
  const format = Object.hasOwn(ZBOOT_FORMATS, name) ? ZBOOT_FORMATS[name] : undefined;
  if (format === undefined) return refuse(file, 'zboot compression', `"${name}" is none of gzip, xzkern and zstd22`);
  return ok({ payload: bytes.subarray(offset, offset + size), format });
}

/** Takes gzip and zboot layers off `bytes`; what is neither passes through. */
async function unwrap(file: string, bytes: Uint8Array, unpackers: Unpackers): Promise<Result<Uint8Array, BootFault>> {
  let inner = bytes;
  for (let layer = 0; ; layer++) {
    const zboot = isZboot(inner) && !isArm64Image(inner);
    if (!zboot && !isGzip(inner)) return ok(inner);
    if (layer === LAYERS_MAX) return refuse(file, 'compression', `has more than ${LAYERS_MAX} layers`);
    const packed = zboot ? zbootPayload(file, inner) : ok({ payload: inner, format: 'gzip' as const });
    if (!packed.ok) return packed;
    const { payload, format } = packed.value;
    const unpacked = await unpackers[format](payload, UNPACKED_BYTES_MAX);
    if (!unpacked.ok) return refuse(file, `${format} data`, unpacked.error);
    inner = unpacked.value;
  }
}

/** Loads a kernel in any format this machine knows. `ramBytes` is the size of RAM; nothing is placed outside it. */
export async function loadKernel(
  file: string,
  bytes: Uint8Array,
  ramBytes: number,
  unpackers: Unpackers,
): Promise<Result<LoadedImage, BootFault>> {
  if (bytes.byteLength === 0) return refuse(file, 'file', 'is empty');
  const unwrapped = await unwrap(file, bytes, unpackers);
  if (!unwrapped.ok) return unwrapped;
  const image = unwrapped.value;
  if (isArm64Image(image)) return loadArm64Image(file, image, ramBytes);
  if (isElf(image)) return loadElf64(file, image, ramBytes);
  if (isLinuxBoot32(image)) return refuse(file, 'format', 'is a 32-bit Arm zImage, which this CPU does not run');
  return loadRaw(file, image, ramBytes);
}

/** A kernel that firmware is to start from memory: an EFI application, which arm64 kernels are; gzip is taken off. */
export async function kernelForFirmware(
  file: string,
  bytes: Uint8Array,
  unpackers: Unpackers,
): Promise<Result<Uint8Array, BootFault>> {
  const unpacked = isGzip(bytes) ? await unpackers.gzip(bytes, UNPACKED_BYTES_MAX) : ok(bytes);
  if (!unpacked.ok) return refuse(file, 'gzip data', unpacked.error);
  const image = unpacked.value;
  if (image.byteLength >= 2 && image[0] === 0x4d && image[1] === 0x5a) return ok(image);
  return refuse(file, 'kernel', 'is no EFI application, so firmware cannot start it; leave --firmware out');
}

/** Magic 0x016f2818 at offset 0x24: an Arm zImage, worth a better answer than running it as a raw binary. */
function isLinuxBoot32(image: Uint8Array): boolean {
  return image.byteLength >= 0x28 && viewOf(image).getUint32(0x24, true) === 0x016f2818;
}

/** A flat binary at {@link RAW_BASE}, started at its first byte. */
function loadRaw(file: string, bytes: Uint8Array, ramBytes: number): Result<LoadedImage, BootFault> {
  if (bytes.byteLength === 0) return refuse(file, 'file', 'is empty');
  if (RAW_BASE + bytes.byteLength > MEMORY_MAP.ramBase + ramBytes)
    return refuse(file, 'file', `${bytes.byteLength} bytes do not fit into ${ramBytes / MIB} MiB of memory`);
  return ok({
    format: 'raw',
    placements: [{ what: 'raw binary', ipa: RAW_BASE, bytes, reservedBytes: bytes.byteLength }],
    entry: RAW_BASE,
    protocol: 'bare',
  });
}

/** Firmware: the bytes of flash bank 0, started at address 0. */
export function loadFirmware(file: string, bytes: Uint8Array): Result<LoadedImage, BootFault> {
  if (bytes.byteLength === 0) return refuse(file, 'file', 'is empty');
  if (bytes.byteLength > FIRMWARE_BYTES_MAX)
    return refuse(file, 'file', `${bytes.byteLength} bytes are more than the flash's ${FIRMWARE_BYTES_MAX}`);
  return ok({
    format: 'firmware',
    placements: [{ what: 'firmware', ipa: MEMORY_MAP.flash.base, bytes, reservedBytes: bytes.byteLength }],
    entry: MEMORY_MAP.flash.base,
    protocol: 'bare',
  });
}
