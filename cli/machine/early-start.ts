/**
 * What `wurley run` begins while the files of a machine are still being read, and what they say does not matter yet: the
 * interpreter, and the threads that every machine has.
 */
import { existsSync } from 'node:fs';
import { hypervisorKind } from '../../actors/hypervisor/hypervisor.actor.js';
import { ActorSystem, type SystemOptions } from '../../actors/runtime/system.js';
import { vcpuKind } from '../../actors/vcpu/vcpu.actor.js';
import { prepareHugePages } from '../host/huge-pages.js';
import { interpreterPath, loadInterpreterFrom } from './interpreter-cache.js';
import { findHostFeatures } from './native-modules.js';

/** See {@link beginMachine}. */
export interface EarlyStart {
  readonly interpreter: WebAssembly.Module;
  /** The caller closes it, whether or not there will be a machine. */
  readonly system: ActorSystem;
}

/** Starts the threads of a machine with `cpus` processors that its first instruction waits for, and loads the interpreter below `cacheFolder`. */
export async function beginMachine(
  cacheFolder: string,
  { cpus }: { readonly cpus: number },
  listeners: SystemOptions,
): Promise<EarlyStart> {
  // First of all: it changes V8's flags for a moment, and a thread that starts under other flags compiles all its code.
  findHostFeatures();
  const path = interpreterPath(cacheFolder);
  // Building it changes flags for longer.
  let { module } = existsSync(path) ? { module: undefined } : await loadInterpreterFrom(path);
  const system = new ActorSystem(listeners);
  // Processors have most to do before they can begin.
  system.begin(vcpuKind, cpus);
  system.begin(hypervisorKind, 1);
  prepareHugePages();
  module ??= (await loadInterpreterFrom(path)).module;
  return { interpreter: module, system };
}
