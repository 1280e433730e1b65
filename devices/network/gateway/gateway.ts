/**
 * A user-mode gateway: what guests on a link see as router, DHCP and name server. Their TCP connections and UDP datagrams
 * continue as the host's own sockets, so it needs no rights on the host. Addresses follow QEMU's user network (10.0.2.0/24):
 * the router, which is also the host's loopback, is .2, the name server .3, guests begin at .15.
 */
import type {
  HostDatagrams,
  HostNetwork,
  HostStream,
  SocketAddress,
  StreamEvents,
} from '../../../actors/runtime/network.js';
import type { LinkEnd } from '../link/frame-link.js';
import { ipText, isUnroutable, macText, parseIp } from '../wire/addresses.js';
import { addWords, finish } from '../wire/checksum.js';
import {
  Arp,
  AT,
  ETHER_TYPE,
  Ethernet,
  ICMP_TYPE,
  Icmp,
  IP_PROTOCOL,
  Ipv4,
  MTU,
  NEEDS_CHECKSUM,
  PacketHeader,
  Udp,
  UNREACHABLE,
} from '../wire/headers.js';
import { DhcpServer } from './dhcp-server.js';
import { FrameWriter } from './frame-writer.js';
import { type Packet, PacketReader } from './packet-reader.js';
import { TcpGateway } from './tcp-gateway.js';

/** The network behind a gateway; addresses as numbers. */
export interface GatewayPlan {
  readonly network: number;
  readonly mask: number;
  readonly router: number;
  readonly nameServer: number;
  readonly firstGuest: number;
  readonly lastGuest: number;
}
/** 10.0.2.0/24, as QEMU's user network has it. */
export const DEFAULT_PLAN: GatewayPlan = {
  network: 0x0a00_0200,
  mask: 0xffff_ff00,
  router: 0x0a00_0202,
  nameServer: 0x0a00_0203,
  firstGuest: 0x0a00_020f,
  lastGuest: 0x0a00_02fe,
};
/** The gateway's hardware address, locally administered. */
export const GATEWAY_MAC = Uint8Array.of(0x52, 0x55, 0x0a, 0x00, 0x02, 0x02);

/** What a gateway needs of whoever runs it. */
export interface GatewayParts {
  readonly link: LinkEnd;
  readonly network: HostNetwork;
  readonly plan: GatewayPlan;
  now(): number;
  randomU32(): number;
  after(ms: number, action: () => void): void;
}

const ANY_MAC = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff);
const BROADCAST = 0xffff_ffff;
const DHCP_PORT = { server: 67, client: 68 } as const;
const DNS_PORT = 53;
const LOOPBACK = '127.0.0.1';
const ARP = { request: 1, reply: 2, ethernet: 1 } as const;
/** Host sockets for guests' UDP ports, and how long an unused one stays, in milliseconds (RFC 4787 asks for two minutes or more). */
const UDP_SOCKETS_MAX = 512;
const UDP_IDLE_MS_MAX = 180_000;
const SWEEP_MS = 10_000;
/** Frames handled before the host's sockets have their turn. */
const FRAMES_PER_TURN = 128;
const GUESTS_MAX = 256;
/** Correspondents of one guest port whose names are remembered. */
const NAMES_MAX = 256;

interface UdpPort {
  readonly socket: HostDatagrams;
  usedMs: number;
  /** Who the guest last spoke to under which address of the link, to name the answer's sender. */
  readonly names: Map<string, number>;
}

/** See the file comment. Belongs to one thread. */
export class Gateway {
  readonly tcp: TcpGateway;
  readonly dhcp: DhcpServer;
  readonly reader: PacketReader;
  readonly counters = { frames: 0, ignored: 0, datagramsOut: 0, datagramsIn: 0, refused: 0 };
  readonly #parts: GatewayParts;
  readonly #writer: FrameWriter;
  /** Guests' hardware addresses by Internet address. */
  readonly #macs = new Map<number, Uint8Array>();
  readonly #udp = new Map<string, UdpPort>();
  /** Who sent datagrams to published ports, by guest port and the port the guest answers to. */
  readonly #callers = new Map<string, { readonly from: SocketAddress; readonly answers: HostDatagrams }>();
  #soon = false;
  #sweeping = false;

  constructor(parts: GatewayParts) {
    this.#parts = parts;
    const { plan, link } = parts;
    this.#writer = new FrameWriter(link, GATEWAY_MAC);
    this.reader = new PacketReader(() => parts.now());
    this.dhcp = new DhcpServer({
      server: plan.router,
      mask: plan.mask,
      nameServer: plan.nameServer,
      first: plan.firstGuest,
      last: plan.lastGuest,
      mtu: MTU,
    });
    this.tcp = new TcpGateway({
      network: parts.network,
      writer: this.#writer,
      now: () => parts.now(),
      randomU32: () => parts.randomU32(),
      after: (ms, action) => parts.after(ms, action),
      macOf: (address) => this.#macs.get(address),
      hostAddressOf: (address, port) => this.#hostAddress(address, port),
      soon: () => this.#settleSoon(),
    });
  }

  /** Handles frames that wait; true when more may be waiting. */
  turn(): boolean {
    const { link } = this.#parts;
    let taken = 0;
    for (; taken < FRAMES_PER_TURN; taken++) {
      const size = link.next();
      if (size === 0) break;
      this.#frame(link.received, link.receivedView, link.offset, size);
      link.take();
    }
    const more = taken > 0 && link.free();
    this.settle();
    return more;
  }

  /** Sends what is owed and could not be sent before. */
  settle(): void {
    this.#soon = false;
    this.tcp.settle();
    this.#writer.flush();
  }

  /** A connection accepted on a published port of the host. */
  accept(stream: HostStream, guestPort: number): StreamEvents {
    return this.tcp.accept(stream, this.#onlyGuest(), guestPort, this.#parts.plan.router);
  }
  /** A datagram to a published port of the host: the guest sees it come from the router, and what it answers goes by `answers`. */
  publishedDatagram(bytes: Uint8Array, from: SocketAddress, guestPort: number, answers: HostDatagrams): void {
    const guest = this.#onlyGuest();
    if (this.#callers.size >= UDP_SOCKETS_MAX) this.#callers.clear();
    this.#callers.set(`${guest}:${guestPort} ${from.port}`, { from, answers });
    this.#toGuest(guest, guestPort, this.#parts.plan.router, from.port, bytes);
  }

  /** Ends all connections and sockets. */
  close(): void {
    this.tcp.close();
    for (const { socket } of this.#udp.values()) socket.close();
    this.#udp.clear();
    this.settle();
  }

  /** The guest that published ports lead to: the first that spoke. */
  #onlyGuest(): number {
    return this.#macs.keys().next().value ?? this.#parts.plan.firstGuest;
  }

  #settleSoon(): void {
    if (this.#soon) return;
    this.#soon = true;
    this.#parts.after(0, () => this.settle());
  }

  #frame(bytes: Uint8Array, view: DataView, at: number, size: number): void {
    this.counters.frames++;
    const ethernet = at + AT.ethernet;
    const type = view.getUint16(ethernet + Ethernet.offsets.type);
    const mac = bytes.slice(ethernet + Ethernet.offsets.from, ethernet + Ethernet.offsets.from + 6);
    if (type === ETHER_TYPE.arp) this.#arp(view, at + AT.ip, at + size, mac);
    else if (type === ETHER_TYPE.ipv4) {
      const open = ((bytes[at + PacketHeader.offsets.flags] ?? 0) & NEEDS_CHECKSUM) !== 0;
      const packet = this.reader.read(bytes, view, at + AT.ip, at + size, open);
      if (packet !== undefined) this.#packet(packet, mac);
    } else this.counters.ignored++; // IPv6 is not offered
  }

  #arp(view: DataView, at: number, end: number, mac: Uint8Array): void {
    if (end - at < Arp.sizeBytes) return;
    const read = Arp.read(view, at);
    if (!read.ok || read.value.protocol !== ETHER_TYPE.ipv4 || read.value.hardware !== ARP.ethernet) return;
    const { operation, senderIp, targetIp } = read.value;
    if (senderIp !== 0) this.#know(senderIp, mac);
    if (operation !== ARP.request || !this.#isOurs(targetIp)) return;
    const answer = new Uint8Array(Arp.sizeBytes);
    Arp.write(new DataView(answer.buffer), 0, {
      ...{
        hardware: ARP.ethernet,
        protocol: ETHER_TYPE.ipv4,
        hardwareBytes: 6,
        protocolBytes: 4,
        operation: ARP.reply,
      },
      ...{ senderMac: GATEWAY_MAC, senderIp: targetIp, targetMac: mac, targetIp: senderIp },
    });
    this.#writer.frame(mac, ETHER_TYPE.arp, answer);
  }

  /** Remembers a guest; only addresses of this network that are not ours. */
  #know(address: number, mac: Uint8Array): void {
    const { network, mask } = this.#parts.plan;
    if ((address & mask) >>> 0 !== network || this.#isOurs(address)) return;
    if (this.#macs.size < GUESTS_MAX || this.#macs.has(address)) this.#macs.set(address, mac);
  }

  #isOurs(address: number): boolean {
    return address === this.#parts.plan.router || address === this.#parts.plan.nameServer;
  }

  #packet(packet: Packet, mac: Uint8Array): void {
    const dhcp = packet.protocol === IP_PROTOCOL.udp && packet.from === 0;
    if (!dhcp) this.#know(packet.from, mac);
    if (packet.protocol === IP_PROTOCOL.udp) this.#datagram(packet, mac);
    else if (packet.protocol === IP_PROTOCOL.icmp) this.#icmp(packet, mac);
    else if (packet.protocol !== IP_PROTOCOL.tcp) this.#unreachable(packet, mac, UNREACHABLE.protocol);
    else if (this.#macs.has(packet.from)) this.tcp.receive(packet);
    else this.counters.ignored++;
  }

  #icmp({ bytes, at, end, from, to }: Packet, mac: Uint8Array): void {
    if (end - at < Icmp.sizeBytes || bytes[at] !== ICMP_TYPE.echo) return;
    // The host's own raw sockets are closed to us: beyond the gateway nothing is pinged.
    if (!this.#isOurs(to)) return;
    const answer = bytes.slice(at, end);
    answer[0] = ICMP_TYPE.echoReply;
    writeChecksum(answer, Icmp.offsets.checksum);
    this.#writer.packet(mac, to, from, IP_PROTOCOL.icmp, answer);
  }

  /** Tells the sender of `packet` that it goes nowhere, quoting its start (RFC 792). */
  #unreachable({ bytes, headerAt, end, from, to }: Packet, mac: Uint8Array, code: number): void {
    this.counters.refused++;
    if (headerAt < 0 || (to & 0xff) === 0xff || isUnroutable(to)) return;
    const quoted = bytes.subarray(headerAt, Math.min(end, headerAt + Ipv4.sizeBytes + 8));
    const message = new Uint8Array(Icmp.sizeBytes + quoted.length);
    Icmp.write(new DataView(message.buffer), 0, { type: ICMP_TYPE.unreachable, code, checksum: 0, rest: 0 });
    message.set(quoted, Icmp.sizeBytes);
    writeChecksum(message, Icmp.offsets.checksum);
    this.#writer.packet(mac, this.#parts.plan.router, from, IP_PROTOCOL.icmp, message);
  }

  #datagram(packet: Packet, mac: Uint8Array): void {
    const { bytes, view, at, end, from, to } = packet;
    if (end - at < Udp.sizeBytes) return;
    const total = view.getUint16(at + Udp.offsets.totalBytes);
    if (total < Udp.sizeBytes || at + total > end) return;
    const fromPort = view.getUint16(at + Udp.offsets.from);
    const toPort = view.getUint16(at + Udp.offsets.to);
    const payload = bytes.slice(at + Udp.sizeBytes, at + total);
    if (toPort === DHCP_PORT.server && (to === BROADCAST || to === this.#parts.plan.router)) {
      this.#dhcpAnswer(payload, mac);
      return;
    }
    const caller = to === this.#parts.plan.router ? this.#callers.get(`${from}:${fromPort} ${toPort}`) : undefined;
    if (caller !== undefined) {
      this.counters.datagramsOut++;
      caller.answers.send(payload, caller.from);
      return;
    }
    const target = this.#hostAddress(to, toPort);
    if (target === undefined) {
      this.#unreachable(packet, mac, UNREACHABLE.prohibited);
      return;
    }
    const port = this.#udpPort(from, fromPort);
    if (port === undefined) return;
    port.usedMs = this.#parts.now();
    if (port.names.size >= NAMES_MAX) port.names.clear();
    port.names.set(`${target.address}:${target.port}`, to);
    this.counters.datagramsOut++;
    port.socket.send(payload, target);
  }

  #dhcpAnswer(payload: Uint8Array, mac: Uint8Array): void {
    const answer = this.dhcp.answer(payload);
    if (answer === undefined) return;
    const leased = this.dhcp.leases.get(macText(mac));
    if (leased !== undefined) this.#know(leased, mac);
    const toMac = answer.to === BROADCAST ? ANY_MAC : mac;
    const { router } = this.#parts.plan;
    this.#writer.datagram(toMac, router, DHCP_PORT.server, answer.to, DHCP_PORT.client, answer.payload);
  }

  #udpPort(guest: number, guestPort: number): UdpPort | undefined {
    const key = `${guest}:${guestPort}`;
    const known = this.#udp.get(key);
    if (known !== undefined) return known;
    if (this.#udp.size >= UDP_SOCKETS_MAX) {
      this.counters.refused++;
      return undefined;
    }
    const socket = this.#parts.network.datagrams({
      received: (bytes, from) => {
        const port = this.#udp.get(key);
        if (port === undefined) return;
        port.usedMs = this.#parts.now();
        const parsed = parseIp(from.address);
        const name = port.names.get(`${from.address}:${from.port}`) ?? (parsed.ok ? parsed.value : undefined);
        if (name !== undefined) this.#toGuest(guest, guestPort, name, from.port, bytes);
      },
      failed: () => this.#udp.delete(key),
    });
    const port = { socket, usedMs: this.#parts.now(), names: new Map<string, number>() };
    this.#udp.set(key, port);
    this.#sweepLater();
    return port;
  }

  #toGuest(guest: number, guestPort: number, from: number, fromPort: number, bytes: Uint8Array): void {
    const mac = this.#macs.get(guest);
    if (mac === undefined) return;
    this.counters.datagramsIn++;
    this.#writer.datagram(mac, from, fromPort, guest, guestPort, bytes);
    this.#settleSoon();
  }

  #sweepLater(): void {
    if (this.#sweeping) return;
    this.#sweeping = true;
    this.#parts.after(SWEEP_MS, () => {
      this.#sweeping = false;
      const now = this.#parts.now();
      for (const [key, port] of this.#udp) {
        if (now - port.usedMs < UDP_IDLE_MS_MAX) continue;
        port.socket.close();
        this.#udp.delete(key);
      }
      if (this.#udp.size > 0) this.#sweepLater();
    });
  }

  /** Where the host reaches what the guest calls `address`: the router is the host itself, the name server its own. */
  #hostAddress(address: number, port: number): SocketAddress | undefined {
    const { plan, network } = this.#parts;
    if (address === plan.router) return { address: LOOPBACK, port };
    if (address === plan.nameServer) return port === DNS_PORT ? network.nameServers()[0] : undefined;
    if ((address & plan.mask) >>> 0 === plan.network || isUnroutable(address)) return undefined;
    if (address >>> 24 === 127) return undefined;
    return { address: ipText(address), port };
  }
}

function writeChecksum(message: Uint8Array, at: number): void {
  message.fill(0, at, at + 2);
  const sum = finish(addWords(message, 0, message.length));
  message[at] = sum >>> 8;
  message[at + 1] = sum;
}
