/**
 * Stream connections between sockets of the guest and Unix sockets of the host, by the convention of Firecracker and
 * cloud-hypervisor: who connects to PATH on the host and says `CONNECT port` reaches that port of the guest and hears `OK
 * hostport`; a guest that connects to port P of the host reaches PATH_P. Pure of virtio: packets in, packets out.
 *
 * Everything is bounded: connections, bytes on their way to the guest (the host's socket is paused), bytes on their way to the host
 * (the credit the guest has), answers to packets that belong to no connection (the guest's queue is held back).
 */
import type { HostNetwork, HostStream, StreamEvents } from '../../actors/runtime/network.js';
import { HOST_CID, OPERATION, SHUTDOWN, STREAM } from './vsock.wire.js';

/** Connections, at most, those that only wait to be closed included. */
export const CONNECTIONS_MAX = 1024;
/** Bytes the guest may send before the host has taken any: the credit of one connection. */
export const CREDIT_BYTES = 256 << 10;
/** Bytes kept for a guest that does not read; then the host's socket is paused, until a part is left. */
const WAITING_BYTES_MAX = 256 << 10;
const WAITING_BYTES_LOW = 64 << 10;
/** The guest hears that there is room again when it has grown by so much. */
const CREDIT_STEP_BYTES = CREDIT_BYTES / 4;
/** Data of one packet, at most. */
export const DATA_BYTES_MAX = 64 << 10;
const RESETS_MAX = 256;
const GREETING_BYTES_MAX = 32;
/** Ports of the host for connections that begin there. */
const HOST_PORT_FIRST = 2 ** 30;

/** A packet's head as far as it differs from packet to packet. */
interface Packet {
  readonly guestPort: number;
  readonly hostPort: number;
  readonly operation: number;
  readonly flags: number;
  readonly bufferBytes: number;
  readonly forwardedBytes: number;
}

/** A packet of the guest. */
interface GuestPacket extends Packet {
  readonly targetCid: number;
  readonly type: number;
}

/** A packet for the guest. */
export interface HostPacket extends Packet {
  readonly data: Uint8Array;
}

interface Connection {
  readonly guestPort: number;
  readonly hostPort: number;
  readonly stream: HostStream;
  /** `asked`: the guest wants it; `offered`: the host does, and the guest has not answered; `gone`: known to nobody any more. */
  state: 'asked' | 'offered' | 'open' | 'gone';
  /** What the guest has to be told. */
  owes: 'request' | 'response' | 'reset' | undefined;
  owesCredit: boolean;
  askedCredit: boolean;
  /** Bytes for the guest. */
  waiting: Uint8Array[];
  waitingBytes: number;
  paused: boolean;
  hostEnded: boolean;
  hostClosed: boolean;
  /** Shutdown flags of the guest, and those it was sent. */
  guestShut: number;
  hostShut: number;
  /** Counters modulo 2^32: sent to the guest, taken by it; received, announced as taken. */
  sent: number;
  guestTook: number;
  guestRoom: number;
  received: number;
  announced: number;
}

const NOTHING = new Uint8Array(0);

/** See the head of this file. */
export class VsockConnections {
  readonly #network: HostNetwork;
  readonly #path: string;
  readonly #ready: () => void;
  readonly #connections = new Map<string, Connection>();
  /** Connections with something to say, the longest waiting first. */
  readonly #talkers = new Set<Connection>();
  readonly #resets: Packet[] = [];
  /** Streams of the host that are not closed yet. */
  #streams = 0;
  #nextPort = HOST_PORT_FIRST;

  /** `ready`: called when there may be a packet for the guest. */
  constructor(network: HostNetwork, path: string, ready: () => void) {
    this.#network = network;
    this.#path = path;
    this.#ready = ready;
  }

  /** Connections the guest knows, and sockets of the host. */
  get counts(): { readonly connections: number; readonly sockets: number } {
    return { connections: this.#connections.size, sockets: this.#streams };
  }

  /** Whether another packet of the guest can be taken. */
  get canTake(): boolean {
    return this.#resets.length < RESETS_MAX;
  }

  /** Whether {@link next} may have a packet. */
  get hasPackets(): boolean {
    return this.#resets.length > 0 || this.#talkers.size > 0;
  }

  /** Ends everything, unheard: the guest has forgotten it. */
  clear(): void {
    for (const connection of this.#connections.values()) {
      connection.state = 'gone';
      connection.stream.reset();
    }
    this.#connections.clear();
    this.#talkers.clear();
    this.#resets.length = 0;
  }

  /** Somebody has connected to PATH. */
  accept(stream: HostStream): StreamEvents {
    let greeting: Uint8Array = NOTHING;
    let events: StreamEvents | undefined;
    const isFull = this.#streams >= CONNECTIONS_MAX;
    this.#streams++;
    if (isFull) stream.reset();
    return {
      opened: () => undefined,
      data: (bytes) => {
        if (events !== undefined) {
          events.data(bytes);
          return;
        }
        greeting = Buffer.concat([greeting, bytes]);
        const end = greeting.indexOf(0x0a);
        if (end < 0 ? greeting.length > GREETING_BYTES_MAX : end > GREETING_BYTES_MAX) {
          stream.reset();
          return;
        }
        if (end < 0) return;
        const said = /^CONNECT (\d{1,10})\r?$/.exec(Buffer.from(greeting.subarray(0, end)).toString('latin1'));
        const port = Number(said?.[1] ?? Number.NaN);
        if (!(port <= 0xffff_ffff)) {
          stream.reset();
          return;
        }
        const connection = this.#add(port, this.#freePort(), stream, 'offered');
        this.#owe(connection, 'request');
        events = this.#follow(connection);
        if (end + 1 < greeting.length) events.data(greeting.subarray(end + 1));
      },
      drained: () => events?.drained(),
      ended: () => (events === undefined ? stream.reset() : events.ended()),
      closed: (error) => {
        if (events === undefined) this.#streams--;
        else events.closed(error);
      },
    };
  }

  #freePort(): number {
    // There are far more ports than connections; a guest that chose the port of another connection gets a reset.
    this.#nextPort = this.#nextPort >= 2 ** 31 - 1 ? HOST_PORT_FIRST : this.#nextPort + 1;
    return this.#nextPort;
  }

  #add(guestPort: number, hostPort: number, stream: HostStream, state: 'asked' | 'offered'): Connection {
    const connection: Connection = {
      ...{ guestPort, hostPort, stream, state, owes: undefined, owesCredit: false, askedCredit: false },
      ...{
        waiting: [],
        waitingBytes: 0,
        paused: false,
        hostEnded: false,
        hostClosed: false,
        guestShut: 0,
        hostShut: 0,
      },
      ...{ sent: 0, guestTook: 0, guestRoom: 0, received: 0, announced: 0 },
    };
    this.#connections.set(`${guestPort}:${hostPort}`, connection);
    return connection;
  }

  /** What the host's side of a connection does. */
  #follow(connection: Connection): StreamEvents {
    return {
      opened: () => {
        if (connection.state !== 'asked') return;
        connection.state = 'open';
        this.#owe(connection, 'response');
      },
      data: (bytes) => {
        // Nobody reads it any more: it is thrown away until the host notices.
        if (connection.state === 'gone' || (connection.guestShut & SHUTDOWN.receive) !== 0) return;
        connection.waiting.push(bytes);
        connection.waitingBytes += bytes.byteLength;
        if (connection.waitingBytes >= WAITING_BYTES_MAX && !connection.paused) {
          connection.paused = true;
          connection.stream.pause();
        }
        this.#talk(connection);
      },
      drained: () => this.#credit(connection),
      ended: () => {
        connection.hostEnded = true;
        this.#talk(connection);
      },
      closed: (error) => {
        this.#streams--;
        connection.hostEnded = true;
        connection.hostClosed = true;
        if (error !== undefined || connection.state !== 'open') this.#owe(connection, 'reset');
        else this.#talk(connection);
      },
    };
  }

  #talk(connection: Connection): void {
    if (connection.state === 'gone') return;
    this.#talkers.add(connection);
    this.#ready();
  }

  #owe(connection: Connection, what: 'request' | 'response' | 'reset'): void {
    connection.owes = what;
    this.#talk(connection);
  }

  /** Bytes of the guest that the host has taken. */
  #taken({ received, stream }: Connection): number {
    return (received - stream.pendingBytes) >>> 0;
  }

  /** Tells the guest of room when there is enough of it. */
  #credit(connection: Connection): void {
    if ((this.#taken(connection) - connection.announced) >>> 0 < CREDIT_STEP_BYTES) return;
    connection.owesCredit = true;
    this.#talk(connection);
  }

  /** Forgets a connection; its stream ends, at once or when what was written is out. */
  #drop(connection: Connection, gently: boolean): void {
    connection.state = 'gone';
    connection.waiting = [];
    connection.waitingBytes = 0;
    this.#connections.delete(`${connection.guestPort}:${connection.hostPort}`);
    this.#talkers.delete(connection);
    if (connection.hostClosed) return;
    if (!gently || connection.stream.pendingBytes === 0) connection.stream.reset();
    else {
      connection.stream.end();
      connection.stream.resume();
    }
  }

  /** Takes a packet of the guest; `data` is ours. Only while {@link canTake}. */
  fromGuest(packet: GuestPacket, data: Uint8Array): void {
    const { guestPort, hostPort, operation } = packet;
    const connection = this.#connections.get(`${guestPort}:${hostPort}`);
    const isKnown = connection !== undefined && packet.targetCid === HOST_CID && packet.type === STREAM;
    if (!isKnown) {
      const isRequest = operation === OPERATION.request && packet.targetCid === HOST_CID && packet.type === STREAM;
      if (isRequest && this.#streams < CONNECTIONS_MAX) this.#connect(packet);
      else if (operation !== OPERATION.reset) this.#refuse(packet);
      return;
    }
    connection.guestRoom = packet.bufferBytes;
    connection.guestTook = packet.forwardedBytes;
    connection.askedCredit = false;
    this.#obey(connection, packet, data);
    // A new credit may be what it waited for.
    if (connection.waitingBytes > 0) this.#talk(connection);
  }

  #connect({ guestPort, hostPort, bufferBytes, forwardedBytes }: GuestPacket): void {
    let events: StreamEvents | undefined;
    this.#streams++;
    const stream = this.#network.connectLocal(`${this.#path}_${hostPort}`, {
      opened: () => events?.opened(),
      data: (bytes) => events?.data(bytes),
      drained: () => events?.drained(),
      ended: () => events?.ended(),
      closed: (error) => events?.closed(error),
    });
    const connection = this.#add(guestPort, hostPort, stream, 'asked');
    connection.guestRoom = bufferBytes;
    connection.guestTook = forwardedBytes;
    events = this.#follow(connection);
  }

  #refuse({ guestPort, hostPort }: GuestPacket): void {
    this.#resets.push({
      ...{ guestPort, hostPort, operation: OPERATION.reset, flags: 0 },
      ...{ bufferBytes: 0, forwardedBytes: 0 },
    });
    this.#ready();
  }

  #obey(connection: Connection, { operation, flags }: GuestPacket, data: Uint8Array): void {
    switch (operation) {
      case OPERATION.response:
        if (connection.state !== 'offered') {
          this.#owe(connection, 'reset');
          return;
        }
        connection.state = 'open';
        connection.stream.write(Buffer.from(`OK ${connection.hostPort}\n`, 'latin1'));
        this.#talk(connection);
        return;
      case OPERATION.reset:
        this.#drop(connection, (connection.guestShut & SHUTDOWN.send) !== 0);
        return;
      case OPERATION.shutdown:
        this.#shut(connection, flags & SHUTDOWN.both);
        return;
      case OPERATION.data:
        this.#write(connection, data);
        return;
      case OPERATION.creditRequest:
        connection.owesCredit = true;
        this.#talk(connection);
        return;
      case OPERATION.creditUpdate:
        return;
      default:
        this.#owe(connection, 'reset');
        return;
    }
  }

  #write(connection: Connection, data: Uint8Array): void {
    const { stream } = connection;
    const isAllowed = connection.state === 'open' && (connection.guestShut & SHUTDOWN.send) === 0;
    // A driver that sends more than it has credit for.
    if (!isAllowed || stream.pendingBytes + data.byteLength > CREDIT_BYTES + GREETING_BYTES_MAX) {
      this.#owe(connection, 'reset');
      return;
    }
    connection.received = (connection.received + data.byteLength) >>> 0;
    if (data.byteLength > 0 && !connection.hostClosed) stream.write(data);
    this.#credit(connection);
  }

  #shut(connection: Connection, flags: number): void {
    const before = connection.guestShut;
    connection.guestShut |= flags;
    if ((connection.guestShut & SHUTDOWN.receive) !== 0) {
      connection.waiting = [];
      connection.waitingBytes = 0;
      if (connection.paused) connection.stream.resume();
      connection.paused = false;
    }
    if (connection.guestShut === SHUTDOWN.both) {
      if (!connection.hostClosed) connection.stream.end();
      this.#owe(connection, 'reset');
      return;
    }
    if ((connection.guestShut & ~before & SHUTDOWN.send) !== 0 && !connection.hostClosed) connection.stream.end();
  }

  /** The next packet for the guest, with at most `roomBytes` of data; undefined when there is none. */
  next(roomBytes: number): HostPacket | undefined {
    const reset = this.#resets.shift();
    if (reset !== undefined) return { ...reset, data: NOTHING };
    for (const connection of this.#talkers) {
      // Behind the others, if it has more to say.
      this.#talkers.delete(connection);
      const packet = this.#say(connection, Math.min(roomBytes, DATA_BYTES_MAX));
      if (packet === undefined) continue;
      if (connection.state !== 'gone') this.#talkers.add(connection);
      return packet;
    }
    return undefined;
  }

  #say(connection: Connection, roomBytes: number): HostPacket | undefined {
    const { owes } = connection;
    if (owes === 'reset') {
      const packet = this.#packet(connection, OPERATION.reset);
      this.#drop(connection, (connection.guestShut & SHUTDOWN.send) !== 0);
      return packet;
    }
    connection.owes = undefined;
    if (owes !== undefined) return this.#packet(connection, OPERATION[owes]);
    if (connection.state !== 'open') return undefined;
    if (connection.waitingBytes > 0) {
      const packet = this.#data(connection, roomBytes);
      if (packet !== undefined) return packet;
    } else if (connection.hostEnded) {
      const wanted = connection.hostClosed ? SHUTDOWN.both : SHUTDOWN.send;
      // Both have said all: nothing is left to be shut.
      if (connection.hostClosed && (connection.guestShut & SHUTDOWN.send) !== 0) {
        const packet = this.#packet(connection, OPERATION.reset);
        this.#drop(connection, true);
        return packet;
      }
      if ((connection.hostShut & wanted) !== wanted) {
        connection.hostShut |= wanted;
        return this.#packet(connection, OPERATION.shutdown, wanted);
      }
    }
    return connection.owesCredit ? this.#packet(connection, OPERATION.creditUpdate) : undefined;
  }

  /** Data as far as the guest has room for them, or once the question how much it has. */
  #data(connection: Connection, roomBytes: number): HostPacket | undefined {
    const inFlight = (connection.sent - connection.guestTook) >>> 0;
    const credit = Math.max(0, connection.guestRoom - inFlight);
    const [first = NOTHING] = connection.waiting;
    const bytes = Math.min(credit, roomBytes, first.byteLength);
    if (bytes === 0) {
      if (connection.askedCredit || roomBytes === 0) return undefined;
      connection.askedCredit = true;
      return this.#packet(connection, OPERATION.creditRequest);
    }
    if (bytes === first.byteLength) connection.waiting.shift();
    else connection.waiting[0] = first.subarray(bytes);
    connection.waitingBytes -= bytes;
    connection.sent = (connection.sent + bytes) >>> 0;
    if (connection.paused && connection.waitingBytes <= WAITING_BYTES_LOW) {
      connection.paused = false;
      connection.stream.resume();
    }
    return this.#packet(connection, OPERATION.data, 0, first.subarray(0, bytes));
  }

  #packet(connection: Connection, operation: number, flags = 0, data: Uint8Array = NOTHING): HostPacket {
    const { guestPort, hostPort } = connection;
    connection.owesCredit = false;
    connection.announced = this.#taken(connection);
    return {
      guestPort,
      hostPort,
      operation,
      flags,
      data,
      bufferBytes: CREDIT_BYTES,
      forwardedBytes: connection.announced,
    };
  }
}
