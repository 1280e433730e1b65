/**
 * One actor's side of the mail: sends tells and asks, keeps the asks that wait for answers, takes answers in.
 * It belongs to the actor's thread. Sending never blocks on a full mailbox: the message comes back.
 */
import { assert } from '../../bus/assert.js';
import { TOO_LONG } from '../../bus/codec/codec.js';
import { Doorbell } from '../../bus/doorbell/doorbell.js';
import { CORRUPT } from '../../bus/message-queue/queue-end.js';
import { QueueReceiver } from '../../bus/message-queue/queue-receiver.js';
import { QueueSender } from '../../bus/message-queue/queue-sender.js';
import { err, ok, type Result } from '../../bus/result.js';
import { kindNumber } from './actor.js';
import type { BodyCodec } from './body-codec.js';
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
  /** The word that has this actor's bit among those who asked it. */
  readonly askerAt: number;
  readonly mailbox: QueueSender;
  readonly replies: QueueSender;
  readonly doorbell: Doorbell;
}

const kindNumbers = new Map<string, number>();
let lastKind = '';
let lastNumber = 0;
function numberOfKind(kind: string): number {
  if (kind === lastKind) return lastNumber;
  let number = kindNumbers.get(kind);
  if (number === undefined) {
    number = kindNumber(kind) | 0;
    kindNumbers.set(kind, number);
  }
  lastKind = kind;
  lastNumber = number;
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
  readonly #askerBit: number;
  readonly #peers: (Peer | undefined)[] = [];
  /** Unanswered asks, each at the place the low bits of its number name. */
  readonly #asks: (PendingAsk | undefined)[];
  /** Asks made since the clock was looked at last: the first `#freshCount`. */
  readonly #fresh: (PendingAsk | undefined)[] = [];
  #freshCount = 0;
  readonly #replies: QueueReceiver;
  readonly #idBase: number;
  readonly #lanes: SystemLanes | undefined;
  /** Answers taken in whose places in the queue have not been given back. */
  #answersHeld = 0;
  /** What stands in our record's `target`. */
  #announced = NO_TARGET;
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
    this.#askerBit = 1 << (this.slot & 31);
    this.#asksMax = board.get(this.slot, 'asksMax');
    this.#asks = new Array<PendingAsk | undefined>(2 ** Math.ceil(Math.log2(this.#asksMax + 1))).fill(undefined);
    this.#idBase = (incarnation & 0xff) << COUNTER_BITS;
    this.#replies = this.openReceiver('repliesAt');
  }

  /** Attaches the receiving end of one of this actor's own queues; its waiter is this actor's doorbell. */
  openReceiver(queue: Extract<SlotWord, `${string}At`>): QueueReceiver {
    const handle = { buffer: this.board.memory, byteOffset: this.board.get(this.slot, queue) };
    const options = { owner: this.slot + 1, wake: this.doorbell.parking, spaceWaits: false };
    const attached = QueueReceiver.attach(handle, options);
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
    return this.#freshCount > 0 ? Number.NEGATIVE_INFINITY : this.#nextDeadlineMs;
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
    // Half of the queue is for answers to us, those still lying there counted.
    if (this.#pending + this.#answersHeld >= this.#asksMax) this.freeAnswers();
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
    this.#fresh[this.#freshCount++] = pending;
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
    this.#reach(slotOf(to.actor), generationOf(to.actor))?.doorbell.send(flags);
    this.#withdrawIfAsleep();
  }

  /** Answers ask number `asked` of `asker`. An asker that is gone, or has no room (it gave up), is not an error. */
  answer(asker: number, asked: number, result: Result<unknown, unknown>): void {
    const slot = slotOf(asker);
    if (this.#lanes !== undefined) {
      if (this.board.get(slot, 'generation') === generationOf(asker)) this.#lanes.answer(slot, asked, result);
      return;
    }
    const peer = this.#reach(slot, generationOf(asker));
    if (peer !== undefined) this.#answerInto(peer.replies, asked, result);
    this.#withdrawIfAsleep();
  }

  /**
   * No queue of another actor is written to until the next send. Whoever clears `busy` calls this, and everything else that
   * may take long: while the word is set the target of the last send stays announced, for the next one is mostly the same.
   */
  withdraw(): void {
    if (this.#announced === NO_TARGET) return;
    this.#announced = NO_TARGET;
    Atomics.store(this.#words, this.#target, NO_TARGET);
  }

  #withdrawIfAsleep(): void {
    // Nobody will call `withdraw` for a sleeper, nor does the main program pass by the loop that does for its own sends.
    if (this.#lanes !== undefined || this.#words[this.#busy] === 0) this.withdraw();
  }

  /** Gives back the places of the answers taken in. */
  freeAnswers(): void {
    if (this.#answersHeld === 0) return;
    this.#answersHeld = 0;
    this.#replies.free();
  }

  /** Takes in one answer; false when there was none. Its place is given back later, when nothing waits for this thread. */
  takeReply(): boolean {
    const size = this.#replies.peek();
    if (size < ENVELOPE_BYTES) {
      // Who looks in vain makes no string: a vCPU does a thousand times a second.
      if (size === CORRUPT) assert(false, `reply queue of slot ${this.slot} is corrupt`);
      return false;
    }
    const { bytes, offset, words } = this.#replies;
    const at = offset >> 2;
    const kind = words[at] ?? 0;
    const pending = this.#takeAsk((words[at + 2] ?? 0) >>> 0);
    this.#replies.take();
    this.#answersHeld += 1;
    const settle = pending?.settle;
    if (pending === undefined || settle === undefined) {
      if (this.#answersHeld >= this.#asksMax) this.freeAnswers();
      return true;
    }
    if (kind === REPLY_KIND.unsendable) {
      settle(noAnswer('answerUnsendable', pending.kind, pending.body));
      return true;
    }
    const value = this.codec.decode(bytes, offset + ENVELOPE_BYTES, offset + size);
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
      // An assignment to an array's length is a call of the runtime, ten times as long as one to a field.
      this.#freshCount = 0;
    }
    return pending;
  }

  /** That life of the other actor ended: asks meant for it (or an earlier one) stay unanswered. */
  failAsks(actor: number, incarnation: number): void {
    let later = false;
    for (const ask of this.#asks) {
      if (ask === undefined || ask.to !== actor) continue;
      if (ask.incarnation > incarnation) later = true;
      else this.#takeAsk(ask.id)?.settle?.(noAnswer('died', ask.kind, ask.body));
    }
    if (!later) return;
    // The news took our bit along, which those asks may have found set: noted again, we hear of the next death, and see one
    // that came before.
    const asked = slotOf(actor);
    this.board.noteAsker(asked, this.slot);
    const lives = this.board.get(asked, 'generation') === generationOf(actor);
    const last = lives ? this.board.get(asked, 'incarnation') - 1 : Number.POSITIVE_INFINITY;
    if (last > incarnation) this.failAsks(actor, last);
  }

  /** Starts the time of the asks made since the last call, and gives up those whose time is over; returns how many. */
  expireAsks(nowMs: number): number {
    for (let i = 0; i < this.#freshCount; i++) {
      const ask = this.#fresh[i];
      if (ask === undefined) continue;
      this.#fresh[i] = undefined;
      ask.deadlineMs = nowMs + ask.timeoutMs;
      if (ask.deadlineMs < this.#nextDeadlineMs) this.#nextDeadlineMs = ask.deadlineMs;
    }
    this.#freshCount = 0;
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

  /** Sends; answers why not, or undefined when the mailbox has it. */
  #send(to: number, kind: string, body: object, asked: number): SendReason | undefined {
    const slot = slotOf(to);
    const peer = this.#reach(slot, generationOf(to));
    let failed: SendReason | undefined = 'notAlive';
    if (peer !== undefined) {
      if (asked !== 0) {
        // Both words change only when it dies, of which we are told afterwards, so what a plain load says is never too old:
        // `failAsks` fails what was meant for the life before. A load by Atomics is a call.
        this.#incarnationAsked = this.#words[peer.incarnationAt] ?? 0;
        if (((this.#words[peer.askerAt] ?? 0) & this.#askerBit) === 0) this.board.noteAsker(slot, this.slot);
      }
      const moving = takeMoves(body);
      failed = this.#sendInto(peer, slot, kind, moving === undefined ? body : moving.plain, asked);
      if (failed === undefined && moving !== undefined) surrender(moving.moves);
    }
    this.#withdrawIfAsleep();
    return failed;
  }

  #sendInto(peer: Peer, slot: number, kind: string, body: object, asked: number): SendReason | undefined {
    const queue = peer.mailbox;
    const at = queue.reserve();
    if (at < 0) {
      if (at === CORRUPT) assert(false, `mailbox of slot ${slot} is corrupt`);
      return 'mailboxFull';
    }
    const size = this.codec.encode(body, queue, at);
    if (size < 0) {
      queue.cancel();
      return size === TOO_LONG ? 'tooLarge' : 'unencodable';
    }
    const { words } = queue;
    words[at >> 2] = numberOfKind(kind);
    words[(at >> 2) + 1] = this.actor;
    words[(at >> 2) + 2] = asked;
    words[(at >> 2) + 3] = asked === 0 ? 0 : this.#incarnationAsked;
    queue.stage(ENVELOPE_BYTES + size);
    queue.publish();
    return undefined;
  }

  /**
   * The queues of a living actor, whose slot is announced as our target (see switchboard.ts) until `withdraw`. Its generation is
   * checked by Atomics after the announcement; while that stands the queues' memory stays theirs, so that a plain load will do.
   */
  #reach(slot: number, generation: number): Peer | undefined {
    const known = this.#peers[slot];
    if (known !== undefined && known.generation === generation) {
      if (this.#announced === slot) return this.#words[known.generationAt] === generation ? known : undefined;
      this.#announce(slot);
      return Atomics.load(this.#words, known.generationAt) === generation ? known : undefined;
    }
    this.#announce(slot);
    return this.#open(slot, generation);
  }

  #announce(slot: number): void {
    this.#announced = slot;
    Atomics.store(this.#words, this.#target, slot);
  }

  /** Opens the queues of an actor that was not sent to before. */
  #open(slot: number, generation: number): Peer | undefined {
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
    const askerAt = this.board.askerIndex(slot, this.slot);
    const peer = { generation, generationAt, incarnationAt, askerAt, mailbox, replies, doorbell };
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
