/** How much of the machine a processor's record arena takes: a small VM runs little code, and there may be fifty. */

const MIB = 1 << 20;
/** VMs below this are small: bare-metal programs. */
export const SMALL_BYTES = 96 * MIB;

/** Bytes of the arena of each processor of a VM with so much memory. */
export function arenaBytesFor(memoryBytes: number): number {
  if (memoryBytes <= 16 * MIB) return 4 * MIB;
  if (memoryBytes < SMALL_BYTES) return 8 * MIB;
  return memoryBytes < 512 * MIB ? 32 * MIB : 96 * MIB;
}
