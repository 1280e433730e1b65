/**
 * What slow hypercalls need of the hypervisor core. The core (actors/hypervisor) implements it and knows no ABI; the
 * handlers (slow-calls.ts) speak Gunyah and know nothing of how the core works.
 */
import type { Result } from '../../../bus/result.js';
import type { AttachmentType, CapabilityFault, ObjectFault } from '../../hypervisor/objects.protocol.js';
import type { ObjectTable, ObjectType, Source } from '../../shared-state/objects/object-table.js';

type Done = Result<undefined, ObjectFault>;

/** Capabilities, see CapabilityDirectory. */
export interface CoreCapabilities {
  find(
    space: number,
    id: bigint,
    type: number,
    rights: number,
    activeOnly?: boolean,
  ): Result<{ readonly object: number; readonly rights: number }, CapabilityFault>;
  grant(
    space: number,
    object: number,
    rights: number,
    isMaster?: boolean,
  ): Result<{ readonly id: bigint }, CapabilityFault>;
  copy(from: number, id: bigint, to: number, mask: number): Result<{ readonly id: bigint }, CapabilityFault>;
  revokeOthers(space: number, id: bigint): Result<undefined, CapabilityFault>;
  delete(space: number, id: bigint): Result<{ readonly object: number; readonly last: boolean }, 'capNull'>;
}

/** Objects, see KernelObjects. */
export interface CoreObjects {
  readonly table: ObjectTable;
  readonly capabilities: CoreCapabilities;
  create(type: ObjectType, owner: number): Result<number, 'noMemory'>;
  unpin(object: number): void;
  collect(object: number): void;
  configureQueue(object: number, depth: number, messageBytes: number): Done;
  configureSpace(object: number, slots: number): Done;
  bind(object: number, source: Source, vic: number, virq: number, isEdge: boolean): Done;
  unbind(object: number, source: Source): void;
}

/** vCPUs by their thread objects. */
export interface CoreProcessors {
  /** Ends a vCPU for good. */
  kill(thread: number): Done;
  /** Moves it to host processor `cpu`; 0xFFFF: to none. */
  setAffinity(thread: number, cpu: number): Done;
  setPriority(thread: number, priority: number): Done;
  setTimeslice(thread: number, nanoseconds: bigint): Done;
  /** Sets a register of a vCPU that is off: sets 0 X, 1 PC, 2 SP. */
  writeRegister(thread: number, set: number, index: number, value: bigint): Promise<Done>;
  configure(thread: number, options: bigint): Done;
}

/** Address spaces and extents. */
export interface CoreMemory {
  configureExtent(extent: number, base: bigint, bytes: bigint, attributes: number): Done;
  deriveExtent(extent: number, parent: number, offset: bigint, bytes: bigint, attributes: number): Done;
  /** Moves frames between extents. `direction`: to a child, to the parent, to a sibling, to or from protected. */
  donate(direction: Donation, from: number, to: number, offset: bigint, bytes: bigint): Promise<Done>;
  map(range: MapRange, access: MapAccess): Done;
  unmap(range: MapRange): Promise<Done>;
  updateAccess(range: MapRange, access: MapAccess): Promise<Done>;
  lookup(
    addrspace: number,
    extent: number,
    base: bigint,
    bytes: bigint,
  ): Result<{ readonly offset: bigint; readonly bytes: bigint; readonly access: MapAccess }, ObjectFault>;
  /** The frame of a basic extent of one page, which stays in it from here on. */
  attachPage(extent: number): Result<number, ObjectFault>;
  /** As attachPage, of one that may be read and written with any memory type. */
  attachInfoPage(extent: number): Result<number, ObjectFault>;
  unmapAll(extent: number): Promise<Done>;
  zero(extent: number, offset: bigint, bytes: bigint): Done;
  addVmmio(addrspace: number, base: bigint, bytes: bigint): Done;
  removeVmmio(addrspace: number, base: bigint, bytes: bigint): Done;
}

/** See CoreMemory.donate. */
export type Donation = 'toChild' | 'toParent' | 'toSibling' | 'toProtected' | 'fromProtected';
/** A mapping by its ends; without `partial` the whole extent is meant. */
export interface MapRange {
  readonly addrspace: number;
  readonly extent: number;
  readonly base: bigint;
  readonly partial: { readonly offset: bigint; readonly bytes: bigint } | undefined;
}
/** Rights (bits of STAGE2_RIGHTS) at EL1 and EL0, and the memory type as the guest gave it. */
export interface MapAccess {
  readonly kernel: number;
  readonly user: number;
  readonly memoryType: number;
}

/** What VMs are put together from, see Assembly. */
export interface CoreAssembly {
  /** `isMoved`: its registers are not at the platform's addresses. */
  configureVic(vic: number, cpus: number, sharedInterrupts: number, msis: number, isMoved: boolean): Done;
  mapMpidr(vic: number, mask: bigint, shifts: readonly number[], multiThread: boolean): Done;
  configureAddrspace(addrspace: number, vmid: number): Done;
  /** Gives an address space that is not active yet the page for what it is told at `ipa`. */
  configureInfoArea(addrspace: number, extent: number, ipa: bigint): Done;
  /** Puts registers of `vic` into an address space: `index` 0 the distributor's, n those of processor n - 1. */
  attachController(
    addrspace: number,
    vic: number,
    index: number,
    place: { readonly base: bigint; readonly bytes: bigint; readonly flags: bigint },
  ): Done;
  configureGroup(group: number, flags: number): Done;
  configureWatchdog(watchdog: number, flags: number): Done;
  /** `type`: 0 for a device whose configuration space is bytes. */
  configureVirtio(virtio: number, extent: number, queues: number, type: number): Done;
  /** Freezes are counted; a watchdog runs when as many were taken back. `reset`: it will count from 0. */
  freezeWatchdog(watchdog: number, freeze: boolean, reset: boolean): Done;
  attach(type: AttachmentType, object: number, thread: number, index: number): Done;
}

/** Everything. */
export interface GunyahCore {
  /** The object may be used from here on. */
  activate(object: number): Done | Promise<Done>;
  readonly assembly: CoreAssembly;
  readonly objects: CoreObjects;
  readonly processors: CoreProcessors;
  readonly memory: CoreMemory;
}
