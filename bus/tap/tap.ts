/**
 * The tap: who did what to which queue or doorbell, when, and how deep it was. An object's sink is called only while the
 * object's `tapped` word is set, which costs one predictable branch otherwise. Records go into a fan-in message queue of their
 * own; when nobody keeps up they are dropped and counted, so that observing never slows down what is observed.
 */
import { Observable, share } from 'rxjs';
import { u32, u64 } from '../layout/fields.js';
import { type Of, struct } from '../layout/struct.js';
import { queueWords, WORD } from '../message-queue/queue-core.js';
import { NOTHING, type ReceiveEnd, type SendEnd } from '../message-queue/queue-end.js';
import type { QueueHandle } from '../message-queue/queue-layout.js';
import { TAP_EVENTS, type TapEvent, type TapSink } from './tap-sink.js';

/** One observation as it travels. */
export const TapRecord = struct('TapRecord', 32, {
  timeNs: u64(0x00),
  object: u32(0x08),
  who: u32(0x0c),
  event: u32(0x10),
  level: u32(0x14),
  detail: u32(0x18),
  dropped: u32(0x1c),
});

/** One observation. `dropped` counts the records this writer could not store before this one. */
export interface TapObservation extends Omit<Of<typeof TapRecord>, 'event'> {
  readonly event: TapEvent;
}

/** What a writer of observations is made of. */
export interface TapWriterOptions {
  /** Where records go: a fan-in queue with messages of at least `TapRecord.sizeBytes`. */
  readonly queue: SendEnd;
  /** The observed object, as the observers know it. */
  readonly object: number;
  /** Who acts: the thread's or actor's id. */
  readonly who: number;
  /** The clock, in nanoseconds (the bus has none of its own). */
  readonly now: () => bigint;
}

/** A sink that writes records into a tap's queue. */
export function tapWriter({ queue, object, who, now }: TapWriterOptions): TapSink {
  const view = new DataView(queue.bytes.buffer, queue.bytes.byteOffset, queue.bytes.byteLength);
  let dropped = 0;
  return {
    record(event, level, detail) {
      const at = queue.reserve();
      if (at < 0) {
        dropped++;
        return;
      }
      const fields = { timeNs: now(), object, who, event: TAP_EVENTS.indexOf(event), level, detail, dropped };
      TapRecord.write(view, at, fields);
      queue.stage(TapRecord.sizeBytes);
      queue.publish();
      dropped = 0;
    },
  };
}

/** Turns the tap of the queue at `handle` on or off, for every end that has been given a sink. */
export function observeQueue(handle: QueueHandle, on: boolean): void {
  Atomics.store(queueWords(handle), WORD.tapped, on ? 1 : 0);
}

/** All records that wait in a tap's queue now, oldest first; at most one queue full. Malformed ones are left out. */
export function drainTap(queue: ReceiveEnd, depthMax: number): TapObservation[] {
  const view = new DataView(queue.bytes.buffer, queue.bytes.byteOffset, queue.bytes.byteLength);
  const seen: TapObservation[] = [];
  for (let n = 0; n < depthMax; n++) {
    const sizeBytes = queue.peek();
    if (sizeBytes < 0) break;
    const read = sizeBytes === TapRecord.sizeBytes ? TapRecord.read(view, queue.offset) : undefined;
    const event = read?.ok === true ? TAP_EVENTS[read.value.event] : undefined;
    if (read?.ok === true && event !== undefined) seen.push({ ...read.value, event });
    queue.release();
  }
  return seen;
}

/**
 * The records as a stream shared by all its observers. While there is at least one, `setOn(true)` holds and the queue is
 * drained at every turn of `turns` (a timer or a wait on a doorbell, which the caller owns because the bus has no clock).
 */
export function tapStream(
  queue: ReceiveEnd,
  turns: Observable<unknown>,
  setOn: (on: boolean) => void,
): Observable<TapObservation> {
  return new Observable<TapObservation>((observer) => {
    setOn(true);
    const turning = turns.subscribe({
      next: () => {
        for (;;) {
          const batch = drainTap(queue, DRAIN_MAX);
          for (const observation of batch) observer.next(observation);
          if (batch.length < DRAIN_MAX || queue.peek() === NOTHING) return;
        }
      },
      error: (problem: unknown) => observer.error(problem),
      complete: () => observer.complete(),
    });
    return () => {
      setOn(false);
      turning.unsubscribe();
    };
  }).pipe(share());
}

const DRAIN_MAX = 256;
