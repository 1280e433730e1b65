/**
 * One actor's side of the mail: sends tells and asks, keeps the asks that wait for answers, takes answers in.
 * It belongs to the actor's thread. Sending never blocks on a full mailbox: the message comes back.
 */
import { assert } from '../../bus/assert.js';
import { Doorbell } from '../../bus/doorbell/doorbell.js';
import { CORRUPT } from '../../bus/message-queue/queue-end.js';
import { QueueReceiver } from '../../bus/message-queue/queue-receiver.js';
import { QueueSender } from '../../bus/message-queue/queue-sender.js';
import { err, ok, type Result } from '../../bus/result.js';
import { kindNumber } from './actor.js';
import { type BodyCodec, TOO_LARGE } from './body-codec.js';
import { ENVELOPE_BYTES, REPLY_KIND } from './envelope.js';
import { type Sendable, surrender, takeMoves } from './moved.js';
import type {
  ActorRef,
  AskFailure,
  AskKind,
  BodyOf,
  ErrorsOf,
  KindOf,
  MessageOf,
  NoAnswerReason,
  ReplyOf,
  SendFailure,
  SendReason,
} from './protocol.js';
import type { AskOptions, Sender } from './services.js';
import { generationOf, type SlotWord, type Switchboard, slotOf } from './switchboard.js';

const ASK_TIMEOUT_MS_DEFAULT = 5_000;
const NO_TARGET = -1;
const COUNTER_BITS = 24;
/** A flag of the doorbell's high half, which belongs to the runtime. */
const LOOK_AGAIN = 16;

interface PendingAsk {
  readonly id: number;
  readonly to: number;
  /** Which life of it was asked. */
  readonly incarnation: number;
  readonly timeoutMs: number;
  readonly kind: string;
  readonly body: object;
  /** Infinity until the clock has been looked at: an answer that comes before costs no look. */
  deadlineMs: number;
  /** Undefined once it timed out: the place is kept until the answer comes or the other actor dies. */
  settle: ((result: Result<unknown, unknown>) => void) | undefined;
}

interface Peer {
  readonly generation: number;
  /** Where its record has these words, for what is looked at per message. */
  readonly generationAt: number;
  readonly incarnationAt: number;
  readonly mailbox: QueueSender;
  readonly replies: QueueSender;
  readonly doorbell: Doorbell;
}

const kindNumbers = new Map<string, number>();
function numberOfKind(kind: string): number {
  let number = kindNumbers.get(kind);
  if (number === undefined) {
    number = kindNumber(kind) | 0;
    kindNumbers.set(kind, number);
  }
  return number;
}

/**
 * How the supervisor's thread reaches an actor beside the mailbox. That thread alone can free a lock whose owner has died, so
 * it must never wait for one: it sends through queues of which it is the only producer (docs/adr/0012).
 */
export interface SystemLanes {
  answer(slot: number, asked: number, result: Result<unknown, unknown>): void;
  ring(slot: number, flags: number): void;
}

/** See the file comment. */
export class Endpoint implements Sender {
  readonly board: Switchboard;
  readonly slot: number;
  readonly actor: number;
  /** This actor's own doorbell: every queue of its wakes it here. */
  readonly doorbell: Doorbell;
  readonly codec: BodyCodec;
  readonly #asksMax: number;
  readonly #words: Int32Array;
  readonly #target: number;
  readonly #busy: number;
  readonly #peers: (Peer | undefined)[] = [];
  /** Unanswered asks, each at the place the low bits of its number name. */
  readonly #asks: (PendingAsk | undefined)[];
  /** Asks made since the clock was looked at last. */
  readonly #fresh: PendingAsk[] = [];
  readonly #replies: QueueReceiver;
  readonly #idBase: number;
  readonly #lanes: SystemLanes | undefined;
  #pending = 0;
  #counter = 0;
  #incarnationAsked = 0;
  #nextDeadlineMs = Number.POSITIVE_INFINITY;

  constructor(board: Switchboard, codec: BodyCodec, actor: number, incarnation: number, lanes?: SystemLanes) {
    this.#lanes = lanes;
    this.board = board;
    this.codec = codec;
    this.actor = actor;
    this.slot = slotOf(actor);
    this.doorbell = this.#openDoorbell(this.slot);
    this.#words = board.words;
    this.#target = board.wordIndex(this.slot, 'target');
    this.#busy = board.wordIndex(this.slot, 'busy');
    this.#asksMax = board.get(this.slot, 'asksMax');
    this.#asks = new Array<PendingAsk | undefined>(2 ** Math.ceil(Math.log2(this.#asksMax + 1))).fill(undefined);
    this.#idBase = (incarnation & 0xff) << COUNTER_BITS;
    this.#replies = this.openReceiver('repliesAt');
  }

  /** Attaches the receiving end of one of this actor's own queues; its waiter is this actor's doorbell. */
  openReceiver(queue: Extract<SlotWord, `${string}At`>): QueueReceiver {
    const handle = { buffer: this.board.memory, byteOffset: this.board.get(this.slot, queue) };
    const attached = QueueReceiver.attach(handle, { owner: this.slot + 1, wake: this.doorbell.parking });
    assert(attached.ok, `actor slot ${this.slot}: its queue ${queue} does not open`);
    return attached.value;
  }

  /** Whether answers wait in the reply queue. */
  mayHaveReply(): boolean {
    return this.#replies.mayHaveData();
  }

  /** The same without order among threads: it may tell late. */
  looksAnswered(): boolean {
    return this.#replies.looksFilled();
  }

  /** When the earliest unanswered ask gives up; Infinity when there is none, -Infinity when that is not worked out yet. */
  get nextDeadlineMs(): number {
    return this.#fresh.length > 0 ? Number.NEGATIVE_INFINITY : this.#nextDeadlineMs;
  }

  tell<P, K extends KindOf<P>>(
    to: ActorRef<P>,
    kind: K,
    body: Sendable<BodyOf<P, K>>,
  ): Result<undefined, SendFailure<MessageOf<P, K>>> {
    const failed = this.#send(to.actor, kind, body, 0);
    return failed === undefined ? SENT : err({ reason: failed, message: messageOf<P, K>(kind, body) });
  }

  ask<P, K extends AskKind<P>>(
    to: ActorRef<P>,
    kind: K,
    body: Sendable<BodyOf<P, K>>,
    options?: AskOptions,
  ): Promise<Result<ReplyOf<P, K>, ErrorsOf<P, K> | AskFailure<MessageOf<P, K>>>> {
    return new Promise((resolve) => {
      // WHY: the wire carries what the protocol's types promise; the answering actor was compiled against the same ones.
      this.startAsk(to.actor, kind, body, options, resolve as (result: Result<unknown, unknown>) => void);
    });
  }

  /** `ask` with a callback; `settle` is called exactly once. */
  startAsk(
    to: number,
    kind: string,
    body: object,
    options: AskOptions | undefined,
    settle: (result: Result<unknown, unknown>) => void,
  ): void {
    if (this.#pending >= this.#asksMax) {
      settle(noAnswer('tooManyAsks', kind, body));
      return;
    }
    const asks = this.#asks;
    // There are more places than asks, so a free one is found.
    do this.#counter = (this.#counter + 1) & ((1 << COUNTER_BITS) - 1) || 1;
    while (asks[this.#counter & (asks.length - 1)] !== undefined);
    const id = (this.#idBase | this.#counter) >>> 0;
    const failed = this.#send(to, kind, body, id);
    if (failed !== undefined) {
      settle(noAnswer(failed, kind, body));
      return;
    }
    const timeoutMs = options?.timeoutMs ?? ASK_TIMEOUT_MS_DEFAULT;
    const incarnation = this.#incarnationAsked;
    const deadlineMs = Number.POSITIVE_INFINITY;
    const pending: PendingAsk = { id, to, incarnation, timeoutMs, kind, body, deadlineMs, settle };
    asks[id & (asks.length - 1)] = pending;
    this.#pending += 1;
    this.#fresh.push(pending);
    this.lookAgain();
  }

  /** Something is due that whoever runs this actor did not know of when it went to sleep: wakes it if it sleeps. */
  lookAgain(): void {
    if (this.#words[this.#busy] === 0) this.doorbell.send(0, LOOK_AGAIN);
  }

  ring(to: ActorRef<never>, flags: number): void {
    if (this.#lanes !== undefined) {
      if (this.board.get(slotOf(to.actor), 'generation') === generationOf(to.actor)) {
        this.#lanes.ring(slotOf(to.actor), flags);
      }
      return;
    }
    Atomics.store(this.#words, this.#target, slotOf(to.actor));
    this.#peer(to.actor)?.doorbell.send(flags);
    Atomics.store(this.#words, this.#target, NO_TARGET);
  }

  /** Answers ask number `asked` of `asker`. An asker that is gone, or has no room (it gave up), is not an error. */
  answer(asker: number, asked: number, result: Result<unknown, unknown>): void {
    const slot = slotOf(asker);
    if (this.#lanes !== undefined) {
      if (this.board.get(slot, 'generation') === generationOf(asker)) this.#lanes.answer(slot, asked, result);
      return;
    }
    Atomics.store(this.#words, this.#target, slot);
    const peer = this.#peer(asker);
    if (peer !== undefined) this.#answerInto(peer.replies, asked, result);
    Atomics.store(this.#words, this.#target, NO_TARGET);
  }

  /** Takes in one answer; false when there was none. */
  takeReply(): boolean {
    const size = this.#replies.peek();
    if (size < ENVELOPE_BYTES) {
      assert(size !== CORRUPT, `reply queue of slot ${this.slot} is corrupt`);
      return false;
    }
    const { bytes, offset, words } = this.#replies;
    const at = offset >> 2;
    const kind = words[at] ?? 0;
    const pending = this.#takeAsk((words[at + 2] ?? 0) >>> 0);
    if (pending === undefined) {
      this.#replies.release();
      return true;
    }
    const settle = pending.settle;
    if (kind === REPLY_KIND.unsendable || settle === undefined) {
      this.#replies.release();
      settle?.(noAnswer('answerUnsendable', pending.kind, pending.body));
      return true;
    }
    const value = this.codec.decode(bytes, offset + ENVELOPE_BYTES, offset + size);
    this.#replies.release();
    settle(kind === REPLY_KIND.ok ? { ok: true, value } : { ok: false, error: value });
    return true;
  }

  /** An answer of the system, which comes through the control lane. */
  settleAsk(asked: number, result: Result<unknown, unknown>): void {
    this.#takeAsk(asked)?.settle?.(result);
  }

  /** The unanswered ask number `id`, which is no longer waited for. */
  #takeAsk(id: number): PendingAsk | undefined {
    const at = id & (this.#asks.length - 1);
    const pending = this.#asks[at];
    if (pending === undefined || pending.id !== id) return undefined;
    this.#asks[at] = undefined;
    this.#pending -= 1;
    if (this.#pending === 0) {
      this.#nextDeadlineMs = Number.POSITIVE_INFINITY;
      this.#fresh.length = 0;
    }
    return pending;
  }

  /** That life of the other actor ended: asks meant for it (or an earlier one) stay unanswered. */
  failAsks(actor: number, incarnation: number): void {
    for (const ask of this.#asks) {
      if (ask === undefined || ask.to !== actor || ask.incarnation > incarnation) continue;
      this.#takeAsk(ask.id)?.settle?.(noAnswer('died', ask.kind, ask.body));
    }
  }

  /** Starts the time of the asks made since the last call, and gives up those whose time is over; returns how many. */
  expireAsks(nowMs: number): number {
    for (const ask of this.#fresh) {
      ask.deadlineMs = nowMs + ask.timeoutMs;
      if (ask.deadlineMs < this.#nextDeadlineMs) this.#nextDeadlineMs = ask.deadlineMs;
    }
    this.#fresh.length = 0;
    if (this.#nextDeadlineMs > nowMs) return 0;
    let expired = 0;
    this.#nextDeadlineMs = Number.POSITIVE_INFINITY;
    for (const ask of this.#asks) {
      if (ask?.settle === undefined) continue;
      if (ask.deadlineMs > nowMs) {
        if (ask.deadlineMs < this.#nextDeadlineMs) this.#nextDeadlineMs = ask.deadlineMs;
        continue;
      }
      const settle = ask.settle;
      ask.settle = undefined;
      settle(noAnswer('timedOut', ask.kind, ask.body));
      expired += 1;
    }
    return expired;
  }

  #answerInto(queue: QueueSender, asked: number, result: Result<unknown, unknown>): void {
    const at = queue.reserve();
    if (at < 0) return;
    const value = result.ok ? result.value : result.error;
    const size = this.codec.encode(value, queue, at);
    const { words } = queue;
    words[at >> 2] = size < 0 ? REPLY_KIND.unsendable : result.ok ? REPLY_KIND.ok : REPLY_KIND.error;
    words[(at >> 2) + 1] = this.actor;
    words[(at >> 2) + 2] = asked;
    words[(at >> 2) + 3] = 0;
    queue.stage(ENVELOPE_BYTES + Math.max(0, size));
    queue.publish();
  }

  /** Sends; answers why not, or undefined when the mailbox has it. Announces the target first (see switchboard.ts). */
  #send(to: number, kind: string, body: object, asked: number): SendReason | undefined {
    const slot = slotOf(to);
    Atomics.store(this.#words, this.#target, slot);
    const peer = this.#peer(to);
    let failed: SendReason | undefined = 'notAlive';
    if (peer !== undefined) {
      if (asked !== 0) this.board.noteAsker(slot, this.slot);
      const moving = takeMoves(body);
      failed = this.#sendInto(peer, slot, kind, moving === undefined ? body : moving.plain, asked);
      if (failed === undefined && moving !== undefined) surrender(moving.moves);
    }
    Atomics.store(this.#words, this.#target, NO_TARGET);
    return failed;
  }

  #sendInto(peer: Peer, slot: number, kind: string, body: object, asked: number): SendReason | undefined {
    const queue = peer.mailbox;
    const at = queue.reserve();
    if (at < 0) {
      assert(at !== CORRUPT, `mailbox of slot ${slot} is corrupt`);
      return 'mailboxFull';
    }
    const size = this.codec.encode(body, queue, at);
    if (size < 0) {
      queue.cancel();
      return size === TOO_LARGE ? 'tooLarge' : 'unencodable';
    }
    const { words } = queue;
    words[at >> 2] = numberOfKind(kind);
    words[(at >> 2) + 1] = this.actor;
    words[(at >> 2) + 2] = asked;
    if (asked !== 0) this.#incarnationAsked = Atomics.load(this.#words, peer.incarnationAt);
    words[(at >> 2) + 3] = asked === 0 ? 0 : this.#incarnationAsked;
    queue.stage(ENVELOPE_BYTES + size);
    queue.publish();
    return undefined;
  }

  /** The queues of a living actor. The caller has announced the slot. */
  #peer(actor: number): Peer | undefined {
    const slot = slotOf(actor);
    const generation = generationOf(actor);
    const known = this.#peers[slot];
    if (known !== undefined && known.generation === generation) {
      return Atomics.load(this.#words, known.generationAt) === generation ? known : undefined;
    }
    if (slot >= this.board.slots || this.board.get(slot, 'generation') !== generation) return undefined;
    const doorbell = this.#openDoorbell(slot);
    const open = (word: 'mailboxAt' | 'repliesAt' | 'fromSystemAt'): QueueSender | undefined => {
      const handle = { buffer: this.board.memory, byteOffset: this.board.get(slot, word) };
      const attached = QueueSender.attach(handle, { owner: this.slot + 1, wake: doorbell.parking });
      return attached.ok ? attached.value : undefined;
    };
    const mailbox = open(this.#lanes === undefined ? 'mailboxAt' : 'fromSystemAt');
    const replies = open('repliesAt');
    if (mailbox === undefined || replies === undefined) return undefined;
    const generationAt = this.board.wordIndex(slot, 'generation');
    const incarnationAt = this.board.wordIndex(slot, 'incarnation');
    const peer = { generation, generationAt, incarnationAt, mailbox, replies, doorbell };
    this.#peers[slot] = peer;
    return peer;
  }

  #openDoorbell(slot: number): Doorbell {
    const handle = { buffer: this.board.memory, byteOffset: this.board.doorbellAt(slot) };
    const attached = Doorbell.attach(handle, { owner: this.slot + 1 });
    assert(attached.ok, `doorbell of slot ${slot} does not open`);
    return attached.value;
  }
}

const SENT = Object.freeze(ok());

/** A failed message as a union member. Bodies with moved fields come back as they were given. */
function messageOf<P, K extends KindOf<P>>(kind: K, body: object): MessageOf<P, K> {
  // WHY: `{ kind, ...body }` is the definition of MessageOf; the compiler cannot see through the mapped type.
  return { kind, ...body } as MessageOf<P, K>;
}

function noAnswer(reason: SendReason | NoAnswerReason, kind: string, body: object): Result<never, AskFailure<object>> {
  return err({ reason, message: { kind, ...body } });
}
