/**
 * Writes the values actors mostly send (nothing, plain objects of known shapes, arrays, numbers, short ASCII strings, small binary)
 * straight into a slot, byte for byte as the codec's msgpackr would, in a quarter of its time. Whatever it does not know it leaves to
 * msgpackr: `write` answers `LEFT` and the slot is written anew. Nothing here may throw or write outside `limit`.
 *
 * Where the time went: msgpackr walks an object twice, looks every name up in a dictionary, wants 2 KiB of room and
 * therefore a scratch buffer and a copy. Here a name is compared with the one that followed last time, while writing.
 */
import { copyBytes } from '../copy-bytes.js';
import type { StructureTable } from './structure-table.js';

/** `write`: not a value this writer knows, or no room for it. */
export const LEFT = -1;

/** Below this a shared shape is named by one byte, `0x40` and its number; above by two. */
const ONE_BYTE_SHAPES = 32;
const SHAPE_BASE = 0x40;
const DEPTH_MAX = 16;
const TEXT_MAX = 0x40;
const BINARY_MAX = 0x10000;
/** Names of a map whose number fits in its first byte. */
const MAP_MAX = 0x10;
/** Longest fixed-size form: a type byte and eight bytes. */
const SCALAR_BYTES_MAX = 9;

/** A position among the names of shapes: the names read so far lead here. */
interface Step {
  /** Number of the shape that ends here, or -1. */
  shape: number;
  /** The name that followed last time and where it leads: nearly always the right guess. */
  guess: string;
  guessed: Step | undefined;
  readonly next: Map<string, Step>;
}
/** An object by its names. */
type Fields = Readonly<Record<string, unknown>>;

const step = (): Step => ({ shape: -1, guess: '', guessed: undefined, next: new Map() });

/** Writes values into slots; belongs to one thread. Without shapes an object is written as a map of its names. */
export class RecordWriter {
  private readonly structures: StructureTable | undefined;
  private readonly root = step();
  private known = 0;
  /** Whether the last `write` met a shape it does not know. */
  private metUnknown = false;
  private readonly double = new Float64Array(1);
  private readonly doubleBytes = new Uint8Array(this.double.buffer);
  private readonly bigs = new BigUint64Array(this.double.buffer);

  constructor(structures: StructureTable | undefined) {
    this.structures = structures;
  }

  /** Takes note of shapes added to the table since, and tells whether there were any; call it when `write` has left a value. */
  learn(): boolean {
    if (this.structures === undefined || this.structures.count === this.known) return false;
    const shapes = this.structures.load();
    for (; this.known < shapes.length; this.known++) {
      let at = this.root;
      for (const name of shapes[this.known] ?? []) {
        let next = at.next.get(name);
        if (next === undefined) {
          next = step();
          at.next.set(name, next);
        }
        at = next;
      }
      if (at.shape < 0) at.shape = this.known;
    }
    return true;
  }

  /**
   * Has shapes in `value` that nobody has met noted for all threads, and tells whether there were any; call it when `write` has left a
   * value that `learn` did not help with.
   */
  define(value: unknown): boolean {
    return this.metUnknown && this.defineShapes(value, DEPTH_MAX);
  }

  private defineShapes(value: unknown, depth: number): boolean {
    if (typeof value !== 'object' || value === null || depth === 0) return false;
    let isNew = false;
    if (Array.isArray(value)) {
      for (const part of value) isNew = this.defineShapes(part, depth - 1) || isNew;
      return isNew;
    }
    if (Object.getPrototypeOf(value) !== Object.prototype) return false;
    for (const part of Object.values(value)) isNew = this.defineShapes(part, depth - 1) || isNew;
    return this.defineShape(Object.keys(value)) || isNew;
  }

  private defineShape(names: readonly string[]): boolean {
    let at: Step | undefined = this.root;
    for (const name of names) at = at?.next.get(name);
    if (at !== undefined && at.shape >= 0) return false;
    if (names.includes('__proto__') || this.structures?.add(names) !== true) return false;
    this.learn();
    return true;
  }

  /** Writes `value` to `bytes` from `at` on, never reaching `limit`; the position behind it, or `LEFT`. */
  write(bytes: Uint8Array, at: number, limit: number, value: unknown): number {
    this.metUnknown = false;
    return this.any(bytes, at, limit, value, DEPTH_MAX);
  }

  private any(bytes: Uint8Array, at: number, limit: number, value: unknown, depth: number): number {
    if (at + SCALAR_BYTES_MAX > limit) return LEFT;
    switch (typeof value) {
      case 'string':
        return this.text(bytes, at, limit, value);
      case 'number':
        return this.number(bytes, at, value);
      case 'boolean':
        bytes[at] = value ? 0xc3 : 0xc2;
        return at + 1;
      case 'bigint':
        return this.big(bytes, at, value);
      case 'undefined':
        // An extension of type 0 and one byte. What most asks are answered with.
        bytes[at] = 0xd4;
        bytes[at + 1] = 0;
        bytes[at + 2] = 0;
        return at + 3;
      case 'object':
        if (value === null) {
          bytes[at] = 0xc0;
          return at + 1;
        }
        if (depth === 0) return LEFT;
        if (Array.isArray(value)) return this.list(bytes, at, limit, value, depth);
        if (Object.getPrototypeOf(value) === Object.prototype) {
          // WHY: an object whose prototype is Object's has names and values.
          const fields = value as Fields;
          if (this.structures === undefined) return this.map(bytes, at, limit, fields, depth);
          return this.record(bytes, at, limit, fields, depth);
        }
        return value.constructor === Uint8Array ? this.binary(bytes, at, limit, value as Uint8Array) : LEFT;
      default:
        return LEFT;
    }
  }

  private record(bytes: Uint8Array, at: number, limit: number, value: Fields, depth: number): number {
    let reached = this.root;
    let end = at + 1;
    for (const name in value) {
      let next = reached.guessed;
      if (reached.guess !== name || next === undefined) {
        next = reached.next.get(name);
        if (next === undefined) return this.leaveUnknown();
        reached.guess = name;
        reached.guessed = next;
      }
      reached = next;
      const field = value[name];
      // The common case without a call.
      if (typeof field === 'number' && field >>> 0 === field && field < 0x40 && end < limit) bytes[end++] = field;
      else {
        end = this.any(bytes, end, limit, field, depth - 1);
        if (end === LEFT) return LEFT;
      }
    }
    const { shape } = reached;
    if (shape < 0) return this.leaveUnknown();
    if (shape < ONE_BYTE_SHAPES) {
      bytes[at] = SHAPE_BASE + shape;
      return end;
    }
    // The name of the shape takes one byte more than was left for it.
    if (end >= limit) return LEFT;
    bytes.copyWithin(at + 2, at + 1, end);
    bytes[at] = 0x60 + ((shape - ONE_BYTE_SHAPES) & 0x1f);
    bytes[at + 1] = (shape - ONE_BYTE_SHAPES) >> 5;
    return end + 1;
  }

  /** Names and values, one after the other. */
  private map(bytes: Uint8Array, at: number, limit: number, value: Fields, depth: number): number {
    const names = Object.keys(value);
    const { length } = names;
    if (length >= MAP_MAX) return LEFT;
    let end = at;
    bytes[end++] = 0x80 | length;
    for (const name of names) {
      if (name === '__proto__' || end + SCALAR_BYTES_MAX > limit) return LEFT;
      end = this.text(bytes, end, limit, name);
      if (end !== LEFT) end = this.any(bytes, end, limit, value[name], depth - 1);
      if (end === LEFT) return LEFT;
    }
    return end;
  }

  private leaveUnknown(): typeof LEFT {
    this.metUnknown = true;
    return LEFT;
  }

  private list(bytes: Uint8Array, at: number, limit: number, value: readonly unknown[], depth: number): number {
    const { length } = value;
    if (length >= 0x10000) return LEFT;
    let end = at;
    if (length < 0x10) bytes[end++] = 0x90 | length;
    else {
      bytes[end++] = 0xdc;
      bytes[end++] = length >> 8;
      bytes[end++] = length & 0xff;
    }
    for (let i = 0; i < length; i++) {
      end = this.any(bytes, end, limit, value[i], depth - 1);
      if (end === LEFT) return LEFT;
    }
    return end;
  }

  private text(bytes: Uint8Array, at: number, limit: number, value: string): number {
    const { length } = value;
    let end = at;
    if (length < 0x20) bytes[end++] = 0xa0 | length;
    else if (length < TEXT_MAX) {
      bytes[end++] = 0xd9;
      bytes[end++] = length;
    } else return LEFT;
    if (end + length > limit) return LEFT;
    for (let i = 0; i < length; i++) {
      const unit = value.charCodeAt(i);
      if (unit >= 0x80) return LEFT;
      bytes[end++] = unit;
    }
    return end;
  }

  private number(bytes: Uint8Array, at: number, value: number): number {
    if (value >>> 0 === value) {
      if (value < 0x40) {
        bytes[at] = value;
        return at + 1;
      }
      if (value < 0x100) {
        bytes[at] = 0xcc;
        bytes[at + 1] = value;
        return at + 2;
      }
      if (value < 0x10000) {
        bytes[at] = 0xcd;
        bytes[at + 1] = value >> 8;
        bytes[at + 2] = value;
        return at + 3;
      }
      bytes[at] = 0xce;
      return word(bytes, at + 1, value);
    }
    if (value >> 0 === value) {
      if (value >= -0x20) {
        bytes[at] = value;
        return at + 1;
      }
      if (value >= -0x80) {
        bytes[at] = 0xd0;
        bytes[at + 1] = value;
        return at + 2;
      }
      if (value >= -0x8000) {
        bytes[at] = 0xd1;
        bytes[at + 1] = value >> 8;
        bytes[at + 2] = value;
        return at + 3;
      }
      bytes[at] = 0xd2;
      return word(bytes, at + 1, value);
    }
    this.double[0] = value;
    bytes[at] = 0xcb;
    return this.eight(bytes, at + 1);
  }

  private big(bytes: Uint8Array, at: number, value: bigint): number {
    if (value >= 1n << 64n || value < -(1n << 63n)) return LEFT;
    this.bigs[0] = BigInt.asUintN(64, value);
    bytes[at] = value < 1n << 63n ? 0xd3 : 0xcf;
    return this.eight(bytes, at + 1);
  }

  /** The eight bytes of `double`, highest first. */
  private eight(bytes: Uint8Array, at: number): number {
    const from = this.doubleBytes;
    for (let i = 0; i < 8; i++) bytes[at + i] = from[7 - i] ?? 0;
    return at + 8;
  }

  private binary(bytes: Uint8Array, at: number, limit: number, value: Uint8Array): number {
    const { length } = value;
    if (length >= BINARY_MAX || at + 3 + length > limit) return LEFT;
    let end = at;
    if (length < 0x100) bytes[end++] = 0xc4;
    else {
      bytes[end++] = 0xc5;
      bytes[end++] = length >> 8;
    }
    bytes[end++] = length & 0xff;
    copyBytes(value, bytes, end);
    return end + length;
  }
}

/** Four bytes, highest first. */
function word(bytes: Uint8Array, at: number, value: number): number {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
  return at + 4;
}
