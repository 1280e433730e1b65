/**
 * The host's network as an actor may use it: streams (TCP) and datagrams (UDP) of the host's own sockets. Whoever starts the
 * actor hands it a grant; without one there is no network. In the simulator it is a network in memory.
 */
import { err, type Result } from '../../bus/result.js';

/** What an actor may do; plain data, part of its spawn config. */
export interface NetworkGrant {
  /** It may open connections and send datagrams. */
  readonly outgoing: boolean;
  /** Ports of the host it may listen on. */
  readonly listen: readonly { readonly address: string; readonly port: number }[];
  /** Sockets in the host's file system it may connect to and listen on. */
  readonly local?: readonly string[];
  /** It may connect to sockets called this, an underscore and a number. */
  readonly localPorts?: string;
}

/** An address and port of the Internet. */
export interface SocketAddress {
  /** `192.0.2.1`. */
  readonly address: string;
  readonly port: number;
}

/** Why a socket operation failed: the host's error name (`ECONNREFUSED`, `EADDRINUSE` ...), or `noRight`. */
export interface NetworkFault {
  readonly reason: 'noRight' | 'failed';
  readonly detail: string;
}

const OPEN_FAULTS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'something has it already',
  EADDRNOTAVAIL: 'the address is not of this host',
  EACCES: 'this user may not',
  ENOENT: 'its folder is not there',
};

/** Why a port or path could not be listened at, by the host's error name: a sentence's second half. */
export function whyNotOpened(detail: string): string {
  const text = OPEN_FAULTS[detail];
  return text === undefined ? detail : `${text} (${detail})`;
}

/** What a stream tells its owner. Each is called as an event of the actor's thread, never from within a call to the stream. */
export interface StreamEvents {
  /** The connection stands (streams we opened only). */
  opened(): void;
  /** Bytes came; they belong to the receiver. */
  data(bytes: Uint8Array): void;
  /** What was written is with the host: {@link HostStream.pendingBytes} fell to zero. */
  drained(): void;
  /** The other side will send no more. */
  ended(): void;
  /** The stream is gone; `error` is the host's error name, absent after an orderly end. Nothing follows. */
  closed(error: string | undefined): void;
}

/** A TCP connection of the host. */
export interface HostStream {
  /** Bytes written that the host has not taken yet. */
  readonly pendingBytes: number;
  /** Takes all of `bytes`, which must not change afterwards. */
  write(bytes: Uint8Array): void;
  /** We send no more; what was written still goes out. */
  end(): void;
  /** Ends both directions at once, with a reset. */
  reset(): void;
  /** No more `data` until {@link resume}. */
  pause(): void;
  resume(): void;
}

/** A UDP socket of the host on a port of the host's choice. */
export interface HostDatagrams {
  send(bytes: Uint8Array, to: SocketAddress): void;
  close(): void;
}

/** A listening port of the host. */
export interface HostListener {
  readonly port: number;
  close(): void;
}

/** See the file comment. */
export interface HostNetwork {
  /** Opens a connection; its fate comes as events. */
  connect(to: SocketAddress, events: StreamEvents): HostStream;
  /** As {@link connect}, to a socket in the host's file system. */
  connectLocal(path: string, events: StreamEvents): HostStream;
  /** Opens a socket for datagrams; `failed` hears the host's error name. */
  datagrams(events: {
    received(bytes: Uint8Array, from: SocketAddress): void;
    failed(error: string): void;
  }): HostDatagrams;
  /** Listens on a port the grant names; `accepted` answers whom a new connection tells. */
  listen(
    at: SocketAddress,
    accepted: (stream: HostStream, from: SocketAddress) => StreamEvents,
  ): Promise<Result<HostListener, NetworkFault>>;
  /** As {@link listen}, on a socket in the host's file system; refused when there is a file of that name. */
  listenLocal(
    path: string,
    accepted: (stream: HostStream) => StreamEvents,
  ): Promise<Result<HostListener, NetworkFault>>;
  /** As {@link listen} for datagrams; answers go by `socket`. */
  listenDatagrams(
    at: SocketAddress,
    received: (bytes: Uint8Array, from: SocketAddress, socket: HostDatagrams) => void,
  ): Promise<Result<HostDatagrams & HostListener, NetworkFault>>;
  /** The host's name servers. */
  nameServers(): readonly SocketAddress[];
}

/** A host without a network: nothing connects. For the simulator, and for actors that are granted nothing. */
export function offlineNetwork(): HostNetwork {
  const nothing = (): void => undefined;
  const refused = (): Promise<Result<never, NetworkFault>> =>
    Promise.resolve(err({ reason: 'failed', detail: 'ENETDOWN' }));
  const unreachable = (_to: unknown, events: StreamEvents): HostStream => {
    queueMicrotask(() => events.closed('ENETUNREACH'));
    return { pendingBytes: 0, write: nothing, end: nothing, reset: nothing, pause: nothing, resume: nothing };
  };
  return {
    connect: unreachable,
    connectLocal: unreachable,
    datagrams: () => ({ send: nothing, close: nothing }),
    listen: refused,
    listenLocal: refused,
    listenDatagrams: refused,
    nameServers: () => [],
  };
}
