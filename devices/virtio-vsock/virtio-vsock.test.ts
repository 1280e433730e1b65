import * as assert from 'uvu/assert';
import { MemoryNetwork } from '../../test/drivers/memory-network.js';
import { spec } from '../../test/harness/spec.js';
import { OPERATION, SHUTDOWN, STREAM } from './vsock.wire.js';
import { CONNECTIONS_MAX, CREDIT_BYTES, DATA_BYTES_MAX, VsockConnections } from './vsock-connections.js';

const test = spec('virtio sockets');

const none = new Uint8Array(0);
const packet = (operation: number, more: object = {}) => ({
  ...{
    guestPort: 1000,
    hostPort: 5,
    operation,
    flags: 0,
    bufferBytes: 1 << 16,
    forwardedBytes: 0,
    targetCid: 2,
    type: STREAM,
  },
  ...more,
});

function connected(): { connections: VsockConnections; network: MemoryNetwork } {
  const network = new MemoryNetwork();
  const connections = new VsockConnections(network, '/path', () => undefined);
  connections.fromGuest(packet(OPERATION.request), none);
  network.streams[0]?.events?.opened();
  assert.is(connections.next(100)?.operation, OPERATION.response);
  return { connections, network };
}

test('a guest reaches PATH_PORT, or hears a reset; data stop at the credit of either side', () => {
  const { connections, network } = connected();
  const [stream] = network.streams;
  assert.ok(stream !== undefined);
  assert.is(stream.to.address, '/path_5');
  stream.events?.data(new Uint8Array(100_000));
  let got = 0;
  for (let next = connections.next(4096); next?.operation === OPERATION.data; next = connections.next(4096)) {
    got += next.data.byteLength;
  }
  assert.is(got, 1 << 16, 'no more than the guest has room for');
  connections.fromGuest(packet(OPERATION.creditUpdate, { forwardedBytes: 1 << 16 }), none);
  assert.is(connections.next(4096)?.operation, OPERATION.data);
  stream.pendingBytes = CREDIT_BYTES;
  connections.fromGuest(packet(OPERATION.data), new Uint8Array(DATA_BYTES_MAX));
  assert.is(connections.next(4096)?.operation, OPERATION.reset, 'it has sent more than it may');
  assert.ok(stream.wasReset || stream.ended);
  connections.fromGuest(packet(OPERATION.data), none);
  assert.is(connections.next(4096)?.operation, OPERATION.reset, 'nobody is there');
});

test('half-closed connections, and hosts that end', () => {
  const { connections, network } = connected();
  const [stream] = network.streams;
  assert.ok(stream !== undefined);
  connections.fromGuest(packet(OPERATION.shutdown, { flags: SHUTDOWN.send }), none);
  assert.ok(stream.ended);
  stream.events?.data(Uint8Array.of(1));
  stream.events?.ended();
  assert.is(connections.next(100)?.operation, OPERATION.data);
  assert.equal([connections.next(100)?.flags, connections.next(100)], [SHUTDOWN.send, undefined]);
  stream.events?.closed(undefined);
  assert.is(connections.next(100)?.operation, OPERATION.reset);
  assert.equal(connections.counts, { connections: 0, sockets: 0 });
});

test('a host says CONNECT and hears OK; anything else is ended; connections are limited', () => {
  const network = new MemoryNetwork();
  const connections = new VsockConnections(network, '/path', () => undefined);
  const dial = (text: string) => {
    const stream = network.connectLocal('host', { opened() {}, data() {}, drained() {}, ended() {}, closed() {} });
    connections.accept(stream).data(Buffer.from(text));
    return network.streams.at(-1);
  };
  for (const text of ['HELLO\n', 'CONNECT 4294967296\n', 'CONNECT -1\n', 'x'.repeat(100)])
    assert.ok(dial(text)?.wasReset);
  const stream = dial('CONNECT 80\nmore');
  const request = connections.next(100);
  assert.ok(request !== undefined && request.operation === OPERATION.request && request.guestPort === 80);
  connections.fromGuest(packet(OPERATION.response, { guestPort: 80, hostPort: request.hostPort }), none);
  assert.is(stream?.text, `OK ${request.hostPort}\n`);
  assert.is(Buffer.from(connections.next(100)?.data ?? none).toString(), 'more');
  for (let port = 0; port < 2 * CONNECTIONS_MAX; port++)
    connections.fromGuest(packet(OPERATION.request, { guestPort: port }), none);
  assert.ok(connections.counts.sockets <= CONNECTIONS_MAX);
});

test.run();
