/**
 * The client's side of the resource manager's RPC, as the Linux driver has it (gunyah.md 5.1): several calls may be outstanding,
 * replies are matched by sequence number and message id, and what matches none is ignored.
 */
import type { ReceiveEnd, SendEnd } from '../../bus/message-queue/queue-end.js';
import { err, ok, type Result } from '../../bus/result.js';
import type { Profile } from '../abi/gunyah/identity.js';
import { PayloadReader } from '../resource-manager/payload.js';
import { RM_ERROR } from '../resource-manager/rm-messages.js';
import { Assembler, PACKET, packetsOf, RPC, type RpcMessage } from '../resource-manager/rpc-packet.js';
import { type Errno, errnoOf } from './errno.js';

/** Most content of a request that the driver sends. */
const REQUEST_BYTES_MAX = RPC.continuationsMax * RPC.contentBytes;
const SEQUENCES = 0x1_0000;

interface Call {
  readonly message: number;
  readonly answer: (result: Result<PayloadReader, Errno>) => void;
}

/** See the head of this file. */
export class RpcClient {
  readonly #generation: Profile;
  readonly #outgoing: SendEnd;
  readonly #incoming: ReceiveEnd;
  readonly #notified: (message: RpcMessage) => void;
  readonly #assembler = new Assembler();
  readonly #calls = new Map<number, Call>();
  readonly #packets: Uint8Array[] = [];
  #sequence = 0;

  constructor(generation: Profile, outgoing: SendEnd, incoming: ReceiveEnd, notified: (message: RpcMessage) => void) {
    this.#generation = generation;
    this.#outgoing = outgoing;
    this.#incoming = incoming;
    this.#notified = notified;
  }

  /** Sends a request; the reply's payload behind the error word, or what the error becomes. */
  call(message: number, content: Uint8Array): Promise<Result<PayloadReader, Errno>> {
    if (content.length > REQUEST_BYTES_MAX) return Promise.resolve(err('E2BIG'));
    if (this.#calls.size >= SEQUENCES) return Promise.resolve(err('EBUSY'));
    while (this.#calls.has(this.#sequence)) this.#sequence = (this.#sequence + 1) % SEQUENCES;
    const sequence = this.#sequence;
    this.#sequence = (sequence + 1) % SEQUENCES;
    return new Promise((answer) => {
      this.#calls.set(sequence, { message, answer });
      this.#packets.push(...packetsOf({ type: PACKET.request, sequence, message, content }));
      this.#flush();
    });
  }

  #flush(): void {
    for (let packet = this.#packets[0]; packet !== undefined; packet = this.#packets[0]) {
      if (!this.#outgoing.send(packet).ok) return; // the queue's space signal calls `rang` again
      this.#packets.shift();
    }
  }

  /** One of the queues has something to say. */
  rang(): void {
    for (let size = this.#incoming.peek(); size >= 0; size = this.#incoming.peek()) {
      const packet = new Uint8Array(size);
      this.#incoming.copyOut(packet);
      this.#incoming.release();
      const message = this.#assembler.take(packet);
      if (message?.type === PACKET.reply) this.#replied(message);
      else if (message?.type === PACKET.notification) this.#notified(message);
    }
    this.#flush();
  }

  #replied({ sequence, message, content }: RpcMessage): void {
    const call = this.#calls.get(sequence);
    if (call?.message !== message) return;
    this.#calls.delete(sequence);
    const payload = new PayloadReader(content);
    const error = payload.u32();
    if (!payload.isValid) call.answer(err('EBADMSG'));
    else call.answer(error === RM_ERROR.OK ? ok(payload) : err(errnoOf(error, this.#generation)));
  }
}
