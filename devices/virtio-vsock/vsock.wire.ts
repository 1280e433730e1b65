/** What a virtio socket device and its driver say to each other (V1.2, 5.10). */
import { u16, u32, u64 } from '../../bus/layout/fields.js';
import { struct } from '../../bus/layout/struct.js';

/** What every packet starts with; `lengthBytes` of data follow. */
export const PacketHead = struct('VsockPacketHead', 48, {
  sourceCid: u64(0),
  targetCid: u64(8),
  sourcePort: u32(16),
  targetPort: u32(20),
  lengthBytes: u32(24),
  type: u16(28),
  operation: u16(30),
  flags: u32(32),
  /** The sender's receive buffer, and how many bytes it has taken out of it, modulo 2^32. */
  bufferBytes: u32(36),
  forwardedBytes: u32(40),
  /** Not on the wire: brings the struct to its alignment. */
  beyond: u32(44),
});
/** Bytes of {@link PacketHead} on the wire. */
export const HEAD_BYTES = 44;

/** PacketHead.operation. */
export const OPERATION = {
  request: 1,
  response: 2,
  reset: 3,
  shutdown: 4,
  data: 5,
  creditUpdate: 6,
  creditRequest: 7,
} as const;
/** PacketHead.type: the one kind of connection there is without further features. */
export const STREAM = 1;
/** PacketHead.flags of a shutdown: the sender will receive no more, send no more. */
export const SHUTDOWN = { receive: 1, send: 2, both: 3 } as const;

/** The address of the host. */
export const HOST_CID = 2;
/** The first address a guest may have. */
export const GUEST_CID_MIN = 3;
/** Event: all connections are gone (V1.2, 5.10.6.7). */
export const TRANSPORT_RESET = 0;
