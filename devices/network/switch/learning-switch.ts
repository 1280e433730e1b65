/**
 * An Ethernet switch: forwards frames between its ports' links, learns which address lives where, and floods what it does not
 * know. A port that does not take its frames loses them and delays nobody; a port cannot speak under another's address.
 */
import type { LinkEnd, PortRight } from '../link/frame-link.js';
import { macNumber } from '../wire/addresses.js';
import { AT, Ethernet, PacketHeader } from '../wire/headers.js';

/** What a port is connected to. */
export type PortLink = Pick<
  LinkEnd,
  'next' | 'received' | 'offset' | 'take' | 'free' | 'reserve' | 'bytes' | 'commit' | 'flush'
>;

/** One port. */
export interface SwitchPort {
  readonly link: PortLink;
  /** The only source address the port may use, as a number; absent: any (a bridge, a gateway). */
  readonly mac?: number | undefined;
  /** False while nothing is connected: nothing is taken from the port, and nothing sent there. */
  readonly isOpen?: boolean;
  readonly counters: PortCounters;
}
/** What a port has seen, in frames and bytes since it was attached. */
export interface PortCounters {
  received: number;
  receivedBytes: number;
  sent: number;
  sentBytes: number;
  /** Frames for this port that found its queue full. */
  dropped: number;
  /** Frames from this port under an address that is not its own. */
  spoofed: number;
}

/** Hears of every frame that is forwarded: `bytes[at, at + size)`, packet header first. */
export type FrameTap = (bytes: Uint8Array, at: number, size: number) => void;

/** A port that has seen nothing yet. */
export function newPort(link: PortLink, mac?: number): SwitchPort {
  const counters = { received: 0, receivedBytes: 0, sent: 0, sentBytes: 0, dropped: 0, spoofed: 0 };
  return mac === undefined ? { link, counters } : { link, mac, counters };
}

/** The same for a port that is what its link's near end is allowed, at any time. */
export function allowedPort(link: PortLink, right: PortRight): SwitchPort {
  return {
    link,
    counters: newPort(link).counters,
    get mac() {
      return right.mac;
    },
    get isOpen() {
      return right.isOpen;
    },
  };
}

/** Frames taken from one port before the next port's turn. */
const FRAMES_PER_TURN = 64;
/** Addresses remembered; a flood of made-up ones forgets the oldest. */
const ADDRESSES_MAX = 1024;
/** An address not heard of for this long is forgotten, in milliseconds (IEEE 802.1D's default). */
const AGE_MS_MAX = 300_000;

/** See the file comment. Belongs to one thread. */
export class LearningSwitch {
  readonly ports: (SwitchPort | undefined)[] = [];
  /** Where an address was last heard, in order of learning. */
  readonly #learned = new Map<number, { port: number; heardMs: number }>();
  readonly #now: () => number;
  readonly #tap: FrameTap | undefined;

  constructor(now: () => number, tap?: FrameTap) {
    this.#now = now;
    this.#tap = tap;
  }

  /** Attaches a port and answers its number. */
  attach(port: SwitchPort): number {
    const free = this.ports.indexOf(undefined);
    const number = free < 0 ? this.ports.length : free;
    this.ports[number] = port;
    return number;
  }
  /** Detaches a port; what it had sent and was not yet forwarded is gone. */
  detach(number: number): void {
    this.ports[number] = undefined;
    for (const [mac, { port }] of this.#learned) if (port === number) this.#learned.delete(mac);
  }

  /** Forwards what waits, fairly; true when more may be waiting. */
  turn(): boolean {
    let more = false;
    const now = this.#now();
    for (const [number, port] of this.ports.entries()) {
      if (port !== undefined && port.isOpen !== false && this.#drain(number, port, now)) more = true;
    }
    for (const port of this.ports) port?.link.flush();
    return more;
  }

  #drain(number: number, port: SwitchPort, now: number): boolean {
    const { link, counters } = port;
    let taken = 0;
    for (; taken < FRAMES_PER_TURN; taken++) {
      const size = link.next();
      if (size === 0) break;
      counters.received++;
      counters.receivedBytes += size - PacketHeader.sizeBytes;
      this.#forward(number, port, link.received, link.offset, size, now);
      link.take();
    }
    return taken > 0 && link.free();
  }

  #forward(number: number, port: SwitchPort, bytes: Uint8Array, at: number, size: number, now: number): void {
    const ethernet = at + AT.ethernet;
    const from = macNumber(bytes, ethernet + Ethernet.offsets.from);
    if (port.mac !== undefined && port.mac !== from) {
      port.counters.spoofed++;
      return;
    }
    this.#tap?.(bytes, at, size);
    this.#learn(from, number, now);
    const to = macNumber(bytes, ethernet + Ethernet.offsets.to);
    const known = isGroup(bytes, ethernet) ? undefined : this.#learned.get(to);
    if (known !== undefined && now - known.heardMs <= AGE_MS_MAX) {
      const target = this.ports[known.port];
      if (target !== undefined && known.port !== number) deliver(target, bytes, at, size);
      return;
    }
    for (const [other, target] of this.ports.entries()) {
      if (other !== number && target !== undefined) deliver(target, bytes, at, size);
    }
  }

  #learn(mac: number, port: number, now: number): void {
    const known = this.#learned.get(mac);
    if (known !== undefined) {
      known.port = port;
      known.heardMs = now;
      return;
    }
    if ((mac / 2 ** 40) & 1) return; // a group address is nobody's
    if (this.#learned.size >= ADDRESSES_MAX) {
      const oldest = this.#learned.keys().next();
      if (oldest.done !== true) this.#learned.delete(oldest.value);
    }
    this.#learned.set(mac, { port, heardMs: now });
  }
}

function isGroup(bytes: Uint8Array, ethernet: number): boolean {
  return ((bytes[ethernet] ?? 0) & 1) !== 0;
}

function deliver(port: SwitchPort, bytes: Uint8Array, at: number, size: number): void {
  if (port.isOpen === false) return;
  const { link, counters } = port;
  const place = link.reserve();
  if (place < 0) {
    counters.dropped++;
    return;
  }
  link.bytes.set(bytes.subarray(at, at + size), place);
  link.commit(size);
  counters.sent++;
  counters.sentBytes += size - PacketHeader.sizeBytes;
}
