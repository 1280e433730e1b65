/**
 * Supervision: who lives, who is told, who is restarted. It runs in one thread (the system's), is the only writer of
 * actor states and queue places, and learns about workers from three sources: reports the actors send, the launcher's
 * `ended`, and the watchdog in `tick`. It reads no clock and sets no timer: whoever drives it passes the time.
 *
 * An actor's life: starting -> running -> (restarting -> running)* -> ended. A failure first kills the worker and waits
 * for its end, then stops the children (last started first), tells askers, monitors and links, and only then restarts.
 */
import { err, ok, type Result } from '../../bus/result.js';
import type { ActorKind, SpawnFailure } from './actor.js';
import { type Launch, type Launcher, type LaunchOrder, launchLater, type WorkerEnd } from './launcher.js';
import type { MailPlaces, PostOffice } from './post-office.js';
import type { ActorRef } from './protocol.js';
import { fnv1a } from './random.js';
import { RestartPolicy } from './restart-policy.js';
import type { Down, DownReason } from './services.js';
import { type ActorState, actorNumber, ORDER_KILL, ORDER_STOP, type Switchboard, slotOf } from './switchboard.js';
import type { ActorReport } from './system-protocol.js';

/** The slot of the system itself: parent of what the main program spawns. */
export const SYSTEM_SLOT = 0;
const START_BUDGET_MS = 30_000;
/** Ticks are due this often while something starts, stops or waits for room in a queue, in milliseconds; */
export const TICK_MS_MIN = 10;
/** otherwise each actor's budget is watched to this part of it, */
const BUDGET_PARTS = 32;
/** and at least this often. What sleeps costs these wakings and nothing else. */
const TICK_MS_MAX = 250;
/**
 * While an actor is awake of which it is not known since when it does what it does: that is counted from the first tick that meets it, and is
 * to be found within 50 ms of its budget. Most often it is known (`seenMs` of the switchboard), and nobody need look so often.
 */
const TICK_MS_AWAKE = 16;
/** A tick that comes later than it was due counts for at most this much more. */
const TICK_LATE_MS_MAX = 10;
const HANDLER_BUDGET_MS_DEFAULT = 2_000;
const STOP_BUDGET_MS_DEFAULT = 2_000;

/** One line of `inspect()`. */
export interface ActorInfo {
  readonly ref: ActorRef<never>;
  readonly name: string;
  readonly kind: string;
  readonly state: ActorState;
  readonly parent: string;
  readonly restarts: number;
  readonly handled: number;
  readonly mailboxDepth: number;
}

/** What happens in a system, for observers. Times are the system clock's milliseconds. */
export type SystemEvent =
  | { readonly event: 'started'; readonly atMs: number; readonly name: string; readonly incarnation: number }
  | {
      readonly event: 'down';
      readonly atMs: number;
      readonly name: string;
      readonly reason: DownReason;
      readonly detail: string;
      readonly verdict: 'restart' | 'stop' | 'escalate';
      /** It refused to start, and whoever spawned it is told why. */
      readonly isRefusal: boolean;
    }
  /** An actor the main program spawned has failed for good and asks for the failure to be dealt with above. */
  | { readonly event: 'escalated'; readonly atMs: number; readonly name: string; readonly detail: string };

type Phase = 'starting' | 'running' | 'stopping' | 'dying' | 'restarting' | 'ended';

interface Failure {
  readonly reason: DownReason;
  readonly detail: string;
}

interface ActorRecord {
  readonly slot: number;
  readonly generation: number;
  readonly name: string;
  readonly kind: ActorKind;
  readonly config: unknown;
  readonly parent: ActorRecord | undefined;
  readonly children: ActorRecord[];
  readonly policy: RestartPolicy;
  readonly monitors: Set<number>;
  readonly links: Set<number>;
  readonly places: MailPlaces;
  incarnation: number;
  phase: Phase;
  launch: Launch | undefined;
  failure: Failure | undefined;
  stopWanted: boolean;
  deadlineMs: number;
  lastHandled: number;
  /** How long this thread has seen it busy without progress, in milliseconds. */
  stalledMs: number;
  startRefusal: { readonly error: unknown } | undefined;
  workerEnd: WorkerEnd | undefined;
  answerSpawner: ((result: Result<ActorRef<never>, SpawnFailure>) => void) | undefined;
  readonly gone: Promise<void>;
  readonly setGone: () => void;
}

/** What the supervisor needs of the system it serves. */
export interface SupervisorParts {
  readonly board: Switchboard;
  readonly mail: PostOffice;
  readonly launcher: Launcher;
  readonly seed: number;
  nowMs(): number;
  observe(event: SystemEvent): void;
  /** Something began that the next tick must not be late for: it is due within TICK_MS_MIN. */
  watchSoon?(): void;
}

/** See the file comment. */
export class Supervisor {
  readonly #parts: SupervisorParts;
  readonly #records = new Map<number, ActorRecord>();
  readonly #names = new Map<string, ActorRecord>();
  readonly #roots: ActorRecord[] = [];
  #closing = false;
  #tickMs = 0;
  #dueMs = TICK_MS_MIN;

  constructor(parts: SupervisorParts) {
    this.#parts = parts;
  }

  /** Actors that exist, whatever they are doing. */
  get size(): number {
    return this.#records.size;
  }

  /** Starts an actor as a child of the actor in `parentSlot` (or of the system) and waits for its `start`. */
  spawn(
    kind: ActorKind,
    config: unknown,
    name: string,
    parentSlot: number,
    after?: Promise<void>,
  ): Promise<Result<ActorRef<never>, SpawnFailure>> {
    const parent = this.#records.get(parentSlot);
    const parentLives = parentSlot === SYSTEM_SLOT || parent?.phase === 'running' || parent?.phase === 'starting';
    if (this.#closing || !parentLives) return Promise.resolve(err({ reason: 'stopping' }));
    if (this.#names.has(name)) return Promise.resolve(err({ reason: 'nameTaken' }));
    const place = this.#parts.mail.open(kind.declaration);
    if (place === undefined)
      return Promise.resolve(err({ reason: 'noRoom', detail: 'no slot or no queue memory left' }));
    let setGone = (): void => undefined;
    const gone = new Promise<void>((resolve) => {
      setGone = resolve;
    });
    const record: ActorRecord = {
      ...place,
      name,
      kind,
      config,
      parent,
      children: [],
      policy: new RestartPolicy(kind.declaration.supervision),
      monitors: new Set(),
      links: new Set(),
      incarnation: 0,
      phase: 'starting',
      launch: undefined,
      failure: undefined,
      stopWanted: false,
      deadlineMs: 0,
      lastHandled: 0,
      stalledMs: 0,
      startRefusal: undefined,
      workerEnd: undefined,
      answerSpawner: undefined,
      gone,
      setGone,
    };
    this.#records.set(record.slot, record);
    this.#names.set(name, record);
    (parent?.children ?? this.#roots).push(record);
    return new Promise((resolve) => {
      record.answerSpawner = resolve;
      this.#launch(record, after);
    });
  }

  /** What the host of incarnation `incarnation` in `slot` says; words from a former life are ignored. */
  report(actor: number, incarnation: number, report: ActorReport): void {
    const record = this.#find(actor);
    if (record === undefined || record.incarnation !== incarnation) return;
    switch (report.report) {
      case 'started':
        this.#started(record);
        break;
      case 'startRefused':
        record.startRefusal = { error: report.error };
        this.#fail(record, 'startFailed', refusalText(report.error));
        break;
      case 'threw':
        this.#fail(record, record.phase === 'starting' ? 'startFailed' : 'threw', report.detail);
        break;
      case 'stopped':
        this.#fail(record, 'stopped', 'stopped in order');
        break;
      case 'wantsStop':
        void this.#stop(record);
        break;
    }
  }

  /** Stops an actor in order: its children first, last started first, then its own `stop`; killed past its budget. */
  async stop(ref: ActorRef<never>): Promise<void> {
    const record = this.#find(ref.actor);
    if (record !== undefined) await this.#stop(record);
  }

  /** Ends an actor by force for good. Its children are stopped in order. */
  async kill(ref: ActorRef<never>): Promise<void> {
    const record = this.#find(ref.actor);
    if (record === undefined) return;
    record.stopWanted = true;
    this.#parts.board.add(record.slot, 'orders', ORDER_KILL);
    this.#fail(record, 'killed', 'killed on request');
    await record.gone;
  }

  /** Ends an actor's worker by force, as a fault of its would: its supervision decides what follows. */
  fault(ref: ActorRef<never>): void {
    const record = this.#find(ref.actor);
    if (record !== undefined) this.#fail(record, 'killed', 'its worker was killed on request');
  }

  /** Stops everything, last started first, and ends the workers. */
  async close(): Promise<void> {
    this.#closing = true;
    for (const record of this.#roots.toReversed()) await this.#stop(record);
    await this.#parts.launcher.close();
  }

  /** Tells `watcher` when `actor` goes down; at once if there is no such actor. */
  monitor(watcher: number, actor: number): void {
    const target = this.#find(actor);
    if (target !== undefined) target.monitors.add(watcher);
    else this.#tellDown(watcher, actor, 'unknown', { reason: 'stopped', detail: 'no such actor' }, false);
  }

  /** Ties the fates of two actors; if `other` is already gone, `one` fails. */
  link(one: number, other: number): void {
    const a = this.#find(one);
    const b = this.#find(other);
    if (a === undefined) return;
    if (b === undefined) {
      this.#fail(a, 'linkDown', 'the linked actor is gone');
      return;
    }
    a.links.add(other);
    b.links.add(one);
  }

  /** The actor registered under `name`. */
  lookup(name: string): ActorRef<never> | undefined {
    const record = this.#names.get(name);
    return record === undefined ? undefined : this.#ref(record);
  }

  /** Every actor, in the order of spawning within each parent, children after their parent. */
  inspect(): ActorInfo[] {
    const lines: ActorInfo[] = [];
    const visit = (record: ActorRecord): void => {
      lines.push({
        ref: this.#ref(record),
        name: record.name,
        kind: record.kind.declaration.name,
        state: this.#parts.board.state(record.slot),
        parent: record.parent?.name ?? 'system',
        restarts: record.incarnation,
        handled: this.#parts.board.get(record.slot, 'handled') >>> 0,
        mailboxDepth: this.#parts.mail.depth(record.slot),
      });
      record.children.forEach(visit);
    };
    this.#roots.forEach(visit);
    return lines;
  }

  /**
   * The watchdog. Kills what spins, and what misses its stop or start budget. Answers in how many milliseconds it wants
   * to be called again (or sooner, when `watchSoon` says so).
   */
  tick(): number {
    const now = this.#parts.nowMs();
    // On a machine with more to run than processors, an actor that has no processor is not spinning: while this thread
    // itself was kept from running, the others may have been too.
    const passedMs = Math.min(now - this.#tickMs, this.#dueMs + TICK_LATE_MS_MAX);
    this.#tickMs = now;
    let dueMs = TICK_MS_MAX;
    for (const record of this.#records.values()) {
      if (record.launch === undefined || record.phase === 'dying') continue;
      const { handlerBudgetMs = HANDLER_BUDGET_MS_DEFAULT } = record.kind.declaration;
      const handled = this.#parts.board.get(record.slot, 'handled');
      const busy = this.#parts.board.get(record.slot, 'busy') !== 0;
      const begun = busy ? this.#begunMs(record.slot, handled, now) : 0;
      if (!busy) record.stalledMs = 0;
      else if (handled === record.lastHandled) record.stalledMs += passedMs;
      else record.stalledMs = Math.min(begun ?? 0, passedMs);
      record.lastHandled = handled;
      // A budget for handlers says nothing of `start`, which compiles what it calls.
      const starting = record.phase === 'starting' || record.phase === 'restarting';
      const budgetMs = starting ? Math.max(handlerBudgetMs, HANDLER_BUDGET_MS_DEFAULT) : handlerBudgetMs;
      dueMs = Math.min(dueMs, record.phase === 'running' ? budgetMs / BUDGET_PARTS : TICK_MS_MIN);
      if (busy)
        dueMs = Math.min(dueMs, begun === undefined ? TICK_MS_AWAKE : TICK_MS_MAX, budgetMs - record.stalledMs + 1);
      if (record.stalledMs > budgetMs) {
        this.#fail(record, 'spun', `made no progress for ${budgetMs} ms`);
        continue;
      }
      if (record.phase !== 'running' && now > record.deadlineMs) {
        const what = record.phase === 'stopping' ? 'stop' : 'start';
        this.#fail(record, what === 'stop' ? 'killed' : 'startFailed', `did not ${what} within its budget`);
      }
    }
    if (!this.#parts.mail.settle()) dueMs = TICK_MS_MIN;
    this.#dueMs = Math.max(TICK_MS_MIN, dueMs);
    return this.#dueMs;
  }

  /** Milliseconds since an actor that has `handled` so much began what it does now, if it looked at its clock before that began. */
  #begunMs(slot: number, handled: number, nowMs: number): number | undefined {
    const { board } = this.#parts;
    const seenMs = board.get(slot, 'seenMs');
    const isFirst = ((handled - board.get(slot, 'seenHandled')) | 0) <= 1;
    return seenMs !== 0 && isFirst ? Math.max(0, ((nowMs | 0) - seenMs) | 0) : undefined;
  }

  #launch(record: ActorRecord, after?: Promise<void>): void {
    const { board, launcher, nowMs, seed } = this.#parts;
    this.#parts.watchSoon?.();
    const now = nowMs();
    record.failure = undefined;
    record.startRefusal = undefined;
    record.workerEnd = undefined;
    record.deadlineMs = now + START_BUDGET_MS;
    record.stalledMs = 0;
    record.lastHandled = board.get(record.slot, 'handled');
    board.set(record.slot, 'orders', 0);
    board.set(record.slot, 'busy', 0);
    board.set(record.slot, 'seenMs', 0);
    board.set(record.slot, 'incarnation', record.incarnation);
    board.setState(record.slot, record.phase === 'restarting' ? 'restarting' : 'starting');
    const launch = (order: LaunchOrder): Launch => launcher.launch(order);
    record.launch = (after === undefined ? launch : launchLater(after, launch))({
      kind: record.kind,
      config: record.config,
      name: record.name,
      slot: record.slot,
      generation: record.generation,
      incarnation: record.incarnation,
      seed: fnv1a(`${record.name}#${record.incarnation}`, seed),
      ended: (end) => this.#workerEnded(record, end),
    });
  }

  #started(record: ActorRecord): void {
    if (record.phase !== 'starting' && record.phase !== 'restarting') return;
    record.phase = 'running';
    this.#parts.board.setState(record.slot, 'running');
    this.#parts.observe({
      event: 'started',
      atMs: this.#parts.nowMs(),
      name: record.name,
      incarnation: record.incarnation,
    });
    record.answerSpawner?.(ok(this.#ref(record)));
    record.answerSpawner = undefined;
    if (record.stopWanted) this.#orderStop(record);
  }

  /** Notes why the actor goes down (the first reason stands) and ends its worker. */
  #fail(record: ActorRecord, reason: DownReason, detail: string): void {
    if (record.phase === 'dying' || record.phase === 'ended') return;
    record.failure = { reason, detail };
    record.phase = 'dying';
    if (record.launch !== undefined) record.launch.kill();
    else if (record.workerEnd !== undefined) void this.#bury(record);
  }

  #workerEnded(record: ActorRecord, end: WorkerEnd): void {
    record.launch = undefined;
    record.workerEnd = end;
    if (record.phase !== 'dying') {
      const starting = record.phase === 'starting' || record.phase === 'restarting';
      const reason = end.how === 'noRoom' || end.how === 'noModule' || starting ? 'startFailed' : end.how;
      record.failure = { reason, detail: end.detail };
      record.phase = 'dying';
    }
    void this.#bury(record);
  }

  /** The worker is gone: put its queues right, stop its children, tell who must know, then restart or end. */
  async #bury(record: ActorRecord): Promise<void> {
    const { mail, nowMs, observe, board } = this.#parts;
    const failure = record.failure ?? { reason: 'exited' as const, detail: 'the worker ended' };
    mail.recoverFrom(record.slot);
    for (const child of record.children.toReversed()) await this.#stop(child);
    const neverRan = record.answerSpawner !== undefined;
    const wanted = record.stopWanted || this.#closing || neverRan || failure.reason === 'stopped';
    const verdict = wanted ? 'stop' : record.policy.decide(nowMs());
    const isRefusal = neverRan && record.startRefusal !== undefined;
    observe({ event: 'down', atMs: nowMs(), name: record.name, ...failure, verdict, isRefusal });
    // First the new incarnation or generation, then who asked the old one: an asker is told, or asks the new one.
    if (verdict === 'restart') board.set(record.slot, 'incarnation', record.incarnation + 1);
    else mail.retire(record.slot);
    const died = { control: 'died', actor: this.#number(record), incarnation: record.incarnation } as const;
    for (const asker of board.takeAskers(record.slot)) mail.post(asker, died);
    for (const watcher of record.monitors) {
      this.#tellDown(watcher, this.#number(record), record.name, failure, verdict === 'restart');
    }
    this.#breakLinks(record, failure);
    if (verdict === 'restart') {
      record.incarnation += 1;
      record.phase = 'restarting';
      mail.renew(record.slot);
      this.#launch(record);
      return;
    }
    this.#end(record);
    record.answerSpawner?.(err(spawnFailureOf(record, failure)));
    if (verdict !== 'escalate') return;
    const detail = `${record.name}: ${failure.detail}`;
    if (record.parent !== undefined) this.#fail(record.parent, 'childFailed', detail);
    else observe({ event: 'escalated', atMs: nowMs(), name: record.name, detail });
  }

  #end(record: ActorRecord): void {
    record.phase = 'ended';
    this.#parts.mail.close(record.slot, record.places);
    this.#records.delete(record.slot);
    this.#names.delete(record.name);
    const siblings = record.parent?.children ?? this.#roots;
    const at = siblings.indexOf(record);
    if (at >= 0) siblings.splice(at, 1);
    record.setGone();
  }

  async #stop(record: ActorRecord): Promise<void> {
    if (record.phase === 'ended') return;
    const already = record.stopWanted;
    record.stopWanted = true;
    if (!already && record.phase === 'running') {
      for (const child of record.children.toReversed()) await this.#stop(child);
      this.#orderStop(record);
    }
    await record.gone;
  }

  #orderStop(record: ActorRecord): void {
    if (record.phase !== 'running') return;
    this.#parts.watchSoon?.();
    record.phase = 'stopping';
    record.deadlineMs = this.#parts.nowMs() + (record.kind.declaration.stopBudgetMs ?? STOP_BUDGET_MS_DEFAULT);
    this.#parts.board.setState(record.slot, 'stopping');
    this.#parts.board.add(record.slot, 'orders', ORDER_STOP);
    this.#parts.mail.wake(record.slot);
  }

  #breakLinks(record: ActorRecord, failure: Failure): void {
    const self = this.#number(record);
    const links = [...record.links];
    record.links.clear();
    for (const number of links) {
      const other = this.#find(number);
      other?.links.delete(self);
      if (other !== undefined && failure.reason !== 'stopped') {
        this.#fail(other, 'linkDown', `linked to ${record.name}: ${failure.detail}`);
      }
    }
  }

  #tellDown(watcher: number, actor: number, name: string, failure: Failure, restarts: boolean): void {
    const down: Down = { actor: { actor }, name, ...failure, restarts };
    if (this.#find(watcher) !== undefined) this.#parts.mail.post(slotOf(watcher), { control: 'down', down });
  }

  #find(actor: number): ActorRecord | undefined {
    const record = this.#records.get(slotOf(actor));
    return record !== undefined && this.#number(record) === actor ? record : undefined;
  }

  #number(record: ActorRecord): number {
    return actorNumber(record.slot, record.generation);
  }

  #ref(record: ActorRecord): ActorRef<never> {
    return { actor: this.#number(record) };
  }
}

function refusalText(error: unknown): string {
  return typeof error === 'string' ? `start refused: ${error}` : 'start refused';
}

function spawnFailureOf(record: ActorRecord, failure: Failure): SpawnFailure {
  if (record.startRefusal !== undefined) return { reason: 'startRefused', error: record.startRefusal.error };
  const how = record.workerEnd?.how;
  if (how === 'noRoom' || how === 'noModule') return { reason: how, detail: failure.detail };
  return { reason: 'startThrew', detail: failure.detail };
}
