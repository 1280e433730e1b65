/** The configuration node of a VM's device tree, input of VM_INIT (gunyah.md 7.4). The tree is a guest's: all is checked. */
import { err, ok, type Result } from '../../bus/result.js';
import { readTree } from '../../devices/machine/device-tree/read-tree.js';
import { type DeviceTree, findNode, type TreeNode } from '../../devices/machine/device-tree/tree.js';
import { PROFILES, type Profile } from '../abi/gunyah/identity.js';
import { type WantedController, wantedController } from './controller-place.js';

/** A virtual device to make. */
export interface VdeviceConfig {
  readonly type: string;
  /** Node path to generate, such as `/hypervisor/queue`. */
  readonly generate: string;
  readonly label: number;
  readonly peerDefault: boolean;
  /** Name of the VM at the other end; undefined: the owner. */
  readonly peer: string | undefined;
  readonly messageBytes: number;
  readonly depth: number;
  readonly isSender: boolean;
  readonly sourceCanClear: boolean;
  readonly pushCompatible: readonly string[];
  /** Of `virtio-mmio`. */
  readonly virtio?: VirtioDeviceConfig;
  /** Of `shm`: where the VM's owner has put it. */
  readonly shared?: SharedMemory;
}

/** A virtio-mmio device whose driver is in the VM. */
export interface VirtioDeviceConfig {
  readonly queues: number;
  /** Device type whose configuration space the hypervisor keeps; 0: none. */
  readonly type: number;
  /** What the VM adds to addresses it tells the device. */
  readonly dmaBase: bigint;
  readonly isCoherent: boolean;
}

/** Memory that was mapped into the VM by its owner. */
export interface SharedMemory {
  readonly address: bigint;
  readonly bytes: bigint;
  readonly isWritable: boolean;
}

/** What the node says. */
export interface VmConfig {
  readonly name: string;
  readonly uri: string | undefined;
  readonly guid: string | undefined;
  readonly attributes: ReadonlySet<string>;
  /** Where the image is to lie; undefined: the platform's default. */
  readonly baseAddress: bigint | undefined;
  readonly entryOffset: bigint | undefined;
  /** Where firmware may lie, and how much. */
  readonly firmwareAddress: bigint | undefined;
  readonly firmwareBytesMax: bigint | undefined;
  readonly cpus: number;
  /** Where its interrupt controller is to lie. */
  readonly controller: WantedController;
  readonly isProxy: boolean;
  /** Priority of its processors, as a distance from the owner's; 0 where others run them. */
  readonly priorityOffset: number;
  /** How long they run at a time, in nanoseconds; undefined: the scheduler's default. */
  readonly timesliceNs: number | undefined;
  /** Driver generation the VM is for (`abi-profile`, ours); undefined: its owner's. */
  readonly profile: Profile | undefined;
  /** Whether it has a watchdog though it is no platform's (`watchdog`, ours). */
  readonly hasWatchdog: boolean;
  readonly vdevices: readonly VdeviceConfig[];
}

/** Why a configuration was refused: the tree itself, or what it says. */
export type ConfigFault = 'tree' | 'config';

const NAME_MAX = 79;
const PEER_PREFIX = 'vm-name:';
const CPUS_MAX = 8;
const VDEVICES_MAX = 64;
const AFFINITIES = new Set(['static', 'sticky', 'pinned', 'proxy']);
/** The scheduler's limits (gunyah.md 2.9). */
const TIMESLICE_NS = { min: 100_000, max: 100_000_000 } as const;
const KNOWN_TYPES = new Set([
  ...['rm-rpc', 'doorbell', 'doorbell-source', 'message-queue', 'message-queue-pair', 'shm', 'virtio-mmio'],
]);
const VIRTIO = 'virtio-mmio';
/** Where a device's node goes unless its configuration says otherwise: virtio-mmio below a bus whose addresses have sizes. */
const generateDefault = (type: string): string => (type === VIRTIO ? '/vsoc/virtio_mmio' : `/hypervisor/${type}`);
const ATTRIBUTES = new Set([
  'ras-error-handler',
  'amu-counting-disabled',
  'crash-fatal',
  'context-dump',
  'no-shutdown',
  'no-reset',
]);

function text(node: TreeNode, name: string): string | undefined {
  const bytes = node.properties.get(name);
  if (bytes === undefined) return undefined;
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}
function texts(node: TreeNode, name: string): readonly string[] {
  const bytes = node.properties.get(name);
  return bytes === undefined
    ? []
    : new TextDecoder()
        .decode(bytes)
        .split('\0')
        .filter((part) => part !== '');
}
function number(node: TreeNode, name: string): bigint | undefined {
  const bytes = node.properties.get(name);
  if (bytes === undefined || (bytes.length !== 4 && bytes.length !== 8)) return undefined;
  return bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

function vdevice(node: TreeNode): VdeviceConfig | undefined {
  const type = text(node, 'vdevice-type');
  if (type === undefined || !KNOWN_TYPES.has(type)) return undefined;
  const depth = Number(number(node, 'queue-depth') ?? 8n);
  const messageBytes = Number(number(node, 'message-size') ?? 240n);
  const memory = node.children.find((child) => child.name === 'memory');
  const label = Number(number(node, 'label') ?? (memory && number(memory, 'label')) ?? 0n);
  if (depth < 1 || depth > 255 || messageBytes < 1 || messageBytes > 1023 || label > 0xffff_ffff) return undefined;
  const [address, bytes] = [number(node, 'memory-base'), number(node, 'memory-size')];
  if (type === 'shm' && (address === undefined || bytes === undefined)) return undefined;
  // The other side of such a device is the owner, which must be said.
  if (type === VIRTIO && (!node.properties.has('peer-default') || node.properties.has('peer'))) return undefined;
  const isWritable = !node.properties.has('read-only');
  const peer = text(node, 'peer');
  if (peer !== undefined && !peer.startsWith(PEER_PREFIX)) return undefined;
  return {
    ...{ type, label, depth, messageBytes, peer: peer?.slice(PEER_PREFIX.length) },
    generate: text(node, 'generate') ?? generateDefault(type),
    peerDefault: node.properties.has('peer-default'),
    isSender: node.properties.has('is-sender'),
    sourceCanClear: node.properties.has('source-can-clear'),
    pushCompatible: texts(node, 'push-compatible'),
    ...(type === VIRTIO && { virtio: virtioDevice(node) }),
    ...(address !== undefined && bytes !== undefined && { shared: { address, bytes, isWritable } }),
  };
}

function virtioDevice(node: TreeNode): VirtioDeviceConfig {
  return {
    queues: Number(number(node, 'vqs-num') ?? 1n),
    type: Number(number(node, 'virtio,device-type') ?? 0n),
    dmaBase: number(node, 'dma_base') ?? 0n,
    isCoherent: node.properties.has('dma-coherent'),
  };
}

/** What `vcpus` says of how they run; undefined where it says what cannot be. Processors by proxy ignore the rest (section 7.4). */
function howRun(vcpus: TreeNode | undefined): Pick<VmConfig, 'isProxy' | 'priorityOffset' | 'timesliceNs'> | undefined {
  const affinity = vcpus && text(vcpus, 'affinity');
  if (affinity !== undefined && !AFFINITIES.has(affinity)) return undefined;
  if (vcpus === undefined || affinity === 'proxy') {
    return { isProxy: affinity === 'proxy', priorityOffset: 0, timesliceNs: undefined };
  }
  const priorityOffset = Number(BigInt.asIntN(32, number(vcpus, 'sched-priority') ?? 0n));
  const microseconds = number(vcpus, 'sched-timeslice');
  const timesliceNs = microseconds === undefined ? undefined : Number(microseconds) * 1000;
  const isPossible = timesliceNs === undefined || (timesliceNs >= TIMESLICE_NS.min && timesliceNs <= TIMESLICE_NS.max);
  return isPossible ? { isProxy: false, priorityOffset, timesliceNs } : undefined;
}

/** Boot processors of `/cpus`: at least one, at most eight. */
function countCpus(root: TreeNode): number {
  const cpus = findNode(root, '/cpus')?.children.filter((child) => child.name.startsWith('cpu@')) ?? [];
  return cpus.length;
}

/** Decodes a tree and its configuration node. */
export function readVmConfig(bytes: Uint8Array): Result<{ tree: DeviceTree; config: VmConfig }, ConfigFault> {
  const tree = readTree('guest', bytes);
  if (!tree.ok) return err('tree');
  const { root } = tree.value;
  const node = findNode(root, '/gunyah-vm-config') ?? findNode(root, '/qcom,vm-config');
  if (node === undefined) return err('config');
  const name = text(node, 'image-name');
  if (name === undefined || name.length === 0 || name.length > NAME_MAX) return err('config');
  const os = text(node, 'os-type');
  const kind = text(node, 'vm-type');
  if ((os !== undefined && os !== 'linux') || (kind !== undefined && kind !== 'aarch64-guest')) return err('config');
  const attributes = new Set(texts(node, 'vm-attrs'));
  if ([...attributes].some((attribute) => !ATTRIBUTES.has(attribute))) return err('config');
  const memory = node.children.find((child) => child.name === 'memory');
  const vcpus = node.children.find((child) => child.name === 'vcpus');
  const devices = node.children.find((child) => child.name === 'vdevices')?.children ?? [];
  const vdevices = devices.map(vdevice);
  if (vdevices.length > VDEVICES_MAX || vdevices.includes(undefined)) return err('config');
  const base = memory === undefined ? undefined : number(memory, 'base-address');
  if (base !== undefined && base % 4096n !== 0n) return err('config');
  const firmwareAddress = memory && number(memory, 'firmware-address');
  if (firmwareAddress !== undefined && firmwareAddress % 4096n !== 0n) return err('config');
  const cpus = countCpus(root) || 1;
  if (cpus > CPUS_MAX) return err('config');
  const run = howRun(vcpus);
  const controller = wantedController(root, node, cpus);
  if (run === undefined || controller === undefined) return err('config');
  return ok({
    tree: tree.value,
    config: {
      ...{ name, attributes, cpus, controller, baseAddress: base, firmwareAddress },
      firmwareBytesMax: memory && number(memory, 'firmware-size-max'),
      uri: text(node, 'vm-uri'),
      guid: text(node, 'vm-guid'),
      entryOffset: number(node, 'kernel-entry-offset'),
      profile: PROFILES.find((profile) => profile === text(node, 'abi-profile')),
      ...run,
      hasWatchdog: node.properties.has('watchdog'),
      vdevices: vdevices.filter((device): device is VdeviceConfig => device !== undefined),
    },
  });
}
