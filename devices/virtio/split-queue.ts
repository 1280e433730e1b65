/**
 * The device's side of a split virtqueue (V1.2, 2.7) in guest memory. Everything read from it is read once and checked: ring
 * indices, descriptor indices, chain lengths, nesting of indirect tables. What does not check out makes the queue broken.
 *
 * Chains are used up in the order they were made available, one at a time. So the used index in guest memory is the one
 * thing that says how far the device is: a worker that is killed in between has either published a chain or not, and its
 * successor goes on from there.
 */
import { type GuestWindow, REFUSED } from '../../actors/shared-state/guest-window/guest-window.js';
import { Chain, SEGMENTS_MAX } from './chain.js';
import {
  AvailableHead,
  DESCRIPTOR,
  Descriptor,
  NO_INTERRUPT,
  NO_NOTIFY,
  QUEUE_SIZE_MAX,
  UsedElement,
  UsedHead,
} from './wire.js';

/** Where a queue is and what was negotiated; addresses may be anything. */
export interface QueuePlace {
  readonly size: number;
  readonly descriptors: number;
  readonly available: number;
  readonly used: number;
  readonly indirect: boolean;
  readonly eventIndex: boolean;
}

/** What taking the next chain came to; `broken` is for good. */
export type Taken = 'chain' | 'empty' | 'broken';

const DESCRIPTOR_WORDS = Descriptor.sizeBytes / 4;
const ENTRY_BYTES = 2;
const TOTAL_BYTES_MAX = 0xffff_ffff;

/** See the head of this file; for use inside the device's window. */
export class SplitQueue {
  /** The chain taken last. */
  readonly chain: Chain;
  readonly #window: GuestWindow;
  readonly #place: QueuePlace;
  /** Chains used so far, modulo 2^16: also the index of the next one to take. */
  #next: number;
  #isBroken: boolean;
  /** Chains used that the driver does not see yet, and the descriptors of its table that they take up. */
  #staged = 0;
  #stagedDescriptors = 0;
  /** The same of the chain taken last. */
  #descriptors = 0;
  readonly #descriptor = new Int32Array(DESCRIPTOR_WORDS);
  readonly #table = new Int32Array(SEGMENTS_MAX * DESCRIPTOR_WORDS);
  readonly #tableBytes = new Uint8Array(this.#table.buffer);
  /** The index in the used ring when the driver was last asked whether it wants to know. */
  #announced: number;

  /** `resumes`: the queue was used by a predecessor, whose used index in guest memory is where this one goes on. */
  constructor(window: GuestWindow, place: QueuePlace, resumes: boolean) {
    this.#window = window;
    this.#place = place;
    this.chain = new Chain(window);
    const { size, descriptors, available, used } = place;
    const whole = Number.isInteger(size) && size >= 1 && size <= QUEUE_SIZE_MAX && (size & (size - 1)) === 0;
    const index = resumes ? window.load16(used + UsedHead.offsets.index) : 0;
    this.#isBroken = !whole || descriptors % 16 !== 0 || available % 2 !== 0 || used % 4 !== 0 || index === REFUSED;
    this.#next = index & 0xffff;
    this.#announced = this.#next;
  }

  /** Another thread has used the queue meanwhile: goes on behind what that has used. */
  resume(): void {
    const index = this.#window.load16(this.#place.used + UsedHead.offsets.index);
    if (index === REFUSED) this.#isBroken = true;
    this.#next = this.#announced = index & 0xffff;
    this.#staged = 0;
    this.#stagedDescriptors = 0;
  }

  /** Whether something about the queue was wrong. */
  get isBroken(): boolean {
    return this.#isBroken;
  }

  #broken(): 'broken' {
    this.#isBroken = true;
    return 'broken';
  }

  /** Reads the next available chain into {@link chain}. It stays the next one until {@link use}. */
  take(): Taken {
    if (this.#isBroken) return 'broken';
    const { available, size } = this.#place;
    const index = this.#window.load16(available + AvailableHead.offsets.index);
    if (index === REFUSED) return this.#broken();
    const waiting = (index - this.#next) & 0xffff;
    if (waiting === 0) return 'empty';
    if (waiting > size) return this.#broken();
    const entry = available + AvailableHead.sizeBytes + (this.#next & (size - 1)) * ENTRY_BYTES;
    const head = this.#window.load16(entry);
    if (head === REFUSED || head >= size) return this.#broken();
    this.chain.begin(head);
    return this.#follow(head) && this.chain.readableBytes + this.chain.writableBytes <= TOTAL_BYTES_MAX
      ? 'chain'
      : this.#broken();
  }

  /** Follows the descriptors from `head` on. */
  #follow(head: number): boolean {
    const { descriptors, size, indirect } = this.#place;
    const words = this.#descriptor;
    let index = head;
    for (let count = 0; count < size; count++) {
      if (!this.#window.loadWords(descriptors + index * Descriptor.sizeBytes, words)) return false;
      const flags = (words[3] ?? 0) & 0xffff;
      this.#descriptors = count + 1;
      if ((flags & DESCRIPTOR.indirect) !== 0) {
        // Refused: not negotiated, or a chain goes on behind the table (V1.2, 2.7.5.3.1).
        if (!indirect || (flags & DESCRIPTOR.next) !== 0) return false;
        return this.#followTable(words);
      }
      if (!this.#add(words, 0)) return false;
      if ((flags & DESCRIPTOR.next) === 0) return true;
      index = (words[3] ?? 0) >>> 16;
      if (index >= size) return false;
    }
    return false; // longer than the queue: a loop
  }

  /** Follows the indirect table that the descriptor `words` names. */
  #followTable(words: Int32Array): boolean {
    const address = addressOf(words, 0);
    const bytes = (words[2] ?? 0) >>> 0;
    const entries = bytes / Descriptor.sizeBytes;
    if (bytes === 0 || bytes % Descriptor.sizeBytes !== 0 || entries > SEGMENTS_MAX) return false;
    // Copied at once, so that it is the same table from the first look to the last.
    if (!this.#window.copyOut(address, this.#tableBytes.subarray(0, bytes))) return false;
    let index = 0;
    for (let count = 0; count < entries; count++) {
      const at = index * DESCRIPTOR_WORDS;
      const tail = this.#table[at + 3] ?? 0;
      if ((tail & DESCRIPTOR.indirect) !== 0 || !this.#add(this.#table, at)) return false;
      if ((tail & DESCRIPTOR.next) === 0) return true;
      index = tail >>> 16;
      if (index >= entries) return false;
    }
    return false;
  }

  #add(words: Int32Array, at: number): boolean {
    const writable = ((words[at + 3] ?? 0) & DESCRIPTOR.write) !== 0;
    return this.chain.add(addressOf(words, at), (words[at + 2] ?? 0) >>> 0, writable);
  }

  /** Gives the taken chain back, with `writtenBytes` written into it: the driver sees it from here on. */
  use(writtenBytes: number): void {
    this.stage(writtenBytes);
    this.publish();
  }

  /** As {@link use}, but the driver sees it with {@link publish} only, together with all that were staged before. */
  stage(writtenBytes: number): void {
    const { used, size } = this.#place;
    const entry = used + UsedHead.sizeBytes + (this.#next & (size - 1)) * UsedElement.sizeBytes;
    if (this.#window.storePair(entry, this.chain.head, writtenBytes | 0)) {
      this.#next = (this.#next + 1) & 0xffff;
      this.#staged++;
      this.#stagedDescriptors += this.#descriptors;
    } else this.#isBroken = true;
  }

  /** Shows the driver what was staged. */
  publish(): void {
    this.#staged = 0;
    this.#stagedDescriptors = 0;
    if (!this.#window.store16(this.#place.used + UsedHead.offsets.index, this.#next)) this.#isBroken = true;
  }

  /** The driver is at fault in a way only the device can see: nothing more is taken from the queue. */
  refuse(): void {
    this.#isBroken = true;
  }

  /** Takes back what was staged: those chains are next again. */
  unstage(): void {
    this.#next = (this.#next - this.#staged) & 0xffff;
    this.#staged = 0;
    this.#stagedDescriptors = 0;
  }

  /** Whether what is staged takes up so much of the driver's table that it cannot offer another chain like the last. */
  get isExhausted(): boolean {
    return this.#staged > 0 && this.#stagedDescriptors + this.#descriptors > this.#place.size;
  }

  /** Whether the driver wants an interrupt for what was used since the last question. */
  wantsInterrupt(): boolean {
    const old = this.#announced;
    const now = this.#next;
    if (this.#isBroken || old === now) return false;
    this.#announced = now;
    const { available, size, eventIndex } = this.#place;
    if (!eventIndex) {
      const flags = this.#window.load16(available + AvailableHead.offsets.flags);
      return flags !== REFUSED && (flags & NO_INTERRUPT) === 0;
    }
    const event = this.#window.load16(available + AvailableHead.sizeBytes + size * ENTRY_BYTES);
    // V1.2, 2.7.10: the entry the driver waits for is among the new ones.
    return event !== REFUSED && ((now - event - 1) & 0xffff) < ((now - old) & 0xffff);
  }

  /** Asks the driver to notify from the next chain on, or not to. Look again after asking: one may have just come. */
  wantNotifications(wanted: boolean): void {
    if (this.#isBroken) return;
    const { used, size, eventIndex } = this.#place;
    // Without `wanted` the event index stays behind, which is as good as a flag.
    if (eventIndex && !wanted) return;
    const stored = eventIndex
      ? this.#window.store16(used + UsedHead.sizeBytes + size * UsedElement.sizeBytes, this.#next)
      : this.#window.store16(used + UsedHead.offsets.flags, wanted ? 0 : NO_NOTIFY);
    if (!stored) this.#isBroken = true;
  }
}

/** The address in a descriptor; one that no guest has is as good as any other that is not mapped. */
function addressOf(words: Int32Array, at: number): number {
  return ((words[at + 1] ?? 0) >>> 0) * 2 ** 32 + ((words[at] ?? 0) >>> 0);
}
