/** How the core's worker is made: for who starts it before anything else of the core is loaded, too. */
import type { WorkerPlacement } from '../runtime/actor.js';

/** See the file comment. */
export const hypervisorPlacement: WorkerPlacement = {
  module: new URL('./hypervisor.actor.js', import.meta.url),
  heapMegabytesMax: 64,
};
