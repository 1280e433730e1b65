/**
 * The call tap of a host: every hypercall of every vCPU as a record in one fan-in queue, while somebody watches. A switch
 * word says whether anybody does; a vCPU pays one load for it on each call. Records are dropped and counted when nobody keeps
 * up, so that watching never holds a guest up.
 */

import { assert } from '../../../bus/assert.js';
import { u32, u64 } from '../../../bus/layout/fields.js';
import { type Of, struct } from '../../../bus/layout/struct.js';
import { recoverQueue } from '../../../bus/message-queue/queue-core.js';
import { createQueue, type QueueHandle, type QueueSpec } from '../../../bus/message-queue/queue-layout.js';
import { QueueReceiver } from '../../../bus/message-queue/queue-receiver.js';

/** Registers kept from before and after a call: X0 to X8, and X0 to X4. */
export const REGISTERS_BEFORE = 9;
export const REGISTERS_AFTER = 5;
/** Bytes kept of a message. */
export const MESSAGE_BYTES_KEPT = 256;

/** The fixed part of a record; the registers and then the kept bytes of the message follow. */
export const CallHeader = struct('CallHeader', 48, {
  startNs: u64(0x00),
  durationNs: u32(0x08),
  partition: u32(0x0c),
  vcpu: u32(0x10),
  /** The immediate, and 1 << 16 for SMC. */
  instruction: u32(0x14),
  /** Queue or doorbell of a successful call; 0: none. */
  object: u32(0x18),
  /** Number of the message in its queue, from 0, wrapping. */
  sequence: u32(0x1c),
  /** Bytes of the message, and of it kept. */
  messageBytes: u32(0x20),
  keptBytes: u32(0x24),
  lost: u32(0x28),
  reserved: u32(0x2c),
});
/** Where the registers and the message lie in a record. */
export const REGISTERS_AT = CallHeader.sizeBytes;
export const MESSAGE_AT = REGISTERS_AT + (REGISTERS_BEFORE + REGISTERS_AFTER) * 8;
const SPEC: QueueSpec = { depth: 8192, messageBytesMax: MESSAGE_AT + MESSAGE_BYTES_KEPT, mode: 'fan-in' };
const READER = 1 << 30;

/** Where vCPUs put records, and the word that says whether they are wanted. Crosses threads as it is. */
export interface CallTapPlace {
  readonly queue: QueueHandle;
  readonly isOn: SharedArrayBuffer;
}

/** A record as it was read. */
export interface TappedCall extends Of<typeof CallHeader> {
  readonly before: readonly bigint[];
  readonly after: readonly bigint[];
  readonly message: Uint8Array;
}

/** The reader's side: one per host. */
export class CallTap {
  readonly place: CallTapPlace = { queue: createQueue(SPEC), isOn: new SharedArrayBuffer(4) };
  readonly #receiver: QueueReceiver;
  readonly #switch = new Int32Array(this.place.isOn);

  constructor() {
    const receiver = QueueReceiver.attach(this.place.queue, { owner: READER });
    assert(receiver.ok, 'our own queue is whole');
    this.#receiver = receiver.value;
  }

  /** Starts and stops the recording; what was recorded before and never read is forgotten at the start. */
  watch(on: boolean): void {
    if (on) this.#receiver.flush();
    Atomics.store(this.#switch, 0, on ? 1 : 0);
  }

  /** Takes at most `max` records, oldest first. */
  take(max: number): TappedCall[] {
    const receiver = this.#receiver;
    const view = new DataView(receiver.bytes.buffer, receiver.bytes.byteOffset, receiver.bytes.byteLength);
    const calls: TappedCall[] = [];
    for (let n = 0; n < max; n++) {
      const size = receiver.peek();
      if (size < 0) break;
      const header = size >= MESSAGE_AT ? CallHeader.read(view, receiver.offset) : undefined;
      if (header?.ok === true) {
        const word = (index: number): bigint => view.getBigUint64(receiver.offset + REGISTERS_AT + index * 8, true);
        const from = receiver.offset + MESSAGE_AT;
        const kept = Math.min(header.value.keptBytes, size - MESSAGE_AT);
        calls.push({
          ...header.value,
          before: Array.from({ length: REGISTERS_BEFORE }, (_, index) => word(index)),
          after: Array.from({ length: REGISTERS_AFTER }, (_, index) => word(REGISTERS_BEFORE + index)),
          message: receiver.bytes.slice(from, from + kept),
        });
      }
      receiver.take();
    }
    receiver.free();
    return calls;
  }

  /** A thread that wrote records under `owner` (lockOwner) is dead: lets go what it held. */
  recover(owner: number): void {
    recoverQueue(this.place.queue, owner);
  }
}
