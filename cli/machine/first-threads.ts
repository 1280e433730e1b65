/**
 * The threads that every machine has and that its first instruction waits for, begun before the command is loaded that will use them:
 * they load meanwhile. See docs/adr/0313.
 */
import { existsSync } from 'node:fs';
import { hypervisorPlacement } from '../../actors/hypervisor/hypervisor.placement.js';
import { ActorSystem, type SystemOptions } from '../../actors/runtime/system.js';
import { vcpuPlacement } from '../../actors/vcpu/vcpu.placement.js';
import { cacheFolder } from '../cache-folder.js';
import { findHostFeatures, interpreterPath } from './native-modules.js';

/** Who hears of a system's actors; until somebody does, nobody. */
export type Ears = { -readonly [K in 'onEvent' | 'onLog']?: SystemOptions[K] };

/** A system of actors whose first threads are begun: those of the core and of one vCPU. Whoever has it closes it. */
export interface FirstThreads {
  readonly system: ActorSystem;
  readonly ears: Ears;
}

/** Begins them; undefined where something has to be done before any thread is started. */
export default function beginThreads(): FirstThreads | undefined {
  // First of all: it changes V8's flags for a moment, and a thread that starts under other flags compiles all its code.
  findHostFeatures();
  // Building the interpreter changes flags for longer.
  if (!existsSync(interpreterPath(cacheFolder()))) return undefined;
  const ears: Ears = {};
  const system = new ActorSystem({
    onEvent: (event) => ears.onEvent?.(event),
    onLog: (line) => ears.onLog?.(line),
    // Processors have most to do before they can begin.
    begins: [vcpuPlacement, hypervisorPlacement],
  });
  return { system, ears };
}
