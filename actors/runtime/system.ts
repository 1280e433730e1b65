/**
 * A running system of actors in worker threads: the engine around system-core.ts. One per process is usual, several are
 * possible. The thread that starts it is the supervisor's; keep it free of long computations.
 */
import type { Result } from '../../bus/result.js';
import { err, ok } from '../../bus/result.js';
import type {
  ActorKind,
  AnyDeclaration,
  ConfigOf,
  ProtocolOf,
  SpawnFailure,
  SpawnOptions,
  WorkerPlacement,
} from './actor.js';
import { HostFiles } from './host-files.js';
import { hostClock, hostNowMs } from './host-services.js';
import type { ActorRef } from './protocol.js';
import { pump } from './pump.js';
import type { Clock, Sender } from './services.js';
import { PiscinaLauncher } from './spawn.js';
import { type ActorInfo, SYSTEM_SLOT, type SystemEvent, TICK_MS_MIN } from './supervisor.js';
import { type SystemCore, type SystemLimits, systemCore } from './system-core.js';
import type { LogLine, Placement } from './system-protocol.js';

const POLL_MICROSECONDS = 20;

/** How a system is started. */
export interface SystemOptions extends SystemLimits {
  /** Seed of every actor's random stream; default: from the host. */
  readonly seed?: number;
  /** Hears of starts, ends and escalations, as they happen. */
  readonly onEvent?: (event: SystemEvent) => void;
  /** Gets every log line; default: standard error. */
  readonly onLog?: (line: LogLine) => void;
  /** Workers as by {@link ActorSystem.begin}, started before anything else of the system is made. */
  readonly begins?: readonly WorkerPlacement[];
}

/** See the file comment. */
export class ActorSystem {
  readonly clock: Clock;
  readonly files = new HostFiles();
  /** The main program's side of the mail. */
  readonly sender: Sender;
  readonly #core: SystemCore;
  readonly #launcher: PiscinaLauncher;
  #tick: NodeJS.Timeout | undefined;
  #tickDueMs = Number.POSITIVE_INFINITY;
  #closed = false;
  readonly #pumping: Promise<void>;

  constructor(options: SystemOptions = {}) {
    const epochMs = hostNowMs();
    this.clock = hostClock(epochMs);
    const seed = options.seed ?? (Math.random() * 0x1_0000_0000) >>> 0;
    const log = options.onLog ?? printLine;
    const launchers: PiscinaLauncher[] = [];
    this.#core = systemCore(
      {
        clock: this.clock,
        seed,
        files: this.files,
        observe: options.onEvent ?? (() => undefined),
        log,
        loadKind,
        watchSoon: () => this.#tickWithin(TICK_MS_MIN),
        makeLauncher: (board, shapes) => {
          const memory = { board: board.memory, slots: board.slots, shapes, epochMs };
          const launcher = new PiscinaLauncher(memory, (fault) => {
            log({ atMs: this.clock.monotonicMs(), level: 'warn', name: 'system', text: fault.message, fields: {} });
          });
          launchers.push(launcher);
          for (const placement of options.begins ?? []) launcher.begin(placement, 1);
          return launcher;
        },
      },
      options,
    );
    this.#launcher = launchers[0];
    this.sender = this.#core.cell.endpoint;
    this.#tickWithin(TICK_MS_MIN);
    const { board, cell } = this.#core;
    this.#pumping = pump(cell, { board, slot: SYSTEM_SLOT, clock: this.clock, pollMicroseconds: POLL_MICROSECONDS });
  }

  /** Sees to it that the supervisor ticks within `ms`, and from then on as often as it asks for. */
  #tickWithin(ms: number): void {
    const dueMs = this.clock.monotonicMs() + ms;
    if (this.#closed || this.#tickDueMs <= dueMs) return;
    clearTimeout(this.#tick);
    this.#tickDueMs = dueMs;
    this.#tick = setTimeout(() => {
      this.#tickDueMs = Number.POSITIVE_INFINITY;
      this.#tickWithin(this.#core.supervisor.tick());
    }, ms);
  }

  /** Starts an actor under the system and waits for its `start`; a failure of `start` is the answer. */
  async spawn<D extends AnyDeclaration>(
    kind: ActorKind<D>,
    config: ConfigOf<D>,
    options: SpawnOptions,
  ): Promise<Result<ActorRef<ProtocolOf<D>>, SpawnFailure>> {
    const spawned = await this.#core.supervisor.spawn(kind, config, options.name, SYSTEM_SLOT, options.after);
    return spawned.ok ? ok({ actor: spawned.value.actor }) : spawned;
  }

  /** Loads the warm workers of a kind; resolves when they wait. */
  prepare(kind: ActorKind): Promise<void> {
    return this.#launcher.prepare(kind);
  }

  /**
   * Starts the workers of `count` actors of a kind that the caller is about to spawn, and is not ready to. Nothing takes their
   * place afterwards; those that nobody takes end with the system.
   */
  begin(kind: WorkerPlacement, count: number): void {
    this.#launcher.begin(kind, count);
  }

  /** Stops an actor and its children in order. */
  stop(ref: ActorRef<never>): Promise<void> {
    return this.#core.supervisor.stop(ref);
  }

  /** Ends an actor by force, for good. */
  kill(ref: ActorRef<never>): Promise<void> {
    return this.#core.supervisor.kill(ref);
  }

  /** Ends an actor's worker by force, as a fault of its would: for tests of what its successor does. */
  fault(ref: ActorRef<never>): void {
    this.#core.supervisor.fault(ref);
  }

  /** The actor registered under `name`. The caller must know its protocol. */
  lookup<P>(name: string): Result<ActorRef<P>, 'unknownName'> {
    const found = this.#core.supervisor.lookup(name);
    return found === undefined ? err('unknownName') : ok({ actor: found.actor });
  }

  /** Every actor and what it is doing. */
  inspect(): ActorInfo[] {
    return this.#core.supervisor.inspect();
  }

  /** What the system holds: for leak checks and for people. */
  resources(): {
    readonly actors: number;
    readonly workers: number;
    readonly queueBytes: number;
    readonly files: number;
  } {
    const { supervisor, mail } = this.#core;
    return {
      actors: supervisor.size,
      workers: this.#launcher.workers,
      queueBytes: mail.usedBytes,
      files: this.files.openCount,
    };
  }

  /** Stops every actor, last started first, and ends all workers. */
  async close(): Promise<void> {
    if (this.#closed) return;
    await this.#core.supervisor.close();
    this.#closed = true;
    clearTimeout(this.#tick);
    this.#core.cell.end();
    await this.#pumping;
  }
}

async function loadKind(placement: Placement): Promise<ActorKind | undefined> {
  try {
    const loaded: { readonly default?: AnyDeclaration } = await import(placement.module);
    if (loaded.default === undefined) return undefined;
    return { ...placement, declaration: loaded.default, module: new URL(placement.module) };
  } catch {
    return undefined;
  }
}

function printLine(line: LogLine): void {
  const fields = Object.entries(line.fields).map(([key, value]) => ` ${key}=${value}`);
  process.stderr.write(`${(line.atMs / 1000).toFixed(3)} ${line.level} ${line.name}: ${line.text}${fields.join('')}\n`);
}
