/** The arm64 `Image` format: a 64-byte header, then a flat kernel (Linux Documentation/arm64/booting.rst, section 4). */
import { ok, type Result } from '../../../bus/result.js';
import { type BootFault, hex, refuse } from '../boot-fault.js';
import { MEMORY_MAP } from '../memory-map.js';
import { type LoadedImage, MIB, readU64, viewOf } from './placement.js';

/** Length of the header, in bytes. */
const HEADER_BYTES = 64;
/** "ARM\x64" at offset 56. */
const MAGIC = 0x644d5241;
/** Images start at a 2 MiB boundary plus text_offset; we leave the first 2 MiB of RAM to device tree, ACPI and EFI tables. */
export const KERNEL_BASE = MEMORY_MAP.ramBase + 2 * MIB;
/** What kernels before 3.17 (image_size 0) expect: text_offset is then not trustworthy either. */
const LEGACY_TEXT_OFFSET = 0x8_0000;
const FLAG_BIG_ENDIAN = 1n;

/** Whether `bytes` carry the Image magic. */
export function isArm64Image(bytes: Uint8Array): boolean {
  return bytes.byteLength >= HEADER_BYTES && viewOf(bytes).getUint32(56, true) === MAGIC;
}

/** Reads the header and places the kernel at {@link KERNEL_BASE} + text_offset. `ramBytes` is the size of RAM. */
export function loadArm64Image(file: string, bytes: Uint8Array, ramBytes: number): Result<LoadedImage, BootFault> {
  if (!isArm64Image(bytes)) return refuse(file, 'magic', 'is not "ARM\\x64" at offset 56');
  const view = viewOf(bytes);
  const textOffset = readU64(view, 8);
  const imageSize = readU64(view, 16);
  if ((view.getBigUint64(24, true) & FLAG_BIG_ENDIAN) !== 0n)
    return refuse(file, 'flags', 'say the kernel is big-endian, which this CPU does not run');
  if (imageSize === undefined) return refuse(file, 'image_size', 'is larger than any memory');
  const legacy = imageSize === 0;
  const offset = legacy ? LEGACY_TEXT_OFFSET : textOffset;
  if (offset === undefined || offset >= 2 * MIB || offset % 4096 !== 0)
    return refuse(file, 'text_offset', `${hex(view.getBigUint64(8, true))} is not a page below 2 MiB`);
  // An image_size below the file's size would let initrd or device tree overwrite the kernel's own bytes.
  if (!legacy && imageSize < bytes.byteLength)
    return refuse(file, 'image_size', `${imageSize} is less than the file's ${bytes.byteLength} bytes`);
  const reservedBytes = legacy ? bytes.byteLength + 4 * MIB : imageSize;
  const ipa = KERNEL_BASE + offset;
  if (ipa + reservedBytes > MEMORY_MAP.ramBase + ramBytes)
    return refuse(
      file,
      'image_size',
      `${reservedBytes} bytes at ${hex(ipa)} do not fit into ${ramBytes / MIB} MiB of memory`,
    );
  return ok({
    format: 'arm64-image',
    placements: [{ what: 'kernel', ipa, bytes, reservedBytes }],
    entry: ipa,
    protocol: 'linux',
  });
}
