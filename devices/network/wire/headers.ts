/**
 * The headers of Ethernet, ARP, IPv4, ICMP, UDP, TCP and of virtio's network packets, each declared once. The hot paths read
 * single fields by `offsets`; the rest uses `read` and `write`.
 */
import { array, bytes, net16, net32, u8, u16 } from '../../../bus/layout/fields.js';
import { struct } from '../../../bus/layout/struct.js';

/**
 * What precedes every frame on a link: virtio's `struct virtio_net_hdr_v1` (virtio 1.2, 5.1.6), little-endian. A frame may be
 * larger than the wire's maximum (`gsoType`) and its transport checksum may be left to the receiver (`flags`).
 */
export const PacketHeader = struct('PacketHeader', 12, {
  flags: u8(0),
  gsoType: u8(1),
  headerBytes: u16(2),
  gsoSize: u16(4),
  checksumStart: u16(6),
  checksumOffset: u16(8),
  bufferCount: u16(10),
});
/** `PacketHeader.flags`: the checksum from `checksumStart` on is still to be computed, at `checksumOffset` after it. */
export const NEEDS_CHECKSUM = 1;
/** `PacketHeader.gsoType`. */
export const GSO = { none: 0, tcp4: 1, udp: 3, tcp6: 4, ecn: 0x80 } as const;

/** IEEE 802.3, without a VLAN tag. */
export const Ethernet = struct('Ethernet', 14, { to: bytes(0, 6), from: bytes(6, 6), type: net16(12) });
/** `Ethernet.type`. */
export const ETHER_TYPE = { ipv4: 0x0800, arp: 0x0806, ipv6: 0x86dd } as const;

/** RFC 826, for IPv4 over Ethernet. */
export const Arp = struct('Arp', 28, {
  hardware: net16(0),
  protocol: net16(2),
  hardwareBytes: u8(4),
  protocolBytes: u8(5),
  operation: net16(6),
  senderMac: bytes(8, 6),
  senderIp: net32(14),
  targetMac: bytes(18, 6),
  targetIp: net32(24),
});

/** RFC 791, without options. */
export const Ipv4 = struct('Ipv4', 20, {
  versionAndLength: u8(0),
  service: u8(1),
  totalBytes: net16(2),
  identification: net16(4),
  fragment: net16(6),
  timeToLive: u8(8),
  protocol: u8(9),
  checksum: net16(10),
  from: net32(12),
  to: net32(16),
});
/** `Ipv4.protocol`. */
export const IP_PROTOCOL = { icmp: 1, tcp: 6, udp: 17 } as const;
/** `Ipv4.fragment`. */
export const FRAGMENT = { dont: 0x4000, more: 0x2000, offsetMask: 0x1fff } as const;

/** RFC 792; `rest` is the identifier and sequence number of an echo. */
export const Icmp = struct('Icmp', 8, { type: u8(0), code: u8(1), checksum: net16(2), rest: net32(4) });
/** `Icmp.type`. */
export const ICMP_TYPE = { echoReply: 0, unreachable: 3, echo: 8 } as const;
/** `Icmp.code` of an `unreachable`. */
export const UNREACHABLE = { network: 0, host: 1, protocol: 2, port: 3, prohibited: 13 } as const;

/** RFC 768. */
export const Udp = struct('Udp', 8, { from: net16(0), to: net16(2), totalBytes: net16(4), checksum: net16(6) });

/** RFC 9293, without options. */
export const Tcp = struct('Tcp', 20, {
  from: net16(0),
  to: net16(2),
  sequence: net32(4),
  acknowledgement: net32(8),
  dataOffset: u8(12),
  flags: u8(13),
  window: net16(14),
  checksum: net16(16),
  urgent: net16(18),
});
/** `Tcp.flags`. */
export const TCP = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32 } as const;

/** RFC 2131, up to the options. */
export const Dhcp = struct('Dhcp', 240, {
  operation: u8(0),
  hardware: u8(1),
  hardwareBytes: u8(2),
  hops: u8(3),
  transaction: net32(4),
  seconds: net16(8),
  flags: net16(10),
  clientIp: net32(12),
  yourIp: net32(16),
  serverIp: net32(20),
  relayIp: net32(24),
  clientHardware: bytes(28, 16),
  serverName: array(44, 64, u8),
  file: array(108, 128, u8),
  cookie: net32(236),
});

/** Where the parts of an option-less frame begin, counted from the packet header, in bytes. */
export const AT = {
  ethernet: PacketHeader.sizeBytes,
  ip: PacketHeader.sizeBytes + Ethernet.sizeBytes,
  transport: PacketHeader.sizeBytes + Ethernet.sizeBytes + Ipv4.sizeBytes,
} as const;
/** Largest IPv4 packet on an Ethernet wire, in bytes. */
export const MTU = 1500;
/** Largest frame on a link: packet header, Ethernet header and an IPv4 packet of 64 KiB. */
export const FRAME_BYTES_MAX = PacketHeader.sizeBytes + Ethernet.sizeBytes + 65_535;
