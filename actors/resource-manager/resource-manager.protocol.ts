/** Messages of the resource manager's actor, and what it is started with. */

import type { DoorbellHandle } from '../../bus/doorbell/doorbell.js';
import { u32 } from '../../bus/layout/fields.js';
import { struct } from '../../bus/layout/struct.js';
import type { QueueHandle } from '../../bus/message-queue/queue-layout.js';
import type { Profile } from '../abi/gunyah/identity.js';
import type { VpTicket } from '../hypervisor/partition.protocol.js';
import type { CoreProtocol, ObjectPlaces, PartitionObjects } from '../hypervisor/port.protocol.js';
import type { ActorRef, Ask } from '../runtime/protocol.js';
import type { VdeviceConfig } from './vm-config.js';

/** Something a VM can name: its capability as `0x` hexadecimal text, and the interrupt it raises. */
export interface PortText {
  /** Number of the object. */
  readonly object: number;
  readonly capability: string;
  readonly virq: number;
}

/** A VM that was built without the resource manager. */
export interface Adoption {
  /** 0: any dynamic one. */
  readonly vmid: number;
  readonly owner: number;
  /** What the ends of links to it name. */
  readonly name: string;
  readonly partition: number;
  readonly block: number;
  readonly profile: Profile;
  /** It is the host itself: may allocate VMs beside a primary VM. */
  readonly isHost?: boolean;
  /** Ports to give it beside its RPC queues. */
  readonly vdevices: readonly VdeviceConfig[];
}

/** What an adopted VM was given. */
export interface AdoptedVm {
  readonly vmid: number;
  readonly tx: PortText;
  readonly rx: PortText;
  /** The interrupt that is its watchdog's bark; 0: it has no watchdog. */
  readonly bark: number;
  /** In the order of the adoption's vdevices; what a device has no end for is absent. */
  readonly ports: readonly { readonly peer: number; readonly tx?: PortText; readonly rx?: PortText }[];
}

/** A message queue that VMs share, or one and the resource manager; names of VMs, or `rm`. */
export interface QueueLine {
  readonly object: number;
  readonly name: string;
  readonly from: string;
  readonly to: string;
}

/** The resource manager's messages. */
export type ResourceManagerProtocol = {
  /** Gives a VM that was built without it RPC queues and what else its adoption names. VMID 3 is the primary VM. */
  adopt: Ask<Adoption, AdoptedVm, 'refused'>;
  /** An adopted VM has ended and its threads are gone: returns its partition and those of the VMs it made. */
  release: Ask<{ vmid: number }, undefined, 'refused'>;
  /** The partition that pays for links between VMs, which outlive them. */
  setHome: Ask<{ partition: number }, undefined>;
  /** What VMs there are. */
  vms: Ask<object, { vms: readonly { vmid: number; state: number; partition: number }[] }>;
  /** What message queues there are. */
  queues: Ask<object, { queues: readonly QueueLine[] }>;
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
      readonly vmid: number;
      readonly owner: number;
      /** As its configuration calls it. */
      readonly name: string;
      /** Registers of processor 0 by HV_REGISTER_NAME code, values as `0x` hexadecimal text. */
      readonly registers: readonly { readonly code: number; readonly value: string }[];
    }
  | { readonly order: number; readonly kind: 'end'; readonly partition: number };

/**
 * Where orders go and their answers come from: a queue, the doorbell that wakes the launcher, and a queue of {@link OrderAnswer}
 * after which the launcher rings the resource manager. Not messages: those wait while a handler waits for an order.
 */
export interface LauncherPlace {
  readonly orders: QueueHandle;
  readonly bell: DoorbellHandle;
  readonly answers: QueueHandle;
}
/** The launcher's answer to an order. */
export const OrderAnswer = struct('OrderAnswer', 8, { order: u32(0), done: u32(4) });
/** The shape of the queue of answers: never more than there are orders. */
export const ANSWER_QUEUE = { depth: 64, messageBytesMax: OrderAnswer.sizeBytes, mode: 'single' } as const;
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
}
