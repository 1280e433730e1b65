/**
 * The deterministic simulator: a whole actor system in one thread. The same cells, queues, doorbells and supervisor as
 * in workers; the scheduler, the clock, the workers' deaths and every fault come from one seed, so a seed replays a run bit
 * for bit, which the trace hash proves.
 */
import { createHash, type Hash } from 'node:crypto';
import type { ActorKind } from '../../actors/runtime/actor.js';
import { type BodyCodec, bodyCodec } from '../../actors/runtime/body-codec.js';
import { Cell } from '../../actors/runtime/cell.js';
import { MemoryFiles } from '../../actors/runtime/files.js';
import type { Launch, Launcher, LaunchOrder, WorkerEnd } from '../../actors/runtime/launcher.js';
import { offlineNetwork } from '../../actors/runtime/network.js';
import { type Random, seededRandom } from '../../actors/runtime/random.js';
import type { Clock } from '../../actors/runtime/services.js';
import { SYSTEM_SLOT, type SystemEvent } from '../../actors/runtime/supervisor.js';
import { Switchboard } from '../../actors/runtime/switchboard.js';
import { type SystemCore, systemCore } from '../../actors/runtime/system-core.js';
import { OwnerLock } from '../../bus/doorbell/owner-lock.js';
import { QueueHeader } from '../../bus/message-queue/queue-layout.js';
import { drawFaults, type FaultRates } from './faults.js';

const TICK_MS = 10;
const MESSAGES_PER_TURN_MAX = 4;
const TURN_MS_MAX = 0.2;
const START_MS = 20;

interface SimWorker {
  readonly order: LaunchOrder;
  cell: Cell | undefined;
  /** The host's view: it may take turns. */
  running: boolean;
  /** Not scheduled before. */
  asleepUntilMs: number;
  spinning: boolean;
  gone: boolean;
}

interface Scheduled {
  readonly atMs: number;
  readonly order: number;
  readonly what: string;
  run(): void;
}

/** One run. */
export class Simulation {
  readonly core: SystemCore;
  readonly files = new MemoryFiles();
  readonly events: SystemEvent[] = [];
  readonly random: Random;
  readonly faults: FaultRates;
  /** Faults injected, by name. */
  readonly injected = new Map<string, number>();
  nowMs = 0;
  steps = 0;
  /** Off while the scenario is checked at its end. */
  faultsOn = true;
  readonly #hash: Hash = createHash('sha256');
  readonly #workers = new Map<number, SimWorker>();
  readonly #agenda: Scheduled[] = [];
  readonly #seed: number;
  #order = 0;
  #systemAsleepUntilMs = 0;
  #codec: BodyCodec | undefined;
  #shapes: SharedArrayBuffer | undefined;
  readonly #blocked = new Set<SimWorker>();

  constructor(seed: number) {
    this.#seed = seed;
    this.random = seededRandom(seed, 'simulation');
    this.faults = drawFaults(seededRandom(seed, 'faults'));
    const clock: Clock = {
      monotonicMs: () => this.nowMs,
      unixSeconds: () => 1_700_000_000 + Math.floor(this.nowMs / 1000),
    };
    this.core = systemCore(
      {
        clock,
        seed,
        files: this.files,
        observe: (event) => {
          this.events.push(event);
          this.trace(`event ${JSON.stringify(event)}`);
        },
        log: (line) => this.trace(`log ${line.name} ${line.text}`),
        loadKind: () => Promise.resolve(undefined),
        makeLauncher: (_, shapes) => {
          this.#shapes = shapes;
          return this.#launcher();
        },
      },
      { actorsMax: 64, queueMegabytes: 16 },
    );
    this.#tickLater();
  }

  /** Adds to the trace. */
  trace(text: string): void {
    this.#hash.update(`${this.nowMs.toFixed(3)} ${text}\n`);
  }

  /** The hash of everything that has happened. */
  traceHash(): string {
    return this.#hash.copy().digest('hex');
  }

  /** Starts an actor; its promise settles as the simulation goes on. */
  spawn(kind: ActorKind, config: unknown, name: string): ReturnType<SystemCore['supervisor']['spawn']> {
    return this.core.supervisor.spawn(kind, config, name, SYSTEM_SLOT);
  }

  /** Steps until `done` or `untilMs` of simulated time; true when done. */
  async run(done: () => boolean, untilMs: number): Promise<boolean> {
    while (!done()) {
      if (this.nowMs > untilMs) return false;
      this.#step(undefined);
      // Promise callbacks of the step run before the next one.
      await new Promise(setImmediate);
    }
    return true;
  }

  #oneIn(fault: keyof FaultRates): boolean {
    const rate = this.faults[fault];
    if (!this.faultsOn || rate === 0 || !this.random.oneIn(rate)) return false;
    this.injected.set(fault, (this.injected.get(fault) ?? 0) + 1);
    this.trace(`fault ${fault}`);
    return true;
  }

  #ms(max: number): number {
    return this.random.below(max * 1000) / 1000;
  }

  /** Runs one thing that can happen now; if nothing can, lets time pass to the next thing. */
  #step(sleeper: SimWorker | undefined): void {
    this.steps += 1;
    const due = this.#agenda[0];
    if (due !== undefined && due.atMs <= this.nowMs) {
      this.#agenda.shift();
      this.trace(due.what);
      due.run();
      return;
    }
    const able = this.#able(sleeper);
    if (able.length === 0) {
      this.#passTime();
      return;
    }
    const chosen = able[this.random.below(able.length)];
    if (chosen === 'system') this.#turnSystem();
    else this.#turnWorker(chosen);
    this.nowMs += this.#ms(TURN_MS_MAX);
    if (this.#oneIn('clockJump')) this.nowMs += this.#ms(300);
  }

  #able(sleeper: SimWorker | undefined): (SimWorker | 'system')[] {
    const able: (SimWorker | 'system')[] = [];
    const { cell } = this.core;
    if (this.#systemAsleepUntilMs <= this.nowMs && (cell.ready() || cell.nextDueMs <= this.nowMs)) able.push('system');
    for (const worker of this.#workers.values()) {
      if (worker === sleeper || this.#blocked.has(worker) || !this.#mayTurn(worker)) continue;
      const { cell: own } = worker;
      const wakes = own !== undefined && (own.ready() || own.nextDueMs <= this.nowMs || this.#wantsSlice(worker));
      if (wakes || this.#oneIn('spuriousWake')) able.push(worker);
    }
    return able;
  }

  readonly #sliceDue = new Map<SimWorker, number>();

  #wantsSlice(worker: SimWorker): boolean {
    return (this.#sliceDue.get(worker) ?? Number.POSITIVE_INFINITY) <= this.nowMs;
  }

  #mayTurn(worker: SimWorker): boolean {
    return worker.running && !worker.spinning && !worker.gone && worker.asleepUntilMs <= this.nowMs;
  }

  /** Nothing to do: the clock moves to the next timer, wake-up or scheduled thing. */
  #passTime(): void {
    let next = Math.min(this.#agenda[0]?.atMs ?? Number.POSITIVE_INFINITY, this.core.cell.nextDueMs);
    if (this.#systemAsleepUntilMs > this.nowMs) next = Math.min(next, this.#systemAsleepUntilMs);
    for (const worker of this.#workers.values()) {
      if (!worker.running || worker.spinning || worker.gone) continue;
      const dueMs = Math.min(
        worker.cell?.nextDueMs ?? Number.POSITIVE_INFINITY,
        this.#sliceDue.get(worker) ?? Infinity,
      );
      if (worker.asleepUntilMs > this.nowMs) next = Math.min(next, worker.asleepUntilMs);
      else if (dueMs > this.nowMs) next = Math.min(next, dueMs);
    }
    this.nowMs = Number.isFinite(next) ? Math.max(next, this.nowMs + 0.001) : this.nowMs + 1;
  }

  #turnSystem(): void {
    this.trace('system');
    this.core.cell.turn(1 + this.random.below(MESSAGES_PER_TURN_MAX));
    if (this.#oneIn('systemSlow')) this.#systemAsleepUntilMs = this.nowMs + this.#ms(40);
  }

  /** What the host of a worker does in one round, with the faults that may strike there. */
  #turnWorker(worker: SimWorker): void {
    const { order, cell } = worker;
    if (cell === undefined) return;
    if (this.#oneIn('lateWake')) {
      worker.asleepUntilMs = this.nowMs + this.#ms(5);
      return;
    }
    if (this.#oneIn('crash')) {
      this.#die(worker, { how: 'exited', detail: 'crash injected' });
      return;
    }
    if (this.#oneIn('crashHoldingLock')) {
      this.#dieInside(worker);
      return;
    }
    if (this.#oneIn('spin')) {
      worker.spinning = true;
      this.core.board.set(order.slot, 'busy', 1);
      return;
    }
    if (this.#oneIn('spuriousRing')) cell.endpoint.doorbell.send(0, 8);
    try {
      const outcome = cell.turn(1 + this.random.below(MESSAGES_PER_TURN_MAX));
      this.trace(`${order.name}#${order.incarnation} ${outcome} ${this.core.mail.depth(order.slot)}`);
      if (outcome === 'ended') {
        worker.running = false;
        this.#report(worker, () => cell.report({ report: 'stopped' }));
        return;
      }
      if (order.kind.declaration.slice !== undefined) {
        const wish = cell.slice();
        this.#sliceDue.set(worker, wish === 'again' ? this.nowMs : this.nowMs + wish.sleepMs);
      }
    } catch (thrown) {
      worker.running = false;
      this.trace(`${order.name} threw ${String(thrown)}`);
      this.#report(worker, () => cell.report({ report: 'threw', detail: String(thrown) }));
    }
    if (this.#oneIn('slow')) worker.asleepUntilMs = this.nowMs + this.#ms(30);
  }

  /** Sends a report, again and again while the system's mailbox is full. */
  #report(worker: SimWorker, send: () => boolean): void {
    if (worker.gone || send()) return;
    this.#at(1, `report of ${worker.order.name}`, () => this.#report(worker, send));
  }

  #launcher(): Launcher {
    return {
      launch: (order) => this.#launch(order),
      prepare: () => Promise.resolve(),
      begin: () => undefined,
      close: () => Promise.resolve(),
    };
  }

  #launch(order: LaunchOrder): Launch {
    const worker: SimWorker = {
      order,
      cell: undefined,
      running: false,
      asleepUntilMs: 0,
      spinning: false,
      gone: false,
    };
    if (this.#oneIn('spawnFails')) {
      this.#at(this.#ms(START_MS), `no worker for ${order.name}`, () => {
        if (!worker.gone) this.#end(worker, { how: 'noRoom', detail: 'injected' });
      });
      return { kill: () => this.#kill(worker) };
    }
    this.#workers.set(order.slot, worker);
    const delay = this.#oneIn('spawnSlow') ? this.#ms(200) : this.#ms(START_MS);
    this.#at(delay, `worker for ${order.name}`, () => void this.#become(worker));
    return { kill: () => this.#kill(worker) };
  }

  async #become(worker: SimWorker): Promise<void> {
    if (worker.gone) return;
    const { order } = worker;
    const { board } = this.core;
    this.#codec ??= bodyCodec(this.#shapes ?? this.core.shapes, 4_000);
    const cell = new Cell({
      board: Switchboard.attach(board.memory, board.slots),
      codec: this.#codec,
      declaration: order.kind.declaration,
      slot: order.slot,
      generation: order.generation,
      incarnation: order.incarnation,
      name: order.name,
      clock: { monotonicMs: () => this.nowMs, unixSeconds: () => 0 },
      random: seededRandom(order.seed, order.name),
      log: { info: (text) => this.trace(`info ${text}`), warn: (text) => this.trace(`warn ${text}`) },
      useFile: (token) => this.files.use(token),
      useNetwork: offlineNetwork,
      block: (ready, timeoutMs) => this.#block(worker, ready, timeoutMs),
      onMessage: (kind, from, asked) => this.trace(`${order.name} takes ${kind} ${from} ${asked}`),
    });
    worker.cell = cell;
    const started = await cell.start(order.config).then(
      (result) => ({ result }),
      (thrown: unknown) => ({ thrown }),
    );
    if (worker.gone) return;
    if ('thrown' in started) {
      this.#report(worker, () => cell.report({ report: 'threw', detail: String(started.thrown) }));
      return;
    }
    const { result } = started;
    if (!result.ok) {
      this.#report(worker, () => cell.report({ report: 'startRefused', error: result.error }));
      return;
    }
    this.#report(worker, () => cell.report({ report: 'started' }));
    worker.running = true;
    if (order.kind.declaration.slice !== undefined) this.#sliceDue.set(worker, this.nowMs);
  }

  /** A blocking actor sleeps: the others go on. Their promise callbacks wait until it wakes. */
  #block(worker: SimWorker, ready: () => boolean, timeoutMs: number): void {
    const untilMs = this.nowMs + timeoutMs;
    this.#blocked.add(worker);
    while (!ready() && this.nowMs < untilMs && !worker.gone) this.#step(worker);
    this.#blocked.delete(worker);
  }

  #kill(worker: SimWorker): void {
    const delay = this.#oneIn('killSlow') ? this.#ms(20) : 0;
    this.#at(delay, `${worker.order.name} is killed`, () => {
      if (!worker.gone) this.#end(worker, { how: 'killed', detail: 'killed' });
    });
  }

  /** The worker stops moving now; the supervisor hears of it a little later. */
  #die(worker: SimWorker, end: WorkerEnd): void {
    worker.running = false;
    this.#at(this.#ms(5), `${worker.order.name} has ended`, () => {
      if (!worker.gone) this.#end(worker, end);
    });
  }

  /** Dies with the lock of another's mailbox taken and its target announced, as a thread killed in mid-send does. */
  #dieInside(worker: SimWorker): void {
    const { board } = this.core;
    const slots = [...this.#workers.keys()].filter((slot) => slot !== worker.order.slot);
    const target = slots[this.random.below(Math.max(1, slots.length))];
    if (target !== undefined && board.state(target) !== 'free') {
      board.set(worker.order.slot, 'target', target);
      const at = board.get(target, 'mailboxAt');
      new OwnerLock(
        new Int32Array(board.memory, at, 64),
        QueueHeader.offsets.lock >> 2,
        worker.order.slot + 1,
      ).acquire();
      // The others would spin on the lock until the supervisor frees it; here they would spin for ever, so it comes first.
      worker.running = false;
      this.#end(worker, { how: 'exited', detail: 'died in the middle of a send' });
      return;
    }
    this.#die(worker, { how: 'exited', detail: 'died' });
  }

  #end(worker: SimWorker, end: WorkerEnd): void {
    worker.gone = true;
    worker.running = false;
    if (this.#workers.get(worker.order.slot) === worker) this.#workers.delete(worker.order.slot);
    this.#sliceDue.delete(worker);
    worker.order.ended(end);
  }

  #tickLater(): void {
    const late = this.#oneIn('tickLate') ? this.#ms(60) : 0;
    this.#at(TICK_MS + late, 'tick', () => {
      this.core.supervisor.tick();
      this.#tickLater();
    });
  }

  #at(delayMs: number, what: string, run: () => void): void {
    const entry = { atMs: this.nowMs + delayMs, order: this.#order++, what, run };
    const after = this.#agenda.findIndex((other) => other.atMs > entry.atMs);
    this.#agenda.splice(after < 0 ? this.#agenda.length : after, 0, entry);
  }

  /** Workers that exist. */
  get workers(): number {
    return this.#workers.size;
  }

  /** The seed of the run. */
  get seed(): number {
    return this.#seed;
  }
}
