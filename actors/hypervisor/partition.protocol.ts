/**
 * The partition interface: how a machine builder (a VMM) drives the hypervisor core. Verbs and their order follow mshv
 * (../shared/spec/mshv.md, sections 2 and 3): create, properties, initialise, map memory, create virtual processors, run,
 * finalise, delete. Addresses and sizes are bytes as plain numbers.
 */
import type { Ask } from '../runtime/protocol.js';
import type { PartitionProperty } from './partition-properties.js';

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

/** Rights of a mapping: bits of STAGE2_RIGHTS. */
export type MapRights = number;

/** A processor of a partition. */
export interface VpRef extends PartitionRef {
  readonly index: number;
}

/**
 * State of a processor that travels as a whole, by mshv's numbering: 0 is the interrupt controller's (here: the private
 * part of the GIC, redistributor and CPU interface, as actors/shared-state/gic lays it out). 1 to 4 are the x86 and SynIC
 * states, which a processor of this platform does not have.
 */
export const VP_STATE_TYPES = { interruptController: 0 } as const;

/**
 * Why a verb was refused; beside each, the status Hyper-V answers with (HV_STATUS; hyperv-tlfs 3) and the errno that
 * mshv makes of it.
 */
export type PartitionFault =
  /** 0x0D, EINVAL. */
  | 'noPartition'
  /** The partition's or processor's life is not at the point where the verb is allowed: 0x07 and 0x15, EBADFD. */
  | 'badState'
  /** 0x05, EINVAL. */
  | 'badArgument'
  /** 0x0B, ENOMEM. */
  | 'noMemory'
  /** The range overlaps a mapping: EEXIST. */
  | 'overlap'
  /** No mapping holds the address: 0x10, ENOENT. */
  | 'notMapped'
  /** There is a processor with this index: EEXIST. */
  | 'exists'
  /** 0x0E, EINVAL. */
  | 'noProcessor'
  /** 0x09, EINVAL. */
  | 'unknownProperty'
  /** 0x0A, EINVAL. */
  | 'propertyRange'
  /** 0x87, EIO. */
  | 'unknownRegister'
  /** A processor did not acknowledge in time; the mapping is gone from the map and the frames stay out of use: 0x14. */
  | 'notAcknowledged';

/** The core's messages. */
export type HypervisorProtocol = {
  createPartition: Ask<object, PartitionRef, 'noMemory'>;
  setProperty: Ask<PartitionRef & { property: PartitionProperty; value: number }, undefined, PartitionFault>;
  getProperty: Ask<PartitionRef & { property: PartitionProperty }, { value: number }, PartitionFault>;
  /** After this the properties are fixed; memory and processors may come. Asked again, it answers the same. */
  initializePartition: Ask<PartitionRef, { block: number; stage2: number; gic: number }, PartitionFault>;
  /** Takes fresh zeroed frames from the pool and maps them. */
  mapGuestMemory: Ask<
    PartitionRef & { ipa: number; bytes: number; rights: MapRights },
    { extents: readonly MappedExtent[] },
    PartitionFault
  >;
  /**
   * Withdraws a mapping, exactly as it was made: answered when no virtual processor can use it any more; the frames return
   * to the pool.
   */
  unmapGuestMemory: Ask<PartitionRef & { ipa: number; bytes: number }, undefined, PartitionFault>;
  /**
   * Gives a mapping, exactly as it was made, other rights (0: none; it stays a mapping): answered when no virtual processor
   * can use a right that was taken.
   */
  setGuestMemoryRights: Ask<
    PartitionRef & { ipa: number; bytes: number; rights: MapRights },
    undefined,
    PartitionFault
  >;
  createVp: Ask<VpRef, VpTicket, PartitionFault>;
  /** Names the actor whose thread runs the processor; it obeys processor.protocol.ts. Before registers and `runVp`. */
  attachVp: Ask<VpRef & { actor: number }, undefined, PartitionFault>;
  /** Registers by HV_REGISTER_NAME codes, 1 to 128 at once; 16 bytes of value each, little-endian. */
  getVpRegisters: Ask<VpRef & { names: readonly number[] }, { values: Uint8Array }, PartitionFault>;
  /** Sets them all, or none. */
  setVpRegisters: Ask<VpRef & { names: readonly number[]; values: Uint8Array }, undefined, PartitionFault>;
  getVpState: Ask<VpRef & { type: number }, { bytes: Uint8Array }, PartitionFault>;
  /** Only while the processor does not run; `bytes` must have the length `getVpState` answers. */
  setVpState: Ask<VpRef & { type: number; bytes: Uint8Array }, undefined, PartitionFault>;
  /** Lets a processor run: number 0 starts where its registers say, the others when the guest turns them on (PSCI). */
  runVp: Ask<VpRef, undefined, PartitionFault>;
  /** Stops all processors of the partition; answered when none executes guest code any more. */
  finalizePartition: Ask<PartitionRef, undefined, PartitionFault>;
  /** Returns everything the partition had; after finalising. Its processors' threads must have ended. */
  deletePartition: Ask<PartitionRef, { framesReturned: number }, PartitionFault>;
  /** Drives a shared peripheral interrupt. */
  assertInterrupt: Ask<PartitionRef & { intid: number; level: boolean }, undefined, PartitionFault>;
  /** Frames in use and free, for audits. */
  census: Ask<
    object,
    { freeFrames: number; frames: number; partitions: number; objects: number; capabilities: number }
  >;
};
