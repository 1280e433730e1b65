/** Device-tree nodes that tell a guest of the hypervisor and its resource manager (gunyah.md 7.1, 7.2). */
import {
  cells,
  cells64,
  type DeviceTree,
  node,
  PRESENT,
  strings,
  type TreeNode,
} from '../../devices/machine/device-tree/tree.js';
import { RPC } from './rpc-packet.js';
import type { SharedMemory, VirtioDeviceConfig } from './vm-config.js';

/** A port of the guest, as the tree names it. */
export interface TreePort {
  readonly capability: bigint;
  readonly virq: number;
}

/** First interrupt number that a VM may be given later on (section 5.7). */
export const FREE_IRQ_START = 960;
const SPI = 0;
const EDGE_RISING = 1;
const SPI_FIRST = 32;

/** Three cells of the GIC binding: shared interrupt, edge. */
const interrupts = (...virqs: readonly number[]): Uint8Array =>
  cells(...virqs.flatMap((virq) => [SPI, virq - SPI_FIRST, EDGE_RISING]));
const hex = (capability: bigint, digits = 1): string => capability.toString(16).padStart(digits, '0');

/** The node of the RPC queues. `isHost`: the primary VM's, which names the free interrupts. */
export function rpcNode(tx: TreePort, rx: TreePort, isHost: boolean): TreeNode {
  return node(isHost ? `qcom,resource-manager-rpc@${hex(tx.capability, 16)}` : `rm-rpc@${hex(rx.capability)}`, {
    compatible: strings(
      ...['gunyah-resource-manager', 'gunyah-resource-manager-1-0'],
      ...['qcom,resource-manager-1-0', 'qcom,resource-manager'],
      ...(isHost ? [] : ['qcom,gunyah-message-queue', 'qcom,gunyah-capability']),
    ),
    reg: cells64(tx.capability, rx.capability),
    interrupts: interrupts(tx.virq, rx.virq),
    'qcom,free-irq-start': cells(isHost ? FREE_IRQ_START : 0),
    'qcom,is-full-duplex': PRESENT,
    'qcom,tx-message-size': cells(RPC.packetBytes),
    'qcom,rx-message-size': cells(RPC.packetBytes),
    'qcom,tx-queue-depth': cells(RPC.queueDepth),
    'qcom,rx-queue-depth': cells(RPC.queueDepth),
  });
}

/** What a queue's node says of it; `pushCompatible`: names in front of those that say what it is. */
interface QueueAbout {
  readonly depth: number;
  readonly messageBytes: number;
  readonly label: number;
  readonly pushCompatible?: readonly string[];
}

/** One end of a message queue that goes one way. */
export function queueNode(name: string, port: TreePort, isSender: boolean, about: QueueAbout): TreeNode {
  return node(`${name}@${hex(port.capability)}`, {
    compatible: strings(...(about.pushCompatible ?? []), 'qcom,gunyah-message-queue', 'qcom,gunyah-capability'),
    reg: cells64(port.capability),
    interrupts: interrupts(port.virq),
    [isSender ? 'is-sender' : 'is-receiver']: PRESENT,
    tx_message_size: cells(about.messageBytes),
    tx_queue_depth: cells(about.depth),
    'qcom,label': cells(about.label),
    label: cells(about.label),
  });
}

/** A pair of message queues between two VMs. */
export function queuePairNode(
  name: string,
  tx: TreePort,
  rx: TreePort,
  about: QueueAbout & { readonly peer: number },
): TreeNode {
  return node(`${name}@${hex(rx.capability)}`, {
    compatible: strings(...(about.pushCompatible ?? []), 'qcom,gunyah-message-queue', 'qcom,gunyah-capability'),
    reg: cells64(tx.capability, rx.capability),
    interrupts: interrupts(tx.virq, rx.virq),
    'qcom,is-full-duplex': PRESENT,
    'qcom,tx-message-size': cells(about.messageBytes),
    'qcom,rx-message-size': cells(about.messageBytes),
    'qcom,tx-queue-depth': cells(about.depth),
    'qcom,rx-queue-depth': cells(about.depth),
    'qcom,label': cells(about.label),
    label: cells(about.label),
    'qcom,peer-vmid': cells(about.peer),
    peer: cells(about.peer),
  });
}

/** One end of a doorbell. */
export function doorbellNode(
  name: string,
  port: TreePort,
  isSource: boolean,
  { label, pushCompatible = [] }: Pick<QueueAbout, 'label' | 'pushCompatible'>,
): TreeNode {
  const kind = isSource ? 'qcom,gunyah-doorbell-source' : 'qcom,gunyah-doorbell';
  return node(`${name}@${hex(port.capability)}`, {
    compatible: strings(...pushCompatible, kind, 'qcom,gunyah-capability'),
    reg: cells64(port.capability),
    interrupts: isSource ? undefined : interrupts(port.virq),
    'qcom,label': cells(label),
    label: cells(label),
  });
}

/** The watchdog, by its bark; it is pinged by calls. */
export function watchdogNode(virq: number): TreeNode {
  return node('qcom,gh-watchdog', { compatible: strings('qcom,gh-watchdog'), interrupts: interrupts(virq) });
}

/**
 * What a VM may put others together with: capabilities of its partition, capability space, address space and interrupt controller.
 * No published binding has it: what holds such capabilities there, the resource manager, gets them in another way.
 */
export function rootNode(...capabilities: readonly [bigint, bigint, bigint, bigint]): TreeNode {
  return node('root', { compatible: strings('wurley,gunyah-root'), reg: cells64(...capabilities) });
}

/** Shared memory. Below a bus without sizes: the address is the node's `reg`, the size a property of its own. */
export function memoryNode(name: string, { address, bytes, isWritable }: SharedMemory, label: number): TreeNode {
  return node(`${name}@${hex(address)}`, {
    compatible: strings('qcom,shared-memory'),
    reg: cells64(address),
    size: cells64(bytes),
    'read-only': isWritable ? undefined : PRESENT,
    'qcom,label': cells(label),
    label: cells(label),
  });
}

/** A virtio-mmio device, whose other side is VM `peer`. */
export function virtioNode(
  name: string,
  { address, bytes, virq }: { readonly address: bigint; readonly bytes: bigint; readonly virq: number },
  { label, pushCompatible = [], peer }: Pick<QueueAbout, 'label' | 'pushCompatible'> & { readonly peer: number },
  { dmaBase, isCoherent }: Pick<VirtioDeviceConfig, 'dmaBase' | 'isCoherent'>,
): TreeNode {
  return node(`${name}@${hex(address)}`, {
    compatible: strings(...pushCompatible, 'virtio,mmio'),
    reg: cells64(address, bytes),
    interrupts: interrupts(virq),
    'qcom,label': cells(label),
    label: cells(label),
    dma_base: cells64(dmaBase),
    peer: cells(peer),
    'dma-coherent': isCoherent ? PRESENT : undefined,
  });
}

/** `/hypervisor` with what is below it. */
export function hypervisorNode(
  about: {
    readonly vmid: number;
    readonly owner: number | undefined;
    readonly imageName: string | undefined;
    readonly uri?: string | undefined;
    readonly guid?: string | undefined;
  },
  children: readonly TreeNode[],
): TreeNode {
  const identity = node('qcom,gunyah-vm', {
    compatible: strings('qcom,gunyah-vm-id-1.0', 'qcom,gunyah-vm-id'),
    'qcom,vmid': cells(about.vmid),
    'qcom,owner-vmid': about.owner === undefined ? undefined : cells(about.owner),
    'qcom,vendor': strings('Qualcomm'),
    'qcom,image-name': about.imageName === undefined ? undefined : strings(about.imageName),
    'qcom,vm-uri': about.uri === undefined ? undefined : strings(about.uri),
    'qcom,vm-guid': about.guid === undefined ? undefined : strings(about.guid),
  });
  return node(
    'hypervisor',
    {
      '#address-cells': cells(2),
      '#size-cells': cells(0),
      compatible: strings('gunyah-hypervisor', 'qcom,gunyah-hypervisor-1.0', 'qcom,gunyah-hypervisor', 'simple-bus'),
    },
    [identity, ...children],
  );
}

/** A tree with the hypervisor's node; undefined when it has one already. */
export function withHypervisor(tree: DeviceTree, hypervisor: TreeNode): DeviceTree | undefined {
  if (tree.root.children.some(({ name }) => name === 'hypervisor')) return undefined;
  return { ...tree, root: { ...tree.root, children: [...tree.root.children, hypervisor] } };
}

/** A tree with `children` below `/vsoc`, the bus of virtual devices, which is made where there is none. */
export function withVsoc(tree: DeviceTree, children: readonly TreeNode[]): DeviceTree {
  if (children.length === 0) return tree;
  const known = tree.root.children.find(({ name }) => name === 'vsoc');
  const about = {
    '#address-cells': cells(2),
    '#size-cells': cells(2),
    compatible: strings('simple-bus'),
    ranges: PRESENT,
  };
  const bus = known ? { ...known, children: [...known.children, ...children] } : node('vsoc', about, children);
  const others = tree.root.children.filter((child) => child !== known);
  return { ...tree, root: { ...tree.root, children: [...others, bus] } };
}

/** A tree with the firmware's memory reserved (root cells of two words each, as every guest of ours has them). */
export function withFirmware(tree: DeviceTree, address: bigint, bytes: bigint): DeviceTree {
  const firmware = node(`firmware@${hex(address)}`, {
    reg: cells64(address, bytes),
    'no-map': PRESENT,
    compatible: strings('qcom,vm-firmware'),
  });
  const { children } = tree.root;
  const known = children.find(({ name }) => name === 'reserved-memory');
  const about = { '#address-cells': cells(2), '#size-cells': cells(2), ranges: PRESENT };
  const reserved = known
    ? { ...known, children: [...known.children, firmware] }
    : node('reserved-memory', about, [firmware]);
  const others = children.filter((child) => child !== known);
  return { ...tree, root: { ...tree.root, children: [...others, reserved] } };
}
