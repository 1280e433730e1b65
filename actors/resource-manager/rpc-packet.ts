/**
 * Packets of the resource manager's RPC (gunyah.md 5.1): an 8-byte header on every packet, content cut into pieces of 232
 * bytes, one message put together at a time. What does not fit the rules is dropped without an answer.
 */
import { assert } from '../../bus/assert.js';
import { u8, u16, u32 } from '../../bus/layout/fields.js';
import { struct } from '../../bus/layout/struct.js';

/** The header of every packet. */
export const PacketHeader = struct('PacketHeader', 8, {
  /** API version in 3:0, header length in words in 7:4. */
  api: u8(0),
  /** Type in 1:0, number of continuation packets of the message in 7:2. */
  type: u8(1),
  sequence: u16(2),
  message: u32(4),
});

/** Limits of the transport. */
export const RPC = {
  /** Version 1, two header words. */
  api: 0x21,
  queueDepth: 8,
  packetBytes: 240,
  contentBytes: 232,
  continuationsMax: 62,
  /** Most content of one message, a reply's error word included. */
  messageBytesMax: 63 * 232,
} as const;
/** Types of packets. */
export const PACKET = { continuation: 0, request: 1, reply: 2, notification: 3 } as const;

/** A whole message. */
export interface RpcMessage {
  readonly type: number;
  readonly sequence: number;
  readonly message: number;
  readonly content: Uint8Array;
}

/** Cuts a message into packets; every packet but the last is full. */
export function packetsOf({ type, sequence, message, content }: RpcMessage): Uint8Array[] {
  assert(content.length <= RPC.messageBytesMax, 'a message fits its fragments');
  const continuations = Math.max(0, Math.ceil(content.length / RPC.contentBytes) - 1);
  const packets: Uint8Array[] = [];
  for (let n = 0; n <= continuations; n++) {
    const piece = content.subarray(n * RPC.contentBytes, (n + 1) * RPC.contentBytes);
    const packet = new Uint8Array(PacketHeader.sizeBytes + piece.length);
    PacketHeader.write(new DataView(packet.buffer), 0, {
      api: RPC.api,
      type: (n === 0 ? type : PACKET.continuation) | (continuations << 2),
      sequence,
      message,
    });
    packet.set(piece, PacketHeader.sizeBytes);
    packets.push(packet);
  }
  return packets;
}

interface Partial {
  readonly type: number;
  readonly sequence: number;
  readonly message: number;
  readonly continuations: number;
  readonly pieces: Uint8Array[];
}

/** Puts messages together from packets. */
export class Assembler {
  #open: Partial | undefined;

  /** Takes one packet; the message it completes, if it does. */
  take(packet: Uint8Array): RpcMessage | undefined {
    const header = PacketHeader.read(new DataView(packet.buffer, packet.byteOffset, packet.byteLength), 0);
    if (!header.ok || header.value.api !== RPC.api) return undefined;
    const { sequence, message } = header.value;
    const type = header.value.type & 3;
    const continuations = header.value.type >> 2;
    if (continuations > RPC.continuationsMax) return undefined;
    const content = packet.slice(PacketHeader.sizeBytes);
    if (type !== PACKET.continuation) {
      // A new first packet displaces a message that was not completed.
      this.#open = { type, sequence, message, continuations, pieces: [content] };
      return this.#complete();
    }
    const open = this.#open;
    const belongs =
      open !== undefined &&
      open.sequence === sequence &&
      open.message === message &&
      open.continuations === continuations;
    if (!belongs) return undefined;
    open.pieces.push(content);
    return this.#complete();
  }

  #complete(): RpcMessage | undefined {
    const open = this.#open;
    if (open === undefined || open.pieces.length <= open.continuations) return undefined;
    this.#open = undefined;
    const { type, sequence, message, pieces } = open;
    const content = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
    let at = 0;
    for (const piece of pieces) {
      content.set(piece, at);
      at += piece.length;
    }
    return { type, sequence, message, content };
  }
}
