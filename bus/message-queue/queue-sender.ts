/**
 * The sending end of a message queue in shared memory.
 *
 * Order of operations that makes it correct: the messages' bytes and sizes, then the sequence words of all but the first
 * (plain stores), then the first one's (Atomics.store), then the tail (Atomics.store). Receivers who go by slots see the first
 * sequence word, those who go by the tail see that: one of the two is the only instant of publication (docs/adr/0190), so a
 * producer that dies earlier has published nothing. The head is read with Atomics.load before a slot is reused.
 * Everything read from shared memory (head; in locked modes also the tail) is checked and masked: it can make an
 * operation answer `CORRUPT`, it can never lead outside the ring.
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
  finishPublication,
  openQueue,
  type QueueCore,
  SLOT_HEADER_BYTES,
  SLOT_SIZE_WORD,
  SLOTS_AT,
  WORD,
} from './queue-core.js';
import { CORRUPT, NOTHING, type QueueSignals, type SendEnd, type Sent } from './queue-end.js';
import type { QueueHandle } from './queue-layout.js';

const SENT_WITH_SPACE: Result<Sent, never> = Object.freeze(ok(Object.freeze({ hasSpace: true })));
const SENT_NOW_FULL: Result<Sent, never> = Object.freeze(ok(Object.freeze({ hasSpace: false })));
const FULL = Object.freeze(fail('queueFull', 'send'));
const BROKEN = Object.freeze(fail('corrupt', 'send'));
const TOO_LARGE = Object.freeze(fail('messageSize', 'send.message'));

/** See {@link SendEnd}. Belongs to one thread. */
export class QueueSender implements SendEnd {
  readonly messageBytesMax: number;
  readonly bytes: Uint8Array;
  private readonly lock: OwnerLock | undefined;
  private readonly data: Parking;
  private readonly space: Parking;
  /** The queue's memory as 32-bit words. */
  readonly words: Int32Array;
  /** Index of the head's word. */
  private readonly headWord: number;
  private readonly signals: QueueSignals | undefined;
  private readonly tap: TapSink | undefined;
  /** Messages the queue holds. */
  readonly depth: number;
  private readonly slotMask: number;
  private readonly slotBytes: number;
  /** Number of the next message to publish; in mode `single` ours alone, in locked modes read under the lock. */
  private tail: number;
  /** A head seen earlier; the real one is never behind it. */
  private headSeen: number;
  private staged = 0;
  private locked = false;
  /** No lock and no interrupt lines: {@link sendPlain} will do. */
  private readonly isPlain: boolean;

  private constructor(core: QueueCore, options: AttachOptions) {
    this.lock = core.lock;
    this.data = core.data;
    this.space = core.space;
    this.bytes = core.bytes;
    this.words = core.words;
    this.headWord = core.headWord;
    this.signals = options.signals;
    this.tap = options.tap;
    this.messageBytesMax = core.shape.messageBytesMax;
    this.depth = core.shape.depth;
    this.slotMask = core.shape.slotCount - 1;
    this.isPlain = core.lock === undefined && options.signals === undefined;
    this.slotBytes = core.shape.slotBytes;
    // Whoever sent before us without a lock may have died inside `publish`; with a lock `recoverQueue` does this.
    if (core.shape.mode === 'single') finishPublication(this.words, core.shape);
    this.tail = Atomics.load(this.words, WORD.tail);
    this.headSeen = Atomics.load(this.words, this.headWord);
  }

  /** Attaches a sending end to the queue at `handle`; in mode `single` there must be no other. */
  static attach(handle: QueueHandle, options: AttachOptions): Result<QueueSender, Fault<'badArgument' | 'corrupt'>> {
    const core = openQueue(handle, options);
    return core.ok ? ok(new QueueSender(core.value, options)) : core;
  }

  /** Mode `single`: another end, which is not used at the same time, has sent meanwhile. Nothing is staged. */
  resume(): void {
    this.tail = Atomics.load(this.words, WORD.tail);
    this.headSeen = Atomics.load(this.words, this.headWord);
  }

  send(message: Uint8Array, push = false): Result<Sent, Fault<'queueFull' | 'messageSize' | 'corrupt'>> {
    const sizeBytes = message.length;
    if (this.isPlain && this.staged === 0 && sizeBytes > 0 && sizeBytes <= this.messageBytesMax)
      return this.sendPlain(message);
    const at = this.reserve();
    if (at < 0) return at === NOTHING ? FULL : BROKEN;
    if (sizeBytes === 0 || sizeBytes > this.messageBytesMax) {
      this.cancel();
      return TOO_LARGE;
    }
    copyBytes(message, this.bytes, at);
    this.put((at - SLOT_HEADER_BYTES) >> 2, sizeBytes);
    return this.publish(push) ? SENT_WITH_SPACE : SENT_NOW_FULL;
  }

  /** `send` where nothing is to be done but that: the message is out before anything else is reckoned. */
  private sendPlain(message: Uint8Array): Result<Sent, Fault<'queueFull' | 'corrupt'>> {
    const { words, tail } = this;
    if ((tail - this.headSeen) >>> 0 >= this.depth) {
      const refused = this.refresh(tail);
      if (refused !== 0) return refused === NOTHING ? FULL : BROKEN;
    }
    const slot = SLOTS_AT + (tail & this.slotMask) * this.slotBytes;
    copyBytes(message, this.bytes, slot + SLOT_HEADER_BYTES);
    words[(slot >> 2) + SLOT_SIZE_WORD] = message.length;
    const after = (tail + 1) | 0;
    Atomics.store(words, slot >> 2, after);
    Atomics.store(words, WORD.tail, after);
    this.tail = after;
    const hasSpace = (after - this.headSeen) >>> 0 < this.depth || this.used(after) < this.depth;
    if (words[WORD.tapped] !== 0) this.tapSent(1, after);
    this.data.unpark();
    return hasSpace ? SENT_WITH_SPACE : SENT_NOW_FULL;
  }

  reserve(): number {
    if (this.lock !== undefined && !this.locked) this.enter();
    const next = this.tail + this.staged;
    if ((next - this.headSeen) >>> 0 >= this.depth) {
      const refused = this.refresh(next);
      if (refused !== 0) return refused;
    }
    return SLOTS_AT + (next & this.slotMask) * this.slotBytes + SLOT_HEADER_BYTES;
  }

  stage(sizeBytes: number): void {
    assert(sizeBytes > 0 && sizeBytes <= this.messageBytesMax, 'a staged size is 1 .. messageBytesMax');
    const next = this.tail + this.staged;
    const at = (SLOTS_AT + (next & this.slotMask) * this.slotBytes) >> 2;
    this.put(at, sizeBytes);
  }

  /** The slot whose first word is `at` holds the next message. */
  private put(at: number, sizeBytes: number): void {
    this.words[at + SLOT_SIZE_WORD] = sizeBytes;
    this.staged++;
  }

  cancel(): void {
    if (this.staged === 0) this.leave();
  }

  publish(push = false): boolean {
    const before = this.tail;
    const after = (before + this.staged) | 0;
    const sent = this.staged;
    this.tail = after;
    this.staged = 0;
    let hasSpace = (after - this.headSeen) >>> 0 < this.depth;
    if (this.signals === undefined) {
      if (sent > 0) this.show(before, after);
      if (!hasSpace) hasSpace = this.used(after) < this.depth;
    } else if (sent > 0) {
      hasSpace = this.publishWithEdges(this.signals, before, after, push);
    }
    if (this.words[WORD.tapped] !== 0) this.tapSent(sent, after);
    if (this.locked) this.leave();
    this.data.unpark();
    return hasSpace;
  }

  waitForSpace(spins: number, timeoutMs?: number): boolean {
    return this.space.park(this.mayHaveSpace, spins, timeoutMs);
  }

  /** Number of the next message, counted from the queue's making and wrapping: right after a publication, ours plus one. */
  get position(): number {
    return this.tail >>> 0;
  }

  /** True when a message would fit now, as far as a look without the lock can tell; also true for corrupted indices. */
  readonly mayHaveSpace = (): boolean => {
    const tail = this.lock === undefined ? this.tail : Atomics.load(this.words, WORD.tail);
    return (tail - Atomics.load(this.words, this.headWord)) >>> 0 !== this.depth;
  };

  /**
   * Gunyah's configure_send: `threshold` 0xFFFFFFFF leaves it, otherwise below the depth; `delay` must be 0xFFFFFFFF.
   * After a change the send interrupt follows its level.
   */
  configure(threshold: number, delay: number): Result<undefined, Fault<'badArgument' | 'unimplemented'>> {
    if (delay !== UNCHANGED) return fail('unimplemented', 'configure_send.delay');
    if (threshold === UNCHANGED) return ok();
    if (!Number.isInteger(threshold) || threshold < 0 || threshold >= this.depth) {
      return fail('badArgument', 'configure_send.threshold');
    }
    if (this.lock !== undefined) this.enter();
    Atomics.store(this.words, WORD.notFull, threshold);
    if (!this.spacePending()) {
      this.signals?.space(false);
      // Without a lock the receiver may have crossed the threshold since: look again after clearing.
      if (this.spacePending()) this.signals?.space(true);
    } else this.signals?.space(true);
    this.leave();
    return ok();
  }

  /** Level of the send interrupt: the count is at or below the not-full threshold. */
  spacePending(): boolean {
    const used = (Atomics.load(this.words, WORD.tail) - Atomics.load(this.words, this.headWord)) >>> 0;
    return used <= Atomics.load(this.words, WORD.notFull) >>> 0;
  }

  private enter(): void {
    this.lock?.acquire();
    this.locked = true;
    // Only holders of the lock store it, so a plain load sees the last one's.
    const tail = this.words[WORD.tail] ?? 0;
    // Nobody has sent since: the head seen then still bounds the real one, and its line stays with the receiver.
    if (tail === this.tail) return;
    this.tail = tail;
    this.headSeen = Atomics.load(this.words, this.headWord);
  }

  private leave(): void {
    if (!this.locked) return;
    this.locked = false;
    this.lock?.release();
  }

  private used(tail: number): number {
    this.headSeen = Atomics.load(this.words, this.headWord);
    return (tail - this.headSeen) >>> 0;
  }

  /** Looks at the head because the one seen last says full: 0 for room, else why not. */
  private refresh(next: number): number {
    const used = this.used(next);
    if (used < this.depth) return 0;
    if (this.words[WORD.tapped] !== 0) this.tap?.record('refused', used, 0);
    this.cancel();
    return used === this.depth ? NOTHING : CORRUPT;
  }

  /**
   * Publishes and asserts the receive interrupt if the count passed through the threshold. Without a common lock the
   * receiver may move meanwhile, so the heads before and after bound the count: a race can assert once too often, never
   * once too little. Under a common lock both are equal and the edge is exact.
   */
  private publishWithEdges(signals: QueueSignals, before: number, after: number, push: boolean): boolean {
    const headBefore = Atomics.load(this.words, this.headWord);
    this.show(before, after);
    const used = this.used(after);
    const threshold = Atomics.load(this.words, WORD.notEmpty);
    const lowest = (before + 1 - this.headSeen) | 0;
    const highest = (after - headBefore) | 0;
    if (push || (threshold >= lowest && threshold <= highest)) signals.data(true);
    return used < this.depth;
  }

  /** Publishes the messages `before` .. `after`: see the order of operations above. */
  private show(before: number, after: number): void {
    const { words, slotMask, slotBytes } = this;
    for (let next = (before + 1) | 0; next !== after; next = (next + 1) | 0) {
      words[(SLOTS_AT + (next & slotMask) * slotBytes) >> 2] = next + 1;
    }
    Atomics.store(words, (SLOTS_AT + (before & slotMask) * slotBytes) >> 2, before + 1);
    Atomics.store(words, WORD.tail, after);
  }

  private tapSent(sent: number, after: number): void {
    if (this.tap === undefined) return;
    const used = (after - Atomics.load(this.words, this.headWord)) | 0;
    for (let i = sent; i > 0; i--) {
      const at = (SLOTS_AT + ((after - i) & this.slotMask) * this.slotBytes) >> 2;
      this.tap.record('sent', Math.max(0, used - i + 1), this.words[at + SLOT_SIZE_WORD] ?? 0);
    }
  }
}

/** Configure argument: leave the threshold, or (the only delay there is) no delay. */
export const UNCHANGED = 0xffff_ffff;
