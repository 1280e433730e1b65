/**
 * A message queue's bytes in shared memory, and how one is created there. Who writes what: the creator writes the first
 * line once; the producers' line belongs to the sending side, the consumers' line to the receiving side; slots belong to
 * the sender until the tail passes them and to the receiver until the head passes them. Lines that different threads
 * write lie 128 bytes apart, because processors fetch cache lines in pairs. The tail is in the lock's line: whoever changes it holds
 * the lock where there is one, and who waits for messages watches their slots. In mode `shared` so is the head (`headShared`), which both
 * sides read and write under the lock; the others' consumer owns its line.
 */
import { assert } from '../assert.js';
import { mustBeZero, u32 } from '../layout/fields.js';
import { struct } from '../layout/struct.js';
import { ok, type Result } from '../result.js';
import { type Fault, fail } from '../status.js';

/** Header of a queue; the slots follow it. */
export const QueueHeader = struct('QueueHeader', 512, {
  magic: u32(0x00),
  mode: u32(0x04),
  depth: u32(0x08),
  slotCount: u32(0x0c),
  messageBytesMax: u32(0x10),
  slotBytes: u32(0x14),
  notFullThreshold: u32(0x18),
  notEmptyThreshold: u32(0x1c),
  tapped: u32(0x20),
  configCheck: u32(0x24),
  reservedConfig: mustBeZero(0x28, 0x18),
  lock: u32(0x40),
  tail: u32(0x44),
  headShared: u32(0x48),
  reservedTail: mustBeZero(0x4c, 0xb4),
  head: u32(0x100),
  reservedHead: mustBeZero(0x104, 0x7c),
  dataSleepers: u32(0x180),
  dataWakeups: u32(0x184),
  spaceSleepers: u32(0x188),
  spaceWakeups: u32(0x18c),
  reservedParking: mustBeZero(0x190, 0x70),
});

/** Start of every slot; the message follows it. `sequence` is the message's number plus one, written before the tail. */
export const SlotHeader = struct('SlotHeader', 8, {
  sequence: u32(0x00),
  sizeBytes: u32(0x04),
});

/** 'WQ01' */
const MAGIC = 0x31305157;
/** Queues start on a cache line. */
export const QUEUE_ALIGN_BYTES = 64;
const LINE_BYTES = 64;
/**
 * Lines that nobody uses behind each slot: a processor that reads a message fetches what follows it as well, and so takes the next
 * slot's lines away from a sender who is about to write them (docs/adr/0274).
 */
const GAP_LINES = 1;
/** Our own bound on messages per queue; slot counts are powers of two. */
const DEPTH_MAX = 1 << 20;
/** Our own bound on the size of one message, in bytes. */
const MESSAGE_BYTES_MAX = 1 << 24;
/** Our own bound on a whole queue, in bytes: offsets stay well within 32 bits. */
const QUEUE_BYTES_MAX = 1 << 30;

/** Limits of a queue a Gunyah guest may be given (gunyah.md section 3). */
export const GUNYAH_QUEUE_LIMITS = { depthMax: 255, messageBytesMax: 1023 } as const;

/**
 * Who may use the two sides at the same time. `single`: one producer and one consumer, without any lock. `fan-in`: any
 * number of producers (one lock among them), one consumer that takes no lock. `shared`: any number of both under one lock,
 * as Gunyah has it, where every signal edge is exact.
 */
export type QueueMode = (typeof MODES)[number];
const MODES = ['single', 'fan-in', 'shared'] as const;
/** Byte offset of the head in the header of a queue of this mode. */
export function headOffset(mode: QueueMode): number {
  return mode === 'shared' ? QueueHeader.offsets.headShared : QueueHeader.offsets.head;
}
/** A mode as it stands in a queue's header. */
export const modeCode = (mode: QueueMode): number => MODES.indexOf(mode);

/** What a queue is made of. */
export interface QueueSpec {
  /** Messages the queue holds, 1 .. 2^20. */
  readonly depth: number;
  /** Largest message, in bytes, 1 .. 2^24. */
  readonly messageBytesMax: number;
  readonly mode: QueueMode;
}

/** Where a queue lies: any shared buffer, at a multiple of 64 bytes. Crosses threads as it is. */
export interface QueueHandle {
  readonly buffer: SharedArrayBuffer;
  readonly byteOffset: number;
}

/** A queue's fixed properties, read once and checked; hostile changes to the header later have no effect on them. */
export interface QueueShape extends QueueSpec {
  /** Slots, the power of two at or above `depth`. */
  readonly slotCount: number;
  /** Distance between slots, in bytes. */
  readonly slotBytes: number;
}

/** The slot geometry of `spec`. */
function shapeOf(spec: QueueSpec): QueueShape {
  const slotCount = 2 ** Math.ceil(Math.log2(spec.depth));
  const lines = Math.ceil((SlotHeader.sizeBytes + spec.messageBytesMax) / LINE_BYTES);
  const slotBytes = (lines + GAP_LINES) * LINE_BYTES;
  return { ...spec, slotCount, slotBytes };
}

/** Bytes of shared memory that a queue like `spec` needs, or why there can be no such queue. */
export function queueBytes(spec: QueueSpec): Result<number, Fault<'badArgument'>> {
  const within = (value: number, max: number): boolean => Number.isInteger(value) && value >= 1 && value <= max;
  if (!within(spec.depth, DEPTH_MAX)) return fail('badArgument', 'QueueSpec.depth');
  if (!within(spec.messageBytesMax, MESSAGE_BYTES_MAX)) return fail('badArgument', 'QueueSpec.messageBytesMax');
  const shape = shapeOf(spec);
  const total = QueueHeader.sizeBytes + shape.slotCount * shape.slotBytes;
  return total <= QUEUE_BYTES_MAX ? ok(total) : fail('badArgument', 'QueueSpec.depth');
}

/** Makes a queue in shared memory of its own. The spec is the caller's own constant: a bad one is an assertion. */
export function createQueue(spec: QueueSpec): QueueHandle {
  const size = queueBytes(spec);
  assert(size.ok, `queue of ${spec.depth} x ${spec.messageBytesMax} bytes is out of range`);
  const handle = { buffer: new SharedArrayBuffer(size.value), byteOffset: 0 };
  // A fresh buffer is zero already, and slots that nobody touches cost no memory.
  writeHeader(handle, shapeOf(spec));
  return handle;
}

/**
 * Makes a queue at a place in existing shared memory, such as a WebAssembly.Memory's; whatever was there is lost. `isZero`: nobody has
 * written there yet, so that slots stay untouched until they are used.
 */
export function formatQueue(
  handle: QueueHandle,
  spec: QueueSpec,
  isZero = false,
): Result<undefined, Fault<'badArgument'>> {
  const size = queueBytes(spec);
  if (!size.ok) return size;
  const { buffer, byteOffset } = handle;
  if (!fits(handle, size.value)) return fail('badArgument', 'QueueHandle.byteOffset');
  const shape = shapeOf(spec);
  if (!isZero) {
    const words = new Int32Array(buffer, byteOffset + QueueHeader.sizeBytes, (shape.slotCount * shape.slotBytes) >> 2);
    const { sequence, sizeBytes } = SlotHeader.offsets;
    for (let at = 0; at < words.length; at += shape.slotBytes >> 2) {
      words[at + (sequence >> 2)] = 0;
      words[at + (sizeBytes >> 2)] = 0;
    }
  }
  writeHeader(handle, shape);
  return ok();
}

function writeHeader({ buffer, byteOffset }: QueueHandle, shape: QueueShape): void {
  QueueHeader.write(new DataView(buffer), byteOffset, {
    magic: MAGIC,
    mode: modeCode(shape.mode),
    depth: shape.depth,
    slotCount: shape.slotCount,
    messageBytesMax: shape.messageBytesMax,
    slotBytes: shape.slotBytes,
    notFullThreshold: shape.depth - 1,
    notEmptyThreshold: 1,
    tapped: 0,
    configCheck: configCheck(shape),
    tail: 0,
    lock: 0,
    head: 0,
    headShared: 0,
    dataSleepers: 0,
    dataWakeups: 0,
    spaceSleepers: 0,
    spaceWakeups: 0,
  });
}

/** Reads and checks the header of the queue at `handle`; afterwards its shape is known and trusted. */
export function readQueueShape(handle: QueueHandle): Result<QueueShape, Fault<'badArgument' | 'corrupt'>> {
  if (!fits(handle, QueueHeader.sizeBytes)) return fail('badArgument', 'QueueHandle.byteOffset');
  // Not by `QueueHeader.read`, which looks at every field: each thread that starts opens its actor's queues first of all.
  const words = new Uint32Array(handle.buffer, handle.byteOffset, QueueHeader.sizeBytes >> 2);
  const field = (name: keyof typeof QueueHeader.offsets): number => words[QueueHeader.offsets[name] >> 2] ?? 0;
  const [magic, depth, messageBytesMax] = [field('magic'), field('depth'), field('messageBytesMax')];
  const mode = MODES[field('mode')];
  if (magic !== MAGIC) return fail('corrupt', 'QueueHeader.magic');
  if (mode === undefined) return fail('corrupt', 'QueueHeader.mode');
  const spec = { depth, messageBytesMax, mode };
  const size = queueBytes(spec);
  if (!size.ok || !fits(handle, size.value)) return fail('corrupt', 'QueueHeader.depth');
  const shape = shapeOf(spec);
  if (shape.slotCount !== field('slotCount')) return fail('corrupt', 'QueueHeader.slotCount');
  if (field('configCheck') !== configCheck(shape)) return fail('corrupt', 'QueueHeader.configCheck');
  if (shape.slotBytes !== field('slotBytes')) return fail('corrupt', 'QueueHeader.slotBytes');
  return ok(shape);
}

/** A hash of what fixes the geometry: a damaged header must not make a queue reach into what lies behind it. */
function configCheck(shape: QueueShape): number {
  const facts = [modeCode(shape.mode), shape.depth, shape.slotCount, shape.messageBytesMax, shape.slotBytes];
  return facts.reduce((hash, fact) => Math.imul(hash ^ fact, 0x01000193) ^ (hash >>> 15), MAGIC) >>> 0;
}

function fits({ buffer, byteOffset }: QueueHandle, size: number): boolean {
  return (
    Number.isInteger(byteOffset) &&
    byteOffset >= 0 &&
    byteOffset % QUEUE_ALIGN_BYTES === 0 &&
    byteOffset + size <= buffer.byteLength
  );
}
