/** Virtual devices of a VM: RPC queues, message queues, doorbells, as its configuration names them (gunyah.md 7.4). */

import { HYP_PAGE_BYTES } from '../../bus/units.js';
import type { TreeNode } from '../../devices/machine/device-tree/tree.js';
import { RIGHTS } from '../abi/gunyah/rights.js';
import {
  doorbellNode,
  FREE_IRQ_START,
  memoryNode,
  queueNode,
  queuePairNode,
  rpcNode,
  virtioNode,
  watchdogNode,
} from './guest-tree.js';
import { type LinkEnds, nameOf } from './link-ports.js';
import { RM_NAME } from './queue-names.js';
import type { ResourceManager } from './resource-manager.js';
import { EXTENT_LABEL, RESOURCE_TYPE } from './resource-types.js';
import type { GivenPort, PortEnd } from './rm-host.js';
import { VMID } from './rm-messages.js';
import type { Vm } from './vm.js';
import type { VdeviceConfig, VmConfig } from './vm-config.js';

/** First interrupt of a secondary VM's ports: behind what its own device tree uses. */
export const GUEST_VIRQ_FROM = 512;
/** Where virtio-mmio devices lie, below the memory of every VM: those a VM drives, and those it is the other side of. */
const VIRTIO_AT = { driver: 0x0b00_0000, device: 0x0b80_0000, end: 0x0c00_0000 } as const;
/** Nodes made for a VM, until its tree is written: below `/hypervisor`, and below `/vsoc`. */
const nodesOf = new WeakMap<Vm, TreeNode[]>();
const vsocOf = new WeakMap<Vm, TreeNode[]>();

/** The nodes of a VM's devices. */
export function vdeviceNodes(vm: Vm): readonly TreeNode[] {
  return nodesOf.get(vm) ?? [];
}

/** Those of them that are on the bus of virtual devices. */
export function vsocNodes(vm: Vm): readonly TreeNode[] {
  return vsocOf.get(vm) ?? [];
}

/** Gives the VM its RPC queues; its ends of them, or undefined. */
export async function giveLink(
  rm: ResourceManager,
  vm: Vm,
  isHost: boolean,
): Promise<{ readonly tx: GivenPort; readonly rx: GivenPort } | undefined> {
  if (vm.partition === undefined) return undefined;
  const made = await rm.host.createLink(vm.partition, isHost ? FREE_IRQ_START : GUEST_VIRQ_FROM);
  if (!made.ok) return undefined;
  const { link, tx, rx } = made.value;
  vm.link = link;
  vm.ports.push(tx.object, rx.object);
  rm.queues.note(tx.object, RM_NAME, vm.name, RM_NAME);
  rm.queues.note(rx.object, RM_NAME, RM_NAME, vm.name);
  return { tx, rx };
}

/** Gives the VM a watchdog; it, and the interrupt that is its bark. */
export async function giveWatchdog(
  rm: ResourceManager,
  vm: Vm,
  virqFrom: number,
): Promise<{ readonly object: number; readonly virq: number } | undefined> {
  if (vm.partition === undefined) return undefined;
  const made = await rm.host.createWatchdog(vm.partition, virqFrom);
  if (!made.ok) return undefined;
  vm.ports.push(made.value.object);
  return made.value;
}

/**
 * The watchdog of a VM that has one, as a node. The owner of processors by proxy, which may starve them, may freeze it: that is type 8
 * of what it is listed (gunyah.md 5.7).
 */
async function makeWatchdog(rm: ResourceManager, vm: Vm, owner: Vm, isProxy: boolean): Promise<TreeNode | undefined> {
  const made = await giveWatchdog(rm, vm, GUEST_VIRQ_FROM);
  if (made === undefined) return undefined;
  if (isProxy && owner.partition !== undefined) {
    const given = await rm.host.givePort(owner.partition, made.object, { rights: RIGHTS.watchdog.manage });
    if (!given.ok) return undefined;
    const { capability } = given.value;
    const line = { holder: owner.vmid, type: RESOURCE_TYPE.watchdog, partner: vm.vmid, handle: rm.nextHandle() };
    vm.resources.push({ ...line, label: 0, capability, virqHandle: 0, virq: 0 });
  }
  return watchdogNode(made.virq);
}

/** Gives a VM one end of a port and lists it among its resources. */
async function give(
  rm: ResourceManager,
  to: Vm,
  about: Vm,
  object: number,
  end: PortEnd,
  kind: 'queue' | 'bell',
  device: VdeviceConfig,
): Promise<GivenPort | undefined> {
  if (to.partition === undefined) return undefined;
  const virqFrom = to === about ? GUEST_VIRQ_FROM : FREE_IRQ_START;
  const isSend = end === 'send';
  const sends = RIGHTS.doorbell.send | (device.sourceCanClear ? RIGHTS.doorbell.receive : 0);
  const rights =
    kind === 'queue'
      ? isSend
        ? RIGHTS.messageQueue.send
        : RIGHTS.messageQueue.receive
      : isSend
        ? sends
        : RIGHTS.doorbell.receive;
  const hasInterrupt = kind === 'queue' || !isSend;
  const source = kind === 'queue' && isSend ? ('second' as const) : ('first' as const);
  const given = await rm.host.givePort(to.partition, object, { rights, ...(hasInterrupt ? { source, virqFrom } : {}) });
  if (!given.ok) return undefined;
  const T = RESOURCE_TYPE;
  const type = kind === 'queue' ? (isSend ? T.queueTx : T.queueRx) : isSend ? T.bellTx : T.bellRx;
  const { capability, virq } = given.value;
  const partner = to === about ? about.owner : about.vmid;
  const line = { holder: to.vmid, type, partner, handle: rm.nextHandle(), label: device.label, capability };
  about.resources.push({ ...line, virqHandle: virq === 0 ? 0 : rm.nextHandle(), virq });
  return given.value;
}

/** A pair of queues between a VM and its owner. */
export async function makeQueuePair(
  rm: ResourceManager,
  vm: Vm,
  owner: Vm,
  device: VdeviceConfig,
): Promise<TreeNode | undefined> {
  if (vm.partition === undefined) return undefined;
  const queues = [
    await rm.host.createQueue(vm.partition, device.depth, device.messageBytes),
    await rm.host.createQueue(vm.partition, device.depth, device.messageBytes),
  ];
  const objects = queues.flatMap((queue) => (queue.ok ? [queue.value] : []));
  vm.ports.push(...objects);
  const [toOwner, toVm] = objects;
  if (toOwner === undefined || toVm === undefined) return undefined;
  rm.queues.note(toOwner, nameOf(device), vm.name, owner.name);
  rm.queues.note(toVm, nameOf(device), owner.name, vm.name);
  const tx = await give(rm, vm, vm, toOwner, 'send', 'queue', device);
  const rx = await give(rm, vm, vm, toVm, 'receive', 'queue', device);
  const ownerTx = await give(rm, owner, vm, toVm, 'send', 'queue', device);
  const ownerRx = await give(rm, owner, vm, toOwner, 'receive', 'queue', device);
  if (tx === undefined || rx === undefined || ownerTx === undefined || ownerRx === undefined) return undefined;
  return queuePairNode(nameOf(device), tx, rx, { ...device, peer: owner.vmid });
}

async function makeDoorbell(
  rm: ResourceManager,
  vm: Vm,
  owner: Vm,
  device: VdeviceConfig,
): Promise<TreeNode | undefined> {
  if (vm.partition === undefined) return undefined;
  const bell = await rm.host.createDoorbell(vm.partition);
  if (!bell.ok) return undefined;
  vm.ports.push(bell.value);
  const isSource = device.type === 'doorbell-source';
  const mine = await give(rm, vm, vm, bell.value, isSource ? 'send' : 'receive', 'bell', device);
  const theirs = await give(rm, owner, vm, bell.value, isSource ? 'receive' : 'send', 'bell', device);
  return mine === undefined || theirs === undefined ? undefined : doorbellNode(nameOf(device), mine, isSource, device);
}

async function makeQueue(rm: ResourceManager, vm: Vm, owner: Vm, device: VdeviceConfig): Promise<TreeNode | undefined> {
  if (vm.partition === undefined) return undefined;
  const queue = await rm.host.createQueue(vm.partition, device.depth, device.messageBytes);
  if (!queue.ok) return undefined;
  vm.ports.push(queue.value);
  const [from, to] = device.isSender ? [vm, owner] : [owner, vm];
  rm.queues.note(queue.value, nameOf(device), from.name, to.name);
  const mine = await give(rm, vm, vm, queue.value, device.isSender ? 'send' : 'receive', 'queue', device);
  const theirs = await give(rm, owner, vm, queue.value, device.isSender ? 'receive' : 'send', 'queue', device);
  return mine === undefined || theirs === undefined
    ? undefined
    : queueNode(nameOf(device), mine, device.isSender, device);
}

/** A free page for the other side of a device, in the address space of `owner`. */
function devicePage(rm: ResourceManager, owner: Vm): number | undefined {
  const taken = new Set(
    rm.vms.all().flatMap((vm) => vm.resources.filter(({ holder }) => holder === owner.vmid).map(({ base }) => base)),
  );
  for (let at: number = VIRTIO_AT.device; at < VIRTIO_AT.end; at += HYP_PAGE_BYTES) if (!taken.has(at)) return at;
  return undefined;
}

/** A virtio-mmio device that the VM drives and its owner is the other side of (gunyah.md 5.7 type 6, 7.2). */
async function makeVirtio(
  rm: ResourceManager,
  vm: Vm,
  owner: Vm,
  device: VdeviceConfig,
): Promise<TreeNode | undefined> {
  const { virtio, label } = device;
  const ownerAt = devicePage(rm, owner);
  if (vm.partition === undefined || owner.partition === undefined || virtio === undefined) return undefined;
  if (ownerAt === undefined) return undefined;
  const number = vm.resources.filter(({ type }) => type === RESOURCE_TYPE.virtioMmio).length;
  const at = VIRTIO_AT.driver + number * HYP_PAGE_BYTES;
  const { queues, type } = virtio;
  const made = await rm.host.createVirtio(vm.partition, owner.partition, { queues, type, at, ownerAt });
  if (!made.ok) return undefined;
  const { object, extent } = made.value;
  vm.ports.push(object, extent);
  const { config, assert: raise } = RIGHTS.virtioMmio;
  const mine = await rm.host.givePort(vm.partition, object, { rights: 0, source: 'second', virqFrom: GUEST_VIRQ_FROM });
  const rights = config | raise;
  const theirs = await rm.host.givePort(owner.partition, object, { rights, source: 'first', virqFrom: FREE_IRQ_START });
  if (!mine.ok || !theirs.ok) return undefined;
  const { capability, virq } = theirs.value;
  const line = { holder: owner.vmid, type: RESOURCE_TYPE.virtioMmio, partner: vm.vmid, handle: rm.nextHandle(), label };
  const where = { base: ownerAt, bytes: HYP_PAGE_BYTES };
  vm.resources.push({ ...line, capability, virqHandle: rm.nextHandle(), virq, ...where });
  const place = { address: BigInt(at), bytes: BigInt(HYP_PAGE_BYTES), virq: mine.value.virq };
  return virtioNode(nameOf(device), place, { ...device, peer: owner.vmid }, virtio);
}

/** A VM's ends of a link to a sibling. */
export interface JoinedLink extends LinkEnds {
  readonly peer: number;
}

/** Gives a VM its ends of a link that is not with its owner; the interrupts are free numbers from `virqFrom` on. */
export async function joinLink(
  rm: ResourceManager,
  vm: Vm,
  device: VdeviceConfig,
  virqFrom: number,
): Promise<JoinedLink | undefined> {
  const { peer } = device;
  if (peer === undefined || vm.partition === undefined) return undefined;
  const ends = await rm.links.join(vm.name, vm.partition, { ...device, peer }, virqFrom);
  if (ends === undefined) return undefined;
  const vmid = rm.vms.all().find((other) => other.name === peer)?.vmid ?? VMID.ANY;
  return { ...ends, peer: vmid };
}

/** The node of a link's end. */
function linkNode(device: VdeviceConfig, { tx, rx, peer }: JoinedLink): TreeNode | undefined {
  const name = nameOf(device);
  if (tx !== undefined && rx !== undefined) return queuePairNode(name, tx, rx, { ...device, peer });
  const end = tx ?? rx;
  return end && doorbellNode(name, end, tx !== undefined, device);
}

/** Makes everything a configuration names; false when something could not be made. */
export async function makeVdevices(rm: ResourceManager, vm: Vm, config: VmConfig): Promise<boolean> {
  const nodes: TreeNode[] = [];
  const vsoc: TreeNode[] = [];
  nodesOf.set(vm, nodes);
  vsocOf.set(vm, vsoc);
  const owner = rm.vms.get(vm.owner);
  if (owner === undefined) return false;
  for (const device of config.vdevices) {
    let made: TreeNode | undefined;
    if (device.type === 'rm-rpc') {
      const link = await giveLink(rm, vm, false);
      made = link && rpcNode(link.tx, link.rx, false);
    } else if (device.type === 'shm') {
      made = device.shared && memoryNode(nameOf(device), device.shared, device.label);
    } else if (device.virtio !== undefined) {
      made = await makeVirtio(rm, vm, owner, device);
    } else if (device.peer !== undefined) {
      const joined = await joinLink(rm, vm, device, GUEST_VIRQ_FROM);
      made = joined && linkNode(device, joined);
    } else if (device.type === 'message-queue-pair') made = await makeQueuePair(rm, vm, owner, device);
    else if (device.type === 'message-queue') made = await makeQueue(rm, vm, owner, device);
    else made = await makeDoorbell(rm, vm, owner, device);
    if (made === undefined) return false;
    (device.generate.startsWith('/vsoc/') ? vsoc : nodes).push(made);
  }
  if (!vm.hasWatchdog) return true;
  const watchdog = await makeWatchdog(rm, vm, owner, config.isProxy);
  if (watchdog === undefined) return false;
  nodes.push(watchdog);
  return true;
}

/**
 * Lists the VM's processors for its owner, which may yield to them; those that it runs by proxy raise an interrupt in it when
 * they want to run (gunyah.md 5.7, type 4).
 */
export async function giveVcpus(rm: ResourceManager, vm: Vm, config: VmConfig): Promise<boolean> {
  const owner = rm.vms.get(vm.owner);
  if (owner === undefined || vm.partition === undefined) return false;
  for (let index = 0; index < config.cpus; index++) {
    const rights = RIGHTS.thread.affinity | RIGHTS.thread.yieldTo;
    const wakeup = config.isProxy ? { source: 'second' as const, virqFrom: FREE_IRQ_START } : {};
    if (owner.partition === undefined) continue;
    const given = await rm.host.givePort(owner.partition, rm.host.threadOf(vm.partition, index), { rights, ...wakeup });
    if (!given.ok) return false;
    const { capability, virq } = given.value;
    const line = { holder: owner.vmid, type: RESOURCE_TYPE.vcpu, partner: vm.vmid, handle: rm.nextHandle() };
    const virqHandle = virq === 0 ? 0 : rm.nextHandle();
    vm.resources.push({ ...line, label: index, capability, virqHandle, virq });
  }
  return true;
}

/**
 * What v17's driver pages a VM's memory with (gunyah.md 5.7, types 9 and 10): extents to donate from and to, and the address space.
 * Only processors that the owner runs tell it of pages that are not there, so other VMs have no use for it.
 */
export async function givePaging(rm: ResourceManager, vm: Vm): Promise<boolean> {
  const owner = rm.vms.get(vm.owner)?.partition;
  if (owner === undefined || vm.partition === undefined) return true;
  const made = await rm.host.createPaging(vm.partition, owner);
  if (!made.ok) return false;
  const { addrspace, ...extents } = made.value;
  const { memoryExtent, addressSpace } = RESOURCE_TYPE;
  const { donate, map } = RIGHTS.memextent;
  vm.ports.push(...Object.values(extents));
  vm.guestPrivate = extents.guestPrivate;
  const lines = [
    { object: addrspace, type: addressSpace, label: 0, rights: RIGHTS.addrspace.map | RIGHTS.addrspace.lookup },
    ...(['guestPrivate', 'hostShared', 'hostPrivate', 'guestShared'] as const).map((name) => {
      const rights = name.startsWith('guest') ? donate | map : donate;
      return { object: extents[name], type: memoryExtent, label: EXTENT_LABEL[name], rights };
    }),
  ];
  for (const { object, type, label, rights } of lines) {
    const given = await rm.host.givePort(owner, object, { rights });
    if (!given.ok) return false;
    const { capability } = given.value;
    const line = { holder: vm.owner, type, partner: vm.vmid, handle: rm.nextHandle(), label };
    vm.resources.push({ ...line, capability, virqHandle: 0, virq: 0 });
  }
  return true;
}
