/** What a loader answers: bytes and where they go. Shared by all image formats. */

/** Bytes at a guest-physical address. `reservedBytes >= bytes.byteLength`; the rest is memory the image uses and expects zeroed. */
export interface Placement {
  readonly what: string;
  readonly ipa: number;
  readonly bytes: Uint8Array;
  readonly reservedBytes: number;
}

/** How the first vCPU must find its registers when an image starts. */
export type BootProtocol =
  /** Linux: x0 = device tree, x1..x3 = 0, MMU off, at EL1 (Documentation/arm64/booting). */
  | 'linux'
  /** Firmware and bare-metal programs: the same registers; the device tree is also at the start of RAM. */
  | 'bare';

/** An image understood and placed. */
export interface LoadedImage {
  readonly format: 'arm64-image' | 'elf64' | 'raw' | 'firmware';
  readonly placements: readonly Placement[];
  /** Guest-physical address of the first instruction. */
  readonly entry: number;
  readonly protocol: BootProtocol;
}

/** Rounds `value` up to a multiple of `unit` (both non-negative, below 2^52). */
export function alignUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

/** Whether `[a, a + aBytes)` and `[b, b + bBytes)` share a byte. */
export function overlaps(a: number, aBytes: number, b: number, bBytes: number): boolean {
  return a < b + bBytes && b < a + aBytes;
}

/** A 64-bit little-endian field as a number, or `undefined` when it is 2^53 or more: no address or size here is that large. */
export function readU64(view: DataView, at: number): number | undefined {
  const value = view.getBigUint64(at, true);
  return value < 1n << 53n ? Number(value) : undefined;
}

/** A view over exactly `bytes`. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** MiB as bytes. */
export const MIB = 1024 * 1024;
