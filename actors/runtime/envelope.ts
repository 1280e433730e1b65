/**
 * What precedes every message body in a mailbox, a reply queue or a control queue: 16 bytes, little-endian. The body is
 * msgpack (bus/codec). Kinds travel as the FNV-1a hash of their name, so a reference alone is enough to send.
 */
import { u32 } from '../../bus/layout/fields.js';
import { struct } from '../../bus/layout/struct.js';
import { fnv1a } from './random.js';

/** The envelope. In a reply `kind` is one of `REPLY_KIND`, `from` the answering actor, `asked` the number of the ask. */
export const Envelope = struct('Envelope', 16, {
  kind: u32(0x00),
  /** Actor number of the sender; 0 from the supervisor. */
  from: u32(0x04),
  /** Number of the ask, unique per asker's lifetimes; 0 for a tell. */
  asked: u32(0x08),
  /** Incarnation of the receiver the asker knew: an ask meant for a former life is dropped, its asker knows of the death. */
  incarnation: u32(0x0c),
});

/** Bytes before the body. */
export const ENVELOPE_BYTES = Envelope.sizeBytes;

/** What a reply carries, as signed numbers. */
export const REPLY_KIND = {
  ok: fnv1a('reply.ok') | 0,
  error: fnv1a('reply.error') | 0,
  /** The answer could not be encoded or was too large; no body. */
  unsendable: fnv1a('reply.unsendable') | 0,
} as const;
