/**
 * The partition interface: how a machine builder (a VMM) drives the hypervisor core. Verbs and their order follow mshv
 * (../shared/spec/mshv.md, sections 2 and 3): create, properties, initialise, map memory, create virtual processors, run,
 * finalise, delete. Addresses and sizes are bytes as plain numbers.
 */
import type { Ask } from '../runtime/protocol.js';

/** A partition by number, 1 to 65,535; never reused within one life of the core. */
export interface PartitionRef {
  readonly partition: number;
}

/** Memory behind guest-physical addresses: `[ipa, ipa + bytes)` lies at `[host, host + bytes)` of the machine's memory. */
export interface MappedExtent {
  readonly ipa: number;
  readonly host: number;
  readonly bytes: number;
}

/** What the thread that runs a virtual processor needs; all addresses are in the machine's memory. */
export interface VpTicket {
  readonly partition: number;
  readonly index: number;
  /** The VM's shared block (actors/shared-state/vm). */
  readonly block: number;
  /** Root of the stage-2 map. */
  readonly stage2: number;
  /** State of the interrupt controller. */
  readonly gic: number;
  /** Private area of the processor, and its length. */
  readonly area: number;
  readonly areaBytes: number;
  /** Record arena, and its length. */
  readonly arena: number;
  readonly arenaBytes: number;
}

/** Properties a partition has. */
export type PartitionProperty = 'processorCount' | 'processorAreaBytes' | 'processorArenaBytes' | 'memoryBytes';

/** Rights of a mapping: bits of STAGE2_RIGHTS. */
export type MapRights = number;

/** Why a verb was refused. `badState`: the partition's life is not at the point where the verb is allowed. */
export type PartitionFault =
  | 'noPartition'
  | 'badState'
  | 'badArgument'
  | 'noMemory'
  | 'overlap'
  | 'noProcessor'
  /** A processor did not acknowledge in time; the mapping is gone from the map and the frames stay out of use. */
  | 'notAcknowledged';

/** The core's messages. */
export type HypervisorProtocol = {
  createPartition: Ask<object, PartitionRef, 'noMemory'>;
  setProperty: Ask<PartitionRef & { property: PartitionProperty; value: number }, undefined, PartitionFault>;
  getProperty: Ask<PartitionRef & { property: PartitionProperty }, { value: number }, PartitionFault>;
  /** After this the properties are fixed; memory and processors may come. */
  initializePartition: Ask<PartitionRef, { block: number; stage2: number; gic: number }, PartitionFault>;
  /** Takes fresh zeroed frames from the pool and maps them. */
  mapGuestMemory: Ask<
    PartitionRef & { ipa: number; bytes: number; rights: MapRights },
    { extents: readonly MappedExtent[] },
    PartitionFault
  >;
  /** Withdraws the mapping: answered when no virtual processor can use it any more; the frames return to the pool. */
  unmapGuestMemory: Ask<PartitionRef & { ipa: number; bytes: number }, undefined, PartitionFault>;
  createVp: Ask<PartitionRef & { index: number }, VpTicket, PartitionFault>;
  /** Where processor `index` starts: program counter and x0, as `0x` hexadecimal text (64 bits). */
  setVpRegisters: Ask<PartitionRef & { index: number; pc: string; x0: string }, undefined, PartitionFault>;
  /** Lets the processors run; the thread of each is the caller's (its actor's number is given). */
  runVp: Ask<PartitionRef & { index: number; actor: number }, undefined, PartitionFault>;
  /** Stops all processors of the partition; answered when none executes guest code any more. */
  finalizePartition: Ask<PartitionRef, undefined, PartitionFault>;
  /** Returns everything the partition had. Its processors' threads must have ended. */
  deletePartition: Ask<PartitionRef, { framesReturned: number }, PartitionFault>;
  /** Drives a shared peripheral interrupt. */
  assertInterrupt: Ask<PartitionRef & { intid: number; level: boolean }, undefined, PartitionFault>;
  /** Frames in use and free, for audits. */
  census: Ask<object, { freeFrames: number; frames: number; partitions: number }>;
};
