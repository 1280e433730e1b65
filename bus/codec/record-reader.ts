/**
 * Reads the values actors mostly send (records of known shapes, small maps, arrays, numbers, short ASCII strings, small
 * binary) to the same values as the codec's msgpackr, in a third of its time. Whatever it does not know it leaves to msgpackr:
 * `read` answers `LEFT_OVER`, also for damaged bytes. It looks at nothing beyond a message's end but may look at what lies there, and throws for nothing.
 *
 * Where the time went: msgpackr keeps where it is in variables that every reader shares and that must be put right whatever
 * happens, and asks for each message whether one is being read already. Objects are made by a function generated for their shape, as it
 * does, because only a literal gives all objects of a shape one hidden class at once.
 */
import type { StructureTable } from './structure-table.js';

/** `read`: not a value this reader knows. */
export const LEFT_OVER = Symbol('left to msgpackr');

type ShapeReader = (reader: RecordReader, bytes: Uint8Array, end: number, depth: number) => unknown;

interface Shape {
  readonly names: readonly string[];
  /** False for what has a name that msgpackr, and a literal, give another meaning. */
  readonly plain: boolean;
  seen: number;
  make: ShapeReader | undefined;
}

/** So many times a shape is read name by name: most actors meet many shapes a few times only, while they start. */
const SEEN_BEFORE_MADE = 4;
const DEPTH_MAX = 16;
/** Below this a shared shape is named by one byte, as in the writer. */
const ONE_BYTE_SHAPES = 32;
const TEXTS_KEPT = 256;

/** Reads values from slots; belongs to one thread. */
export class RecordReader {
  private readonly structures: StructureTable;
  private readonly shapes: Shape[] = [];
  private at = 0;
  private left = false;
  private readonly double = new Float64Array(1);
  private readonly doubleBytes = new Uint8Array(this.double.buffer);
  private readonly bigs = new BigUint64Array(this.double.buffer);
  private readonly signedBigs = new BigInt64Array(this.double.buffer);
  /** Strings read before, by a hash of their bytes: messages say the same again and again. */
  private readonly texts = new Array<string>(TEXTS_KEPT).fill('');

  constructor(structures: StructureTable) {
    this.structures = structures;
  }

  /** The value in bytes `start` .. `end`, which holds no view of them, or `LEFT_OVER`. */
  read(bytes: Uint8Array, start: number, end: number): unknown {
    this.at = start;
    this.left = false;
    const value = this.any(bytes, end, DEPTH_MAX);
    return this.left || this.at !== end ? LEFT_OVER : value;
  }

  /** For the functions made here, too. */
  private any(bytes: Uint8Array, end: number, depth: number): unknown {
    const { at } = this;
    if (at >= end) return this.leave();
    const type = bytes[at] ?? 0;
    this.at = at + 1;
    if (type < 0x40) return type;
    if (type < 0x80) return this.record(bytes, end, type, depth);
    if (type >= 0xe0) return type - 0x100;
    if (type < 0x90) return this.map(bytes, end, type & 0xf, depth);
    if (type < 0xa0) return this.list(bytes, end, type & 0xf, depth);
    if (type < 0xc0) return this.text(bytes, end, type & 0x1f);
    switch (type) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
        return this.binary(bytes, end, this.unsigned(bytes, 1));
      case 0xc5:
        return this.binary(bytes, end, this.unsigned(bytes, 2));
      case 0xcb:
        this.eight(bytes);
        return this.double[0];
      case 0xcc:
        return this.unsigned(bytes, 1);
      case 0xcd:
        return this.unsigned(bytes, 2);
      case 0xce:
        return this.unsigned(bytes, 4);
      case 0xcf:
        this.eight(bytes);
        return this.bigs[0];
      case 0xd0:
        return (this.unsigned(bytes, 1) << 24) >> 24;
      case 0xd1:
        return (this.unsigned(bytes, 2) << 16) >> 16;
      case 0xd2:
        return this.unsigned(bytes, 4) | 0;
      case 0xd3:
        this.eight(bytes);
        return this.signedBigs[0];
      case 0xd4:
        return this.unsigned(bytes, 2) === 0 ? undefined : this.leave();
      case 0xd9:
        return this.text(bytes, end, this.unsigned(bytes, 1));
      case 0xdc:
        return this.list(bytes, end, this.unsigned(bytes, 2), depth);
      case 0xde:
        return this.map(bytes, end, this.unsigned(bytes, 2), depth);
      default:
        return this.leave();
    }
  }

  private record(bytes: Uint8Array, end: number, type: number, depth: number): unknown {
    let number = type - 0x40;
    if (number >= ONE_BYTE_SHAPES) number += this.unsigned(bytes, 1) << 5;
    const shape = this.shapes[number] ?? this.learnt(number);
    if (depth === 0 || shape === undefined) return this.leave();
    if (shape.make !== undefined) return shape.make(this, bytes, end, depth - 1);
    if (!shape.plain) return this.leave();
    if (++shape.seen > SEEN_BEFORE_MADE) shape.make = readerOf(shape.names);
    const value: Record<string, unknown> = {};
    for (const name of shape.names) value[name] = this.any(bytes, end, depth - 1);
    return value;
  }

  /** An unknown shape: perhaps another thread has added it. */
  private learnt(number: number): Shape | undefined {
    if (number >= this.structures.count) return undefined;
    for (const names of this.structures.load().slice(this.shapes.length)) {
      this.shapes.push({ names, plain: !names.includes('__proto__'), seen: 0, make: undefined });
    }
    return this.shapes[number];
  }

  /** An object whose names stand in the message, as the supervisor's thread writes them. */
  private map(bytes: Uint8Array, end: number, count: number, depth: number): unknown {
    if (depth === 0 || 2 * count > end - this.at) return this.leave();
    const value: Record<string, unknown> = {};
    for (let i = 0; i < count && !this.left; i++) {
      const name = this.any(bytes, end, depth - 1);
      if (typeof name !== 'string' || name === '__proto__') return this.leave();
      value[name] = this.any(bytes, end, depth - 1);
    }
    return value;
  }

  private list(bytes: Uint8Array, end: number, length: number, depth: number): unknown {
    if (depth === 0 || length > end - this.at) return this.leave();
    const values: unknown[] = [];
    for (let i = 0; i < length && !this.left; i++) values.push(this.any(bytes, end, depth - 1));
    return values;
  }

  private text(bytes: Uint8Array, end: number, length: number): unknown {
    const { at } = this;
    const after = at + length;
    if (after > end) return this.leave();
    this.at = after;
    let hash = length;
    let units = 0;
    for (let i = at; i < after; i++) {
      const unit = bytes[i] ?? 0;
      units |= unit;
      hash = Math.imul(hash ^ unit, 0x01000193);
    }
    if (units >= 0x80) return this.leave();
    const place = (hash ^ (hash >>> 13)) & (TEXTS_KEPT - 1);
    const kept = this.texts[place] ?? '';
    if (kept.length === length && saysTheSame(kept, bytes, at)) return kept;
    let text = '';
    for (let i = at; i < after; i++) text += String.fromCharCode(bytes[i] ?? 0);
    this.texts[place] = text;
    return text;
  }

  private binary(bytes: Uint8Array, end: number, length: number): unknown {
    const { at } = this;
    if (at + length > end) return this.leave();
    this.at = at + length;
    return Uint8Array.prototype.slice.call(bytes, at, at + length);
  }

  /** A number of so many bytes, highest first. Beyond the message's end it is anything, and `read` leaves the message. */
  private unsigned(bytes: Uint8Array, count: number): number {
    const { at } = this;
    this.at = at + count;
    let value = 0;
    for (let i = 0; i < count; i++) value = (value << 8) | (bytes[at + i] ?? 0);
    return value >>> 0;
  }

  /** Eight bytes, highest first, into `double`. */
  private eight(bytes: Uint8Array): void {
    const { at, doubleBytes } = this;
    this.at = at + 8;
    for (let i = 0; i < 8; i++) doubleBytes[7 - i] = bytes[at + i] ?? 0;
  }

  private leave(): undefined {
    this.left = true;
    return undefined;
  }
}

function saysTheSame(text: string, bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) !== bytes[at + i]) return false;
  return true;
}

/** A function that reads the fields of a shape into a literal; undefined where Node does not generate code from text. */
function readerOf(names: readonly string[]): ShapeReader | undefined {
  const fields = names.map((name) => `${JSON.stringify(name)}: reader.any(bytes, end, depth)`);
  try {
    // WHY: what `Function` makes has no type; the text above makes this one.
    return new Function('reader', 'bytes', 'end', 'depth', `return { ${fields.join(', ')} };`) as ShapeReader;
  } catch {
    return undefined;
  }
}
