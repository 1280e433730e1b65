/**
 * The host's sockets behind {@link HostNetwork}. Most workers have no network: the host's modules are loaded by those that
 * have, because loading them costs every other worker milliseconds at its start.
 */
import type { Socket as DatagramSocket } from 'node:dgram';
import type { Server, Socket } from 'node:net';
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
function offer(socket: Socket, isLocal = false): HostStream {
  if (!isLocal) socket.setNoDelay(true);
  return {
    get pendingBytes() {
      return socket.writableLength;
    },
    write: (bytes) => void socket.write(bytes),
    end: () => void socket.end(),
    // Sockets of the file system know no reset.
    reset: () => void (isLocal ? socket.destroy() : socket.resetAndDestroy()),
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

/** Listens with `server` where `at` says; `port` answers what was bound. */
function listenOn(
  server: Server,
  at: { readonly host: string; readonly port: number } | { readonly path: string },
): Promise<Result<HostListener, NetworkFault>> {
  return new Promise((resolve) => {
    server.once('error', (error) => resolve(err({ reason: 'failed', detail: nameOf(error) })));
    server.listen(at, () => {
      const bound = server.address();
      const port = bound !== null && typeof bound === 'object' ? bound.port : 0;
      resolve(ok({ port, close: () => void server.close() }));
    });
  });
}

/** Whether somebody listens at `path`. */
function isAnswered(net: typeof import('node:net'), path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ path });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error) => resolve(nameOf(error) !== 'ECONNREFUSED'));
  });
}

/** The host's network within the rights of `grant`. */
export function useHostNetwork(grant: NetworkGrant): HostNetwork {
  const net = process.getBuiltinModule('node:net');
  const dgram = process.getBuiltinModule('node:dgram');
  const dns = process.getBuiltinModule('node:dns');
  const mayListen = (at: SocketAddress): boolean =>
    grant.listen.some(({ address, port }) => address === at.address && port === at.port);
  const mayMeet = (path: string): boolean => grant.local?.includes(path) === true;
  const mayReach = (path: string): boolean => {
    const { localPorts } = grant;
    if (localPorts === undefined || !path.startsWith(`${localPorts}_`)) return mayMeet(path);
    return /^\d+$/.test(path.slice(localPorts.length + 1));
  };
  const accepting = (accepted: (stream: HostStream, from: SocketAddress) => StreamEvents, isLocal = false): Server =>
    net.createServer({ allowHalfOpen: true }, (socket) => {
      const from = { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 };
      follow(socket, accepted(offer(socket, isLocal), from));
    });
  return {
    connect(to, events) {
      const socket = new net.Socket({ allowHalfOpen: true });
      follow(socket, events);
      if (!grant.outgoing) socket.destroy(fault('EACCES'));
      else if (!net.isIPv4(to.address) || to.port < 1 || to.port > 0xffff) socket.destroy(fault('EADDRNOTAVAIL'));
      else socket.connect({ host: to.address, port: to.port });
      return offer(socket);
    },
    connectLocal(path, events) {
      const socket = new net.Socket({ allowHalfOpen: true });
      follow(socket, events);
      if (mayReach(path)) socket.connect({ path });
      else socket.destroy(fault('EACCES'));
      return offer(socket, true);
    },
    datagrams({ received, failed }) {
      const socket = dgram.createSocket('udp4');
      socket.on('message', (bytes, from) => received(bytes, { address: from.address, port: from.port }));
      socket.on('error', (error) => failed(nameOf(error)));
      return datagramsOf(socket);
    },
    listen(at, accepted) {
      if (!mayListen(at)) return Promise.resolve(err(REFUSED));
      return listenOn(accepting(accepted), { host: at.address, port: at.port });
    },
    async listenLocal(path, accepted) {
      if (!mayMeet(path)) return err(REFUSED);
      const listening = await listenOn(accepting(accepted, true), { path });
      if (listening.ok) return listening;
      const { existsSync, statSync, unlinkSync } = process.getBuiltinModule('node:fs');
      // libuv says EACCES for both.
      if (listening.error.detail === 'EACCES' && !existsSync(process.getBuiltinModule('node:path').dirname(path)))
        return err({ reason: 'failed', detail: 'ENOENT' });
      if (listening.error.detail !== 'EADDRINUSE') return listening;
      // A process that was killed leaves its socket behind: one that nobody answers at is removed.
      try {
        const before = statSync(path);
        if (!before.isSocket() || (await isAnswered(net, path)) || statSync(path).ino !== before.ino) return listening;
        unlinkSync(path);
      } catch (error) {
        return err({ reason: 'failed', detail: nameOf(error) });
      }
      return listenOn(accepting(accepted, true), { path });
    },
    listenDatagrams(at, received): Promise<Result<HostDatagrams & HostListener, NetworkFault>> {
      if (!mayListen(at)) return Promise.resolve(err(REFUSED));
      const socket = dgram.createSocket('udp4');
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
      dns
        .getServers()
        .filter((server) => net.isIPv4(server))
        .map((address) => ({ address, port: 53 })),
  };
}
