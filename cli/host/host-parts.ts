/** The parts of a host that its resource manager and its launcher are built on. */
import type { Profile } from '../../actors/abi/gunyah/identity.js';
import type { ActorSystem } from '../../actors/runtime/system.js';
import type { CallTapPlace } from '../../actors/shared-state/call-tap/call-tap.js';
import type { vcpuKind } from '../../actors/vcpu/vcpu.actor.js';
import type { consoleKind } from '../../devices/uart/console.actor.js';
import type { CoreClient } from './core-client.js';

/** What every VM of a host has in common. */
export interface HostOptions {
  /** A name that no other host or VM of the system has. */
  readonly name: string;
  readonly interpreter: WebAssembly.Module;
  /** False switches compiled code off. */
  readonly jit: boolean;
  /** Where every call of every VM is recorded while somebody watches; absent: nowhere. */
  readonly callTap?: CallTapPlace | undefined;
  /** Workers of each kind that every VM needs which are kept loaded for the next VM; default 0. */
  readonly warm?: number | undefined;
}

/** How the workers that every VM has are made. */
export interface WorkerKinds {
  readonly vcpu: typeof vcpuKind;
  readonly console: typeof consoleKind;
}

/** See the head of this file. */
export interface HostParts {
  readonly system: ActorSystem;
  readonly options: HostOptions;
  /** All physical memory. */
  readonly memory: WebAssembly.Memory;
  readonly core: CoreClient;
  readonly kinds: WorkerKinds;
  /** Starts workers of processors that guests put together. */
  readonly processors: { setProfile(partition: number, profile: Profile): void };
}
