/** What a vCPU's shell needs of the thread it runs on. */
import type { Entropy } from '../abi/smccc/trng.js';
import type { Clock } from '../runtime/services.js';
import type { Ring } from '../shared-state/vm/vm-block.js';
import type { DebuggedVcpu } from './debugger.js';

/** See the file comment. */
export interface VcpuThread {
  readonly clock: Clock;
  readonly ring: Ring;
  /** The host's entropy; absent where the machine has no TRNG. */
  readonly entropy?: Entropy;
  /** 32 random bits. */
  readonly random: () => number;
  /** Sends a slow hypercall to the core and blocks; undefined when it does not answer. */
  readonly askCore: (
    core: number,
    body: { partition: number; index: number; abi: 'gunyah'; number: number; args: Uint8Array },
  ) => { readonly error: number; readonly results: Uint8Array } | undefined;
  /** Asks the core for other rights to a mapping and blocks; false when it refuses or does not answer. */
  readonly setRights: (
    core: number,
    body: { partition: number; ipa: number; bytes: number; rights: number },
  ) => boolean;
  /** ActorContext.nap. */
  readonly nap: (ms: number, polls?: boolean) => boolean;
  /** ActorContext.isAwake, by the actor's number. */
  readonly isAwake: (actor: number) => boolean;
  /** ActorContext.hostThread. */
  readonly hostThread: () => number | null;
  /** ActorContext.processorWaitMs. */
  readonly processorWaitMs: () => number | null;
  /** Tells a debugger that this vCPU has stopped. */
  readonly report: DebuggedVcpu['report'];
}
