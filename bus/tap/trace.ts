/**
 * Trace events: what actors publish about what happens inside them, as msgpack messages in a fan-in queue of their own that
 * observers read as one stream (trace-stream.ts). A writer exists only where somebody asked for a trace, so an actor that is not traced pays
 * nothing. Unlike the tap of a queue a trace is complete: a writer waits for its reader, for a bounded time.
 */
import { Codec } from '../codec/codec.js';
import type { ReceiveEnd, SendEnd } from '../message-queue/queue-end.js';
import type { QueueSpec } from '../message-queue/queue-layout.js';

/** Kinds of events. In wire order: an event carries the index. */
export const TRACE_KINDS = ['insn', 'block', 'exception', 'sysreg', 'hypercall', 'mmio', 'irq', 'power'] as const;
/** What an event tells of. */
export type TraceKind = (typeof TRACE_KINDS)[number];

/** Details of an event by name; addresses and register values are hexadecimal text with 0x. */
export type TraceFields = Readonly<Record<string, string | number>>;

/** One event. */
export interface TraceEvent {
  readonly kind: TraceKind;
  /** Guest time in nanoseconds. */
  readonly timeNs: number;
  /** Who publishes: `cpu0`. */
  readonly who: string;
  readonly fields: TraceFields;
}

/** The queue that carries a machine's trace. */
export const TRACE_QUEUE: QueueSpec = { depth: 8192, messageBytesMax: 1016, mode: 'fan-in' };

/** What a writer is made of. */
export interface TraceWriterOptions {
  /** The sending end of a queue made as {@link TRACE_QUEUE}. */
  readonly queue: SendEnd;
  readonly who: string;
  /** The guest's clock, in nanoseconds. */
  readonly nowNs: () => number;
  /** How long a full queue holds the writer up before events are lost, in milliseconds. */
  readonly patienceMs?: number;
}

const PATIENCE_MS = 500;
const SPINS = 200;

/** Publishes the events of one actor. Belongs to one thread, which may block. */
export class TraceWriter {
  readonly #queue: SendEnd;
  readonly #who: string;
  readonly #nowNs: () => number;
  readonly #patienceMs: number;
  readonly #codec = new Codec();
  #lost = 0;

  constructor({ queue, who, nowNs, patienceMs = PATIENCE_MS }: TraceWriterOptions) {
    this.#queue = queue;
    this.#who = who;
    this.#nowNs = nowNs;
    this.#patienceMs = patienceMs;
  }

  /** Publishes one event; one that is too long is cut to its first fields. */
  emit(kind: TraceKind, fields: TraceFields): void {
    const body = this.#lost === 0 ? fields : { ...fields, lost: this.#lost };
    const message = [TRACE_KINDS.indexOf(kind), this.#nowNs(), this.#who, body] as const;
    const sent = this.#codec.send(this.#queue, message);
    if (sent.ok) {
      this.#lost = 0;
      return;
    }
    if (sent.error.status === 'messageSize') this.emit(kind, Object.fromEntries(Object.entries(fields).slice(0, 4)));
    // Nobody has read for long: then events are lost at once, until somebody does.
    else if (this.#lost === 0 && this.#queue.waitForSpace(SPINS, this.#patienceMs)) this.emit(kind, fields);
    else this.#lost++;
  }
}

/** Whether a decoded message is an event; what arrives malformed is left out. */
function readEvent(message: unknown): TraceEvent | undefined {
  if (!Array.isArray(message) || message.length !== 4) return undefined;
  const [index, timeNs, who, fields]: unknown[] = message;
  const kind = typeof index === 'number' ? TRACE_KINDS[index] : undefined;
  if (kind === undefined || typeof timeNs !== 'number' || typeof who !== 'string') return undefined;
  if (typeof fields !== 'object' || fields === null) return undefined;
  const known = Object.entries(fields).filter(([, value]) => typeof value === 'string' || typeof value === 'number');
  return { kind, timeNs, who, fields: Object.fromEntries(known) };
}

/** Takes what waits in the queue, oldest first, at most `max` events. */
export function drainTrace(queue: ReceiveEnd, codec: Codec, max: number): TraceEvent[] {
  const events: TraceEvent[] = [];
  for (let n = 0; n < max; n++) {
    const sizeBytes = queue.peek();
    if (sizeBytes < 0) break;
    const decoded = codec.decode(queue, sizeBytes);
    const event = decoded.ok ? readEvent(decoded.value) : undefined;
    if (event !== undefined) events.push(event);
    queue.take();
  }
  queue.free();
  return events;
}
