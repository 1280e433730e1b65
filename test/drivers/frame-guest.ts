/**
 * A guest's network stack for tests, as small as can be: composes frames on the near end of a link and takes apart what comes
 * back. It is written from the RFCs and shares nothing with the gateway but the header layouts.
 */
import type { LinkEnd } from '../../devices/network/link/frame-link.js';
import { Arp, Ethernet, Ipv4, PacketHeader, TCP, Tcp, Udp } from '../../devices/network/wire/headers.js';

/** One frame as it arrived. */
export interface Arrived {
  readonly header: { flags: number; gsoType: number; gsoSize: number };
  readonly type: number;
  readonly to: string;
  readonly arp?: { operation: number; senderIp: number; senderMac: string; targetIp: number };
  readonly ip?: { from: number; to: number; protocol: number; fragment: number; payload: Uint8Array };
  readonly udp?: { from: number; to: number; payload: Uint8Array };
  readonly tcp?: {
    from: number;
    to: number;
    sequence: number;
    acknowledgement: number;
    flags: number;
    window: number;
    payload: Uint8Array;
  };
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** Sum of 16-bit words, folded and complemented. */
export function internetChecksum(...parts: Uint8Array[]): number {
  const bytes = Buffer.concat(parts);
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i] ?? 0) * 256 + (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 65536);
  return 0xffff - sum;
}

function pseudo(from: number, to: number, protocol: number, bytes: number): Uint8Array {
  const head = Buffer.alloc(12);
  head.writeUInt32BE(from, 0);
  head.writeUInt32BE(to, 4);
  head[9] = protocol;
  head.writeUInt16BE(bytes, 10);
  return head;
}

/** See the file comment. */
export class FrameGuest {
  readonly link: LinkEnd;
  readonly mac: Uint8Array;
  address: number;
  gatewayMac: Uint8Array = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff);

  constructor(link: LinkEnd, mac: Uint8Array, address: number) {
    this.link = link;
    this.mac = mac;
    this.address = address;
  }

  /** Sends the Ethernet frame `payload` of `type`. */
  frame(type: number, payload: Uint8Array, to = this.gatewayMac): void {
    const at = this.link.reserve();
    if (at < 0) throw new Error('the link is full');
    this.link.bytes.fill(0, at, at + PacketHeader.sizeBytes);
    this.link.bytes.set(to, at + 12);
    this.link.bytes.set(this.mac, at + 18);
    this.link.view.setUint16(at + 24, type);
    this.link.bytes.set(payload, at + 26);
    this.link.commit(26 + payload.length);
    this.link.flush();
  }

  /** Sends raw bytes as a frame, packet header included. */
  raw(bytes: Uint8Array): void {
    const at = this.link.reserve();
    if (at < 0) return;
    this.link.bytes.set(bytes, at);
    this.link.commit(bytes.length);
    this.link.flush();
  }

  /** An IPv4 packet. */
  packet(to: number, protocol: number, payload: Uint8Array, fragment = 0, from = this.address): void {
    const packet = Buffer.alloc(20 + payload.length);
    const view = new DataView(packet.buffer, packet.byteOffset);
    const fixed = { versionAndLength: 0x45, service: 0, identification: 7, fragment, timeToLive: 64, checksum: 0 };
    Ipv4.write(view, 0, { ...fixed, totalBytes: packet.length, protocol, from, to });
    packet.writeUInt16BE(internetChecksum(packet.subarray(0, 20)), 10);
    packet.set(payload, 20);
    this.frame(0x0800, packet);
  }

  udp(to: number, fromPort: number, toPort: number, payload: Uint8Array, from = this.address): void {
    const datagram = this.#udpBytes(to, fromPort, toPort, payload, from);
    this.packet(to, 17, datagram, 0, from);
  }

  /** A UDP datagram in two fragments, the second first. */
  fragmentedUdp(to: number, fromPort: number, toPort: number, payload: Uint8Array): void {
    const datagram = this.#udpBytes(to, fromPort, toPort, payload, this.address);
    const cut = (datagram.length >> 4) << 3;
    this.packet(to, 17, datagram.subarray(cut), cut >> 3);
    this.packet(to, 17, datagram.subarray(0, cut), 0x2000);
  }

  #udpBytes(to: number, fromPort: number, toPort: number, payload: Uint8Array, from: number): Buffer {
    const datagram = Buffer.alloc(8 + payload.length);
    const ports = { from: fromPort, to: toPort };
    Udp.write(new DataView(datagram.buffer, datagram.byteOffset), 0, {
      ...ports,
      totalBytes: datagram.length,
      checksum: 0,
    });
    datagram.set(payload, 8);
    datagram.writeUInt16BE(internetChecksum(pseudo(from, to, 17, datagram.length), datagram), 6);
    return datagram;
  }

  tcp(
    to: number,
    ports: { from: number; to: number },
    fields: { sequence: number; acknowledgement?: number; flags: number; window?: number },
    payload: Uint8Array = new Uint8Array(0),
    options: Uint8Array = new Uint8Array(0),
  ): void {
    const segment = Buffer.alloc(20 + options.length + payload.length);
    const { sequence, acknowledgement = 0, flags, window = 65_535 } = fields;
    const rest = { dataOffset: (20 + options.length) << 2, checksum: 0, urgent: 0 };
    const view = new DataView(segment.buffer, segment.byteOffset);
    Tcp.write(view, 0, { ...ports, sequence, acknowledgement, flags, window, ...rest });
    segment.set(options, 20);
    segment.set(payload, 20 + options.length);
    segment.writeUInt16BE(internetChecksum(pseudo(this.address, to, 6, segment.length), segment), 16);
    this.packet(to, 6, segment);
  }

  arp(targetIp: number): void {
    const request = Buffer.alloc(28);
    const kind = { hardware: 1, protocol: 0x0800, hardwareBytes: 6, protocolBytes: 4, operation: 1 };
    const ends = { senderMac: this.mac, senderIp: this.address, targetMac: new Uint8Array(6), targetIp };
    Arp.write(new DataView(request.buffer, request.byteOffset), 0, { ...kind, ...ends });
    this.frame(0x0806, request, Uint8Array.of(255, 255, 255, 255, 255, 255));
  }

  /** Everything that has arrived; checksums that were not left open are verified. */
  take(): Arrived[] {
    const all: Arrived[] = [];
    for (let size = this.link.next(); size > 0; size = this.link.next()) {
      all.push(arrived(this.link.received.slice(this.link.offset, this.link.offset + size)));
      this.link.take();
    }
    this.link.free();
    return all;
  }
}

function arrived(bytes: Uint8Array): Arrived {
  const view = new DataView(bytes.buffer);
  const flags = bytes[0] ?? 0;
  const header = { flags, gsoType: bytes[1] ?? 0, gsoSize: view.getUint16(4, true) };
  const type = view.getUint16(12 + Ethernet.offsets.type);
  const base = { header, type, to: hex(bytes.subarray(12, 18)) };
  if (type === 0x0806) {
    const operation = view.getUint16(26 + 6);
    const [senderIp, targetIp] = [view.getUint32(26 + 14), view.getUint32(26 + 24)];
    return { ...base, arp: { operation, senderIp, targetIp, senderMac: hex(bytes.subarray(34, 40)) } };
  }
  if (type !== 0x0800) return base;
  if (internetChecksum(bytes.subarray(26, 46)) !== 0) throw new Error('a wrong IP header checksum');
  const total = view.getUint16(28);
  const from = view.getUint32(38);
  const to = view.getUint32(42);
  const protocol = bytes[35] ?? 0;
  const payload = bytes.slice(46, 26 + total);
  const fragment = view.getUint16(32);
  const ip = { from, to, protocol, fragment, payload };
  const whole = (fragment & 0x3fff) === 0;
  const open = (flags & 1) !== 0;
  if (whole && protocol !== 1 && !open && internetChecksum(pseudo(from, to, protocol, payload.length), payload) !== 0) {
    throw new Error('a wrong transport checksum');
  }
  const inner = new DataView(payload.buffer);
  if (protocol === 17 && whole) {
    return { ...base, ip, udp: { from: inner.getUint16(0), to: inner.getUint16(2), payload: payload.slice(8) } };
  }
  if (protocol !== 6) return { ...base, ip };
  const tcp = {
    from: inner.getUint16(0),
    to: inner.getUint16(2),
    sequence: inner.getUint32(4),
    acknowledgement: inner.getUint32(8),
    flags: payload[13] ?? 0,
    window: inner.getUint16(14),
    payload: payload.slice(((payload[12] ?? 0) >> 4) * 4),
  };
  return { ...base, ip, tcp };
}

/** `SYN`, `ACK` ... of a segment's flags. */
export function flagNames(flags: number): string {
  return Object.entries(TCP)
    .filter(([, bit]) => (flags & bit) !== 0)
    .map(([name]) => name.toUpperCase())
    .join(' ');
}
