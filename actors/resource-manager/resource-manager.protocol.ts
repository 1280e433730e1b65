/** Messages of the resource manager's actor, and what it is started with. */
import type { DoorbellHandle } from '../../bus/doorbell/doorbell.js';
import type { QueueHandle } from '../../bus/message-queue/queue-layout.js';
import type { Profile } from '../abi/gunyah/identity.js';
import type { VpTicket } from '../hypervisor/partition.protocol.js';
import type { CoreProtocol, ObjectPlaces, PartitionObjects } from '../hypervisor/port.protocol.js';
import type { ActorRef, Ask, Tell } from '../runtime/protocol.js';

/** Something a VM can name: its capability as `0x` hexadecimal text, and the interrupt it raises. */
export interface PortText {
  readonly capability: string;
  readonly virq: number;
}

/** The resource manager's messages. */
export type ResourceManagerProtocol = {
  /** A VM that was built without it: gives it RPC queues. VMID 3 is the primary VM. */
  adopt: Ask<
    { vmid: number; partition: number; block: number; profile: Profile },
    { tx: PortText; rx: PortText },
    'refused'
  >;
  /** The launcher's answer to an order. */
  launched: Tell<{ order: number; done: boolean }>;
  /** What VMs there are. */
  vms: Ask<object, { vms: readonly { vmid: number; state: number; partition: number }[] }>;
};

/** An order to the launcher, which gives processors their threads (only the main thread can make workers with memory). */
export type LaunchOrder =
  | {
      readonly order: number;
      readonly kind: 'launch';
      readonly partition: number;
      readonly tickets: readonly VpTicket[];
      readonly places: ObjectPlaces & Pick<PartitionObjects, 'threads'>;
      readonly profile: Profile;
      /** Registers of processor 0 by HV_REGISTER_NAME code, values as `0x` hexadecimal text. */
      readonly registers: readonly { readonly code: number; readonly value: string }[];
    }
  | { readonly order: number; readonly kind: 'end'; readonly partition: number };

/** Where orders go: a queue, and the doorbell that wakes the launcher. */
export interface LauncherPlace {
  readonly orders: QueueHandle;
  readonly bell: DoorbellHandle;
}
/** The shape of the order queue. */
export const ORDER_QUEUE = { depth: 16, messageBytesMax: 8192, mode: 'single' } as const;

/** See the head of this file. */
export interface ResourceManagerConfig {
  readonly memory: WebAssembly.Memory;
  readonly core: ActorRef<CoreProtocol>;
  /** Byte address of the core's object table. */
  readonly table: number;
  readonly launcher: LauncherPlace;
  /** What the VMs it makes are given per processor. */
  readonly areaBytes: number;
  readonly arenaBytes: number;
}
