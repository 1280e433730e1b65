/**
 * What virtio lays down for every device: numbers and wire layouts of "Virtual I/O Device (VIRTIO) Version 1.2" (OASIS),
 * sections cited as V1.2.
 */
import { u16, u32, u64 } from '../../bus/layout/fields.js';
import { struct } from '../../bus/layout/struct.js';

/** Device status bits (V1.2, 2.1). */
export const STATUS = {
  acknowledge: 1,
  driver: 2,
  driverOk: 4,
  featuresOk: 8,
  needsReset: 64,
  failed: 128,
} as const;

/** Bits of InterruptStatus (V1.2, 4.2.2). */
export const INTERRUPT = { usedBuffer: 1, configChange: 2 } as const;

/** Feature bits that belong to no device type (V1.2, 6), as positions. */
export const FEATURE = { indirectDescriptors: 28, eventIndex: 29, version1: 32 } as const;

/** Device types (V1.2, 5). */
export const DEVICE = { network: 1, block: 2, console: 3, entropy: 4, balloon: 5, ninep: 9, socket: 19 } as const;

/** Most descriptors of a split queue (V1.2, 2.7). */
export const QUEUE_SIZE_MAX = 32768;

/** A descriptor of a split queue (V1.2, 2.7.5). */
export const Descriptor = struct('Descriptor', 16, {
  address: u64(0),
  lengthBytes: u32(8),
  flags: u16(12),
  next: u16(14),
});
/** Flags of a {@link Descriptor}. */
export const DESCRIPTOR = { next: 1, write: 2, indirect: 4 } as const;

/** Start of the available ring (V1.2, 2.7.6): `size` 16-bit heads follow, then used_event. */
export const AvailableHead = struct('AvailableHead', 4, { flags: u16(0), index: u16(2) });
/** The driver wants no interrupt (AvailableHead.flags). */
export const NO_INTERRUPT = 1;

/** Start of the used ring (V1.2, 2.7.8): `size` {@link UsedElement}s follow, then avail_event. */
export const UsedHead = struct('UsedHead', 4, { flags: u16(0), index: u16(2) });
/** The device wants no notification (UsedHead.flags). */
export const NO_NOTIFY = 1;

/** An entry of the used ring: the chain's head, and how many bytes were written into it. */
export const UsedElement = struct('UsedElement', 8, { head: u32(0), writtenBytes: u32(4) });

/** `bits` (positions below 64) as a pair of words. */
export function featureWords(bits: readonly number[]): readonly [number, number] {
  let low = 0;
  let high = 0;
  for (const bit of bits) {
    if (bit < 32) low |= 1 << bit;
    else high |= 1 << (bit - 32);
  }
  return [low, high];
}
