/**
 * The two ends of a message queue as everybody else sees them. `QueueSender` and `QueueReceiver` implement them over shared
 * memory; a queue whose peer is on another host implements the same two interfaces over its transport (bus/remote, not
 * built): `reserve` then hands out a private buffer, `publish` transmits, credits take the place of the shared head.
 */
import type { Result } from '../result.js';
import type { Fault } from '../status.js';

/** `reserve`: no room. `peek`: no message. */
export const NOTHING = -1;
/** `reserve` or `peek`: the shared memory holds what no correct peer writes. Stays so until the queue is formatted anew. */
export const CORRUPT = -2;

/** What a receive yields: the message's size in bytes, and whether another one waits (Gunyah's X1 and X2). */
export interface Received {
  readonly sizeBytes: number;
  readonly hasMore: boolean;
}

/** Success of `send`: false means full now, so the space signal will follow (Gunyah's X1). */
export interface Sent {
  readonly hasSpace: boolean;
}

/** Interrupt lines of a queue as Gunyah has them, called when they are asserted (true) or cleared (false). */
export interface QueueSignals {
  /** The receive interrupt: the count reached the not-empty threshold, or a sender pushed. */
  data(asserted: boolean): void;
  /** The send interrupt: the count fell to the not-full threshold. */
  space(asserted: boolean): void;
}

/** The sending end. One object belongs to one thread. */
export interface SendEnd {
  /** Largest message, in bytes. */
  readonly messageBytesMax: number;
  /** Memory that `reserve` points into. */
  readonly bytes: Uint8Array;
  /** Copies `message` in as one message. `push` asserts the receive interrupt whatever the threshold. */
  send(message: Uint8Array, push?: boolean): Result<Sent, Fault<'queueFull' | 'messageSize' | 'corrupt'>>;
  /**
   * The offset in `bytes` at which to write the next message (`messageBytesMax` bytes are free there), or `NOTHING` or
   * `CORRUPT`. Follow with `stage` or `cancel`, and end with `publish`; do nothing lengthy in between, because in the
   * modes with several producers the others wait.
   */
  reserve(): number;
  /** Completes the reserved message as `sizeBytes` (1 .. messageBytesMax, asserted); nobody sees it before `publish`. */
  stage(sizeBytes: number): void;
  /** Gives the reserved place back; messages staged before stay staged. */
  cancel(): void;
  /** Makes all staged messages visible at once; true when there is room for another. */
  publish(push?: boolean): boolean;
  /** Blocks until there may be room: polls `spins` times, then sleeps at most `timeoutMs`; false on time-out. */
  waitForSpace(spins: number, timeoutMs?: number): boolean;
}

/** The receiving end. One object belongs to one thread. */
export interface ReceiveEnd {
  readonly messageBytesMax: number;
  /** Memory that `offset` points into. */
  readonly bytes: Uint8Array;
  /** Where the message lies that `peek` found, in `bytes`; valid until `release` or `free`. */
  readonly offset: number;
  /** Copies the next message to the start of `into`. A message larger than `into` stays queued. */
  receive(into: Uint8Array): Result<Received, Fault<'queueEmpty' | 'messageSize' | 'corrupt'>>;
  /** Size in bytes of the next message, which lies at `offset` of `bytes`, or `NOTHING` or `CORRUPT`. */
  peek(): number;
  /** The message that `peek` found, where it lies: to be read, or sent on, before its place is given back. */
  readonly message: Uint8Array;
  /** Copies the message that `peek` found to the start of `into`, which must be large enough. */
  copyOut(into: Uint8Array): void;
  /** Steps past the message `peek` found; its place stays ours until `free`. */
  take(): void;
  /** Gives the places of all taken messages back to the sender. */
  free(): void;
  /** `take` and `free`. */
  release(): void;
  /**
   * `peek` that waits: polls `spins` times, then sleeps at most `timeoutMs`; `NOTHING` on time-out. Frees what was taken
   * before it waits and whenever half the queue is taken, so a loop of `next`, work, `take` needs nothing else, and
   * giving places back costs no time between a message and its answer.
   */
  next(spins: number, timeoutMs?: number): number;
}
