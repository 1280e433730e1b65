/**
 * The receiving end of a message queue in shared memory. It trusts nothing it reads there: the tail must be at most
 * `depth` ahead, the slot must carry the expected sequence number and a size within limits, each read once; anything else
 * is answered `CORRUPT` without moving. Slot places are masked, so no value leads outside the ring, and no call looks at
 * more than one message.
 *
 * A message is there when its slot carries its number: the cache line that says so brings the message's beginning along, and
 * the sender needs one line for both (docs/adr/0190). Where counts and edges must be exact, in mode `shared` and with
 * interrupt lines, it is there when the tail says so, which the sender stores right after.
 *
 * The head is stored with Atomics.store after the message's bytes have been read: from then on the sender may overwrite.
 */
import { assert } from '../assert.js';
import { copyBytes } from '../copy-bytes.js';
import type { OwnerLock } from '../doorbell/owner-lock.js';
import type { Parking } from '../doorbell/parking.js';
import { ok, type Result } from '../result.js';
import { type Fault, fail } from '../status.js';
import type { TapSink } from '../tap/tap-sink.js';
import {
  type AttachOptions,
  openQueue,
  type QueueCore,
  SLOT_HEADER_BYTES,
  SLOT_SIZE_WORD,
  SLOTS_AT,
  WORD,
} from './queue-core.js';
import { CORRUPT, NOTHING, type QueueSignals, type Received, type ReceiveEnd } from './queue-end.js';
import type { QueueHandle } from './queue-layout.js';
import { UNCHANGED } from './queue-sender.js';

const EMPTY = Object.freeze(fail('queueEmpty', 'receive'));
const BROKEN = Object.freeze(fail('corrupt', 'receive'));
const TOO_SMALL = Object.freeze(fail('messageSize', 'receive.into'));
/**
 * A look in vain compares slot and tail once in so many, for the sake of damaged queues: the tail's line belongs to the sender, who
 * has to fetch it back, and whoever looks waits for it.
 */
const LOOKS_PER_TAIL = 16;
/**
 * Multiplications in a row between two looks of `next`, each some four cycles: about 20 ns in all. Each look takes the slot's line from
 * a sender who is writing into it, and a message is on its way for 80 ns at least.
 */
const PAUSE_STEPS = 20;
/** While messages wait in a row, the lines of the one so many further on are fetched already, */
const LOOK_AHEAD = 2;
/** but no more than so many of them. */
const LINES_AHEAD_MAX = 8;
const LINE_WORDS = 16;
/** configure_receive: the threshold becomes the depth. */
const WHOLE_DEPTH = 0xffff_fffe;

/** See {@link ReceiveEnd}. Belongs to one thread. */
export class QueueReceiver implements ReceiveEnd {
  readonly messageBytesMax: number;
  readonly bytes: Uint8Array;
  offset = 0;
  private readonly lock: OwnerLock | undefined;
  private readonly data: Parking;
  private readonly space: Parking;
  /** The queue's memory as 32-bit words. */
  readonly words: Int32Array;
  /** Index of the head's word. */
  private readonly headWord: number;
  private readonly signals: QueueSignals | undefined;
  private readonly tap: TapSink | undefined;
  private readonly spaceWaits: boolean;
  private readonly depth: number;
  private readonly slotMask: number;
  private readonly slotBytes: number;
  private readonly shared: boolean;
  /** A message is there when the tail says so, not already when its slot does. */
  private readonly byTail: boolean;
  /** So many taken messages are freed by `next` even while there are more to take. */
  private readonly freeEvery: number;
  /** Number of the next message to look at; ours alone except in mode `shared`, where it is read under the lock. */
  private head: number;
  /** Head as the sender knows it: messages from here to `head` are taken and not yet freed. */
  private freed: number;
  /** A tail seen earlier; the real one is never behind it. */
  private tailSeen: number;
  /** Looks in vain since the last message. After one the next message comes alone: its slot tells of it sooner than the tail does. */
  private vain = 0;
  private sizeSeen = 0;
  /** What {@link pause} and {@link fetchAhead} reckon, which keeps the compiler from leaving them out. */
  private reckoned = 0;
  /** A view of each slot as long as its last message: making one costs more than copying a small message. */
  private readonly views: (Uint8Array | undefined)[] = [];
  private locked = false;

  private constructor(core: QueueCore, options: AttachOptions) {
    this.lock = core.lock;
    this.data = core.data;
    this.space = core.space;
    this.bytes = core.bytes;
    this.words = core.words;
    this.headWord = core.headWord;
    this.signals = options.signals;
    this.tap = options.tap;
    this.spaceWaits = options.spaceWaits !== false;
    this.messageBytesMax = core.shape.messageBytesMax;
    this.depth = core.shape.depth;
    this.slotMask = core.shape.slotCount - 1;
    this.slotBytes = core.shape.slotBytes;
    this.freeEvery = Math.ceil(core.shape.depth / 2);
    this.shared = core.shape.mode === 'shared';
    this.byTail = this.shared || options.signals !== undefined;
    this.head = Atomics.load(this.words, this.headWord);
    this.freed = this.head;
    this.tailSeen = this.head;
  }

  /** Attaches a receiving end to the queue at `handle`; except in mode `shared` there must be no other. */
  static attach(handle: QueueHandle, options: AttachOptions): Result<QueueReceiver, Fault<'badArgument' | 'corrupt'>> {
    const core = openQueue(handle, options);
    return core.ok ? ok(new QueueReceiver(core.value, options)) : core;
  }

  /** Mode `single`: another end, which is not used at the same time, has received meanwhile. Nothing is taken and not freed. */
  resume(): void {
    this.head = Atomics.load(this.words, this.headWord);
    this.freed = this.head;
    this.tailSeen = this.head;
  }

  receive(into: Uint8Array): Result<Received, Fault<'queueEmpty' | 'messageSize' | 'corrupt'>> {
    const sizeBytes = this.peek();
    if (sizeBytes < 0) return sizeBytes === NOTHING ? EMPTY : BROKEN;
    if (sizeBytes > into.length) {
      this.leave();
      return TOO_SMALL;
    }
    this.copyOut(into);
    this.take();
    const { hasMore } = this;
    this.free();
    return ok({ sizeBytes, hasMore });
  }

  peek(): number {
    if (this.shared && !this.locked) this.enter();
    if (this.tailSeen === this.head) {
      const refused = this.byTail ? this.lookAtTail() : this.lookAtSlot();
      if (refused !== 0) return refused;
    }
    const at = this.slotWord();
    return this.words[at] === ((this.head + 1) | 0) ? this.open(at) : this.corrupt();
  }

  copyOut(into: Uint8Array): void {
    copyBytes(this.message, into);
  }

  get message(): Uint8Array {
    const slot = this.head & this.slotMask;
    let view = this.views[slot];
    if (view === undefined || view.length !== this.sizeSeen) {
      view = this.bytes.subarray(this.offset, this.offset + this.sizeSeen);
      this.views[slot] = view;
    }
    return view;
  }

  take(): void {
    assert(this.tailSeen !== this.head, 'take follows a successful peek');
    this.head = (this.head + 1) | 0;
    if (((this.tailSeen - this.head) | 0) > LOOK_AHEAD) this.fetchAhead();
  }

  free(): void {
    const before = this.freed;
    const after = this.head;
    this.freed = after;
    if (this.signals !== undefined && before !== after) this.freeWithEdges(this.signals, before, after);
    else Atomics.store(this.words, this.headWord, after);
    if (this.words[WORD.tapped] !== 0) this.tapFreed(before, after);
    if (this.locked) this.leave();
    if (this.spaceWaits) this.space.unpark();
  }

  release(): void {
    this.take();
    this.free();
  }

  next(spins: number, timeoutMs?: number): number {
    if ((this.head - this.freed) >>> 0 >= this.freeEvery) this.free();
    let sizeBytes = this.peek();
    if (sizeBytes !== NOTHING) return sizeBytes;
    if (this.freed !== this.head) this.free();
    sizeBytes = this.byTail ? this.pollTail(spins) : this.pollSlot(spins);
    if (sizeBytes !== NOTHING) return sizeBytes;
    if (!this.data.park(this.ready, 0, timeoutMs)) return NOTHING;
    this.vain = LOOKS_PER_TAIL;
    return this.peek();
  }

  /**
   * For those who poll: as {@link mayHaveData}, but ordered with nothing, so it may tell late what another thread has done.
   * Before sleeping ask that one.
   */
  looksFilled(): boolean {
    if (this.byTail) return this.words[WORD.tail] !== (this.shared ? this.words[this.headWord] : this.head);
    return this.words[this.slotWord()] === ((this.head + 1) | 0);
  }

  /** Number of the next message to take: right after one was taken, its number plus one. */
  get position(): number {
    return this.head >>> 0;
  }

  /** Between `take` and `free`: whether another message waits behind those taken. Exact in mode `shared` (Gunyah's X2). */
  get hasMore(): boolean {
    if (this.tailSeen !== this.head) return true;
    return this.byTail ? Atomics.load(this.words, WORD.tail) !== this.head : this.mayHaveData();
  }

  /** True when `peek` would not answer `NOTHING`, as far as a look without the lock can tell. */
  mayHaveData(): boolean {
    const head = this.shared ? Atomics.load(this.words, this.headWord) : this.head;
    if (this.byTail) return Atomics.load(this.words, WORD.tail) !== head;
    if (Atomics.load(this.words, this.slotWord()) === ((head + 1) | 0)) return true;
    // A tail beyond a slot that does not carry its number: `peek` says that the queue is corrupt.
    return ((Atomics.load(this.words, WORD.tail) - head) | 0) > 0;
  }
  private readonly ready = (): boolean => this.mayHaveData();

  /**
   * Gunyah's configure_receive: `threshold` 0xFFFFFFFF leaves it, 0xFFFFFFFE means the depth and does not touch the
   * interrupt, otherwise 1 .. depth; `delay` must be 0xFFFFFFFF. After an explicit change the interrupt follows its level.
   */
  configure(threshold: number, delay: number): Result<undefined, Fault<'badArgument' | 'unimplemented'>> {
    if (delay !== UNCHANGED) return fail('unimplemented', 'configure_receive.delay');
    if (threshold === UNCHANGED) return ok();
    const explicit = threshold !== WHOLE_DEPTH;
    if (explicit && !(Number.isInteger(threshold) && threshold >= 1 && threshold <= this.depth)) {
      return fail('badArgument', 'configure_receive.threshold');
    }
    if (this.shared) this.enter();
    Atomics.store(this.words, WORD.notEmpty, explicit ? threshold : this.depth);
    if (explicit) this.settleData();
    this.leave();
    return ok();
  }

  /** Level of the receive interrupt: the count is at or above the not-empty threshold. */
  dataPending(): boolean {
    const used = (Atomics.load(this.words, WORD.tail) - Atomics.load(this.words, this.headWord)) >>> 0;
    return used >= Atomics.load(this.words, WORD.notEmpty) >>> 0;
  }

  /** Gunyah's flush: drops every message; if there were any, asserts the send interrupt and clears the receive one. */
  flush(): void {
    if (this.shared && !this.locked) this.enter();
    let tail = Atomics.load(this.words, WORD.tail);
    // Messages whose slots we saw before the tail moved are ours already.
    if (!this.byTail && ((tail - this.head) | 0) < 0) tail = this.head;
    const dropped = (tail - this.freed) >>> 0;
    this.head = tail;
    this.freed = tail;
    this.tailSeen = tail;
    Atomics.store(this.words, this.headWord, tail);
    if (dropped > 0) {
      this.signals?.space(true);
      this.signals?.data(false);
      // Without a common lock a sender may have come in between: look again after clearing.
      if (this.dataPending()) this.signals?.data(true);
      if (this.words[WORD.tapped] !== 0) this.tap?.record('flushed', 0, dropped);
    }
    this.leave();
    this.space.unpark();
  }

  /** Mode `shared`: returns when whoever was inside an operation has left it (see Doorbell.settle). */
  settle(): void {
    this.lock?.acquire();
    this.lock?.release();
  }

  /** Some nanoseconds between two looks: each takes the slot's line away from a sender who may be about to write more into it. */
  private pause(): void {
    let steps = this.reckoned;
    for (let i = 0; i < PAUSE_STEPS; i++) steps = (Math.imul(steps, 31) + 1) | 0;
    this.reckoned = steps;
  }

  /** Touches the lines of a message that waits further on, if it is as long as the last one: they come while this one is dealt with. */
  private fetchAhead(): void {
    const { words } = this;
    const from = (SLOTS_AT + ((this.head + LOOK_AHEAD) & this.slotMask) * this.slotBytes) >> 2;
    const lines = Math.min(LINES_AHEAD_MAX, ((SLOT_HEADER_BYTES + this.sizeSeen - 1) >> 6) + 1);
    let seen = this.reckoned;
    for (let line = 0; line < lines; line++) seen ^= words[from + line * LINE_WORDS] ?? 0;
    this.reckoned = seen;
  }

  /** Looks so often at the tail, and opens the message that it tells of. */
  private pollTail(spins: number): number {
    for (let turn = 0; turn < spins; turn++) {
      if (this.looksFilled()) {
        const sizeBytes = this.peek();
        if (sizeBytes !== NOTHING) return sizeBytes;
      } else this.pause();
    }
    return NOTHING;
  }

  /**
   * The same at the next message's slot. All of it lies between a message's coming and its being opened: a look that orders is dearer
   * than a plain one, and saves the second one after it.
   */
  private pollSlot(spins: number): number {
    const { words } = this;
    const at = this.slotWord();
    const wanted = (this.head + 1) | 0;
    for (let turn = 0; turn < spins; turn++) {
      if (Atomics.load(words, at) === wanted) {
        this.vain = 0;
        this.tailSeen = wanted;
        return this.open(at);
      }
      this.pause();
    }
    return NOTHING;
  }

  /** Opens the message in the slot whose first word is `at`: its size, which is read once and checked. */
  private open(at: number): number {
    const sizeBytes = this.words[at + SLOT_SIZE_WORD] ?? 0;
    if (sizeBytes <= 0 || sizeBytes > this.messageBytesMax) return this.corrupt();
    this.offset = (at << 2) + SLOT_HEADER_BYTES;
    this.sizeSeen = sizeBytes;
    return sizeBytes;
  }

  private slotWord(): number {
    return (SLOTS_AT + (this.head & this.slotMask) * this.slotBytes) >> 2;
  }

  /** Looks for messages where the tail decides: 0 when there is one, else why not. */
  private lookAtTail(): number {
    // An atomic load is a call, a plain one an instruction, and good enough to say that nothing has come yet.
    if (this.looksFilled()) {
      this.tailSeen = Atomics.load(this.words, WORD.tail);
      if (this.tailSeen !== this.head) return (this.tailSeen - this.freed) >>> 0 <= this.depth ? 0 : this.corrupt();
    }
    this.leaveIfIdle();
    return NOTHING;
  }

  /**
   * Looks for messages where slots decide: 0 when there is one, else why not. Messages that come faster than we take them are
   * counted by the tail, several at a time; one that was waited for is known from its slot alone, because the tail's line is still
   * with the sender, who stores it next.
   */
  private lookAtSlot(): number {
    const { words, head } = this;
    const wanted = (head + 1) | 0;
    const at = this.slotWord();
    if (words[at] === wanted) {
      if (this.vain === 0) {
        const tail = Atomics.load(words, WORD.tail);
        if (((tail - head) | 0) > 0) {
          this.tailSeen = tail;
          return (tail - this.freed) >>> 0 <= this.depth ? 0 : this.corrupt();
        }
      }
      this.vain = 0;
      return this.slotCarries(at, wanted);
    }
    if (++this.vain < LOOKS_PER_TAIL) return NOTHING;
    this.vain = 1;
    const ahead = ((words[WORD.tail] ?? 0) - head) | 0;
    // A tail that lags has not been stored yet.
    if (ahead <= 0) return ahead >= -this.depth ? NOTHING : this.corrupt();
    // It moves after the slot is marked: ordered behind it, the mark must be there.
    const tail = Atomics.load(words, WORD.tail);
    return (tail - this.freed) >>> 0 <= this.depth ? this.slotCarries(at, wanted) : this.corrupt();
  }

  private slotCarries(at: number, wanted: number): number {
    if (Atomics.load(this.words, at) !== wanted) return this.corrupt();
    this.tailSeen = wanted;
    return 0;
  }

  private settleData(): void {
    if (!this.dataPending()) {
      this.signals?.data(false);
      if (this.dataPending()) this.signals?.data(true);
    } else this.signals?.data(true);
  }

  private tapFreed(before: number, after: number): void {
    const queued = Math.max(0, (Atomics.load(this.words, WORD.tail) - after) | 0);
    for (let left = (after - before) | 0; left > 0; left--)
      this.tap?.record('received', queued + left - 1, this.sizeSeen);
  }

  private enter(): void {
    this.lock?.acquire();
    this.locked = true;
    this.head = Atomics.load(this.words, this.headWord);
    this.freed = this.head;
    this.tailSeen = Atomics.load(this.words, WORD.tail);
    // A tail that is not within depth must not count as seen: peek checks it only when it looks anew.
    if ((this.tailSeen - this.head) >>> 0 > this.depth) this.tailSeen = this.head;
  }

  private leave(): void {
    if (!this.locked) return;
    this.locked = false;
    this.lock?.release();
  }

  /** Unlocks unless taken messages still wait to be freed. */
  private leaveIfIdle(): void {
    if (this.freed === this.head) this.leave();
  }

  private corrupt(): number {
    this.tailSeen = this.head;
    this.leaveIfIdle();
    return CORRUPT;
  }

  /** Frees and asserts the send interrupt if the count passed through the threshold; bounds as in the sender. */
  private freeWithEdges(signals: QueueSignals, before: number, after: number): void {
    const tailBefore = Atomics.load(this.words, WORD.tail);
    Atomics.store(this.words, this.headWord, after);
    const tailAfter = Atomics.load(this.words, WORD.tail);
    const threshold = Atomics.load(this.words, WORD.notFull);
    const lowest = (tailBefore - after) | 0;
    const highest = (tailAfter - (before + 1)) | 0;
    if (threshold >= lowest && threshold <= highest) signals.space(true);
  }
}
