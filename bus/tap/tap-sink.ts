/** What an observed object calls. A type only, so that queues and doorbells know nothing of how they are observed. */

/** What happened to a queue or a doorbell. */
export type TapEvent = (typeof TAP_EVENTS)[number];
/** In wire order: a record carries the index. */
export const TAP_EVENTS = ['sent', 'refused', 'received', 'flushed', 'rang', 'answered'] as const;

/** Takes one event. Must not touch the observed object and must not block. */
export interface TapSink {
  /** `level`: messages queued, or a doorbell's low flags. `detail`: size of the message in bytes, or its high flags. */
  record(event: TapEvent, level: number, detail: number): void;
}
