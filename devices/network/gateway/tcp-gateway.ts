/** All TCP connections of the guests behind one gateway: finds or makes the flow a segment belongs to, and sees to timers. */
import type { HostNetwork, HostStream, SocketAddress, StreamEvents } from '../../../actors/runtime/network.js';
import { TCP, Tcp } from '../wire/headers.js';
import type { FrameWriter } from './frame-writer.js';
import type { Packet } from './packet-reader.js';
import { type FlowHost, type FlowName, type Segment, TcpFlow } from './tcp-flow.js';

/** Connections at once; a SYN beyond is refused with a reset, unless a finished one can be forgotten. */
const FLOWS_MAX = 4096;
const TICK_MS = 100;
const NO_OPTIONS = new Uint8Array(0);
const nothing = (): void => undefined;

/** What the gateway gives its TCP side. */
export interface TcpParts {
  readonly network: HostNetwork;
  readonly writer: FrameWriter;
  now(): number;
  randomU32(): number;
  after(ms: number, action: () => void): void;
  /** The guest's hardware address, or undefined while it is unknown. */
  macOf(address: number): Uint8Array | undefined;
  /** Where a connection to `address` really goes on the host; undefined when it may not. */
  hostAddressOf(address: number, port: number): SocketAddress | undefined;
  /** Runs {@link TcpGateway.settle} and flushes, soon. */
  soon(): void;
}

/** See the file comment. Belongs to one thread. */
export class TcpGateway implements FlowHost {
  readonly counters = { opened: 0, refused: 0, malformed: 0 };
  readonly #flows = new Map<string, TcpFlow>();
  readonly #pumping = new Set<TcpFlow>();
  readonly #parts: TcpParts;
  #ticking = false;
  #nextPort = 49_152;

  constructor(parts: TcpParts) {
    this.#parts = parts;
  }

  /** Connections held. */
  get count(): number {
    return this.#flows.size;
  }

  now(): number {
    return this.#parts.now();
  }

  /** A segment from a guest. */
  receive(packet: Packet): void {
    const segment = readSegment(packet);
    if (segment === undefined) {
      this.counters.malformed++;
      return;
    }
    const guestPort = packet.view.getUint16(packet.at + Tcp.offsets.from);
    const remotePort = packet.view.getUint16(packet.at + Tcp.offsets.to);
    const name = { guest: packet.from, guestPort, remote: packet.to, remotePort };
    const flow = this.#flows.get(keyOf(name));
    const fresh = (segment.flags & (TCP.syn | TCP.ack | TCP.rst)) === TCP.syn;
    if (flow !== undefined && !(fresh && flow.phase === 'lingering')) flow.receive(segment);
    else if (fresh) this.#open(name, segment);
    else if ((segment.flags & TCP.rst) === 0) this.#refuse(name, segment);
  }

  /** A connection to a published port of the host: continued to `guest`:`guestPort`, as if from `remote`. */
  accept(stream: HostStream, guest: number, guestPort: number, remote: number): StreamEvents {
    const remotePort = this.#freePort(guest, guestPort, remote);
    const name = { guest, guestPort, remote, remotePort };
    const flow = new TcpFlow(name, this.#parts.randomU32(), this, true);
    if (this.#flows.size >= FLOWS_MAX || this.#parts.macOf(guest) === undefined) {
      this.counters.refused++;
      stream.reset();
      return flow;
    }
    this.counters.opened++;
    this.#flows.set(keyOf(name), flow);
    flow.join(stream);
    return flow;
  }

  send(...[flow, fields, options, payloadBytes, fill]: Parameters<FlowHost['send']>): boolean {
    const { guest, guestPort, remote, remotePort } = flow.name;
    const mac = this.#parts.macOf(guest);
    if (mac === undefined) return false;
    const ends = { from: remote, fromPort: remotePort, to: guest, toPort: guestPort };
    return this.#parts.writer.segment(mac, { ...ends, ...fields }, options, payloadBytes, flow.cutBytes, fill);
  }

  wantsPump(flow: TcpFlow): void {
    if (this.#pumping.size === 0) this.#parts.soon();
    this.#pumping.add(flow);
  }

  wantsTimer(): void {
    if (this.#ticking) return;
    this.#ticking = true;
    this.#parts.after(TICK_MS, () => this.#tick());
  }

  over(flow: TcpFlow): void {
    this.#pumping.delete(flow);
    const key = keyOf(flow.name);
    if (this.#flows.get(key) === flow) this.#flows.delete(key);
  }

  /** Sends what the flows owe. What finds the link full stays noted for the next call. */
  settle(): void {
    const now = [...this.#pumping];
    this.#pumping.clear();
    for (const flow of now) flow.pump();
  }

  /** Ends every connection, telling both sides. */
  close(): void {
    for (const flow of [...this.#flows.values()]) flow.reset();
  }

  #open(name: FlowName, segment: Segment): void {
    const to = this.#parts.hostAddressOf(name.remote, name.remotePort);
    if (to === undefined || (this.#flows.size >= FLOWS_MAX && !this.#forgetOne())) {
      this.counters.refused++;
      this.#refuse(name, segment);
      return;
    }
    this.counters.opened++;
    const flow = new TcpFlow(name, this.#parts.randomU32(), this, false);
    flow.greet(segment);
    this.#flows.set(keyOf(name), flow);
    flow.join(this.#parts.network.connect(to, flow));
  }

  /** Forgets a connection that is only lingering; false when there is none. */
  #forgetOne(): boolean {
    for (const [key, flow] of this.#flows) {
      if (flow.phase === 'lingering') return this.#flows.delete(key);
    }
    return false;
  }

  /** Answers a segment that belongs to no connection (RFC 9293, 3.10.7.1). */
  #refuse({ guest, guestPort, remote, remotePort }: FlowName, segment: Segment): void {
    const mac = this.#parts.macOf(guest);
    if (mac === undefined) return;
    const length = segment.end - segment.at + (segment.flags & TCP.syn ? 1 : 0) + (segment.flags & TCP.fin ? 1 : 0);
    const answers = (segment.flags & TCP.ack) !== 0;
    const fields = {
      ...{ from: remote, fromPort: remotePort, to: guest, toPort: guestPort, window: 0 },
      sequence: answers ? segment.acknowledgement : 0,
      acknowledgement: answers ? 0 : (segment.sequence + length) >>> 0,
      flags: answers ? TCP.rst : TCP.rst | TCP.ack,
    };
    this.#parts.writer.segment(mac, fields, NO_OPTIONS, 0, 1, nothing);
    this.#parts.soon();
  }

  #freePort(guest: number, guestPort: number, remote: number): number {
    for (let tries = 0; tries < 16_384; tries++) {
      this.#nextPort = this.#nextPort >= 65_535 ? 49_152 : this.#nextPort + 1;
      if (!this.#flows.has(keyOf({ guest, guestPort, remote, remotePort: this.#nextPort }))) break;
    }
    return this.#nextPort;
  }

  #tick(): void {
    this.#ticking = false;
    const now = this.now();
    let waiting = false;
    for (const flow of [...this.#flows.values()]) {
      if (flow.dueMs <= now) flow.due();
      if (flow.dueMs !== Number.POSITIVE_INFINITY) waiting = true;
    }
    if (waiting) this.wantsTimer();
    this.#parts.soon();
  }
}

function keyOf({ guest, guestPort, remote, remotePort }: FlowName): string {
  return `${guest}:${guestPort} ${remote}:${remotePort}`;
}

/** A segment's header and payload; undefined when its lengths do not fit. */
function readSegment({ bytes, view, at, end }: Packet): Segment | undefined {
  if (end - at < Tcp.sizeBytes) return undefined;
  const headBytes = ((bytes[at + Tcp.offsets.dataOffset] ?? 0) >> 4) * 4;
  if (headBytes < Tcp.sizeBytes || at + headBytes > end) return undefined;
  const flags = bytes[at + Tcp.offsets.flags] ?? 0;
  return {
    sequence: view.getUint32(at + Tcp.offsets.sequence),
    acknowledgement: view.getUint32(at + Tcp.offsets.acknowledgement),
    flags,
    window: view.getUint16(at + Tcp.offsets.window),
    ...(flags & TCP.syn ? synOptions(bytes, at + Tcp.sizeBytes, at + headBytes) : NO_SYN_OPTIONS),
    bytes,
    at: at + headBytes,
    end,
  };
}

const NO_SYN_OPTIONS = { segmentBytesMax: undefined, windowShift: undefined };

/** Maximum segment size (kind 2) and window scale (kind 3) among the options; the rest, and what is cut short, is ignored. */
function synOptions(
  bytes: Uint8Array,
  from: number,
  to: number,
): { segmentBytesMax: number | undefined; windowShift: number | undefined } {
  let segmentBytesMax: number | undefined;
  let windowShift: number | undefined;
  for (let at = from; at < to; ) {
    const kind = bytes[at] ?? 0;
    if (kind === 0) break;
    if (kind === 1) {
      at += 1;
      continue;
    }
    const length = bytes[at + 1] ?? 0;
    if (length < 2 || at + length > to) break;
    if (kind === 2 && length === 4) segmentBytesMax = ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0);
    if (kind === 3 && length === 3) windowShift = bytes[at + 2] ?? 0;
    at += length;
  }
  return { segmentBytesMax, windowShift };
}
