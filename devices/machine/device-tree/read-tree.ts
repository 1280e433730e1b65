/**
 * Flattened device tree reader for trees that users bring (`--dtb`): versions 16 and 17 (Devicetree Specification v0.4,
 * chapter 5). The bytes are hostile: every offset is checked against its block, and everything has a limit.
 */
import { ok, type Result } from '../../../bus/result.js';
import { type BootFault, hex, refuse } from '../boot-fault.js';
import { type DeviceTree, TREE_LIMITS, type TreeNode } from './tree.js';

const MAGIC = 0xd00dfeed;
const HEADER_BYTES = 40;
const TOKEN = { beginNode: 1, endNode: 2, property: 3, nop: 4, end: 9 } as const;

interface Header {
  readonly structure: DataView;
  readonly strings: Uint8Array;
  readonly reserveAt: number;
  readonly totalBytes: number;
  readonly bootCpu: number;
}

function readHeader(file: string, bytes: Uint8Array): Result<Header, BootFault> {
  if (bytes.byteLength < HEADER_BYTES) return refuse(file, 'header', `is cut off after ${bytes.byteLength} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0) !== MAGIC) return refuse(file, 'magic', `${hex(view.getUint32(0))} is not 0xd00dfeed`);
  const totalBytes = view.getUint32(4);
  if (totalBytes > bytes.byteLength || totalBytes < HEADER_BYTES)
    return refuse(file, 'totalsize', `${totalBytes} is not within the file's ${bytes.byteLength} bytes`);
  if (totalBytes > TREE_LIMITS.bytesMax)
    return refuse(file, 'totalsize', `${totalBytes} is more than the boot protocol's 2 MiB`);
  const version = view.getUint32(20);
  const lastCompatible = view.getUint32(24);
  if (version < 16 || lastCompatible > 17)
    return refuse(file, 'version', `${version} (compatible back to ${lastCompatible}) is not 16 or 17`);
  const structureAt = view.getUint32(8);
  const stringsAt = view.getUint32(12);
  const stringsBytes = view.getUint32(32);
  const structureBytes = version >= 17 ? view.getUint32(36) : totalBytes - structureAt;
  if (structureAt % 4 !== 0 || structureAt + structureBytes > totalBytes || structureBytes < 4)
    return refuse(file, 'off_dt_struct', `${hex(structureAt)} + ${structureBytes} bytes is not inside the tree`);
  if (stringsAt + stringsBytes > totalBytes)
    return refuse(file, 'off_dt_strings', `${hex(stringsAt)} + ${stringsBytes} bytes is not inside the tree`);
  return ok({
    structure: new DataView(bytes.buffer, bytes.byteOffset + structureAt, structureBytes),
    strings: bytes.subarray(stringsAt, stringsAt + stringsBytes),
    reserveAt: view.getUint32(16),
    totalBytes,
    bootCpu: view.getUint32(28),
  });
}

/** The memory reservation block: pairs of address and size up to a pair of zeros. */
function readReservations(
  file: string,
  bytes: Uint8Array,
  header: Header,
): Result<DeviceTree['reservations'], BootFault> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, header.totalBytes);
  const reservations: { address: bigint; sizeBytes: bigint }[] = [];
  for (let at = header.reserveAt; ; at += 16) {
    if (at % 8 !== 0 || at + 16 > header.totalBytes)
      return refuse(file, 'off_mem_rsvmap', 'has no terminating entry inside the tree');
    const address = view.getBigUint64(at);
    const sizeBytes = view.getBigUint64(at + 8);
    if (address === 0n && sizeBytes === 0n) return ok(reservations);
    if (reservations.length === TREE_LIMITS.reservationsMax)
      return refuse(file, 'off_mem_rsvmap', `has more than ${TREE_LIMITS.reservationsMax} entries`);
    reservations.push({ address, sizeBytes });
  }
}

/** A NUL-terminated printable ASCII name at `at`; `undefined` when unterminated, too long or not printable. */
function readName(bytes: Uint8Array, at: number): string | undefined {
  let name = '';
  for (let i = at; i < bytes.byteLength && i - at <= TREE_LIMITS.nameBytesMax; i++) {
    const byte = bytes[i] ?? 0;
    if (byte === 0) return name;
    if (byte < 0x21 || byte > 0x7e) return undefined;
    name += String.fromCharCode(byte);
  }
  return undefined;
}

/** A node under construction. */
interface OpenNode {
  readonly name: string;
  readonly properties: Map<string, Uint8Array>;
  readonly children: TreeNode[];
}

/** Walks the structure block without recursion, so that depth costs no stack. */
function readStructure(file: string, { structure, strings }: Header): Result<TreeNode, BootFault> {
  const raw = new Uint8Array(structure.buffer, structure.byteOffset, structure.byteLength);
  const open: OpenNode[] = [];
  let root: TreeNode | undefined;
  let nodes = 0;
  let properties = 0;
  let at = 0;
  const bad = (reason: string): Result<never, BootFault> => refuse(file, `structure block at ${hex(at)}`, reason);
  while (at + 4 <= raw.byteLength) {
    const token = structure.getUint32(at);
    const top = open.at(-1);
    if (token === TOKEN.nop) {
      at += 4;
    } else if (token === TOKEN.beginNode) {
      const name = readName(raw, at + 4);
      if (name === undefined) return bad('has a node name that is too long or not printable');
      if (root !== undefined) return bad('has a second root node');
      if (open.length === TREE_LIMITS.depthMax) return bad(`nests deeper than ${TREE_LIMITS.depthMax} nodes`);
      if (++nodes > TREE_LIMITS.nodesMax) return bad(`has more than ${TREE_LIMITS.nodesMax} nodes`);
      open.push({ name, properties: new Map(), children: [] });
      at += 4 + ((name.length + 4) & ~3);
    } else if (token === TOKEN.endNode) {
      const closed = open.pop();
      if (closed === undefined) return bad('ends a node that never began');
      const parent = open.at(-1);
      if (parent === undefined) root = closed;
      else parent.children.push(closed);
      at += 4;
    } else if (token === TOKEN.property) {
      if (top === undefined || at + 12 > raw.byteLength) return bad('has a property outside any node');
      const length = structure.getUint32(at + 4);
      const name = readName(strings, structure.getUint32(at + 8));
      if (name === undefined || name === '') return bad('has a property whose name is not in the strings block');
      if (at + 12 + length > raw.byteLength) return bad(`has property ${name} of ${length} bytes past the block's end`);
      if (top.properties.has(name)) return bad(`has property ${name} twice in one node`);
      if (++properties > TREE_LIMITS.propertiesMax) return bad(`has more than ${TREE_LIMITS.propertiesMax} properties`);
      top.properties.set(name, raw.slice(at + 12, at + 12 + length));
      at += 12 + ((length + 3) & ~3);
    } else if (token === TOKEN.end) {
      if (root === undefined) return bad('ends before the root node does');
      return ok(root);
    } else return bad(`has the unknown token ${hex(token)}`);
  }
  return bad('has no end token');
}

/** Decodes a flattened device tree; `file` names it in faults. */
export function readTree(file: string, bytes: Uint8Array): Result<DeviceTree, BootFault> {
  const header = readHeader(file, bytes);
  if (!header.ok) return header;
  const reservations = readReservations(file, bytes, header.value);
  if (!reservations.ok) return reservations;
  const root = readStructure(file, header.value);
  if (!root.ok) return root;
  return ok({ root: root.value, reservations: reservations.value, bootCpu: header.value.bootCpu });
}
