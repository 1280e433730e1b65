/** Gives back the memory of what a plan puts into a machine, once it is there. */
import type { BootPlan } from '../../devices/machine/boot-plan.js';

/** Smaller images are not worth it. */
const BYTES_MIN = 1 << 20;

/**
 * Empties the large images of a plan that will not be placed again: a kernel and its initial RAM disk are 30 MB and more, which
 * the collector would leave for as long as the machine runs. Images that the plan has in other places, too, stay.
 */
export function releaseImages({ placements, firmwareItems }: BootPlan): void {
  if (firmwareItems !== undefined) return;
  // A message to a closed port goes nowhere, and what was moved with it is freed at once.
  const { port1 } = new MessageChannel();
  port1.close();
  for (const { bytes } of placements) {
    const { buffer } = bytes;
    const isWhole = buffer instanceof ArrayBuffer && buffer.byteLength === bytes.byteLength;
    if (isWhole && bytes.byteLength >= BYTES_MIN) port1.postMessage(undefined, [buffer]);
  }
}
