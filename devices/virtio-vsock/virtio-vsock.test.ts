import * as assert from 'uvu/assert';
import { seededRandom } from '../../actors/runtime/random.js';
import { STAGE2_RIGHTS } from '../../actors/shared-state/stage2/stage2-map.js';
import { MemoryNetwork } from '../../test/drivers/memory-network.js';
import { GUEST_AT, type Ring, VirtioDriver } from '../../test/drivers/virtio-driver.js';
import { spec } from '../../test/harness/spec.js';
import { VirtioDevice } from '../virtio/virtio-device.js';
import { DESCRIPTOR, FEATURE, featureWords } from '../virtio/wire.js';
import { deliver, takePacket } from './virtio-vsock.actor.js';
import { HEAD_BYTES, OPERATION, PacketHead, SHUTDOWN, STREAM } from './vsock.wire.js';
import { CONNECTIONS_MAX, CREDIT_BYTES, DATA_BYTES_MAX, VsockConnections } from './vsock-connections.js';

const test = spec('virtio sockets');
const PAGE = 4096;
const { read, all } = STAGE2_RIGHTS;
const CID = 3;
const RECEIVE: Ring = { index: 0, size: 16, descriptors: GUEST_AT, available: GUEST_AT + 1024, used: GUEST_AT + 2048 };
const SEND: Ring = {
  ...RECEIVE,
  index: 1,
  descriptors: GUEST_AT + PAGE,
  available: GUEST_AT + PAGE + 1024,
  used: GUEST_AT + PAGE + 2048,
};
const OUT = GUEST_AT + 2 * PAGE;
const IN = GUEST_AT + 4 * PAGE;

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

test(
  '200,000 random packets and chains, half changed while in use: within the limits, and nothing outside the guest',
  () => {
    const SEED = 0x7650;
    const random = seededRandom(SEED, 'packets');
    const network = new MemoryNetwork();
    const connections = new VsockConnections(network, '/path', () => undefined);
    const driver = new VirtioDriver([all, all, all, all, all, all, read, 0]);
    const shape = {
      deviceId: 19,
      features: [],
      queueSizes: [16, 16, 16],
      configBytes: 8,
      configWritable: [0, 0],
    } as const;
    const device = new VirtioDevice(driver.place, shape, { ring: () => undefined, warn: () => undefined });
    const start = (): void => {
      driver.negotiate(featureWords([FEATURE.version1]));
      for (const ring of [RECEIVE, SEND]) {
        driver.view.setUint32(driver.host(ring.available), 0, true);
        driver.view.setUint32(driver.host(ring.used), 0, true);
        driver.setUp(ring);
      }
      driver.go();
      connections.clear();
      for (const stream of network.streams.splice(0)) stream.events?.closed(undefined);
    };
    start();
    const before = driver.untouchable.map((memory) => memory.slice());
    const meddle = (): void => {
      driver.bytes[driver.host(OUT + random.below(48))] = random.below(256);
      driver.describe(SEND.descriptors, random.below(2), {
        address: GUEST_AT + random.below(9 * PAGE),
        bytes: random.below(9000),
        flags: random.below(4),
        next: random.below(3),
      });
    };
    const met = { sent: 0, delivered: 0, resets: 0 };
    const anywhere = (): number => GUEST_AT + random.below(9 * PAGE);
    for (let round = 0; round < 200_000; round++) {
      const lengthBytes = random.oneIn(40) ? random.u32() : random.below(3000);
      PacketHead.write(driver.view, driver.host(OUT), {
        sourceCid: BigInt(random.oneIn(50) ? random.u32() : CID),
        targetCid: BigInt(random.oneIn(50) ? random.u32() : 2),
        sourcePort: random.below(6),
        targetPort: random.oneIn(20) ? random.u32() : random.below(4),
        lengthBytes,
        type: random.oneIn(60) ? random.below(4) : STREAM,
        operation: random.oneIn(40) ? random.below(65536) : random.below(9),
        flags: random.below(5),
        bufferBytes: random.oneIn(3) ? random.u32() : 1 << 16,
        forwardedBytes: random.oneIn(3) ? random.u32() : 0,
        beyond: 0,
      });
      const bytes = random.oneIn(60) ? random.below(9000) : HEAD_BYTES + Math.min(lengthBytes, 3000);
      driver.describe(SEND.descriptors, 0, {
        address: random.oneIn(80) ? anywhere() : OUT,
        bytes,
        flags: random.oneIn(80) ? random.below(8) : 0,
        next: random.below(3),
      });
      driver.offer(SEND, 0);
      driver.describe(RECEIVE.descriptors, 0, {
        address: random.oneIn(80) ? anywhere() : IN,
        bytes: random.oneIn(80) ? random.below(64) : 4096,
        flags: DESCRIPTOR.write,
        next: 0,
      });
      driver.offer(RECEIVE, 0);
      const stream = network.streams[random.below(Math.max(1, network.streams.length))];
      if (random.oneIn(3)) stream?.events?.opened();
      if (random.oneIn(4)) stream?.events?.data(new Uint8Array(random.below(5000)));
      if (random.oneIn(20)) stream?.events?.ended();
      const [sent, delivered] = [driver.used(SEND).count, driver.used(RECEIVE).count];
      device.serve(1, (chain) => {
        if (round % 2 === 0) meddle();
        return takePacket(connections, CID, chain);
      });
      deliver(device, connections, CID);
      if (driver.used(SEND).count !== sent) met.sent++;
      if (driver.used(RECEIVE).count !== delivered) met.delivered++;
      if (!device.isLive || random.oneIn(500)) {
        met.resets++;
        start();
      }
      assert.ok(connections.counts.sockets <= CONNECTIONS_MAX + 1);
      if (round % 1024 !== 0) continue;
      for (const [i, memory] of driver.untouchable.entries()) {
        assert.ok(Buffer.compare(memory, before[i] ?? none) === 0, `seed ${SEED}, round ${round}`);
      }
    }
    assert.ok(met.sent > 50_000 && met.delivered > 20_000 && met.resets > 500, JSON.stringify(met));
  },
  { deadlineMs: 600_000 },
);

test.run();
