/**
 * What `wurley run` begins while the files of a machine are still being read, and what they say does not matter yet: the
 * interpreter, and the threads that every machine has.
 */
import { existsSync } from 'node:fs';
import { hypervisorPlacement } from '../../actors/hypervisor/hypervisor.placement.js';
import { ActorSystem, type SystemOptions } from '../../actors/runtime/system.js';
import { vcpuPlacement } from '../../actors/vcpu/vcpu.placement.js';
import type { FirstThreads } from './first-threads.js';
import { loadInterpreterFrom } from './interpreter-cache.js';
import { findHostFeatures, interpreterPath } from './native-modules.js';

/** See {@link beginMachine}. */
export interface EarlyStart {
  readonly interpreter: WebAssembly.Module;
  /** The caller closes it, whether or not there will be a machine. */
  readonly system: ActorSystem;
}

/**
 * Starts the threads of a machine with `cpus` processors that its first instruction waits for, beside those that were begun `first`, and
 * loads the interpreter below `cacheFolder`.
 */
export async function beginMachine(
  cacheFolder: string,
  { cpus }: { readonly cpus: number },
  { onEvent, onLog }: Required<Pick<SystemOptions, 'onEvent' | 'onLog'>>,
  first: FirstThreads | undefined,
): Promise<EarlyStart> {
  if (first !== undefined) {
    const { system, ears } = first;
    Object.assign(ears, { onEvent, onLog });
    system.begin(vcpuPlacement, cpus - 1);
    return { interpreter: (await loadInterpreterFrom(interpreterPath(cacheFolder))).module, system };
  }
  // First of all: it changes V8's flags for a moment, and a thread that starts under other flags compiles all its code.
  findHostFeatures();
  const path = interpreterPath(cacheFolder);
  // Building it changes flags for longer.
  let { module } = existsSync(path) ? { module: undefined } : await loadInterpreterFrom(path);
  const system = new ActorSystem({ onEvent, onLog });
  // Processors have most to do before they can begin.
  system.begin(vcpuPlacement, cpus);
  system.begin(hypervisorPlacement, 1);
  module ??= (await loadInterpreterFrom(path)).module;
  return { interpreter: module, system };
}
