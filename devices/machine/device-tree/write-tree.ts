/** Flattened device tree writer, version 17 (Devicetree Specification v0.4, chapter 5). */
import { assert } from '../../../bus/assert.js';
import type { DeviceTree, TreeNode } from './tree.js';

const MAGIC = 0xd00dfeed;
const HEADER_BYTES = 40;
const TOKEN = { beginNode: 1, endNode: 2, property: 3, end: 9 } as const;

const pad4 = (bytes: number): number => (bytes + 3) & ~3;

/** The strings block: property names, each once, in order of first use. */
class StringsBlock {
  readonly #offsets = new Map<string, number>();
  #bytes = 0;

  offsetOf(name: string): number {
    const known = this.#offsets.get(name);
    if (known !== undefined) return known;
    const offset = this.#bytes;
    this.#offsets.set(name, offset);
    this.#bytes += name.length + 1;
    return offset;
  }

  encode(): Uint8Array {
    return new TextEncoder().encode([...this.#offsets.keys()].map((name) => `${name}\0`).join(''));
  }
}

/** Bytes the structure block needs for `node` and everything below it. */
function structureBytes(node: TreeNode): number {
  let bytes = 4 + pad4(node.name.length + 1) + 4;
  for (const value of node.properties.values()) bytes += 12 + pad4(value.byteLength);
  for (const child of node.children) bytes += structureBytes(child);
  return bytes;
}

/** Writes `node` at `at`; returns the offset after it. */
function writeNode(out: Uint8Array, at: number, node: TreeNode, names: StringsBlock): number {
  const view = new DataView(out.buffer);
  let cursor = at;
  const u32 = (value: number): void => {
    view.setUint32(cursor, value);
    cursor += 4;
  };
  u32(TOKEN.beginNode);
  out.set(new TextEncoder().encode(node.name), cursor);
  cursor += pad4(node.name.length + 1);
  for (const [name, value] of node.properties) {
    u32(TOKEN.property);
    u32(value.byteLength);
    u32(names.offsetOf(name));
    out.set(value, cursor);
    cursor += pad4(value.byteLength);
  }
  for (const child of node.children) cursor = writeNode(out, cursor, child, names);
  view.setUint32(cursor, TOKEN.endNode);
  return cursor + 4;
}

/**
 * Encodes `tree`; the result's length is a multiple of 8 bytes. The tree is ours or came through readTree, so its names
 * are ASCII. Whether the result fits where it is to go is for the caller to check.
 */
export function writeTree(tree: DeviceTree): Uint8Array {
  const reserveAt = HEADER_BYTES;
  const structureAt = reserveAt + (tree.reservations.length + 1) * 16;
  const structureLength = structureBytes(tree.root) + 4;
  const names = new StringsBlock();
  const structure = new Uint8Array(structureLength);
  const end = writeNode(structure, 0, tree.root, names);
  assert(end === structureLength - 4, 'the structure block has the length computed for it');
  new DataView(structure.buffer).setUint32(end, TOKEN.end);
  const strings = names.encode();
  const stringsAt = structureAt + structureLength;
  const total = Math.ceil((stringsAt + strings.byteLength) / 8) * 8;
  const out = new Uint8Array(total);
  const view = new DataView(out.buffer);
  const header = [
    MAGIC,
    total,
    structureAt,
    stringsAt,
    reserveAt,
    17,
    16,
    tree.bootCpu,
    strings.byteLength,
    structureLength,
  ];
  header.forEach((value, index) => {
    view.setUint32(index * 4, value);
  });
  tree.reservations.forEach(({ address, sizeBytes }, index) => {
    view.setBigUint64(reserveAt + index * 16, address);
    view.setBigUint64(reserveAt + index * 16 + 8, sizeBytes);
  });
  out.set(structure, structureAt);
  out.set(strings, stringsAt);
  return out;
}
