/**
 * What the resource manager asks of the machine it runs on: the hypervisor core, and whoever gives processors their threads.
 * The actor implements it by messages; models and fuzzers by a few maps.
 */
import type { Result } from '../../bus/result.js';
import type { Profile } from '../abi/gunyah/identity.js';
import type { PageRange, ParcelFault, ParcelPiece, Transfer } from '../hypervisor/parcel.protocol.js';
import type { PagingObjects, VirtioObjects, VirtioWanted } from '../hypervisor/port.protocol.js';
import type { ControllerPlace } from './controller-place.js';
import type { RpcLink } from './rpc-link.js';

/** Why the machine refused; parcels say more. */
export type HostFault = ParcelFault | 'refused';

/** A partition made for a VM. */
export interface HostVm {
  readonly partition: number;
}

/** A port's end that was given to a VM. */
export interface GivenPort {
  readonly object: number;
  /** Its capability, in the VM's own space. */
  readonly capability: bigint;
  /** The interrupt it raises in the VM, 0 for none. */
  readonly virq: number;
}

/** Registers a boot processor starts with: X0 to X30, PC, SP_EL0, SP_EL1. */
export interface BootRegisters {
  readonly pc: bigint;
  readonly x: ReadonlyMap<number, bigint>;
  readonly sp: ReadonlyMap<number, bigint>;
}

/** What whoever gives a VM its threads is told of it. */
export interface AboutVm {
  readonly vmid: number;
  readonly owner: number;
  readonly name: string;
  readonly profile: Profile;
}

/** Which end of a queue or doorbell a VM gets. */
export type PortEnd = 'send' | 'receive';

/** How a processor shares the host's: a time slice of its own, or the scheduler's. */
export interface ProcessorShare {
  readonly priority: number;
  readonly timesliceNs?: number;
}

/** See the head of this file. */
export interface RmHost {
  /** `memoryBytes`: what it is going to be given, as far as is known. */
  createVm(cpus: number, memoryBytes: number): Promise<Result<HostVm, HostFault>>;
  /** Ends the VM's processors for good; answered when none runs any more. */
  stopVm(partition: number): Promise<void>;
  /** Returns everything the partition had. */
  deleteVm(partition: number): Promise<void>;
  /** Its interrupt controller lies there, and not where the platform has it; before it runs. */
  placeController(partition: number, cpus: number, place: ControllerPlace): Promise<Result<undefined, HostFault>>;
  startVm(partition: number, boot: BootRegisters, about: AboutVm): Promise<Result<undefined, HostFault>>;

  /** The RPC link of a VM with its two queues, whose ends the VM gets; both interrupts go to the VM. */
  createLink(
    partition: number,
    virqFrom: number,
  ): Promise<Result<{ readonly link: RpcLink; readonly tx: GivenPort; readonly rx: GivenPort }, HostFault>>;
  createQueue(partition: number, depth: number, messageBytes: number): Promise<Result<number, HostFault>>;
  createDoorbell(partition: number): Promise<Result<number, HostFault>>;
  /** Gives a VM one end of a port: rights `rights` (0: no capability, only the interrupt), interrupt `virq` (or any free one from `virqFrom`; undefined: none). */
  givePort(
    partition: number,
    object: number,
    options: {
      readonly rights: number;
      readonly source?: 'first' | 'second';
      readonly virq?: number;
      readonly virqFrom?: number;
      readonly level?: boolean;
    },
  ): Promise<Result<GivenPort, HostFault>>;
  /** A watchdog of the VM, whose bark is a free interrupt from `virqFrom` on and whose bite comes to the resource manager. */
  createWatchdog(partition: number, virqFrom: number): Promise<Result<{ object: number; virq: number }, HostFault>>;
  /** What `owner` pages the VM's memory with. */
  createPaging(partition: number, owner: number): Promise<Result<PagingObjects, HostFault>>;
  /** A virtio-mmio device whose driver is in the VM and whose other side is `owner`. */
  createVirtio(partition: number, owner: number, wanted: VirtioWanted): Promise<Result<VirtioObjects, HostFault>>;
  destroyPort(object: number): Promise<void>;
  /** A VM's processor `index` as an object, 0 when there is none. */
  threadOf(partition: number, index: number): number;
  /** How processor `index` shares the host's with others (gunyah.md 2.9). */
  schedule(partition: number, index: number, how: ProcessorShare): Promise<Result<undefined, HostFault>>;
  /** Faults of `[base, base + bytes)` go to whoever runs the VM's processors by proxy. */
  addVmmio(partition: number, base: number, bytes: number): Promise<Result<undefined, HostFault>>;

  createParcel(
    partition: number,
    transfer: Transfer,
    ranges: readonly PageRange[],
    keep: number,
  ): Promise<Result<{ readonly parcel: number; readonly pieces: readonly ParcelPiece[] }, ParcelFault>>;
  extendParcel(
    parcel: number,
    ranges: readonly PageRange[],
  ): Promise<Result<{ readonly pieces: readonly ParcelPiece[] }, ParcelFault>>;
  mapParcel(
    parcel: number,
    partition: number,
    places: readonly PageRange[],
    rights: number,
  ): Promise<Result<undefined, ParcelFault>>;
  acceptDonation(
    parcel: number,
    partition: number,
    places: readonly PageRange[],
    rights: number,
  ): Promise<Result<undefined, ParcelFault>>;
  unmapParcel(parcel: number, partition: number): Promise<Result<undefined, ParcelFault>>;
  /** See ParcelVerbs.pageParcel. */
  pageParcel(parcel: number, partition: number, extent: number): Promise<Result<undefined, ParcelFault>>;
  endParcel(parcel: number, zero: boolean): Promise<Result<undefined, ParcelFault>>;
  /** The machine's memory, for the content of parcels. */
  readonly memory: Uint8Array;
}
