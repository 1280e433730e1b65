/**
 * One client's link: its two message queues, packets in and out (gunyah.md 5.1). Messages to one client are never
 * interleaved; what does not fit the queue waits here, at most one reply and 256 notifications.
 */
import type { ReceiveEnd, SendEnd } from '../../bus/message-queue/queue-end.js';
import { Assembler, PACKET, packetsOf, type RpcMessage } from './rpc-packet.js';

/** Notifications that wait for room; the oldest is dropped for one more. */
const NOTIFICATIONS_MAX = 256;

/** See the head of this file. */
export class RpcLink {
  readonly #incoming: ReceiveEnd;
  readonly #outgoing: SendEnd;
  readonly #assembler = new Assembler();
  /** Packets of the message that is being sent. */
  #current: Uint8Array[] = [];
  /** Whether that message is a reply. */
  #isReply = false;
  readonly #waiting: RpcMessage[] = [];

  constructor(incoming: ReceiveEnd, outgoing: SendEnd) {
    this.#incoming = incoming;
    this.#outgoing = outgoing;
  }

  /** The next complete request, or undefined when the queue has no more packets. */
  next(): RpcMessage | undefined {
    for (;;) {
      const size = this.#incoming.peek();
      if (size < 0) return undefined;
      const packet = new Uint8Array(size);
      this.#incoming.copyOut(packet);
      this.#incoming.release();
      const message = this.#assembler.take(packet);
      if (message?.type === PACKET.request) return message;
    }
  }

  /** Sends a message, or keeps it until there is room. */
  send(message: RpcMessage): void {
    if (message.type === PACKET.reply) {
      const other = this.#waiting.findIndex(({ type }) => type === PACKET.reply);
      if (other >= 0) this.#waiting.splice(other, 1);
    } else if (this.#waiting.filter(({ type }) => type === PACKET.notification).length >= NOTIFICATIONS_MAX) {
      this.#waiting.splice(
        this.#waiting.findIndex(({ type }) => type === PACKET.notification),
        1,
      );
    }
    this.#waiting.push(message);
    this.flush();
  }

  /** Sends what waits, as far as there is room. */
  flush(): void {
    for (;;) {
      if (this.#current.length === 0) {
        const message = this.#waiting.shift();
        if (message === undefined) return;
        this.#current = packetsOf(message);
        this.#isReply = message.type === PACKET.reply;
      }
      while (this.#current.length > 0) {
        const [packet = new Uint8Array(0)] = this.#current;
        if (!this.#outgoing.send(packet).ok) return;
        this.#current.shift();
      }
      this.#isReply = false;
    }
  }

  /** Whether a reply has not gone out whole. */
  get hasReplyWaiting(): boolean {
    return this.#isReply || this.#waiting.some(({ type }) => type === PACKET.reply);
  }

  /** Messages that wait, for tests. */
  get waiting(): number {
    return this.#waiting.length + (this.#current.length > 0 ? 1 : 0);
  }
}
