/** How workers of vCPUs are made: for who starts them before anything else of a vCPU is loaded, too. */
import type { WorkerPlacement } from '../runtime/actor.js';

/** See the file comment. */
export const vcpuPlacement: WorkerPlacement = {
  module: new URL('./vcpu.actor.js', import.meta.url),
  heapMegabytesMax: 256,
  workersMax: 256,
};
