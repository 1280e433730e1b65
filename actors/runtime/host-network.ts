/** The host's sockets behind {@link HostNetwork}; the only importer of node:net and node:dgram below cli/. */
import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { getServers } from 'node:dns';
import { createServer, isIPv4, Socket } from 'node:net';
import { err, ok, type Result } from '../../bus/result.js';
import type {
  HostDatagrams,
  HostListener,
  HostNetwork,
  HostStream,
  NetworkFault,
  NetworkGrant,
  SocketAddress,
  StreamEvents,
} from './network.js';

function nameOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}

function fault(code: string): Error {
  return Object.assign(new Error(code), { code });
}

/** A socket as a stream. */
function offer(socket: Socket): HostStream {
  socket.setNoDelay(true);
  return {
    get pendingBytes() {
      return socket.writableLength;
    },
    write: (bytes) => void socket.write(bytes),
    end: () => void socket.end(),
    reset: () => void socket.resetAndDestroy(),
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
  };
}

/** Passes a socket's events on. */
function follow(socket: Socket, events: StreamEvents): void {
  let failure: string | undefined;
  socket.on('connect', () => events.opened());
  socket.on('data', (bytes: Buffer) => events.data(bytes));
  socket.on('drain', () => events.drained());
  socket.on('end', () => events.ended());
  socket.on('error', (error) => {
    failure = nameOf(error);
  });
  socket.on('close', () => events.closed(failure));
}

function datagramsOf(socket: DatagramSocket): HostDatagrams {
  return {
    // A datagram that cannot be sent is lost, as datagrams are; the callback keeps the failure from becoming an event.
    send: (bytes, to) => void socket.send(bytes, to.port, to.address, () => undefined),
    close: () => void socket.close(),
  };
}

const REFUSED: NetworkFault = { reason: 'noRight', detail: 'the network was not granted' };

/** The host's network within the rights of `grant`. */
export function useHostNetwork(grant: NetworkGrant): HostNetwork {
  const mayListen = (at: SocketAddress): boolean =>
    grant.listen.some(({ address, port }) => address === at.address && port === at.port);
  return {
    connect(to, events) {
      const socket = new Socket({ allowHalfOpen: true });
      follow(socket, events);
      if (!grant.outgoing) socket.destroy(fault('EACCES'));
      else if (!isIPv4(to.address) || to.port < 1 || to.port > 0xffff) socket.destroy(fault('EADDRNOTAVAIL'));
      else socket.connect({ host: to.address, port: to.port });
      return offer(socket);
    },
    datagrams({ received, failed }) {
      const socket = createSocket('udp4');
      socket.on('message', (bytes, from) => received(bytes, { address: from.address, port: from.port }));
      socket.on('error', (error) => failed(nameOf(error)));
      return datagramsOf(socket);
    },
    listen(at, accepted): Promise<Result<HostListener, NetworkFault>> {
      if (!mayListen(at)) return Promise.resolve(err(REFUSED));
      const server = createServer({ allowHalfOpen: true, pauseOnConnect: false }, (socket) => {
        const from = { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 };
        follow(socket, accepted(offer(socket), from));
      });
      return new Promise((resolve) => {
        server.once('error', (error) => resolve(err({ reason: 'failed', detail: nameOf(error) })));
        server.listen({ host: at.address, port: at.port }, () => {
          const bound = server.address();
          const port = bound !== null && typeof bound === 'object' ? bound.port : at.port;
          resolve(ok({ port, close: () => void server.close() }));
        });
      });
    },
    listenDatagrams(at, received): Promise<Result<HostDatagrams & HostListener, NetworkFault>> {
      if (!mayListen(at)) return Promise.resolve(err(REFUSED));
      const socket = createSocket('udp4');
      const offered = datagramsOf(socket);
      socket.on('message', (bytes, from) => received(bytes, { address: from.address, port: from.port }, offered));
      return new Promise((resolve) => {
        socket.on('error', (error) => resolve(err({ reason: 'failed', detail: nameOf(error) })));
        socket.bind({ address: at.address, port: at.port }, () =>
          resolve(ok({ ...offered, port: socket.address().port })),
        );
      });
    },
    nameServers: () =>
      getServers()
        .filter((server) => isIPv4(server))
        .map((address) => ({ address, port: 53 })),
  };
}
