/** Message bodies in queue slots: the bus's msgpack codec, writing behind the envelope. One object per thread. */
import { assert } from '../../bus/assert.js';
import { Codec } from '../../bus/codec/codec.js';
import { LEFT_OVER } from '../../bus/codec/record-reader.js';
import { StructureTable } from '../../bus/codec/structure-table.js';
import type { SendEnd } from '../../bus/message-queue/queue-end.js';
import { ENVELOPE_BYTES } from './envelope.js';

/** Encodes and decodes bodies. */
export interface BodyCodec {
  /** Writes `value` behind the envelope of the message reserved at `at`; its size in bytes, or TOO_LONG or UNENCODABLE. */
  encode(value: unknown, queue: SendEnd, at: number): number;
  /** The value in bytes `start` .. `end`, holding no view of them. Our own workers wrote it: a bad one is an assertion. */
  decode(bytes: Uint8Array, start: number, end: number): unknown;
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
  return {
    encode: (value, queue, at) =>
      codec.write(queue.bytes, at + ENVELOPE_BYTES, queue.messageBytesMax - ENVELOPE_BYTES, value),
    decode(bytes, start, end) {
      const known = decoder.readKnown(bytes, start, end);
      if (known !== LEFT_OVER) return known;
      const decoded = decoder.decodeLeftOver(bytes, start, end);
      assert(decoded.ok, 'a message of our own worker does not decode');
      return decoded.value;
    },
  };
}
