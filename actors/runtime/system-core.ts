/**
 * A system of actors without its engine: shared memory, mail, supervisor and the system actor. The engine (system.ts with
 * real workers, or the simulator) drives the system's cell and calls the supervisor's `tick`.
 */
import { assert } from '../../bus/assert.js';
import { createStructureTable } from '../../bus/codec/structure-table.js';
import { err, ok } from '../../bus/result.js';
import { type ActorKind, type AnyDeclaration, actor } from './actor.js';
import { bodyCodec } from './body-codec.js';
import { Cell } from './cell.js';
import type { FileStore } from './files.js';
import type { Launcher } from './launcher.js';
import { offlineNetwork } from './network.js';
import { PostOffice } from './post-office.js';
import type { BodyOf } from './protocol.js';
import { seededRandom } from './random.js';
import type { Clock } from './services.js';
import { Supervisor, SYSTEM_SLOT, type SystemEvent } from './supervisor.js';
import { Switchboard } from './switchboard.js';
import type { LogLine, Placement, SystemProtocol } from './system-protocol.js';

/** Sizes of a system. */
export interface SystemLimits {
  /** Actors at once, a multiple of 32; default 256. */
  readonly actorsMax?: number;
  /** Memory for all queues, in MiB (untouched memory costs nothing); default 64. */
  readonly queueMegabytes?: number;
}

/** What an engine brings. */
export interface EngineParts {
  readonly clock: Clock;
  readonly seed: number;
  readonly files: FileStore;
  makeLauncher(board: Switchboard, shapes: SharedArrayBuffer): Launcher;
  /** Finds the declaration of a kind an actor wants to spawn. */
  loadKind(placement: Placement): Promise<ActorKind | undefined>;
  observe(event: SystemEvent): void;
  log(line: LogLine): void;
  /** The supervisor wants its next tick within TICK_MS_MIN. Engines that always tick so often leave it out. */
  readonly watchSoon?: () => void;
}

/** The parts every engine drives. */
export interface SystemCore {
  readonly board: Switchboard;
  readonly shapes: SharedArrayBuffer;
  readonly mail: PostOffice;
  readonly supervisor: Supervisor;
  readonly cell: Cell;
  readonly launcher: Launcher;
}

const ACTORS_DEFAULT = 256;
const QUEUE_MEGABYTES_DEFAULT = 64;
const SYSTEM_GENERATION = 1;

/** Builds a system. */
export function systemCore(parts: EngineParts, limits: SystemLimits): SystemCore {
  const { clock, seed, files, watchSoon = () => undefined } = parts;
  const queueBytes = (limits.queueMegabytes ?? QUEUE_MEGABYTES_DEFAULT) * 2 ** 20;
  const board = Switchboard.create(limits.actorsMax ?? ACTORS_DEFAULT, queueBytes);
  const shapes = createStructureTable();
  const codec = bodyCodec(shapes, SYSTEM_SLOT + 1, 'plain');
  const mail = new PostOffice(board, codec, shapes, watchSoon);
  const launcher = parts.makeLauncher(board, shapes);
  const { observe } = parts;
  const supervisor = new Supervisor({ board, mail, launcher, seed, nowMs: clock.monotonicMs, observe, watchSoon });
  const declaration = systemActor(supervisor, parts);
  const opened = mail.open(declaration);
  assert(opened?.slot === SYSTEM_SLOT && opened.generation === SYSTEM_GENERATION, 'the system takes the first slot');
  const log = { info: () => undefined, warn: () => undefined };
  const cell = new Cell({
    board,
    codec,
    declaration,
    slot: SYSTEM_SLOT,
    generation: SYSTEM_GENERATION,
    incarnation: 0,
    name: 'system',
    clock,
    random: seededRandom(seed, 'system'),
    log,
    useFile: (token) => files.use(token),
    useNetwork: offlineNetwork,
    interleaved: true,
    lanes: {
      answer: (slot, asked, result) => mail.post(slot, { control: 'answer', asked, result }),
      ring: (slot, flags) => mail.post(slot, { control: 'rang', flags }),
    },
  });
  board.setState(SYSTEM_SLOT, 'running');
  return { board, shapes, mail, supervisor, cell, launcher };
}

/** The system actor: hands what it is told to the supervisor. */
function systemActor(supervisor: Supervisor, parts: EngineParts): AnyDeclaration {
  return actor<undefined, SystemProtocol, undefined>({
    name: 'system',
    mailboxMax: 1024,
    messageBytesMax: 4096,
    asksMax: 256,
    supervision: { strategy: 'one-for-one', restartsMax: 0, withinMs: 1, otherwise: 'stop' },
    start: () => ok(undefined),
    on: {
      report: (_, { actor: number, incarnation, report }) => supervisor.report(number, incarnation, report),
      log: (_, line) => parts.log(line),
      monitor: (_, { watcher, actor: number }) => supervisor.monitor(watcher, number),
      link: (_, { one, other }) => supervisor.link(one, other),
      lookup(_, { name }) {
        const found = supervisor.lookup(name);
        return found === undefined ? err('unknownName') : ok({ actor: found.actor });
      },
      spawn: (_, request) => spawnFor(supervisor, parts, request),
    },
  });
}

async function spawnFor(supervisor: Supervisor, parts: EngineParts, request: BodyOf<SystemProtocol, 'spawn'>) {
  const kind = await parts.loadKind(request.kind);
  if (kind === undefined) {
    return err({ reason: 'noModule' as const, detail: `${request.kind.module} does not load as an actor` });
  }
  return await supervisor.spawn(kind, request.config, request.name, request.parent);
}
