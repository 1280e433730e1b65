/** A trace as a stream; apart from trace.ts, because who writes a trace, or none, needs no library for streams. */
import { Observable, share } from 'rxjs';
import { Codec } from '../codec/codec.js';
import type { ReceiveEnd } from '../message-queue/queue-end.js';
import { drainTrace, type TraceEvent } from './trace.js';

const TURN_EVENTS_MAX = 65_536;
const BATCH = 1024;

/**
 * The events as a stream of batches, shared by all its observers. The queue is drained at every turn of `turns` (a timer,
 * which the caller owns because the bus has no clock), and once more when `turns` completes.
 */
export function traceStream(queue: ReceiveEnd, turns: Observable<unknown>): Observable<readonly TraceEvent[]> {
  const codec = new Codec();
  return new Observable<readonly TraceEvent[]>((observer) => {
    const drain = (): void => {
      for (let taken = 0; taken < TURN_EVENTS_MAX; ) {
        const batch = drainTrace(queue, codec, BATCH);
        if (batch.length > 0) observer.next(batch);
        taken += batch.length;
        if (batch.length < BATCH) return;
      }
    };
    return turns.subscribe({
      next: drain,
      error: (problem: unknown) => observer.error(problem),
      complete: () => {
        drain();
        observer.complete();
      },
    });
  }).pipe(share());
}
