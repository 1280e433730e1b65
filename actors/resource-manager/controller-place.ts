/**
 * Where a VM's configuration wants its interrupt controller (gunyah.md 7.2, 7.4; platform/qemu/src/vm_dt.c and vgic.c of the public
 * resource manager): `interrupts/config` is the path or the phandle of a GICv3 node, whose `reg` says so. One without `reg` gets
 * the platform's addresses. The tree is a guest's: all is checked.
 */
import { cells, type DeviceTree, findNode, type TreeNode } from '../../devices/machine/device-tree/tree.js';
import { GICD_BYTES, GICR_BYTES } from '../shared-state/gic/gic-mmio.js';

/** Addresses and sizes in bytes, in whole 64 KiB. */
export interface ControllerPlace {
  readonly distributor: number;
  readonly redistributors: number;
  /** From one redistributor to the next. */
  readonly stride: number;
}
/** What a configuration says: nothing, a place, or a node that has yet to be told its own. */
export type WantedController = ControllerPlace | 'platform' | UnplacedController;
interface UnplacedController {
  readonly unplaced: TreeNode;
  /** Words of an address and of a size where it is. */
  readonly words: readonly [address: number, size: number];
}

const SLASH = 0x2f;
const ALIGN = 0x1_0000;
const ADDRESS_END = 2 ** 44;
/** Words of an interrupt of a GICv3. */
const INTERRUPT_CELLS = 3;
/** Where every VM of the QEMU platform has its controller unless it says otherwise. */
export const PLATFORM_CONTROLLER: ControllerPlace = {
  distributor: 0x0800_0000,
  redistributors: 0x080a_0000,
  stride: GICR_BYTES,
};

function cell(node: TreeNode, name: string): number | undefined {
  const bytes = node.properties.get(name);
  return bytes?.length === 4 ? viewOf(bytes).getUint32(0) : undefined;
}
const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const number = (view: DataView, at: number, words: number): number =>
  Array.from({ length: words }, (_, word) => view.getUint32(at + word * 4)).reduce(
    (sum, word) => sum * 2 ** 32 + word,
    0,
  );
const isText = (node: TreeNode, name: string, wanted: string): boolean =>
  new TextDecoder()
    .decode(node.properties.get(name) ?? new Uint8Array(0))
    .split('\0')
    .includes(wanted);

/** The node with a phandle, and the node it is in. */
function byPhandle(parent: TreeNode, phandle: number): readonly [node: TreeNode, parent: TreeNode] | undefined {
  for (const node of parent.children) {
    if (cell(node, 'phandle') === phandle) return [node, parent];
    const below = byPhandle(node, phandle);
    if (below !== undefined) return below;
  }
  return undefined;
}

/** The controller's node that a configuration names, and the node it is in; 'none': it names none. */
function controllerNode(
  root: TreeNode,
  config: TreeNode,
): readonly [node: TreeNode, parent: TreeNode] | 'none' | undefined {
  const named = config.children.find((child) => child.name === 'interrupts')?.properties.get('config');
  if (named === undefined) return byPhandle(root, cell(root, 'interrupt-parent') ?? 0) ?? 'none';
  if (named[0] !== SLASH) return named.length === 4 ? byPhandle(root, viewOf(named).getUint32(0)) : undefined;
  const path = new TextDecoder().decode(named.subarray(0, Math.max(0, named.indexOf(0))));
  const node = findNode(root, path);
  const parent = findNode(root, path.slice(0, path.lastIndexOf('/')));
  return node === undefined || parent === undefined ? undefined : [node, parent];
}

/** Reads where the controller is to lie; undefined: what is said cannot be. */
export function wantedController(root: TreeNode, config: TreeNode, cpus: number): WantedController | undefined {
  const found = controllerNode(root, config);
  if (found === 'none') return 'platform';
  if (found === undefined) return undefined;
  const [node, parent] = found;
  const isController = isText(node, 'compatible', 'arm,gic-v3') && node.properties.has('interrupt-controller');
  if (!isController || cell(node, '#interrupt-cells') !== INTERRUPT_CELLS) return undefined;
  if ((cell(node, '#redistributor-regions') ?? 1) !== 1) return undefined;
  const stride = node.properties.get('redistributor-stride');
  if (stride !== undefined && stride.length !== 8) return undefined;
  const [addressWords, sizeWords] = [cell(parent, '#address-cells') ?? 2, cell(parent, '#size-cells') ?? 1];
  if (addressWords < 1 || addressWords > 2 || sizeWords > 2) return undefined;
  const reg = node.properties.get('reg');
  if (reg === undefined) return { unplaced: node, words: [addressWords, sizeWords] };
  const entry = (addressWords + sizeWords) * 4;
  if (reg.length < 2 * entry) return undefined;
  const place = {
    distributor: number(viewOf(reg), 0, addressWords),
    redistributors: number(viewOf(reg), entry, addressWords),
    stride: stride === undefined ? GICR_BYTES : number(viewOf(stride), 0, 2),
  };
  return isPossible(place, cpus) ? (isPlatform(place) ? 'platform' : place) : undefined;
}

function isPossible({ distributor, redistributors, stride }: ControllerPlace, cpus: number): boolean {
  if ([distributor, redistributors, stride].some((value) => value % ALIGN !== 0) || stride < GICR_BYTES) return false;
  const end = redistributors + stride * cpus;
  if (distributor + GICD_BYTES > ADDRESS_END || end > ADDRESS_END) return false;
  return distributor >= end || distributor + GICD_BYTES <= redistributors;
}
function isPlatform({ distributor, redistributors, stride }: ControllerPlace): boolean {
  return (
    distributor === PLATFORM_CONTROLLER.distributor &&
    redistributors === PLATFORM_CONTROLLER.redistributors &&
    stride === PLATFORM_CONTROLLER.stride
  );
}

/** A tree whose controller's node says where the controller lies, if it did not yet. */
export function withController(tree: DeviceTree, wanted: WantedController, cpus: number): DeviceTree {
  if (wanted === 'platform' || !('unplaced' in wanted)) return tree;
  const { unplaced, words } = wanted;
  const { distributor, redistributors, stride } = PLATFORM_CONTROLLER;
  const reg = [distributor, GICD_BYTES, redistributors, stride * cpus].flatMap((value, index) =>
    words[index % 2] === 2 ? [0, value] : words[index % 2] === 1 ? [value] : [],
  );
  const place = (node: TreeNode): TreeNode => {
    if (node !== unplaced) return { ...node, children: node.children.map(place) };
    const properties = new Map(node.properties)
      .set('#redistributor-regions', cells(1))
      .set('redistributor-stride', cells(0, stride))
      .set('reg', cells(...reg));
    return { ...node, properties };
  };
  return { ...tree, root: place(tree.root) };
}
