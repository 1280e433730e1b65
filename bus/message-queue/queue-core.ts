/** What both ends of a queue in shared memory hold: its trusted shape, its words, its lock, its parking places. */
import { isHeldBy, OwnerLock, recoverLock } from '../doorbell/owner-lock.js';
import { Parking } from '../doorbell/parking.js';
import { ok, type Result } from '../result.js';
import type { Fault } from '../status.js';
import type { TapSink } from '../tap/tap-sink.js';
import type { QueueSignals } from './queue-end.js';
import {
  headOffset,
  modeCode,
  type QueueHandle,
  QueueHeader,
  type QueueShape,
  readQueueShape,
  SlotHeader,
} from './queue-layout.js';

const word = (name: keyof typeof QueueHeader.offsets): number => QueueHeader.offsets[name] >> 2;
/** Indices of the header's 32-bit words. */
export const WORD = {
  mode: word('mode'),
  notFull: word('notFullThreshold'),
  notEmpty: word('notEmptyThreshold'),
  tapped: word('tapped'),
  tail: word('tail'),
  lock: word('lock'),
  data: word('dataSleepers'),
  space: word('spaceSleepers'),
} as const;
/** Where the slots begin, in bytes, and the sizes of what precedes a message, in bytes and words. */
export const SLOTS_AT = QueueHeader.sizeBytes;
export const SLOT_HEADER_BYTES = SlotHeader.sizeBytes;
export const SLOT_SIZE_WORD = SlotHeader.offsets.sizeBytes >> 2;

/** How an end is attached. */
export interface AttachOptions {
  /** Unique per thread, 1 .. 2^31-1: the lock's owner id, by which a supervisor recovers what a dead thread held. */
  readonly owner: number;
  /** Gunyah's interrupt lines. Without them no edge is computed, which saves the hot path a cache miss. */
  readonly signals?: QueueSignals;
  /** Where the receiver sleeps if not on the queue itself: the parking place of its doorbell. Senders wake it there. */
  readonly wake?: Parking;
  /** For receivers: false where no sender ever waits for room, so that giving places back need not look for sleepers. */
  readonly spaceWaits?: boolean;
  /** Who hears of every operation of this end while the queue's tap is on. */
  readonly tap?: TapSink;
}

/** The common part of both ends. */
export interface QueueCore {
  readonly shape: QueueShape;
  /** Index of the head's word. */
  readonly headWord: number;
  /** The queue's memory, from its first byte. */
  readonly bytes: Uint8Array;
  /** The same memory as words. */
  readonly words: Int32Array;
  /** Absent in mode `single`. */
  readonly lock: OwnerLock | undefined;
  readonly data: Parking;
  readonly space: Parking;
}

/** Checks the queue at `handle` and opens it for one end. */
export function openQueue(
  handle: QueueHandle,
  options: AttachOptions,
): Result<QueueCore, Fault<'badArgument' | 'corrupt'>> {
  const read = readQueueShape(handle);
  if (!read.ok) return read;
  const shape = read.value;
  const size = SLOTS_AT + shape.slotCount * shape.slotBytes;
  const words = new Int32Array(handle.buffer, handle.byteOffset, size >> 2);
  return ok({
    shape,
    headWord: headOffset(shape.mode) >> 2,
    words,
    bytes: new Uint8Array(handle.buffer, handle.byteOffset, size),
    lock: shape.mode === 'single' ? undefined : new OwnerLock(words, WORD.lock, options.owner),
    data: options.wake ?? new Parking(words, WORD.data),
    space: new Parking(words, WORD.space),
  });
}

/** The header's words of the queue at `handle`. */
export function queueWords(handle: QueueHandle): Int32Array {
  return new Int32Array(handle.buffer, handle.byteOffset, SLOTS_AT >> 2);
}

/**
 * For supervisors: frees the queue's lock if `owner`, known to be dead, held it; true if so. A message it had staged but not
 * published is gone, one it had published is whole, and the tail says so afterwards.
 */
export function recoverQueue(handle: QueueHandle, owner: number): boolean {
  if (!isHeldBy(queueWords(handle), WORD.lock, owner)) return false;
  const shape = readQueueShape(handle);
  if (shape.ok) finishPublication(new Int32Array(handle.buffer, handle.byteOffset), shape.value);
  return recoverLock(queueWords(handle), WORD.lock, owner);
}

/**
 * Brings a queue whose sender died inside `publish` into a state between two publications; to be called by whoever alone may
 * send. A slot at the tail that carries its number was published: the tail follows. Marks of a batch whose first message was
 * not published are taken off, so that they do not count once that slot is used again. Where receivers go by the tail nothing
 * was published, and what slots carry beyond it says nothing.
 */
export function finishPublication(words: Int32Array, { mode, slotCount, slotBytes, depth }: QueueShape): void {
  if (mode === 'shared') return;
  const placeOf = (number: number): number => (SLOTS_AT + (number & (slotCount - 1)) * slotBytes) >> 2;
  const carries = (number: number): boolean => Atomics.load(words, placeOf(number)) === ((number + 1) | 0);
  const tail = Atomics.load(words, WORD.tail);
  let next = tail;
  for (let n = 0; n < depth && carries(next); n++) next = (next + 1) | 0;
  if (next !== tail) Atomics.store(words, WORD.tail, next);
  for (let n = 1; n < depth && carries((next + n) | 0); n++) {
    Atomics.store(words, placeOf(next + n), next + n + 1 - slotCount);
  }
}

/** Messages queued, as an observer sees it; meaningless numbers are possible only in corrupted memory. */
export function queueDepth(handle: QueueHandle): number {
  const words = queueWords(handle);
  const isShared = words[WORD.mode] === modeCode('shared');
  const head = Atomics.load(words, headOffset(isShared ? 'shared' : 'single') >> 2);
  // A receiver may be past a message whose sender has not moved the tail yet.
  return Math.max(0, (Atomics.load(words, WORD.tail) - head) | 0);
}
