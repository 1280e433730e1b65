/**
 * The services the runtime hands an actor: time, log, mail, and what it is told of others. There is no ambient authority:
 * no clock, timer, random source, file or worker is reached any other way, which is also what lets the same actor run in
 * the deterministic simulator.
 */
import type { Result } from '../../bus/result.js';
import type { Sendable } from './moved.js';
import type {
  ActorRef,
  AskFailure,
  AskKind,
  BodyOf,
  ErrorsOf,
  KindOf,
  MessageOf,
  ReplyOf,
  SendFailure,
} from './protocol.js';

/** Time as an actor sees it. In the simulator it is the simulated time. */
export interface Clock {
  /** Milliseconds since the system started, monotonic, with fractions. */
  monotonicMs(): number;
  /** Writes it to `into[0]`, for those who look so often that they would feel an object each time, which a number that is returned may be. */
  storeMs?(into: Float64Array): void;
  /** Whole seconds since 1970-01-01 UTC. */
  unixSeconds(): number;
}

/** One structured log line's fields; values are printed as they are. */
export type LogFields = Readonly<Record<string, string | number | bigint | boolean>>;
/** Where an actor's log lines go; each carries the actor's name and time. */
export interface Log {
  info(text: string, fields?: LogFields): void;
  warn(text: string, fields?: LogFields): void;
}

/** Why a monitored or linked actor went down. */
export type DownReason =
  /** It stopped as asked. */
  | 'stopped'
  /** A handler threw, or a promise of its was rejected unhandled. */
  | 'threw'
  /** Its worker ended by itself (process.exit, a fatal error). */
  | 'exited'
  /** It ran out of its heap limit. */
  | 'outOfMemory'
  /** It spun past its handler budget and was killed by the watchdog. */
  | 'spun'
  /** It was killed on request. */
  | 'killed'
  /** An actor it was linked to went down. */
  | 'linkDown'
  /** A child escalated its failure. */
  | 'childFailed'
  /** A restart of it failed to start. */
  | 'startFailed';

/** What a monitor reports. */
export interface Down {
  readonly actor: ActorRef<never>;
  readonly name: string;
  readonly reason: DownReason;
  /** One sentence for a person: the error's message, the exit code. */
  readonly detail: string;
  /** Whether the supervisor starts it again (the reference stays valid). */
  readonly restarts: boolean;
}

/** Options of one ask. */
export interface AskOptions {
  /** How long to wait for the answer, in milliseconds; default 5,000. */
  readonly timeoutMs?: number;
}

/** Sends messages on behalf of one actor (or of the main program). */
export interface Sender {
  /**
   * Sends a one-way message. The receiver's mailbox holds it when this returns ok; nothing promises that it is ever
   * handled. On failure nothing was sent and the message comes back. (An `Ask` kind may be told, too: its answer is dropped.)
   */
  tell<P, K extends KindOf<P>>(
    to: ActorRef<P>,
    kind: K,
    body: Sendable<BodyOf<P, K>>,
  ): Result<undefined, SendFailure<MessageOf<P, K>>>;
  /** Asks and resolves with the declared reply, a declared error, or the reason why there is no answer. */
  ask<P, K extends AskKind<P>>(
    to: ActorRef<P>,
    kind: K,
    body: Sendable<BodyOf<P, K>>,
    options?: AskOptions,
  ): Promise<Result<ReplyOf<P, K>, ErrorsOf<P, K> | AskFailure<MessageOf<P, K>>>>;
  /** Rings flags 0..31 of the actor's doorbell: its declaration's `rang` sees them. Flags are sets: rings may merge. */
  ring(to: ActorRef<never>, flags: number): void;
}
