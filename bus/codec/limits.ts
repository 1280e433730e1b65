/**
 * A look over msgpack bytes before they are decoded: depth and number of items within bounds, every length inside the
 * message, nothing left over. It allocates nothing and does not recurse on the host's stack beyond `depthMax`.
 */

/** Bounds of a message from outside. */
export interface DecodeLimits {
  /** Deepest nesting of arrays and maps. */
  readonly depthMax: number;
  /** Most values in all, map keys counted. */
  readonly itemsMax: number;
}

/** Bytes after the type byte that hold a length or a fixed payload, by type byte 0xc0 .. 0xdf; -1: not accepted. */
const FIXED = [0, -1, 0, 0, 1, 2, 4, -1, -1, -1, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, -1, -1, -1, -1, -1, 1, 2, 4, 2, 4, 2, 4];

/** True when bytes `start` .. `end` are exactly one msgpack value within `limits`; extension types are not accepted. */
export function withinLimits(bytes: Uint8Array, start: number, end: number, limits: DecodeLimits): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // pending[d]: values still to come at depth d; the message itself is one value at depth 0.
  const pending = [1];
  let at = start;
  let items = 0;
  while (pending.length > 0) {
    const depth = pending.length - 1;
    const left = pending[depth] ?? 0;
    if (left === 0) {
      pending.pop();
      continue;
    }
    pending[depth] = left - 1;
    if (++items > limits.itemsMax || at >= end) return false;
    const type = view.getUint8(at++);
    let children = 0;
    if (type >= 0xe0 || type < 0x80) continue;
    if (type < 0x90) children = 2 * (type & 15);
    else if (type < 0xa0) children = type & 15;
    else if (type < 0xc0) at += type & 31;
    else {
      const width = FIXED[type - 0xc0] ?? -1;
      if (width < 0 || at + width > end) return false;
      const length =
        width === 1 ? view.getUint8(at) : width === 2 ? view.getUint16(at) : width === 4 ? view.getUint32(at) : 0;
      at += width;
      if (type >= 0xde) children = 2 * length;
      else if (type >= 0xdc) children = length;
      else if (type >= 0xd9 || (type >= 0xc4 && type <= 0xc6)) at += length;
    }
    if (at > end) return false;
    if (children > limits.itemsMax) return false;
    if (children > 0) {
      if (pending.length > limits.depthMax) return false;
      pending.push(children);
    }
  }
  return at === end;
}
