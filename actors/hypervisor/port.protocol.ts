/**
 * The part of the core's interface that deals in objects and capabilities: what a VM's owner (the resource manager, a
 * machine builder) uses to give VMs queues and doorbells, and what a VM's own slow hypercalls become. Knows no ABI but the
 * name of the one a call belongs to.
 */
import type { Ask } from '../runtime/protocol.js';
import type { ObjectFault } from './objects.protocol.js';
import type { ParcelVerbs } from './parcel.protocol.js';
import type { HypervisorProtocol, PartitionFault, PartitionRef, VpRef } from './partition.protocol.js';
import type { ProxiedVerbs } from './proxied.protocol.js';

/** The objects a partition has from the start, as indices of the object table; absent ones are 0. */
export interface PartitionObjects {
  readonly cspace: number;
  readonly vic: number;
  readonly addrspace: number;
  readonly powerGroup: number;
  /** By processor index. */
  readonly threads: readonly number[];
}

/** Where a partition's threads find objects and capabilities, as byte addresses. */
export interface ObjectPlaces {
  readonly table: number;
  readonly space: number;
}

/** An object and where it lies. */
export interface PortRef {
  readonly object: number;
  /** Byte address in the machine's memory. */
  readonly at: number;
}

/** Which of an object's interrupt sources: a queue's receive side is `first`, its send side `second`. */
export type SourceName = 'first' | 'second';

/** What an owner pages a VM's memory with: extents of its own memory and of the VM's, and the VM's address space. */
export interface PagingObjects {
  readonly guestPrivate: number;
  readonly hostShared: number;
  readonly hostPrivate: number;
  readonly guestShared: number;
  readonly addrspace: number;
}

/** A virtio-mmio device that is wanted: 16 queues at most, and where its registers are for the VM and for its owner. */
export interface VirtioWanted {
  readonly queues: number;
  /** Device type whose configuration space is kept here, or 0. */
  readonly type: number;
  readonly at: number;
  readonly ownerAt: number;
}
/** The device: source `first` is what its driver does, `second` what it does itself. And the extent that its registers are. */
export interface VirtioObjects {
  readonly object: number;
  readonly extent: number;
}

/** Capabilities of a VM that may put others together, all with every right. */
export interface RootCapabilities {
  readonly partition: string;
  readonly cspace: string;
  readonly addrspace: string;
  readonly vic: string;
}

/** See the head of this file. */
export type PortVerbs = {
  /**
   * Gives an initialised partition its objects: a capability space of `slots`, and an interrupt controller with all 1,020
   * numbers. Before its processors run.
   */
  giveObjects: Ask<PartitionRef & { slots: number }, PartitionObjects & ObjectPlaces, PartitionFault | ObjectFault>;
  /** An active message queue that `partition` pays for. */
  createQueue: Ask<PartitionRef & { depth: number; messageBytes: number }, PortRef, PartitionFault | ObjectFault>;
  /** An active doorbell that `partition` pays for. */
  createDoorbell: Ask<PartitionRef, PortRef, PartitionFault | ObjectFault>;
  /** An active watchdog, stopped, that counts for `partition`: its bark is source `first`, its bite `second`. At most one each. */
  createWatchdog: Ask<PartitionRef, { object: number }, PartitionFault | ObjectFault>;
  /** Active extents with which `owner` gives pages to `partition`, which pays for them. */
  createPaging: Ask<PartitionRef & { owner: number }, PagingObjects, PartitionFault | ObjectFault>;
  /** An active virtio-mmio device whose driver is in `partition`, which pays for it, and whose other side is `owner`. */
  createVirtio: Ask<
    PartitionRef & { owner: number; wanted: VirtioWanted },
    VirtioObjects,
    PartitionFault | ObjectFault
  >;
  /**
   * Puts the interrupt controller of a partition with `cpus` processors there, and not at the platform's addresses; before its
   * processors run. Addresses and `stride`, from one redistributor to the next, in bytes.
   */
  placeController: Ask<
    PartitionRef & { cpus: number; distributor: number; redistributors: number; stride: number },
    undefined,
    PartitionFault | ObjectFault
  >;
  /** Ends an object; answered when nobody uses it any more. */
  destroyObject: Ask<{ object: number }, undefined, 'notAcknowledged'>;
  /** Gives `partition` a capability; its id as `0x` hexadecimal text (64 bits). */
  grantCapability: Ask<
    PartitionRef & { object: number; rights: number },
    { capability: string },
    PartitionFault | ObjectFault
  >;
  /** Leads an interrupt source to `partition`: to `virq`, or to the first free number from `from` on. */
  bindInterrupt: Ask<
    PartitionRef & { object: number; source: SourceName; virq?: number; from?: number; level?: boolean },
    { virq: number },
    PartitionFault | ObjectFault
  >;
  /** Lets an interrupt source ring an actor. */
  bindActor: Ask<{ object: number; source: SourceName; actor: number }, undefined, ObjectFault>;
  /** Takes a binding back. */
  unbindSource: Ask<{ object: number; source: SourceName }, undefined, ObjectFault>;
  /** Gives a VM capabilities to what it can put others together with: its own partition and so on. Answered in `0x` text. */
  giveRoot: Ask<PartitionRef, RootCapabilities, PartitionFault | ObjectFault>;
  /** A slow hypercall of processor `index`: eight arguments as little-endian 64-bit words; results likewise. */
  guestCall: Ask<
    VpRef & { abi: 'gunyah'; number: number; args: Uint8Array },
    { error: number; results: Uint8Array },
    PartitionFault
  >;
  /** The worker of a processor has died that a guest's hypercalls had made; whether it was one. */
  lostProcessor: Ask<VpRef, undefined, PartitionFault>;
};

/** Everything the core answers. */
export type CoreProtocol = HypervisorProtocol & PortVerbs & ParcelVerbs & ProxiedVerbs;
