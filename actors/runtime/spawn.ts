/**
 * Workers through piscina, which is imported nowhere else. Its five rules (docs/adr/0011): a host task never returns, so
 * a worker is never reused; `maxQueue: 0`, so a full pool refuses at once; `minThreads: 0`; a worker is ended by aborting
 * its task; every pool has an `error` listener. One pool per actor kind, because limits and rights belong to the pool.
 */
import { existsSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import type { Piscina } from 'piscina';
import type { ActorKind, Permissions, WorkerPlacement } from './actor.js';
import type { Assignment, HostMessage, HostTask, PoolData, SystemMemory } from './hand-over.js';
import type { Launch, Launcher, LaunchOrder, WorkerEnd } from './launcher.js';
import { portsOf } from './object-channel.js';
import { actorFile, hostBytes, hostFile, poolLibrary } from './worker-files.js';

// WHY: what is required has no type; it is piscina, in one piece or as installed.
const library = poolLibrary() as typeof import('piscina');

const HEAP_MEGABYTES_DEFAULT = 128;
const YOUNG_MEGABYTES_MAX = 16;
const WORKERS_DEFAULT = 64;

/** A worker, from the moment it was asked for. */
interface Worker {
  readonly abort: AbortController;
  readonly port: MessagePort;
  loaded: boolean;
  order: LaunchOrder | undefined;
  refused: WorkerEnd | undefined;
}

interface Pool {
  readonly kind: WorkerPlacement;
  /** What its workers load for the actor. */
  readonly module: string;
  readonly piscina: Piscina;
  /** Workers without an actor, loading or loaded. */
  readonly warm: Worker[];
  readonly waiting: (() => void)[];
}

/** See the file comment. */
export class PiscinaLauncher implements Launcher {
  readonly #memory: SystemMemory;
  readonly #host = hostFile();
  readonly #hostBytes = hostBytes(this.#host);
  readonly #pools = new Map<string, Pool>();
  readonly #onFault: (fault: Error) => void;
  readonly #followed = new Set<Promise<void>>();
  #closing = false;

  /** `onFault` hears of pool errors that belong to no actor. */
  constructor(memory: SystemMemory, onFault: (fault: Error) => void) {
    this.#memory = memory;
    this.#onFault = onFault;
  }

  /** Workers that exist, warm ones included. */
  get workers(): number {
    return this.#followed.size;
  }

  launch(order: LaunchOrder): Launch {
    const pool = this.#pool(order.kind);
    const assignment = assignmentOf(order);
    let worker = pool.warm.findIndex((candidate) => candidate.loaded);
    if (worker < 0) worker = pool.warm.length > 0 ? 0 : -1;
    const [taken] = worker < 0 ? [] : pool.warm.splice(worker, 1);
    if (taken === undefined) return handleOn(this.#start(pool, order, assignment));
    taken.order = order;
    taken.port.postMessage(assignment, portsOf(assignment.config));
    // Starting a thread keeps this one busy for milliseconds, which the actor just started would have to wait for.
    setTimeout(() => this.#refill(pool), REFILL_DELAY_MS).unref();
    return handleOn(taken);
  }

  async prepare(kind: ActorKind): Promise<void> {
    const pool = this.#pool(kind);
    this.#refill(pool);
    while (!this.#closing && pool.warm.some((worker) => !worker.loaded)) {
      await new Promise<void>((resolve) => pool.waiting.push(resolve));
    }
  }

  begin(kind: WorkerPlacement, count: number): void {
    const pool = this.#pool(kind);
    for (let i = 0; i < count && !this.#closing; i++) pool.warm.push(this.#start(pool, undefined, undefined));
  }

  async close(): Promise<void> {
    this.#closing = true;
    for (const pool of this.#pools.values()) {
      for (const worker of pool.warm.splice(0)) worker.abort.abort();
      for (const wake of pool.waiting.splice(0)) wake();
      await pool.piscina.destroy();
    }
    await Promise.all(this.#followed);
    this.#pools.clear();
  }

  #refill(pool: Pool): void {
    while (!this.#closing && pool.warm.length < (pool.kind.warm ?? 0)) {
      pool.warm.push(this.#start(pool, undefined, undefined, true));
    }
  }

  /** `rehearses`: there is time before its actor comes. */
  #start(pool: Pool, order: LaunchOrder | undefined, assignment: Assignment | undefined, rehearses = false): Worker {
    const { port1, port2 } = new MessageChannel();
    const worker: Worker = { abort: new AbortController(), port: port1, loaded: false, order, refused: undefined };
    const task: HostTask = { memory: this.#memory, module: pool.module, assignment, rehearses, port: port2 };
    port1.on('message', (message: HostMessage) => this.#hear(pool, worker, message));
    const closed = new Promise<void>((resolve) => port1.once('close', resolve));
    const run = pool.piscina.run(task, {
      signal: worker.abort.signal,
      transferList: [port2, ...portsOf(assignment?.config)],
    });
    const followed = this.#follow(pool, worker, run, closed, port2).then((end) => {
      this.#followed.delete(followed);
      worker.order?.ended(end);
    });
    this.#followed.add(followed);
    return worker;
  }

  /** Follows a worker to its end: the task has failed, and its end of the port is gone, so none of its code runs any more. */
  async #follow(
    pool: Pool,
    worker: Worker,
    run: Promise<unknown>,
    closed: Promise<void>,
    port2: MessagePort,
  ): Promise<WorkerEnd> {
    let end: WorkerEnd;
    try {
      await run;
      end = { how: 'exited', detail: 'the host task returned' };
    } catch (thrown) {
      end = worker.refused ?? endOf(thrown);
    }
    // A port that was never handed over, as when a port of the config has died before, is still ours to close; for one that
    // was, this does nothing.
    port2.close();
    const abandoned = setTimeout(() => worker.port.close(), ABANDON_MS);
    await closed;
    clearTimeout(abandoned);
    const at = pool.warm.indexOf(worker);
    if (at >= 0) pool.warm.splice(at, 1);
    for (const wake of pool.waiting.splice(0)) wake();
    return end;
  }

  #hear(pool: Pool, worker: Worker, message: HostMessage): void {
    if (message.host === 'noModule') {
      worker.refused = { how: 'noModule', detail: message.detail };
      worker.abort.abort();
      return;
    }
    worker.loaded = true;
    for (const wake of pool.waiting.splice(0)) wake();
  }

  #pool(kind: WorkerPlacement): Pool {
    const { heapMegabytesMax = HEAP_MEGABYTES_DEFAULT, workersMax = WORKERS_DEFAULT, warm = 0, permissions } = kind;
    const key = JSON.stringify([kind.module.href, heapMegabytesMax, workersMax, warm, permissions]);
    const known = this.#pools.get(key);
    if (known !== undefined) return known;
    const module = actorFile(kind.module).href;
    const workerData: PoolData = { host: this.#hostBytes, module };
    const piscina = new library.Piscina({
      workerData,
      filename: this.#host.href,
      minThreads: 0,
      maxThreads: workersMax + warm,
      maxQueue: 0,
      idleTimeout: 0,
      concurrentTasksPerWorker: 1,
      atomics: 'disabled',
      recordTiming: false,
      resourceLimits: {
        maxOldGenerationSizeMb: heapMegabytesMax,
        maxYoungGenerationSizeMb: Math.min(YOUNG_MEGABYTES_MAX, heapMegabytesMax),
      },
      ...(permissions === undefined ? {} : { execArgv: permissionFlags(permissions) }),
    });
    piscina.on('error', (fault: Error) => this.#onFault(fault));
    const pool = { kind, module, piscina, warm: [], waiting: [] };
    this.#pools.set(key, pool);
    return pool;
  }
}

/** A warm worker that was taken is replaced after this long: a VM has started by then. */
const REFILL_DELAY_MS = 300;
/** When its task has ended a worker is gone within milliseconds; should its port not say so, we stop waiting after this. */
const ABANDON_MS = 2_000;

function handleOn(worker: Worker): Launch {
  return { kill: () => worker.abort.abort() };
}

function assignmentOf(order: LaunchOrder): Assignment {
  const { slot, generation, incarnation, name, seed, config } = order;
  return { slot, generation, incarnation, name, seed, config };
}

/** What piscina's rejection says about the end of the worker. */
function endOf(thrown: unknown): WorkerEnd {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const code = 'code' in error ? String(error.code) : '';
  const detail = error.message;
  if (error.name === 'AbortError' || detail.startsWith('Terminating worker')) return { how: 'killed', detail };
  if (code === 'ERR_WORKER_OUT_OF_MEMORY') return { how: 'outOfMemory', detail };
  if (detail.startsWith('No task queue')) return { how: 'noRoom', detail: 'every worker of this kind is in use' };
  if (detail.startsWith('worker exited')) return { how: 'exited', detail };
  return { how: 'threw', detail };
}

/**
 * The flags that put a worker under Node's permission model with `permissions` only: the one place that builds them. It
 * guards against our own mistakes (a wrong path), not against malicious code; the network is not covered on Node 20.
 */
function permissionFlags({ read = [], write = [] }: Permissions): string[] {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const renamed = major > 23 || (major === 23 && minor >= 5) || (major === 22 && minor >= 13);
  const flags = [renamed ? '--permission' : '--experimental-permission'];
  for (const path of [...programFolders(), ...read]) flags.push(`--allow-fs-read=${path}`);
  for (const path of write) flags.push(`--allow-fs-write=${path}`);
  return flags;
}

/** Where this program's own code lies: the package and the folders of its dependencies. */
function programFolders(): string[] {
  const dist = realpathSync(join(dirname(fileURLToPath(import.meta.url)), '..', '..'));
  const manifest = join(dist, '..', 'package.json');
  const piscina = createRequire(import.meta.url).resolve('piscina');
  const modules = realpathSync(join(piscina, '..', '..', '..'));
  const folders = [`${dist}/*`, `${modules}/*`];
  return existsSync(manifest) ? [...folders, manifest] : folders;
}
