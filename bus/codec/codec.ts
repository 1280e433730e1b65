/**
 * The bus's one msgpack configuration. Values go straight into a queue's slot where msgpackr allows it and come out as a
 * `Result`; nothing here throws for bad bytes.
 *
 * What msgpackr does that this file exists for: decoded binary is a view of its input, so `copyBuffers` is on (a slot is
 * reused); a message that outgrows a buffer given to `useBuffer` silently moves to a new one, so the buffer is compared
 * afterwards; it refuses to start within 2 KiB of a buffer's end, so smaller slots are filled by way of a scratch buffer;
 * records save a third of the bytes and half of the decoding, but a definition must be known to both sides, so they are
 * used only with a `StructureTable` shared by our own workers; its native string reader is slower than JavaScript and costs
 * microseconds on a large buffer, so the entry point without it is imported.
 */
import { Packr } from 'msgpackr/pack';
import { copyBytes } from '../copy-bytes.js';
import type { ReceiveEnd, SendEnd } from '../message-queue/queue-end.js';
import { CORRUPT } from '../message-queue/queue-end.js';
import { ok, type Result } from '../result.js';
import { type Fault, fail } from '../status.js';
import { withinLimits } from './limits.js';
import { LEFT_OVER, RecordReader } from './record-reader.js';
import { LEFT, RecordWriter } from './record-writer.js';
import type { Shapes, StructureTable } from './structure-table.js';

/** How a codec is made. */
export interface CodecOptions {
  /**
   * Shapes of records common to all our own workers; messages get a third shorter and twice as fast to decode. Without it
   * messages are plain msgpack.
   */
  readonly structures?: StructureTable;
  /**
   * Without `structures`, for readers that have them: objects are written as maps all the same, but numbers 64..127 not in
   * the one byte that names a shape there.
   */
  readonly readWithStructures?: boolean;
  /** Bounds for bytes from outside our own workers; `decode` then checks them before it decodes. */
  readonly untrusted?: { readonly depthMax: number; readonly itemsMax: number };
}

const REUSE_BUFFER = 512;
/** From this size on a slot is encoded into directly: msgpackr will not start with less than 2 KiB ahead of it. */
const DIRECT_BYTES_MIN = 4096;
const SCRATCH_BYTES = 64 * 1024;
const SCRATCH_VIEWS_MAX = 1024;

type Target = Buffer & { start?: number; end?: number };
/** WHY: msgpackr's typings leave out the encode options and the end position of reuse mode. */
type Encoder = Packr & { useBuffer(buffer: Uint8Array): void; pack(value: unknown, options: number): Target };

/** Encodes to and decodes from the slots of message queues. One object belongs to one thread. */
export class Codec {
  private readonly options: CodecOptions;
  /** Made when the first value is left to it: most threads start, and many end, without one. */
  private packr: Encoder | undefined;
  private scratchBuffer: Buffer | undefined;
  /** With shared shapes: writes what is common without msgpackr, and the same bytes. */
  private readonly writer: RecordWriter | undefined;
  /** The same for reading. */
  private readonly reader: RecordReader | undefined;
  private readonly limits: CodecOptions['untrusted'];
  private readonly scratchViews: (Uint8Array | undefined)[] = [];
  private readonly slotBuffers = new WeakMap<Uint8Array, Map<number, Buffer>>();

  constructor(options: CodecOptions = {}) {
    const { structures, readWithStructures } = options;
    this.options = options;
    this.writer = structures === undefined && readWithStructures !== true ? undefined : new RecordWriter(structures);
    this.reader =
      structures === undefined || options.untrusted !== undefined ? undefined : new RecordReader(structures);
    this.limits = options.untrusted;
  }

  /** Encodes `value` into the next slot of `queue` without publishing it: follow with `queue.publish()`. */
  stage(
    queue: SendEnd,
    value: unknown,
  ): Result<number, Fault<'queueFull' | 'messageSize' | 'corrupt' | 'badArgument'>> {
    const at = queue.reserve();
    if (at < 0) return at === CORRUPT ? BROKEN : FULL;
    const size = this.write(queue.bytes, at, queue.messageBytesMax, value);
    if (size < 0) {
      queue.cancel();
      return size === TOO_LONG ? TOO_LARGE : NOT_A_VALUE;
    }
    queue.stage(size);
    return ok(size);
  }

  /** Encodes `value` to `bytes` from `at` on, where `room` bytes are free; its size in bytes, or `UNENCODABLE` or `TOO_LONG`. */
  write(bytes: Uint8Array, at: number, room: number, value: unknown): number {
    if (this.writer === undefined) return this.pack(bytes, at, room, value);
    try {
      let end = this.writer.write(bytes, at, at + room, value);
      // Perhaps another thread has had the shape noted since.
      if (end === LEFT && this.writer.learn()) end = this.writer.write(bytes, at, at + room, value);
      if (end === LEFT && this.writer.define(value)) end = this.writer.write(bytes, at, at + room, value);
      if (end !== LEFT) return end - at;
    } catch {
      // A field's own code threw.
      return UNENCODABLE;
    }
    return this.pack(bytes, at, room, value);
  }

  /** Encodes `value` as one message and publishes it. */
  send(queue: SendEnd, value: unknown): Result<number, Fault<'queueFull' | 'messageSize' | 'corrupt' | 'badArgument'>> {
    const staged = this.stage(queue, value);
    if (staged.ok) queue.publish();
    return staged;
  }

  /** Decodes the message of `sizeBytes` that `queue.peek()` has found; the value holds no view of the queue's memory. */
  decode(queue: ReceiveEnd, sizeBytes: number): Result<unknown, Fault<'undecodable'>> {
    return this.decodeRange(queue.bytes, queue.offset, queue.offset + sizeBytes);
  }

  /** Decodes bytes `start` .. `end` of `bytes` if they hold what the reader for common values knows; else `LEFT_OVER`. */
  readKnown(bytes: Uint8Array, start: number, end: number): unknown {
    return this.reader === undefined ? LEFT_OVER : this.reader.read(bytes, start, end);
  }

  /** Decodes bytes `start` .. `end` of `bytes`. */
  decodeRange(bytes: Uint8Array, start: number, end: number): Result<unknown, Fault<'undecodable'>> {
    if (this.limits !== undefined && !withinLimits(bytes, start, end, this.limits)) return UNDECODABLE;
    const known = this.readKnown(bytes, start, end);
    return known === LEFT_OVER ? this.decodeLeftOver(bytes, start, end) : ok(known);
  }

  /** The same for what `readKnown` has left. */
  decodeLeftOver(bytes: Uint8Array, start: number, end: number): Result<unknown, Fault<'undecodable'>> {
    try {
      this.range.start = start;
      this.range.end = end;
      return ok(this.msgpackr.unpack(bytes as Buffer, this.range));
    } catch {
      return UNDECODABLE;
    }
  }

  private readonly range = { start: 0, end: 0 };

  private get msgpackr(): Encoder {
    this.packr ??= packrOf(this.options);
    return this.packr;
  }

  private get scratch(): Buffer {
    this.scratchBuffer ??= Buffer.allocUnsafeSlow(SCRATCH_BYTES);
    return this.scratchBuffer;
  }

  /** The same by way of msgpackr. */
  private pack(bytes: Uint8Array, at: number, room: number, value: unknown): number {
    const direct = room >= DIRECT_BYTES_MIN;
    const target = direct ? this.slotBuffer(bytes, at, room) : this.scratch;
    const { msgpackr } = this;
    msgpackr.useBuffer(target);
    let packed: Target;
    try {
      packed = msgpackr.pack(value, REUSE_BUFFER);
    } catch {
      return UNENCODABLE;
    }
    // A pack that had to save a new shape answers with a view of the message instead of the buffer and its range.
    const start = packed.end === undefined ? 0 : (packed.start ?? 0);
    const size = (packed.end ?? packed.length) - start;
    if (size > room) return TOO_LONG;
    if (packed === target && start === 0) {
      if (!direct) copyBytes(this.scratchView(size), bytes, at);
    } else copyBytes(packed.subarray(start, start + size), bytes, at);
    return size;
  }

  /** The first `size` bytes of the scratch buffer; kept, because making a view costs more than copying a small message. */
  private scratchView(size: number): Uint8Array {
    if (size >= SCRATCH_VIEWS_MAX) return this.scratch.subarray(0, size);
    let view = this.scratchViews[size];
    if (view === undefined) {
      view = this.scratch.subarray(0, size);
      this.scratchViews[size] = view;
    }
    return view;
  }

  /** A Buffer over the slot at `at`, kept per queue and slot. */
  private slotBuffer(bytes: Uint8Array, at: number, room: number): Buffer {
    let slots = this.slotBuffers.get(bytes);
    if (slots === undefined) {
      slots = new Map();
      this.slotBuffers.set(bytes, slots);
    }
    let buffer = slots.get(at);
    if (buffer === undefined) {
      buffer = Buffer.from(bytes.buffer, bytes.byteOffset + at, room);
      slots.set(at, buffer);
    }
    return buffer;
  }
}

function packrOf({ structures, readWithStructures }: CodecOptions): Encoder {
  const packr = new Packr({
    // A function is asked for every object; answering "no" is not the same as `false`, which changes the numbers.
    useRecords: structures !== undefined || (readWithStructures === true && (() => false)),
    copyBuffers: true,
    int64AsType: 'bigint',
    moreTypes: false,
    mapsAsObjects: true,
    ...(structures === undefined
      ? {}
      : {
          getStructures: () => structures.load(),
          // WHY: msgpackr's typings call a list of field names `{}`.
          saveStructures: (shapes: unknown) => structures.save(shapes as Shapes),
          maxSharedStructures: structures.max,
          shouldShareStructure: (keys: string[]) => structures.takes(keys),
        }),
  });
  // WHY: see Encoder.
  return packr as unknown as Encoder;
}

/** `write`: the value holds something msgpack has no form for. */
export const UNENCODABLE = -1;
/** `write`: the value does not fit. */
export const TOO_LONG = -2;
const FULL = Object.freeze(fail('queueFull', 'send'));
const BROKEN = Object.freeze(fail('corrupt', 'send'));
const TOO_LARGE = Object.freeze(fail('messageSize', 'send.value'));
const NOT_A_VALUE = Object.freeze(fail('badArgument', 'send.value'));
const UNDECODABLE = Object.freeze(fail('undecodable', 'decode'));
