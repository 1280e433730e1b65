/**
 * A cell runs one actor: it takes messages from the lanes in order of priority (kill, stop, supervision, answers and
 * timers, messages) and calls the declaration's functions. It has no loop of its own: the worker's pump (pump.ts), the
 * blocking loop (blocking-loop.ts) or the simulator call `turn`, so all of them run exactly the same code.
 */
import { assert } from '../../bus/assert.js';
import { CORRUPT } from '../../bus/message-queue/queue-end.js';
import type { QueueReceiver } from '../../bus/message-queue/queue-receiver.js';
import { err, ok, type Result } from '../../bus/result.js';
import {
  type ActorContext,
  type ActorKind,
  type AnyDeclaration,
  type ConfigOf,
  kindTable,
  type ProtocolOf,
  type SpawnFailure,
  type SpawnOptions,
} from './actor.js';
import type { BodyCodec } from './body-codec.js';
import { Endpoint, type SystemLanes } from './endpoint.js';
import { ENVELOPE_BYTES } from './envelope.js';
import type { FileHandle, FileToken, FolderToken } from './files.js';
import type { FolderHandle } from './folders.js';
import type { HostNetwork, NetworkGrant } from './network.js';
import type { ControlMessage } from './post-office.js';
import type { ActorRef, AskFailure } from './protocol.js';
import type { Random } from './random.js';
import type { AskOptions, Clock, Log } from './services.js';
import type { Listen } from './sockets.js';
import { actorNumber, ORDER_KILL, ORDER_STOP, type Switchboard, slotOf } from './switchboard.js';
import { type ActorReport, placementOf, type SystemProtocol } from './system-protocol.js';
import { type CancelTimer, TimerHeap } from './timers.js';

/** What a turn did. */
export type TurnOutcome =
  /** Something was handled; look again at once. */
  | 'worked'
  /** Nothing to do until a lane or the doorbell has something, or `nextDueMs`. */
  | 'idle'
  /** The actor has stopped in order, or was killed: no more turns. */
  | 'ended';

/** What a cell needs from whoever runs it. */
export interface CellParts {
  readonly board: Switchboard;
  readonly codec: BodyCodec;
  readonly declaration: AnyDeclaration;
  readonly slot: number;
  readonly generation: number;
  readonly incarnation: number;
  readonly name: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  useFile(token: FileToken): FileHandle;
  /** Absent where there are no folders: in the simulator and in rehearsals. */
  useFolder?(token: FolderToken): FolderHandle;
  /** Absent where there are no sockets: the simulator, the system's own actor. */
  readonly listen?: Listen;
  useNetwork(grant: NetworkGrant): HostNetwork;
  /** Absent where actors share a thread: the simulator. */
  readonly hostThread?: () => number | null;
  readonly processorWaitMs?: () => number | null;
  /** Sleeps until `ready` or `timeoutMs`, `polls` false: without polling before; only blocking actors have one. */
  readonly block?: (ready: () => boolean, timeoutMs: number, polls?: boolean) => void;
  /** Given to the system's own cell only. */
  readonly lanes?: SystemLanes;
  /** Hears of every message before its handler runs: kind and sender as numbers, number of the ask or 0. */
  readonly onMessage?: (kind: number, from: number, asked: number) => void;
  /** Asynchronous handlers do not hold back later messages; only the system's own actor is like that. */
  readonly interleaved?: boolean;
}

type Handler = (state: unknown, body: unknown, context: unknown) => unknown;

/** The system actor: slot 0, first generation. */
export const SYSTEM: ActorRef<SystemProtocol> = { actor: actorNumber(0, 1) };

/** See the file comment. */
export class Cell {
  readonly endpoint: Endpoint;
  readonly timers = new TimerHeap();
  readonly #parts: CellParts;
  readonly #mailbox: QueueReceiver;
  readonly #fromSystem: QueueReceiver;
  readonly #control: QueueReceiver;
  /** By kind as a signed number, which needs no memory of its own as half of the unsigned ones do. */
  readonly #handlers: ReadonlyMap<number, Handler>;
  readonly #context: ActorContext<unknown>;
  readonly #handledIndex: number;
  readonly #seenMsIndex: number;
  readonly #seenHandledIndex: number;
  readonly #ordersIndex: number;
  readonly #words: Int32Array;
  #state: unknown;
  #handled = 0;
  #sinceLook = 0;
  #waiting = false;
  #stopping = false;
  #ended = false;
  #failure: { readonly thrown: unknown } | undefined;

  constructor(parts: CellParts) {
    const { board, codec, declaration, slot, generation, incarnation } = parts;
    this.#parts = parts;
    this.endpoint = new Endpoint(board, codec, actorNumber(slot, generation), incarnation, parts.lanes);
    this.#mailbox = this.endpoint.openReceiver('mailboxAt');
    this.#fromSystem = this.endpoint.openReceiver('fromSystemAt');
    this.#control = this.endpoint.openReceiver('controlAt');
    const on = declaration.on as Readonly<Record<string, Handler>>;
    this.#handlers = new Map(
      [...kindTable(declaration)].map(([number, kind]) => [number | 0, on[kind] ?? unhandled(kind)]),
    );
    this.#words = board.words;
    this.#handledIndex = board.wordIndex(slot, 'handled');
    this.#seenMsIndex = board.wordIndex(slot, 'seenMs');
    this.#seenHandledIndex = board.wordIndex(slot, 'seenHandled');
    this.#ordersIndex = board.wordIndex(slot, 'orders');
    this.#handled = board.get(slot, 'handled');
    this.#context = this.#makeContext();
  }

  /** Makes the state. Anything it throws is the caller's to report. */
  async start(config: unknown): Promise<Result<undefined, unknown>> {
    const started: Result<unknown, unknown> = await this.#parts.declaration.start(config, this.#context);
    if (!started.ok) return started;
    this.#state = started.value;
    return ok();
  }

  /** True when a turn would find something; only reads shared memory (and this cell's own flags). */
  readonly ready = (): boolean =>
    this.#failure !== undefined ||
    (!this.#waiting && (this.#mailbox.mayHaveData() || this.#fromSystem.mayHaveData())) ||
    this.endpoint.mayHaveReply() ||
    this.#control.mayHaveData() ||
    this.endpoint.doorbell.pending() ||
    (!this.#stopping && Atomics.load(this.#words, this.#ordersIndex) !== 0);

  /** As `ready`, for those who poll: an atomic load is a call, so this one does without, and may tell a little late. */
  looksReady(): boolean {
    return (
      this.#failure !== undefined ||
      (!this.#waiting && (this.#mailbox.looksFilled() || this.#fromSystem.looksFilled())) ||
      this.endpoint.looksAnswered() ||
      this.#control.looksFilled() ||
      this.endpoint.doorbell.looksPending() ||
      (!this.#stopping && this.#words[this.#ordersIndex] !== 0)
    );
  }

  /** True while an asynchronous handler has not finished: messages wait, everything of higher priority does not. */
  get waiting(): boolean {
    return this.#waiting;
  }

  /** Messages and answers taken since the clock was looked at. */
  get sinceLook(): number {
    return this.#sinceLook;
  }

  /** When to look at the clock again, in its milliseconds: a timer or an ask's time limit; Infinity when there is none. */
  get nextDueMs(): number {
    return Math.min(this.timers.nextMs, this.endpoint.nextDeadlineMs);
  }

  /** The slice function of a blocking actor, bound to its state. */
  slice(): ReturnType<NonNullable<AnyDeclaration['slice']>> {
    this.progress();
    const slice = this.#parts.declaration.slice;
    assert(slice !== undefined, 'only blocking actors have slices');
    return slice(this.#state, this.#context);
  }

  /** Makes the next turn the last; for cells that no supervisor stops. */
  end(): void {
    this.#ended = true;
    this.#resume();
  }

  /** Tells the watchdog that this thread moves. */
  progress(): void {
    this.#words[this.#handledIndex] = this.#handled = (this.#handled + 1) | 0;
  }

  /**
   * Tells the watchdog that the clock says `nowMs`, and that no handler runs: one that begins next and does not end is then
   * counted from here, however seldom the watchdog looks.
   */
  sees(nowMs: number): void {
    this.#words[this.#seenMsIndex] = nowMs | 0 || 1;
    this.#words[this.#seenHandledIndex] = this.#handled;
  }

  /** Handles what waits, most urgent first, at most `messagesMax` messages of the mailbox. Throws what a handler throws. */
  turn(messagesMax: number): TurnOutcome {
    if (this.#failure !== undefined) throw this.#failure.thrown;
    if (this.#ended) return 'ended';
    let worked = false;
    const orders = this.#words[this.#ordersIndex] ?? 0;
    if (orders !== 0) {
      if (orders & ORDER_KILL) return 'ended';
      if (orders & ORDER_STOP && !this.#stopping) return this.#stop();
    }
    if (this.endpoint.doorbell.looksPending()) {
      this.#answerDoorbell();
      worked = true;
    }
    while (this.#takeControl()) worked = true;
    while (this.endpoint.takeReply()) {
      this.#sinceLook += 1;
      worked = true;
    }
    // A look at the clock costs as much as a message: one for so many, and one before there is nothing else to do.
    if (this.#sinceLook >= WORK_PER_LOOK && this.#runDue()) worked = true;
    for (let n = 0; n < messagesMax && !this.#waiting && !this.#stopping; n++) {
      // In turn from both, so that neither the actors nor the main program can starve the other.
      const first = (n & 1) === 0 ? this.#mailbox : this.#fromSystem;
      const second = first === this.#mailbox ? this.#fromSystem : this.#mailbox;
      if (!this.#takeMessage(first) && !this.#takeMessage(second)) break;
      this.#sinceLook += 1;
      worked = true;
      if ((this.#words[this.#ordersIndex] ?? 0) !== 0) break;
    }
    if (worked) return 'worked';
    this.endpoint.freeAnswers();
    return this.#runDue() ? 'worked' : 'idle';
  }

  #answerDoorbell(): void {
    const { doorbell } = this.endpoint;
    doorbell.receive(0xffff_ffff, 0xffff_ffff);
    const flags = doorbell.oldLow;
    if (flags !== 0) this.#parts.declaration.rang?.(this.#state, flags, this.#context);
  }

  #takeControl(): boolean {
    const size = this.#control.peek();
    if (size <= ENVELOPE_BYTES) {
      assert(size !== CORRUPT, 'control lane is corrupt');
      return false;
    }
    const { bytes, offset } = this.#control;
    // WHY: the supervisor of this build wrote it (post-office.ts).
    const message = this.#parts.codec.decode(bytes, offset + ENVELOPE_BYTES, offset + size) as ControlMessage;
    this.#control.release();
    this.progress();
    this.#obey(message);
    return true;
  }

  #obey(message: ControlMessage): void {
    const { declaration } = this.#parts;
    if (message.control === 'died') this.endpoint.failAsks(message.actor, message.incarnation);
    else if (message.control === 'answer') this.endpoint.settleAsk(message.asked, message.result);
    else if (message.control === 'rang') declaration.rang?.(this.#state, message.flags, this.#context);
    else declaration.down?.(this.#state, message.down, this.#context);
  }

  #runDue(): boolean {
    this.#sinceLook = 0;
    if (this.nextDueMs === Number.POSITIVE_INFINITY) return false;
    const now = this.#parts.clock.monotonicMs();
    let ran = false;
    for (let action = this.timers.takeDue(now); action !== undefined; action = this.timers.takeDue(now)) {
      this.progress();
      action();
      ran = true;
    }
    if (this.endpoint.nextDeadlineMs <= now) ran = this.endpoint.expireAsks(now) > 0 || ran;
    return ran;
  }

  /** Takes one message: its place in the mailbox is free before the handler runs, so a crash never repeats it. */
  #takeMessage(queue: QueueReceiver): boolean {
    const size = queue.peek();
    if (size < ENVELOPE_BYTES) {
      if (size === CORRUPT) assert(false, `mailbox of ${this.#parts.name} is corrupt`);
      return false;
    }
    const { bytes, offset, words } = queue;
    const at = offset >> 2;
    const kind = words[at] ?? 0;
    const from = (words[at + 1] ?? 0) >>> 0;
    const asked = (words[at + 2] ?? 0) >>> 0;
    const incarnation = (words[at + 3] ?? 0) >>> 0;
    const body = this.#parts.codec.decode(bytes, offset + ENVELOPE_BYTES, offset + size);
    queue.release();
    this.progress();
    if (asked !== 0 && incarnation !== this.#parts.incarnation) return true;
    const handler = this.#handlers.get(kind);
    if (handler === undefined) {
      this.#parts.log.warn('message of unknown kind dropped', { kind: kind >>> 0, from });
      return true;
    }
    this.#parts.onMessage?.(kind >>> 0, from, asked);
    const result = handler(this.#state, body, this.#context);
    if (result instanceof Promise) this.#wait(result, from, asked);
    else if (asked !== 0) this.endpoint.answer(from, asked, result as Result<unknown, unknown>);
    return true;
  }

  #wait(result: Promise<unknown>, from: number, asked: number): void {
    this.#waiting = this.#parts.interleaved !== true && this.#parts.declaration.interleaves !== true;
    result.then(
      (answer) => {
        if (asked !== 0) this.endpoint.answer(from, asked, answer as Result<unknown, unknown>);
        this.#resume();
      },
      (thrown: unknown) => {
        this.#failure = { thrown };
        this.#resume();
      },
    );
  }

  /** An asynchronous handler is done: whoever runs the cell must look again. */
  #resume(): void {
    this.#waiting = false;
    this.endpoint.doorbell.send(0, RESUMED);
  }

  #stop(): TurnOutcome {
    this.#stopping = true;
    const done = this.#parts.declaration.stop?.(this.#state, this.#context);
    if (!(done instanceof Promise)) {
      this.#ended = true;
      return 'ended';
    }
    done.then(
      () => {
        this.#ended = true;
        this.#resume();
      },
      (thrown: unknown) => {
        this.#failure = { thrown };
        this.#resume();
      },
    );
    return 'worked';
  }

  #makeContext(): ActorContext<unknown> {
    const { endpoint, timers } = this;
    const { clock, random, log, name, incarnation, useFile, useFolder, useNetwork, block } = this.#parts;
    const self: ActorRef<unknown> = { actor: endpoint.actor };
    const me = { actor: endpoint.actor };
    return {
      self,
      name,
      incarnation,
      clock,
      random,
      log,
      tell: (to, kind, body) => endpoint.tell(to, kind, body),
      ask: (to, kind, body, options) => endpoint.ask(to, kind, body, options),
      ring: (to, flags) => endpoint.ring(to, flags),
      after: (ms: number, action: () => void): CancelTimer => {
        const cancel = timers.add(clock.monotonicMs() + ms, action);
        endpoint.lookAgain();
        return cancel;
      },
      askBlocking: (to, kind, body, options) => {
        assert(block !== undefined, 'askBlocking: only blocking actors may block');
        // WHY: as in Endpoint.ask: both sides were compiled against the same protocol.
        return this.#askBlocking(to.actor, kind, body, options, block) as never;
      },
      nap: (ms, polls) => {
        assert(block !== undefined, 'nap: only blocking actors may block');
        return this.#nap(ms, block, polls);
      },
      isAwake: (actor) => this.#parts.board.get(slotOf(actor.actor), 'busy') !== 0,
      hostThread: this.#parts.hostThread ?? (() => null),
      processorWaitMs: this.#parts.processorWaitMs ?? (() => null),
      spawn: (kind, config, options) => this.#spawn(kind, config, options),
      monitor: (actor) => void endpoint.tell(SYSTEM, 'monitor', { watcher: me.actor, actor: actor.actor }),
      link: (actor) => void endpoint.tell(SYSTEM, 'link', { one: me.actor, other: actor.actor }),
      lookup: async <Q>(wanted: string): Promise<Result<ActorRef<Q>, 'unknownName' | AskFailure<unknown>>> => {
        const found = await endpoint.ask(SYSTEM, 'lookup', { name: wanted });
        return found.ok ? ok({ actor: found.value.actor }) : found;
      },
      file: useFile,
      folder(token) {
        assert(useFolder !== undefined, 'there are no folders here');
        return useFolder(token);
      },
      listen: this.#parts.listen ?? (async () => err('ENOTSUP')),
      network: useNetwork,
      stop: () => {
        this.report({ report: 'wantsStop' });
      },
    };
  }

  /** Tells the supervisor about this actor; false when the system's mailbox is full. */
  report(report: ActorReport): boolean {
    const { incarnation } = this.#parts;
    return this.endpoint.tell(SYSTEM, 'report', { actor: this.endpoint.actor, incarnation, report }).ok;
  }

  #nap(ms: number, block: NonNullable<CellParts['block']>, polls: boolean | undefined): boolean {
    const { nextDueMs } = this;
    const dueMs = nextDueMs === Number.POSITIVE_INFINITY ? ms : nextDueMs - this.#parts.clock.monotonicMs();
    if (dueMs > 0) block(this.ready, Math.min(ms, dueMs), polls);
    this.progress();
    if (this.endpoint.doorbell.looksPending()) this.#answerDoorbell();
    return dueMs >= ms && !this.ready();
  }

  #askBlocking(
    to: number,
    kind: string,
    body: object,
    options: AskOptions | undefined,
    block: NonNullable<CellParts['block']>,
  ): Result<unknown, unknown> {
    let answer: Result<unknown, unknown> | undefined;
    this.endpoint.startAsk(to, kind, body, options, (result) => {
      answer = result;
    });
    const { clock } = this.#parts;
    while (answer === undefined) {
      if (this.endpoint.takeReply() || this.#takeControl()) continue;
      this.endpoint.expireAsks(clock.monotonicMs());
      if (answer !== undefined) break;
      if ((this.#words[this.#ordersIndex] ?? 0) & ORDER_KILL)
        return err({ reason: 'died', message: { kind, ...body } });
      const waitMs = Math.max(1, this.endpoint.nextDeadlineMs - clock.monotonicMs());
      block(() => this.endpoint.mayHaveReply() || this.#control.mayHaveData(), waitMs);
      this.progress();
    }
    return answer;
  }

  async #spawn<D extends AnyDeclaration>(
    kind: ActorKind<D>,
    config: ConfigOf<D>,
    options: SpawnOptions,
  ): Promise<Result<ActorRef<ProtocolOf<D>>, SpawnFailure>> {
    const asked = await this.endpoint.ask(
      SYSTEM,
      'spawn',
      { parent: this.endpoint.slot, kind: placementOf(kind), config, name: options.name },
      { timeoutMs: SPAWN_TIMEOUT_MS },
    );
    if (asked.ok) return ok({ actor: asked.value.actor });
    const { error } = asked;
    if ('message' in error) return err({ reason: 'noRoom', detail: `the system did not answer: ${error.reason}` });
    return err(error);
  }
}

const RESUMED = 2;
/** Messages and answers between two looks at the clock at most. */
const WORK_PER_LOOK = 32;
const SPAWN_TIMEOUT_MS = 60_000;

function unhandled(kind: string): never {
  return assert(false, `no handler for ${kind}`) as never;
}
