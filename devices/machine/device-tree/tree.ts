/** The device tree as a value, and the property encodings of the Devicetree Specification v0.4, section 2.2.4. */

/** A node: `name` is the unit name ("cpu@0"; "" for the root). Properties keep their order. */
export interface TreeNode {
  readonly name: string;
  readonly properties: ReadonlyMap<string, Uint8Array>;
  readonly children: readonly TreeNode[];
}

/** A whole flattened device tree: the root, the memory reservation block, and the boot CPU's physical id. */
export interface DeviceTree {
  readonly root: TreeNode;
  readonly reservations: readonly { readonly address: bigint; readonly sizeBytes: bigint }[];
  readonly bootCpu: number;
}

/** Limits that both the reader and the writer keep. The boot protocol allows a tree of at most 2 MiB. */
export const TREE_LIMITS = {
  bytesMax: 2 * 1024 * 1024,
  depthMax: 32,
  nodesMax: 8192,
  propertiesMax: 65_536,
  reservationsMax: 256,
  nameBytesMax: 255,
} as const;

/** Builds a node; an `undefined` property is left out, so that optional ones read as one line. */
export function node(
  name: string,
  properties: Readonly<Record<string, Uint8Array | undefined>>,
  children: readonly TreeNode[] = [],
): TreeNode {
  const present = new Map<string, Uint8Array>();
  for (const [key, value] of Object.entries(properties)) if (value !== undefined) present.set(key, value);
  return { name, properties: present, children };
}

/** 32-bit big-endian cells. */
export function cells(...values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 4);
  const view = new DataView(bytes.buffer);
  values.forEach((value, index) => {
    view.setUint32(index * 4, value);
  });
  return bytes;
}

/** 64-bit values as two cells each: what `#address-cells = <2>` and `#size-cells = <2>` ask for. */
export function cells64(...values: readonly (number | bigint)[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 8);
  const view = new DataView(bytes.buffer);
  values.forEach((value, index) => {
    view.setBigUint64(index * 8, BigInt(value));
  });
  return bytes;
}

/** NUL-terminated strings, one after another (a `<stringlist>`). */
export function strings(...values: readonly string[]): Uint8Array {
  return new TextEncoder().encode(values.map((value) => `${value}\0`).join(''));
}

/** A property that says something by being there. */
export const PRESENT = new Uint8Array(0);

/** The node at `path` ("/chosen"); the unit address may be left out when only one child has the name before it. */
export function findNode(root: TreeNode, path: string): TreeNode | undefined {
  let current: TreeNode | undefined = root;
  for (const part of path.split('/').filter((p) => p !== '')) {
    const all: readonly TreeNode[] = current.children;
    const bare: readonly TreeNode[] = all.filter((child) => child.name.split('@')[0] === part);
    current = all.find((child) => child.name === part) ?? (bare.length === 1 ? bare[0] : undefined);
    if (current === undefined) return undefined;
  }
  return current;
}
