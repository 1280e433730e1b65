/**
 * Writes a machine's trace to a file or to standard error while it runs. Lines are written synchronously: whatever happens
 * to the program, what was taken from the queue is in the file.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { interval, Subject, takeUntil } from 'rxjs';
import { createQueue, type QueueHandle } from '../../bus/message-queue/queue-layout.js';
import { QueueReceiver } from '../../bus/message-queue/queue-receiver.js';
import { err, ok, type Result } from '../../bus/result.js';
import { TRACE_KINDS, TRACE_QUEUE } from '../../bus/tap/trace.js';
import { traceStream } from '../../bus/tap/trace-stream.js';
import { errnoOf, hostReason } from '../host-reasons.js';
import type { TraceRequest } from './trace-option.js';
import { traceJson, traceText } from './trace-text.js';

/** The queue is looked at this often. */
const TURN_MS = 5;
/** The receiver's id among the queue's users: vCPUs have 1 to 8. */
const READER = 100;
const STANDARD_ERROR = 2;

/** A trace that is being written. */
export interface TraceSink {
  /** For the machine: where events go, and which. */
  readonly place: { readonly queue: QueueHandle; readonly kinds: number };
  /** Writes what still waits and, where a file takes JSON lines, `last`; then closes the file. */
  close(last: readonly object[]): void;
}

/** Starts writing; the error is a sentence. */
export function openTrace({ kinds, file }: TraceRequest): Result<TraceSink, string> {
  let descriptor = STANDARD_ERROR;
  try {
    if (file !== undefined) descriptor = openSync(file, 'w');
  } catch (problem) {
    return err(`${file}: cannot be written: ${hostReason(problem)}`);
  }
  const isJson = /\.jsonl?$/.test(file ?? '');
  const line = isJson ? traceJson : traceText;
  const queue = createQueue(TRACE_QUEUE);
  const receiver = QueueReceiver.attach(queue, { owner: READER });
  if (!receiver.ok) return err('the trace queue could not be opened');
  const over = new Subject<void>();
  const write = (lines: readonly string[]): void => writeAll(descriptor, `${lines.join('\n')}\n`);
  traceStream(receiver.value, interval(TURN_MS).pipe(takeUntil(over))).subscribe((events) => write(events.map(line)));
  const bits = TRACE_KINDS.reduce((sum, kind, n) => sum + (kinds.has(kind) ? 2 ** n : 0), 0);
  return ok({
    place: { queue, kinds: bits },
    close(last) {
      over.next();
      if (isJson && last.length > 0) write(last.map((object) => JSON.stringify(object)));
      if (descriptor !== STANDARD_ERROR) closeSync(descriptor);
    },
  });
}

function writeAll(descriptor: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(descriptor, bytes, at);
    } catch (problem) {
      // A terminal or pipe that is set not to block and full: try again.
      if (errnoOf(problem) !== 'EAGAIN') throw problem;
    }
  }
}
