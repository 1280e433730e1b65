/** A host's network in memory: tests play the other side of every socket. */
import type {
  HostDatagrams,
  HostListener,
  HostNetwork,
  HostStream,
  NetworkFault,
  SocketAddress,
  StreamEvents,
} from '../../actors/runtime/network.js';
import { ok, type Result } from '../../bus/result.js';

/** A stream the gateway opened or was given, as its other side sees it. */
export class MemoryStream implements HostStream {
  pendingBytes = 0;
  ended = false;
  wasReset = false;
  paused = false;
  readonly written: Uint8Array[] = [];
  readonly to: SocketAddress;
  events: StreamEvents | undefined;

  constructor(to: SocketAddress) {
    this.to = to;
  }
  get text(): string {
    return Buffer.concat(this.written).toString('latin1');
  }
  write(bytes: Uint8Array): void {
    this.written.push(bytes);
  }
  end(): void {
    this.ended = true;
  }
  reset(): void {
    this.wasReset = true;
  }
  pause(): void {
    this.paused = true;
  }
  resume(): void {
    this.paused = false;
  }
}

/** See the file comment. */
export class MemoryNetwork implements HostNetwork {
  readonly streams: MemoryStream[] = [];
  readonly datagramsSent: { bytes: Uint8Array; to: SocketAddress }[] = [];
  readonly received: ((bytes: Uint8Array, from: SocketAddress) => void)[] = [];
  openSockets = 0;

  connect(to: SocketAddress, events: StreamEvents): HostStream {
    const stream = new MemoryStream(to);
    stream.events = events;
    this.streams.push(stream);
    return stream;
  }
  connectLocal(path: string, events: StreamEvents): HostStream {
    return this.connect({ address: path, port: 0 }, events);
  }
  listenLocal(): Promise<Result<HostListener, NetworkFault>> {
    return Promise.resolve(ok({ port: 0, close: () => undefined }));
  }
  datagrams({ received }: Parameters<HostNetwork['datagrams']>[0]): HostDatagrams {
    this.openSockets++;
    this.received.push(received);
    return {
      send: (bytes, to) => void this.datagramsSent.push({ bytes, to }),
      close: () => void this.openSockets--,
    };
  }
  listen(at: SocketAddress): Promise<Result<HostListener, NetworkFault>> {
    return Promise.resolve(ok({ port: at.port, close: () => undefined }));
  }
  listenDatagrams(at: SocketAddress): Promise<Result<HostDatagrams & HostListener, NetworkFault>> {
    return Promise.resolve(ok({ port: at.port, close: () => undefined, send: () => undefined }));
  }
  nameServers(): readonly SocketAddress[] {
    return [{ address: '192.0.2.53', port: 53 }];
  }
}
