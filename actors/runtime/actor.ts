/**
 * `actor({...})`: the declaration of an actor, and `actorKind(...)`: how workers for it are made. A declaration holds
 * no state and no worker; the host (host.ts) runs it in a worker, the simulator in its own thread.
 */
import { assert } from '../../bus/assert.js';
import type { Result } from '../../bus/result.js';
import type { FileHandle, FileToken, FolderToken } from './files.js';
import type { FolderHandle } from './folders.js';
import type { Sendable } from './moved.js';
import type { HostNetwork, NetworkGrant } from './network.js';
import type { ActorRef, AskFailure, AskKind, BodyOf, ErrorsOf, KindOf, MessageOf, ReplyOf } from './protocol.js';
import { fnv1a, type Random } from './random.js';
import type { AskOptions, Clock, Down, Log, Sender } from './services.js';
import type { Listen } from './sockets.js';
import type { CancelTimer } from './timers.js';

/** What handlers and lifecycle functions of an actor with protocol `P` receive. */
export interface ActorContext<P> extends Sender {
  /** This actor. */
  readonly self: ActorRef<P>;
  readonly name: string;
  /** 0 for the first life, counting restarts. */
  readonly incarnation: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Runs `action` as a turn of this actor once `ms` have passed. */
  after(ms: number, action: () => void): CancelTimer;
  /** As `ask`, for blocking actors only: sleeps in `Atomics.wait` until the answer is there. */
  askBlocking<Q, K extends AskKind<Q>>(
    to: ActorRef<Q>,
    kind: K,
    body: Sendable<BodyOf<Q, K>>,
    options?: AskOptions,
  ): Result<ReplyOf<Q, K>, ErrorsOf<Q, K> | AskFailure<MessageOf<Q, K>>>;
  /**
   * Sleeps inside a slice of a blocking actor, `ms` milliseconds at most, until the actor is rung or anything else is there. False: there
   * is something that waits for the end of the slice. `polls` false: at once, as somebody may need this processor.
   */
  nap(ms: number, polls?: boolean): boolean;
  /** Whether the thread of `actor` runs, as far as it says so itself: false from when it goes to sleep until it goes on. */
  isAwake(actor: ActorRef<never>): boolean;
  /** Number of the thread this runs on, as the host's tools know it (Linux: a TID, for `taskset`); null where nobody tells. */
  hostThread(): number | null;
  /** How long this thread has wanted a processor and had none, in milliseconds, at the price of two system calls; null where nobody tells. */
  processorWaitMs(): number | null;
  /** Starts a child of this actor: it is stopped before this actor stops or restarts, and escalates to it. */
  spawn<D extends AnyDeclaration>(
    kind: ActorKind<D>,
    config: ConfigOf<D>,
    options: SpawnOptions,
  ): Promise<Result<ActorRef<ProtocolOf<D>>, SpawnFailure>>;
  /** Asks to be told (the declaration's `down`) when `actor` goes down, now if it already has. */
  monitor(actor: ActorRef<never>): void;
  /** Ties both fates: when one goes down abnormally, so does the other (`linkDown`). */
  link(actor: ActorRef<never>): void;
  /** The actor registered under `name`. */
  lookup<Q>(name: string): Promise<Result<ActorRef<Q>, 'unknownName' | AskFailure<unknown>>>;
  /** Opens for use a file the spawner handed over; the only way to a file. */
  file(token: FileToken): FileHandle;
  /** Opens for use a folder the spawner handed over; the only way to what is below it. */
  folder(token: FolderToken): FolderHandle;
  /** Listens where the spawner's token allows it; for actors with an event loop. */
  readonly listen: Listen;
  /** The host's network within `grant`; the only way to it. Its events come between this actor's turns. */
  network(grant: NetworkGrant): HostNetwork;
  /** Asks the supervisor to stop this actor in order, with its children. */
  stop(): void;
}

/** One handler per kind; an `Ask` handler returns its Result, a `Tell` handler returns nothing. */
export type Handlers<P, State> = {
  readonly [K in KindOf<P>]: K extends AskKind<P>
    ? (
        state: State,
        body: BodyOf<P, K>,
        context: ActorContext<P>,
      ) => Result<ReplyOf<P, K>, ErrorsOf<P, K>> | Promise<Result<ReplyOf<P, K>, ErrorsOf<P, K>>>
    : (state: State, body: BodyOf<P, K>, context: ActorContext<P>) => void | Promise<void>;
};

/** What the supervisor does with an actor that fails. */
export interface Supervision {
  /** A failing actor is restarted alone; its siblings are not touched. */
  readonly strategy: 'one-for-one';
  /** Restarts allowed within the window; one more failure is a lasting one. 0 never restarts. */
  readonly restartsMax: number;
  /** The window, in milliseconds. */
  readonly withinMs: number;
  /** After the last allowed restart: fail the parent (`escalate`), or leave the actor stopped (`stop`). */
  readonly otherwise: 'escalate' | 'stop';
}

/** What a slice of a blocking actor asks for: run again at once, or sleep until a message, a doorbell or `sleepMs`. */
export type SliceResult = 'again' | { readonly sleepMs: number };

/** An actor: a name, limits, a state made by `start`, and one handler per message kind. */
export interface ActorDeclaration<Config, P, State> {
  readonly name: string;
  /** Messages the mailbox holds (2 .. 65,536); one more is refused. */
  readonly mailboxMax: number;
  /** Largest encoded message, in bytes; default 512. */
  readonly messageBytesMax?: number;
  /** Unanswered asks this actor may have; default 64. */
  readonly asksMax?: number;
  readonly supervision: Supervision;
  /** A handler (or slice) running longer than this without returning is killed by the watchdog; default 2,000 ms. */
  readonly handlerBudgetMs?: number;
  /** How long `stop` may take before the actor is killed; default 2,000 ms. */
  readonly stopBudgetMs?: number;
  /**
   * Messages do not wait for an asynchronous handler before them: its handlers overlap wherever they await. For actors whose
   * answers depend on later messages; they keep order among their own work themselves.
   */
  readonly interleaves?: boolean;
  /** How long an idle event-loop actor polls before it sleeps, in microseconds; default 50. */
  readonly pollMicroseconds?: number;
  /** Makes the state. A failure here goes to the spawner; nothing is restarted. */
  readonly start: (
    config: Config,
    context: ActorContext<P>,
  ) => Result<State, unknown> | Promise<Result<State, unknown>>;
  /**
   * What a warm worker does before it waits: loads and makes what every actor of the kind needs and none changes. Bundles are
   * made after it was called, so V8's code of what it runs comes with them. `hasTime`: nobody waits for the worker yet.
   */
  readonly warmUp?: (hasTime: boolean) => Promise<void>;
  /** A missing or misspelt kind is a type error. */
  readonly on: Handlers<P, State>;
  /**
   * Makes the actor a blocking one: its worker calls `slice` for ever, looks at orders and mailbox between slices, and
   * sleeps in `Atomics.wait` when told to. Its handlers must be synchronous: its event loop does not turn.
   */
  readonly slice?: (state: State, context: ActorContext<P>) => SliceResult;
  /** Called with the doorbell flags (0..31) rung since the last call. */
  readonly rang?: (state: State, flags: number, context: ActorContext<P>) => void;
  /** Told of the end of an actor this one monitors. */
  readonly down?: (state: State, down: Down, context: ActorContext<P>) => void;
  /** Called before the actor ends in order; not called when it is killed or has thrown. */
  readonly stop?: (state: State, context: ActorContext<P>) => void | Promise<void>;
}

/** A declaration of whatever config, protocol and state. */
// biome-ignore lint/suspicious/noExplicitAny: existential type; a declaration is both consumer and producer of its parameters
export type AnyDeclaration = ActorDeclaration<any, any, any>;
/** The config type of a declaration. */
export type ConfigOf<D> = D extends ActorDeclaration<infer C, infer _P, infer _S> ? C : never;
/** The protocol type of a declaration. */
export type ProtocolOf<D> = D extends ActorDeclaration<infer _C, infer P, infer _S> ? P : never;

const MAILBOX_MAX = 65_536;

/** Declares an actor. Checked when the module loads: limits in range, kinds distinct on the wire. */
export function actor<Config, P, State>(
  declaration: ActorDeclaration<Config, P, State>,
): ActorDeclaration<Config, P, State> {
  const { name, mailboxMax, supervision } = declaration;
  assert(/^[a-z][a-z0-9-]*$/.test(name), `actor name "${name}" is not kebab-case`);
  assert(
    Number.isInteger(mailboxMax) && mailboxMax >= 2 && mailboxMax <= MAILBOX_MAX,
    `actor ${name}: mailboxMax must be 2..${MAILBOX_MAX}`,
  );
  assert(supervision.restartsMax >= 0 && supervision.withinMs > 0, `actor ${name}: supervision limits`);
  kindTable(declaration);
  return declaration;
}

/** The 32-bit number a message kind has on the wire. */
export function kindNumber(kind: string): number {
  return fnv1a(kind);
}

/** Wire number to kind; asserts that no two kinds of the declaration share a number. */
export function kindTable(declaration: AnyDeclaration): Map<number, string> {
  const table = new Map<number, string>();
  for (const kind of Object.keys(declaration.on)) {
    const number = kindNumber(kind);
    assert(!table.has(number), `actor ${declaration.name}: kinds ${kind} and ${table.get(number)} collide on the wire`);
    table.set(number, kind);
  }
  return table;
}

/** What a worker of a kind may touch beside memory. Everything is denied unless named. */
export interface Permissions {
  /** Folders or files it may read; the program's own code is always readable. */
  readonly read?: readonly string[];
  /** Folders or files it may write. */
  readonly write?: readonly string[];
}

/** How workers for a declaration are made, and how many. */
export interface WorkerPlacement {
  /** The module whose default export is the declaration. */
  readonly module: URL;
  /** Limit of the worker's JavaScript heap in MiB (shared and WebAssembly memory are outside it); default 128. */
  readonly heapMegabytesMax?: number;
  /** Workers of this kind at once; default 64. */
  readonly workersMax?: number;
  /** Workers kept loaded and waiting, so that a spawn takes a millisecond; default 0. */
  readonly warm?: number;
  /** When given, the worker runs under Node's permission model with these rights only. */
  readonly permissions?: Permissions;
}

/** A declaration and its workers: one pool per kind. */
export interface ActorKind<D extends AnyDeclaration = AnyDeclaration> extends WorkerPlacement {
  readonly declaration: D;
}

/** Names the module and limits for `declaration`. */
export function actorKind<D extends AnyDeclaration>(declaration: D, placement: WorkerPlacement): ActorKind<D> {
  return { declaration, ...placement };
}

/** Options of one spawn. */
export interface SpawnOptions {
  /** Registered name, unique while the actor lives; also names its random stream and log lines. */
  readonly name: string;
  /** Its worker is started when this resolves: the actor has its number at once, and what it is sent waits. */
  readonly after?: Promise<void>;
}

/** Why an actor could not be started. */
export type SpawnFailure =
  /** Its `start` answered with this error. */
  | { readonly reason: 'startRefused'; readonly error: unknown }
  /** Its `start` threw, or its worker ended first. */
  | { readonly reason: 'startThrew'; readonly detail: string }
  /** Its module does not exist or does not load. */
  | { readonly reason: 'noModule'; readonly detail: string }
  /** Another living actor has the name. */
  | { readonly reason: 'nameTaken' }
  /** The limit of workers of the kind, of actors, or of mailbox memory is reached. */
  | { readonly reason: 'noRoom'; readonly detail: string }
  /** The parent or the system is stopping. */
  | { readonly reason: 'stopping' };
