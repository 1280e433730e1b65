/**
 * Runs the declaration of a device's actor in the test's own thread: `start`, turns and messages are the real ones, what the
 * runtime lends an actor is played here. So tests drive exactly what a worker would run, as often as they like.
 */
import type { ActorContext, ActorDeclaration } from '../../actors/runtime/actor.js';
import type { FileHandle } from '../../actors/runtime/files.js';
import type { FolderHandle } from '../../actors/runtime/folders.js';
import type { HostNetwork } from '../../actors/runtime/network.js';
import { seededRandom } from '../../actors/runtime/random.js';

/** What the actor is lent. */
export interface Lent {
  readonly file?: FileHandle;
  readonly folder?: FolderHandle;
  readonly network?: HostNetwork;
  /** Number of the actor; default 7. */
  readonly actor?: number;
  readonly incarnation?: number;
  /** Hears whom it rings but itself. */
  readonly onRing?: (actor: number) => void;
}

/** A timer the actor has set and nobody has let run yet. */
type Waiting = () => void;

function denied(what: string): never {
  throw new Error(`the test lends the actor no ${what}`);
}

/** See the head of this file. */
export class DeviceActor<Config, P, State> {
  readonly state: State;
  readonly context: ActorContext<P>;
  readonly declaration: ActorDeclaration<Config, P, State>;
  /** What it said. */
  readonly warnings: string[];
  /** Timers it has set. */
  readonly timers: Waiting[];
  readonly #rung: { self: boolean };

  private constructor(
    declaration: ActorDeclaration<Config, P, State>,
    state: State,
    parts: { context: ActorContext<P>; warnings: string[]; timers: Waiting[]; rung: { self: boolean } },
  ) {
    this.declaration = declaration;
    this.state = state;
    this.context = parts.context;
    this.warnings = parts.warnings;
    this.timers = parts.timers;
    this.#rung = parts.rung;
  }

  /** Starts it. */
  static async start<Config, P, State>(
    declaration: ActorDeclaration<Config, P, State>,
    config: Config,
    lent: Lent = {},
  ): Promise<DeviceActor<Config, P, State>> {
    const warnings: string[] = [];
    const timers: Waiting[] = [];
    const rung = { self: false };
    const self = { actor: lent.actor ?? 7 };
    const context: ActorContext<P> = {
      self,
      name: declaration.name,
      incarnation: lent.incarnation ?? 0,
      clock: { monotonicMs: () => 0, unixSeconds: () => 0 },
      random: seededRandom(1, declaration.name),
      log: { info: () => undefined, warn: (text) => warnings.push(text) },
      after(_ms, action) {
        timers.push(action);
        return () => timers.splice(timers.indexOf(action), 1).length > 0;
      },
      ring(to) {
        if (to.actor === self.actor) rung.self = true;
        else lent.onRing?.(to.actor);
      },
      file: () => lent.file ?? denied('file'),
      folder: () => lent.folder ?? denied('folder'),
      network: () => lent.network ?? denied('network'),
      listen: () => denied('port'),
      tell: () => denied('mail'),
      ask: () => denied('mail'),
      askBlocking: () => denied('mail'),
      nap: () => denied('sleep'),
      isAwake: () => true,
      hostThread: () => null,
      processorWaitMs: () => null,
      spawn: () => denied('children'),
      lookup: () => denied('names'),
      monitor: () => denied('others'),
      link: () => denied('others'),
      stop: () => denied('supervisor'),
    };
    const started = await declaration.start(config, context);
    if (!started.ok) throw new Error(`${declaration.name} does not start: ${String(started.error)}`);
    return new DeviceActor(declaration, started.value, { context, warnings, timers, rung });
  }

  /** One turn of it; whether it asks for another. */
  turn(): boolean {
    this.#rung.self = false;
    const { slice, rang } = this.declaration;
    if (slice !== undefined) return slice(this.state, this.context) === 'again' || this.#rung.self;
    rang?.(this.state, 1, this.context);
    return this.#rung.self;
  }

  /** Turns until it asks for no more, at most `max`; how many. */
  turns(max = 10_000): number {
    for (let count = 1; count <= max; count++) if (!this.turn()) return count;
    throw new Error(`${this.declaration.name} asked for more than ${max} turns`);
  }
}
