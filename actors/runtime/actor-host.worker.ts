/**
 * What runs in every worker: loads the actor's module, makes its cell and drives it. It never returns, because piscina
 * would give a worker that has returned, with all its old state, to the next actor: the supervisor ends every worker.
 */
import { once } from 'node:events';
import { workerData } from 'node:worker_threads';
import type { AnyDeclaration } from './actor.js';
import { blocker, blockingLoop } from './blocking-loop.js';
import { bodyCodec } from './body-codec.js';
import { importModule, keepCode } from './bundle-file.js';
import { Cell, SYSTEM } from './cell.js';
import type { Assignment, HostMessage, HostTask, PoolData } from './hand-over.js';
import { useHostFile } from './host-files.js';
import { useHostFolder } from './host-folder.js';
import { useHostNetwork } from './host-network.js';
import { hostClock, hostThread, messageLog, processorWaitMs } from './host-services.js';
import { listenOnHost } from './host-sockets.js';
import { CONTROL_TEXT_MAX } from './limits.js';
import { pump } from './pump.js';
import { seededRandom } from './random.js';
import { Switchboard } from './switchboard.js';
import type { ActorReport } from './system-protocol.js';

const POLL_MICROSECONDS_DEFAULT = 50;
const REPORT_ATTEMPTS = 1_000;

/**
 * The actor's module, begun before the task comes: meanwhile piscina tells its other thread that this one is ready, and that one sends
 * the task. What goes wrong is said when the task is there.
 */
const early = new Promise<{ readonly default?: unknown } | { readonly thrown: unknown }>((resolve) => {
  // WHY: workerData is untyped; the launcher of this build (spawn.ts) gives it. A host that is only bundled has none.
  const pool = workerData as PoolData | null;
  if (pool !== null) {
    setImmediate(() =>
      importModule(pool.module).then(resolve, (thrown: unknown) => {
        resolve({ thrown });
      }),
    );
  }
});

/** The host task. */
export default async function host(task: HostTask): Promise<never> {
  const declaration = await load(task);
  if (declaration === undefined) return forever();
  let assignment = task.assignment;
  if (assignment === undefined) {
    if (task.rehearses) {
      const { rehearse } = await import('./rehearsal.js');
      await rehearse();
    }
    await declaration.warmUp?.(task.rehearses);
    say(task, { host: 'warm' });
    // WHY: only the launcher of this build has the other end of the port (spawn.ts).
    [assignment] = (await once(task.port, 'message')) as [Assignment];
  }
  await become(declaration, assignment, task);
  return forever();
}

/** The worker stays as it is until it is ended from outside. */
function forever(): Promise<never> {
  return new Promise(() => undefined);
}

async function load(task: HostTask): Promise<AnyDeclaration | undefined> {
  try {
    const module = await early;
    if ('thrown' in module) throw module.thrown;
    if (isDeclaration(module.default)) return module.default;
    say(task, { host: 'noModule', detail: `${task.module} has no actor as its default export` });
  } catch (thrown) {
    say(task, { host: 'noModule', detail: sentence(thrown) });
  }
  return undefined;
}

function isDeclaration(value: unknown): value is AnyDeclaration {
  return typeof value === 'object' && value !== null && 'on' in value && 'mailboxMax' in value;
}

function say(task: HostTask, message: HostMessage): void {
  task.port.postMessage(message);
}

/** Runs the actor to its end and reports that end. */
async function become(declaration: AnyDeclaration, assignment: Assignment, task: HostTask): Promise<void> {
  const { slot, generation, incarnation, name, seed } = assignment;
  const { memory } = task;
  const board = Switchboard.attach(memory.board, memory.slots);
  const clock = hostClock(memory.epochMs);
  const busy = board.wordIndex(slot, 'busy');
  board.words[busy] = 1;
  const log = messageLog(name, clock, (line) => cell.endpoint.tell(SYSTEM, 'log', line).ok);
  let block: ReturnType<typeof blocker> | undefined;
  const cell = new Cell({
    board,
    codec: bodyCodec(memory.shapes, slot + 1),
    declaration,
    slot,
    generation,
    incarnation,
    name,
    clock,
    random: seededRandom(seed, name),
    log,
    useFile: useHostFile,
    useFolder: useHostFolder,
    listen: listenOnHost,
    useNetwork: useHostNetwork,
    hostThread,
    processorWaitMs,
    ...(declaration.slice === undefined ? {} : { block: (ready, ms, polls) => block?.(ready, ms, polls) }),
  });
  block = blocker(cell, board, slot, clock.monotonicMs);
  try {
    const started = await cell.start(assignment.config);
    if (!started.ok) return report(cell, { report: 'startRefused', error: started.error });
    report(cell, { report: 'started' });
    if (declaration.slice !== undefined) blockingLoop(cell, { board, slot, nowMs: clock.monotonicMs });
    else {
      const pollMicroseconds = declaration.pollMicroseconds ?? POLL_MICROSECONDS_DEFAULT;
      await pump(cell, { board, slot, clock, pollMicroseconds });
    }
    keepCode();
    report(cell, { report: 'stopped' });
  } catch (thrown) {
    report(cell, { report: 'threw', detail: sentence(thrown) });
  } finally {
    board.words[busy] = 0;
  }
}

/** Reports, waiting while the system's mailbox is full; a host that cannot report ends its worker, which is a report too. */
function report(cell: Cell, what: ActorReport): void {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (let attempt = 0; attempt < REPORT_ATTEMPTS; attempt++) {
    if (cell.report(what)) return;
    cell.progress();
    Atomics.wait(pause, 0, 0, 1);
  }
  process.exit(70);
}

/** What a person should read about something thrown: its message and where it was thrown. */
function sentence(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown).slice(0, CONTROL_TEXT_MAX);
  const where = thrown.stack?.split('\n').find((line) => line.trimStart().startsWith('at ')) ?? '';
  return `${thrown.message} ${where.trim()}`.trim().slice(0, CONTROL_TEXT_MAX);
}
