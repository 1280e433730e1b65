/** Writes IPv4 packets into a link's memory, headers first, without intermediate copies. */
import type { FrameSink } from '../link/frame-link.js';
import { addWords, finish, partialChecksum, pseudoHeader } from '../wire/checksum.js';
import {
  AT,
  ETHER_TYPE,
  Ethernet,
  FRAGMENT,
  GSO,
  IP_PROTOCOL,
  Ipv4,
  MTU,
  NEEDS_CHECKSUM,
  PacketHeader,
  Tcp,
  Udp,
} from '../wire/headers.js';

/** A segment's header fields. */
export interface SegmentFields {
  readonly from: number;
  readonly fromPort: number;
  readonly to: number;
  readonly toPort: number;
  readonly sequence: number;
  readonly acknowledgement: number;
  readonly flags: number;
  readonly window: number;
}

/** Largest payload of one segment handed to a receiver that cuts it up: a 64 KiB packet less its headers. */
export const LARGE_SEGMENT_BYTES_MAX = 65_535 - Ipv4.sizeBytes - Tcp.sizeBytes;
const TIME_TO_LIVE = 64;

/** Writes frames from the gateway's hardware address. Belongs to one thread. */
export class FrameWriter {
  readonly #sink: FrameSink;
  readonly #mac: Uint8Array;
  #identification = 0;

  constructor(sink: FrameSink, mac: Uint8Array) {
    this.#sink = sink;
    this.#mac = mac;
  }

  /** Makes what was written visible. */
  flush(): void {
    this.#sink.flush();
  }

  /** A frame of `payload`; false when the link is full. */
  frame(to: Uint8Array, type: number, payload: Uint8Array): boolean {
    const at = this.#ethernet(to, type);
    if (at < 0) return false;
    this.#sink.bytes.set(payload, at + AT.ip);
    this.#sink.commit(AT.ip + payload.length);
    return true;
  }

  /** A UDP datagram, in fragments if it is larger than the wire takes; false when the link is full. */
  datagram(mac: Uint8Array, from: number, fromPort: number, to: number, toPort: number, payload: Uint8Array): boolean {
    const datagram = new Uint8Array(Udp.sizeBytes + payload.length);
    const view = new DataView(datagram.buffer);
    Udp.write(view, 0, { from: fromPort, to: toPort, totalBytes: datagram.length, checksum: 0 });
    datagram.set(payload, Udp.sizeBytes);
    const sum = finish(
      addWords(datagram, 0, datagram.length, pseudoHeader(from, to, IP_PROTOCOL.udp, datagram.length)),
    );
    view.setUint16(Udp.offsets.checksum, sum === 0 ? 0xffff : sum);
    return this.packet(mac, from, to, IP_PROTOCOL.udp, datagram);
  }

  /** An IPv4 packet of `payload`, in fragments if need be; false when the link is full. */
  packet(mac: Uint8Array, from: number, to: number, protocol: number, payload: Uint8Array): boolean {
    const room = (MTU - Ipv4.sizeBytes) & ~7;
    const identification = this.#nextIdentification();
    for (let done = 0; done < payload.length || done === 0; done += room) {
      const part = payload.subarray(done, Math.min(done + room, payload.length));
      const at = this.#ethernet(mac, ETHER_TYPE.ipv4);
      if (at < 0) return false;
      const more = done + part.length < payload.length ? FRAGMENT.more : 0;
      this.#ip(at, from, to, protocol, part.length, identification, more | (done >> 3));
      this.#sink.bytes.set(part, at + AT.transport);
      this.#sink.commit(AT.transport + part.length);
    }
    return true;
  }

  /**
   * A TCP segment whose payload `fill` writes at the offset it is given: `payloadBytes` in one large packet that its receiver
   * cuts to `cutBytes`, checksum left to it. False when the link is full.
   */
  segment(
    mac: Uint8Array,
    fields: SegmentFields,
    options: Uint8Array,
    payloadBytes: number,
    cutBytes: number,
    fill: (bytes: Uint8Array, at: number) => void,
  ): boolean {
    const at = this.#ethernet(mac, ETHER_TYPE.ipv4);
    if (at < 0) return false;
    const { bytes, view } = this.#sink;
    const headBytes = Tcp.sizeBytes + options.length;
    const total = headBytes + payloadBytes;
    this.#ip(at, fields.from, fields.to, IP_PROTOCOL.tcp, total, this.#nextIdentification(), FRAGMENT.dont);
    const tcp = at + AT.transport;
    Tcp.write(view, tcp, {
      from: fields.fromPort,
      to: fields.toPort,
      sequence: fields.sequence,
      acknowledgement: fields.acknowledgement,
      dataOffset: headBytes << 2,
      flags: fields.flags,
      window: fields.window,
      checksum: partialChecksum(fields.from, fields.to, IP_PROTOCOL.tcp, total),
      urgent: 0,
    });
    bytes.set(options, tcp + Tcp.sizeBytes);
    if (payloadBytes > 0) fill(bytes, tcp + headBytes);
    const large = payloadBytes > cutBytes;
    PacketHeader.write(view, at, {
      flags: NEEDS_CHECKSUM,
      gsoType: large ? GSO.tcp4 : GSO.none,
      headerBytes: AT.transport - PacketHeader.sizeBytes + headBytes,
      gsoSize: large ? cutBytes : 0,
      checksumStart: AT.transport - PacketHeader.sizeBytes,
      checksumOffset: Tcp.offsets.checksum,
      bufferCount: 0,
    });
    this.#sink.commit(AT.transport + total);
    return true;
  }

  #nextIdentification(): number {
    this.#identification = (this.#identification + 1) & 0xffff;
    return this.#identification;
  }

  #ethernet(to: Uint8Array, type: number): number {
    const at = this.#sink.reserve();
    if (at < 0) return -1;
    const { bytes, view } = this.#sink;
    bytes.fill(0, at, at + PacketHeader.sizeBytes);
    const ethernet = at + AT.ethernet;
    bytes.set(to, ethernet + Ethernet.offsets.to);
    bytes.set(this.#mac, ethernet + Ethernet.offsets.from);
    view.setUint16(ethernet + Ethernet.offsets.type, type);
    return at;
  }

  #ip(
    at: number,
    from: number,
    to: number,
    protocol: number,
    payloadBytes: number,
    identification: number,
    fragment: number,
  ): void {
    const { bytes, view } = this.#sink;
    const ip = at + AT.ip;
    const totalBytes = Ipv4.sizeBytes + payloadBytes;
    const fixed = { versionAndLength: 0x45, service: 0, timeToLive: TIME_TO_LIVE, checksum: 0 };
    Ipv4.write(view, ip, { ...fixed, totalBytes, identification, fragment, protocol, from, to });
    view.setUint16(ip + Ipv4.offsets.checksum, finish(addWords(bytes, ip, ip + Ipv4.sizeBytes)));
  }
}
