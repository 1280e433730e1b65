/**
 * TCP as an actor sees it: it may listen where its spawner allowed it to, and nowhere else. Only for actors with an event
 * loop; their code runs between messages, like any turn.
 */
import type { Result } from '../../bus/result.js';

/** Permission to listen; plain data, for spawn configs. */
export interface ListenToken {
  /** Always a loopback address: what listens here is for this host's user. */
  readonly host: '127.0.0.1';
  /** 0: any free port. */
  readonly port: number;
}

/** One connection. */
export interface Connection {
  /** Queues bytes to be sent. */
  write(bytes: Uint8Array): void;
  /** Sends what is queued, then closes. */
  close(): void;
}

/** Who hears of a connection. */
export interface ConnectionHandlers {
  readonly data: (bytes: Uint8Array) => void;
  /** It is closed, by either side; nothing follows. */
  readonly closed: () => void;
}

/** A place that is listened at. */
export interface Listener {
  readonly port: number;
  /** Takes no more connections; those that exist stay. */
  close(): void;
}

/** Listens; `connected` answers who hears of the new connection. The error is the host's name for it (`EADDRINUSE`). */
export type Listen = (
  token: ListenToken,
  connected: (connection: Connection) => ConnectionHandlers,
) => Promise<Result<Listener, string>>;

/** Permission to listen at `port` of the loopback interface. */
export function loopbackPort(port: number): ListenToken {
  return { host: '127.0.0.1', port };
}
