/**
 * What a receiver does that takes no unfinished packets: completes checksums left to it and cuts large TCP segments to the
 * wire's size, as `virtio_net_hdr` describes them (virtio 1.2, 5.1.6.2 and 5.1.6.4). Every number in a packet header comes from a
 * guest and is checked here before use.
 */
import { err, ok, type Result } from '../../../bus/result.js';
import { addWords, finish, partialChecksum } from '../wire/checksum.js';
import {
  AT,
  ETHER_TYPE,
  Ethernet,
  GSO,
  IP_PROTOCOL,
  Ipv4,
  NEEDS_CHECKSUM,
  PacketHeader,
  TCP,
  Tcp,
} from '../wire/headers.js';

const HEADER = PacketHeader.offsets;
const IP = Ipv4.offsets;
const SEGMENT = Tcp.offsets;

/** Data of a segment, at least, as in Linux (include/net/tcp.h, TCP_MIN_GSO_SIZE): it bounds how many frames a large one becomes. */
export const SEGMENT_BYTES_MIN = 8;

/** Why a frame cannot be finished: its packet header does not fit its bytes. */
export type OffloadFault = 'badPacketHeader' | 'unsupportedSegmentation';

/** Computes the checksum a sender left open in the frame at `bytes[at, at + size)` (packet header first), in place. */
export function completeChecksum(bytes: Uint8Array, at: number, size: number): Result<undefined, OffloadFault> {
  if (((bytes[at + HEADER.flags] ?? 0) & NEEDS_CHECKSUM) === 0) return ok();
  const start = at + PacketHeader.sizeBytes + little16(bytes, at + HEADER.checksumStart);
  const field = start + little16(bytes, at + HEADER.checksumOffset);
  const end = at + size;
  if (start >= end || field + 2 > end) return err('badPacketHeader');
  const sum = finish(addWords(bytes, start, end));
  // A UDP checksum of zero means none was computed (RFC 768).
  const udp = bytes[at + AT.ip + IP.protocol] === IP_PROTOCOL.udp && field - start === 6;
  put16(bytes, field, sum === 0 && udp ? 0xffff : sum);
  bytes[at + HEADER.flags] = (bytes[at + HEADER.flags] ?? 0) & ~NEEDS_CHECKSUM;
  return ok();
}

/** A place for one finished frame of at most `bytes.length`; packet header first. */
export interface FinishedFrame {
  readonly bytes: Uint8Array;
  /** Takes the first `size` bytes; false when there is no room for more. */
  take(size: number): boolean;
}

/**
 * Finishes the frame at `bytes[at, at + size)`: cuts it if it is larger than the wire takes and completes checksums. Calls
 * `out.take` once per frame.
 */
export function finishFrame(
  bytes: Uint8Array,
  at: number,
  size: number,
  out: FinishedFrame,
): Result<undefined, OffloadFault> {
  const type = (bytes[at + HEADER.gsoType] ?? 0) & ~GSO.ecn;
  if (type === GSO.none) {
    out.bytes.set(bytes.subarray(at, at + size));
    const done = completeChecksum(out.bytes, 0, size);
    if (done.ok) out.take(size);
    return done;
  }
  if (type !== GSO.tcp4) return err('unsupportedSegmentation');
  return cutTcp(bytes, at, size, out);
}

function cutTcp(bytes: Uint8Array, at: number, size: number, out: FinishedFrame): Result<undefined, OffloadFault> {
  const segmentBytes = little16(bytes, at + HEADER.gsoSize);
  const ipAt = AT.ip;
  const ipBytes = ((bytes[at + ipAt] ?? 0) & 0xf) * 4;
  const tcpAt = ipAt + ipBytes;
  if (size < tcpAt + Tcp.sizeBytes || ipBytes < Ipv4.sizeBytes) return err('badPacketHeader');
  if (net16(bytes, at + AT.ethernet + Ethernet.offsets.type) !== ETHER_TYPE.ipv4) return err('unsupportedSegmentation');
  if (bytes[at + ipAt + IP.protocol] !== IP_PROTOCOL.tcp) return err('unsupportedSegmentation');
  const dataAt = tcpAt + ((bytes[at + tcpAt + SEGMENT.dataOffset] ?? 0) >> 4) * 4;
  if (segmentBytes < SEGMENT_BYTES_MIN || dataAt > size || dataAt < tcpAt + Tcp.sizeBytes)
    return err('badPacketHeader');
  const frame = out.bytes;
  if (dataAt + segmentBytes > frame.length) return err('badPacketHeader');
  const from = net32(bytes, at + ipAt + IP.from);
  const to = net32(bytes, at + ipAt + IP.to);
  const firstSequence = net32(bytes, at + tcpAt + SEGMENT.sequence);
  const firstId = net16(bytes, at + ipAt + IP.identification);
  const flags = bytes[at + tcpAt + SEGMENT.flags] ?? 0;
  for (let done = dataAt, index = 0; done < size || index === 0; index++) {
    const length = Math.min(segmentBytes, size - done);
    frame.set(bytes.subarray(at, at + dataAt));
    frame.set(bytes.subarray(at + done, at + done + length), dataAt);
    frame.fill(0, 0, PacketHeader.sizeBytes);
    const last = done + length >= size;
    put16(frame, ipAt + IP.totalBytes, dataAt - ipAt + length);
    put16(frame, ipAt + IP.identification, (firstId + index) & 0xffff);
    put16(frame, ipAt + IP.checksum, 0);
    put16(frame, ipAt + IP.checksum, finish(addWords(frame, ipAt, tcpAt)));
    put32(frame, tcpAt + SEGMENT.sequence, (firstSequence + (done - dataAt)) >>> 0);
    frame[tcpAt + SEGMENT.flags] = last ? flags : flags & ~(TCP.fin | TCP.psh);
    put16(frame, tcpAt + SEGMENT.checksum, partialChecksum(from, to, IP_PROTOCOL.tcp, dataAt - tcpAt + length));
    put16(frame, tcpAt + SEGMENT.checksum, finish(addWords(frame, tcpAt, dataAt + length)));
    done += length;
    if (!out.take(dataAt + length)) return ok();
  }
  return ok();
}

function little16(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
}
function net16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}
function net32(bytes: Uint8Array, at: number): number {
  return net16(bytes, at) * 0x1_0000 + net16(bytes, at + 2);
}
function put16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}
function put32(bytes: Uint8Array, at: number, value: number): void {
  put16(bytes, at, value >>> 16);
  put16(bytes, at + 2, value & 0xffff);
}
