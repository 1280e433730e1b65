/**
 * The part of the core's interface that runs processors by proxy: what vcpu_run (gunyah.md 2.9) is for a guest, these verbs are
 * for a VMM on the host. The partition must have its objects (giveObjects).
 *
 * A VMM calls `proxyVp` before the processor runs, then `runVp` as always, and then in a loop `runVpProxied`, answering states
 * 4 and 5 (VMMIO) by the next call's `resume0`. After states 1 (EXPECTS_WAKEUP) and 2 (POWERED_OFF) it waits with
 * `awaitVpProxied`; after 3 (BLOCKED) it waits a little. 64-bit values travel as `0x` hexadecimal text.
 */
import type { Ask } from '../runtime/protocol.js';
import type { ObjectFault } from './objects.protocol.js';
import type { PartitionFault, PartitionRef, VpRef } from './partition.protocol.js';

/** X1 to X4 of vcpu_run: `state` is a value of RUN_STATE (actors/shared-state/vm/proxied-run.ts). */
export interface ProxiedExit {
  readonly state: number;
  readonly data: readonly [string, string, string];
}

/** See the head of this file. */
export type ProxiedVerbs = {
  /**
   * The processor runs only inside `runVpProxied` or a guest's vcpu_run from here on, or (`proxied` false) by itself again.
   * Binding the thread's wake-up interrupt (source `second`) says the same.
   */
  proxyVp: Ask<VpRef & { proxied: boolean }, undefined, PartitionFault>;
  /**
   * Lets the processor run until its turn is over (some milliseconds) or it cannot go on. `busy`: somebody else runs it, or
   * nobody may. `resume1` as P17's: 0 emulate, 1 retry, 2 fault.
   */
  runVpProxied: Ask<VpRef & { resume0?: string; resume1?: number }, ProxiedExit, PartitionFault | ObjectFault>;
  /** Asks a processor that runs by proxy to come back with state 0 (READY). */
  recallVpProxied: Ask<VpRef, undefined, PartitionFault>;
  /** Answered when a parked processor has something to do again, or has gone for good: run it once more to see. */
  awaitVpProxied: Ask<VpRef, undefined, PartitionFault | ObjectFault>;
  /**
   * How the processor shares the host's: priority 0 to 63 (32; eight more double its share), slice in nanoseconds (5 ms), and
   * the run token it is bound to (`any`: whichever is free). What is absent stays.
   */
  scheduleVp: Ask<
    VpRef & { priority?: number; timesliceNs?: number; affinity?: number | 'any' },
    undefined,
    PartitionFault
  >;
  /** Adds or removes a range whose faults become exits of runVpProxied and vcpu_run. */
  setVmmioRange: Ask<
    PartitionRef & { base: number; bytes: number; remove?: boolean },
    undefined,
    PartitionFault | ObjectFault
  >;
};
