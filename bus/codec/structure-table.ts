/**
 * Record shapes (lists of field names) that all our workers know: an append-only table in shared memory. A worker that
 * meets a new shape appends it under the lock; a worker that meets an unknown number reads the table again. Both are rare.
 * Entries are only ever added, so a reader that sees a count sees that many finished entries.
 */
import { assert } from '../assert.js';
import { OwnerLock, recoverLock } from '../doorbell/owner-lock.js';
import { u32 } from '../layout/fields.js';
import { struct } from '../layout/struct.js';

const TableHeader = struct('StructureTableHeader', 16, {
  lock: u32(0x00),
  count: u32(0x04),
  usedBytes: u32(0x08),
  capacityBytes: u32(0x0c),
});
const word = (name: keyof typeof TableHeader.offsets): number => TableHeader.offsets[name] >> 2;
const TABLE_BYTES = 64 * 1024;
/** Longer lists of field names, in bytes, are described inside the message instead of here. */
const SHAPE_BYTES_MAX = 4096;
/** Shapes at most: msgpackr encodes up to 32 in one byte, more in two. */
const SHAPES_MAX = 1024;

/** Makes the shared memory of a table. */
export function createStructureTable(): SharedArrayBuffer {
  return new SharedArrayBuffer(TABLE_BYTES);
}

/** Lists of field names as msgpackr hands them over, with its check that nobody else has added any meanwhile. */
export type Shapes = readonly (readonly string[])[] & { isCompatible?: (existing: string[][]) => boolean };

/** One thread's view of the table. */
export class StructureTable {
  /** Shapes the table takes at most. */
  readonly max = SHAPES_MAX;
  private readonly words: Int32Array;
  private readonly bytes: Uint8Array;
  private readonly lock: OwnerLock;

  /** Uses memory from {@link createStructureTable} as `owner` (unique per thread, 1 .. 2^31-1). */
  constructor(buffer: SharedArrayBuffer, owner: number) {
    assert(buffer.byteLength === TABLE_BYTES, 'a structure table comes from createStructureTable');
    this.words = new Int32Array(buffer, 0, TableHeader.sizeBytes >> 2);
    this.bytes = new Uint8Array(buffer, TableHeader.sizeBytes);
    this.lock = new OwnerLock(this.words, word('lock'), owner);
  }

  /** Shapes so far. */
  get count(): number {
    return Atomics.load(this.words, word('count'));
  }

  /** All shapes so far, by number. */
  load(): string[][] {
    const count = Atomics.load(this.words, word('count'));
    const shapes: string[][] = [];
    let at = 0;
    while (shapes.length < count) {
      const size = (this.bytes[at] ?? 0) | ((this.bytes[at + 1] ?? 0) << 8);
      // A copy, because TextDecoder takes no shared memory.
      const text = new TextDecoder().decode(this.bytes.slice(at + 2, at + 2 + size));
      shapes.push(JSON.parse(text) as string[]);
      at += 2 + size;
    }
    return shapes;
  }

  /**
   * Adds the shapes beyond those the caller had loaded. False when another thread was first or the table is full: the
   * caller loads again.
   */
  save(shapes: Shapes): boolean {
    this.lock.acquire();
    try {
      const count = Atomics.load(this.words, word('count'));
      if (shapes.isCompatible?.(this.load()) === false) return false;
      let at = Atomics.load(this.words, word('usedBytes'));
      for (const shape of shapes.slice(count)) {
        const text = new TextEncoder().encode(JSON.stringify(shape));
        if (at + 2 + text.byteLength > this.bytes.byteLength || text.byteLength > 0xffff) return false;
        this.bytes[at] = text.byteLength & 0xff;
        this.bytes[at + 1] = text.byteLength >> 8;
        this.bytes.set(text, at + 2);
        at += 2 + text.byteLength;
      }
      Atomics.store(this.words, word('usedBytes'), at);
      Atomics.store(this.words, word('count'), shapes.length);
      return true;
    } finally {
      this.lock.release();
    }
  }

  /** Adds a shape unless it is there; false when it is not and there is no room for it. */
  add(shape: readonly string[]): boolean {
    const text = JSON.stringify(shape);
    for (;;) {
      const known = this.load();
      if (known.some((names) => JSON.stringify(names) === text)) return true;
      if (!this.takes(shape)) return false;
      const grown: Shapes = Object.assign([...known, shape], {
        isCompatible: (existing: string[][]) => existing.length === known.length,
      });
      if (this.save(grown)) return true;
    }
  }

  /** Whether this shape may be added: msgpackr asks before it makes one, and otherwise describes it inside the message. */
  takes(shape: readonly string[]): boolean {
    if (new TextEncoder().encode(JSON.stringify(shape)).byteLength >= SHAPE_BYTES_MAX) return false;
    const used = Atomics.load(this.words, word('usedBytes'));
    return used < this.bytes.byteLength - ROOM_BYTES && Atomics.load(this.words, word('count')) < this.max;
  }
}

/** Free bytes below which the table counts as full. */
const ROOM_BYTES = 8192;

/** For supervisors: frees the lock of the table in `buffer` if `owner`, known to be dead, held it; true if so. */
export function recoverStructureTable(buffer: SharedArrayBuffer, owner: number): boolean {
  return recoverLock(new Int32Array(buffer, 0, TableHeader.sizeBytes >> 2), word('lock'), owner);
}
