/** Message bodies in queue slots: the bus's msgpack codec, writing behind the envelope. One object per thread. */
import { assert } from '../../bus/assert.js';
import { Codec } from '../../bus/codec/codec.js';
import { StructureTable } from '../../bus/codec/structure-table.js';
import type { SendEnd } from '../../bus/message-queue/queue-end.js';
import { ENVELOPE_BYTES } from './envelope.js';

/** `encode`: the body does not fit into a message. */
export const TOO_LARGE = -1;
/** `encode`: the body holds something msgpack has no form for. */
export const UNENCODABLE = -2;

/** Encodes and decodes bodies. */
export interface BodyCodec {
  /** Writes `value` behind the envelope of the message reserved at `at`; its size in bytes, or TOO_LARGE or UNENCODABLE. */
  encode(value: unknown, queue: SendEnd, at: number): number;
  /** The value in bytes `start` .. `end`, holding no view of them. Our own workers wrote it: a bad one is an assertion. */
  decode(bytes: Uint8Array, start: number, end: number): unknown;
}

/** A slot without its envelope, presented to the codec as the place to write to. */
class BodyPlace implements Pick<SendEnd, 'bytes' | 'messageBytesMax' | 'reserve' | 'stage' | 'cancel'> {
  bytes: Uint8Array = new Uint8Array(0);
  messageBytesMax = 0;
  at = 0;
  reserve(): number {
    return this.at;
  }
  stage(): void {}
  cancel(): void {}
  send(): never {
    return assert(false, 'BodyPlace only lends its bytes') as never;
  }
  publish(): boolean {
    return true;
  }
  waitForSpace(): boolean {
    return false;
  }
}

/**
 * The codec of one thread. `shapes` is the table of record shapes all workers of the system share. New shapes are added
 * under a lock, which the supervisor's thread must not wait for: with `encodes` 'plain' it writes plain maps.
 */
export function bodyCodec(
  shapes: SharedArrayBuffer,
  owner: number,
  encodes: 'records' | 'plain' = 'records',
): BodyCodec {
  const decoder = new Codec({ structures: new StructureTable(shapes, owner) });
  const codec = encodes === 'records' ? decoder : new Codec({ readWithStructures: true });
  const place = new BodyPlace();
  return {
    encode(value, queue, at) {
      place.bytes = queue.bytes;
      place.messageBytesMax = queue.messageBytesMax - ENVELOPE_BYTES;
      place.at = at + ENVELOPE_BYTES;
      const staged = codec.stage(place, value);
      if (staged.ok) return staged.value;
      return staged.error.status === 'messageSize' ? TOO_LARGE : UNENCODABLE;
    },
    decode(bytes, start, end) {
      const decoded = decoder.decodeRange(bytes, start, end);
      assert(decoded.ok, 'a message of our own worker does not decode');
      return decoded.value;
    },
  };
}
