/** A virtio-mmio device between a VM and its owner, as the resource manager asks for it (gunyah.md 2.10, 7.4). */
import { err, ok, type Result } from '../../bus/result.js';
import { HYP_PAGE_BYTES } from '../../bus/units.js';
import { STAGE2_RIGHTS } from '../shared-state/stage2/stage2-map.js';
import type { Extents } from './extents.js';
import type { GuestCore } from './guest-core.js';
import type { ObjectFault } from './objects.protocol.js';
import type { Partition } from './partition.js';
import type { PartitionFault } from './partition.protocol.js';
import type { VirtioObjects, VirtioWanted } from './port.protocol.js';

/** Attributes of the extent: read and write, basic. */
const READ_WRITE_ATTRIBUTES = 6;
const DEVICE_NGNRE = 1;

/**
 * Makes the device's page, which `partition` pays for and may read, and `owner` may write, and the device. What was made stays with
 * the partition when the rest could not be, and goes with it.
 */
export function createVirtio(
  core: GuestCore,
  extents: Extents,
  partition: Partition,
  owner: Partition,
  { queues, type, at, ownerAt }: VirtioWanted,
): Result<VirtioObjects, PartitionFault | ObjectFault> {
  const { objects: kernel, assembly } = core;
  const addrspace = core.of(owner.number)?.addrspace;
  if (addrspace === undefined) return err('badState');
  const mapped = partition.map(at, HYP_PAGE_BYTES, STAGE2_RIGHTS.read);
  if (!mapped.ok) return mapped;
  const [extent, device] = [
    kernel.create('memextent', partition.number),
    kernel.create('virtioMmio', partition.number),
  ];
  const made = [extent, device].flatMap((object) => (object.ok ? [object.value] : []));
  const build = (): Result<VirtioObjects, ObjectFault> => {
    if (!extent.ok) return extent;
    if (!device.ok) return device;
    const rights = STAGE2_RIGHTS.read | STAGE2_RIGHTS.write;
    const range = { addrspace, extent: extent.value, base: BigInt(ownerAt), partial: undefined };
    const steps = [
      () => extents.configureExtent(extent.value, BigInt(at), BigInt(HYP_PAGE_BYTES), READ_WRITE_ATTRIBUTES),
      () => kernel.activate(extent.value),
      () => extents.map(range, { user: rights, kernel: rights, memoryType: DEVICE_NGNRE }),
      () => assembly.configureVirtio(device.value, extent.value, queues, type),
      () => kernel.activate(device.value),
    ];
    for (const step of steps) {
      const done = step();
      if (!done.ok) return done;
    }
    return ok({ object: device.value, extent: extent.value });
  };
  const built = build();
  if (!built.ok) for (const object of made.toReversed()) kernel.destroy(object);
  return built;
}
