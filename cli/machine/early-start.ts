/**
 * What `wurley run` begins while the files of a machine are still being read, and what they say does not matter yet: the
 * interpreter, and the threads that every machine has.
 */
import { hypervisorKind } from '../../actors/hypervisor/hypervisor.actor.js';
import { ActorSystem, type SystemOptions } from '../../actors/runtime/system.js';
import { translatorKind } from '../../actors/translator/translator.actor.js';
import { vcpuKind } from '../../actors/vcpu/vcpu.actor.js';
import { consoleKind } from '../../devices/uart/console.actor.js';
import { loadInterpreter } from './interpreter-cache.js';

/** See {@link beginMachine}. */
export interface EarlyStart {
  readonly interpreter: WebAssembly.Module;
  /** The caller closes it, whether or not there will be a machine. */
  readonly system: ActorSystem;
}

/** Loads the interpreter below `cacheFolder`, then starts the threads of a machine with `cpus` processors. */
export async function beginMachine(
  cacheFolder: string,
  { cpus, jit }: { readonly cpus: number; readonly jit: boolean },
  listeners: SystemOptions,
): Promise<EarlyStart> {
  // First of all: it changes V8's flags for a moment, and a thread that starts under other flags compiles all its code.
  const interpreter = (await loadInterpreter(cacheFolder)).module;
  const system = new ActorSystem(listeners);
  system.begin(hypervisorKind, 1);
  system.begin(vcpuKind, cpus);
  system.begin(consoleKind, 1);
  if (jit) system.begin(translatorKind, 1);
  return { interpreter, system };
}
