import * as assert from 'uvu/assert';
import { STAGE2_RIGHTS } from '../../actors/shared-state/stage2/stage2-map.js';
import { DeviceActor } from '../../test/drivers/device-actor.js';
import { GUEST_AT, REGISTER, type Ring, VirtioDriver } from '../../test/drivers/virtio-driver.js';
import { spec } from '../../test/harness/spec.js';
import { createLink, farEnd, LinkEnd, openPort } from '../network/link/frame-link.js';
import { AT, PacketHeader } from '../network/wire/headers.js';
import { DESCRIPTOR, FEATURE, featureWords, STATUS } from '../virtio/wire.js';
import virtioNet from './virtio-net.actor.js';

const test = spec('virtio network device');
const PAGE = 4096;
const PAGES = 12;
const { all } = STAGE2_RIGHTS;
const MERGEABLE = 15;
/** A ring of 256 entries: its table fills a page. */
const RECEIVE: Ring = {
  index: 0,
  size: 256,
  descriptors: GUEST_AT,
  available: GUEST_AT + PAGE,
  used: GUEST_AT + 2 * PAGE,
};
const DATA = GUEST_AT + 3 * PAGE;
const HEADER_BYTES = PacketHeader.sizeBytes;

type Buffer = readonly [address: number, bytes: number];

/** A device with a driver that has taken `features`, and the far end of its link. */
async function bench(features: readonly number[]) {
  const driver = new VirtioDriver(Array.from({ length: PAGES }, () => all));
  const link = createLink(16);
  const far = LinkEnd.attach(farEnd(link), 8, () => undefined);
  const actor = await DeviceActor.start(virtioNet, { place: driver.place, mac: new Uint8Array(6), link });
  driver.negotiate(featureWords([FEATURE.version1, ...features]));
  driver.setUp(RECEIVE);
  driver.go();
  const used = (n: number): [head: number, written: number] => {
    const at = driver.host(RECEIVE.used + 4 + (n % RECEIVE.size) * 8);
    return [driver.view.getUint32(at, true), driver.view.getUint32(at + 4, true)];
  };
  return {
    ...{ driver, actor, used, counters: actor.state.net.counters },
    /** Offers one-buffer chains, at descriptors from `first` on. */
    offer(buffers: readonly Buffer[], first = 0): void {
      for (const [i, [address, bytes]] of buffers.entries()) {
        driver.describe(RECEIVE.descriptors, first + i, { address, bytes, flags: DESCRIPTOR.write, next: 0 });
      }
      driver.offer(RECEIVE, ...buffers.map((_, i) => first + i));
      driver.write(REGISTER.notify, RECEIVE.index);
    },
    /** A frame of `bytes` arrives that is `fill` all over. */
    arrive(bytes: number, fill: number): void {
      const at = far.reserve();
      assert.ok(at >= 0, 'the link has room');
      far.bytes.fill(0, at, at + HEADER_BYTES).fill(fill, at + HEADER_BYTES, at + HEADER_BYTES + bytes);
      far.commit(HEADER_BYTES + bytes);
      far.flush();
      actor.turns();
    },
  };
}

test('a frame fills as many buffers as it needs, and the first says how many', async () => {
  const { driver, offer, arrive, used, counters } = await bench([MERGEABLE]);
  offer([
    [DATA, 40],
    [DATA + 100, 40],
    [DATA + 200, 40],
  ]);
  arrive(100, 5);
  assert.is(driver.used(RECEIVE).count, 3);
  assert.equal(
    [used(0), used(1), used(2)],
    [
      [0, 40],
      [1, 40],
      [2, 32],
    ],
  );
  assert.is(driver.view.getUint16(driver.host(DATA + PacketHeader.offsets.bufferCount), true), 3);
  assert.is(counters.receivedFrames, 1);
});

test('a frame waits for buffers that the guest can still offer', async () => {
  const { driver, offer, arrive, actor, counters } = await bench([MERGEABLE]);
  offer([[DATA, 40]]);
  arrive(100, 5);
  arrive(20, 6);
  assert.is(driver.used(RECEIVE).count, 0);
  offer(
    [
      [DATA + 100, 100],
      [DATA + 200, 100],
    ],
    1,
  );
  actor.turns();
  assert.is(driver.used(RECEIVE).count, 3);
  assert.equal([counters.receivedFrames, counters.refused], [2, 0]);
});

test('a frame that all the buffers of a ring cannot hold is lost, and those behind it arrive', async () => {
  const { driver, offer, arrive, used, counters } = await bench([MERGEABLE]);
  offer(Array.from({ length: 256 }, (_, i) => [DATA + i * 16, 12]));
  arrive(12 * 256 + 1, 5);
  arrive(24, 6);
  assert.equal([counters.refused, counters.receivedFrames], [1, 1]);
  assert.is(driver.used(RECEIVE).count, 3);
  assert.equal(used(0), [0, 12]);
  assert.is(driver.view.getUint8(driver.host(DATA + 16)), 6);
});

test('the same when chains of several descriptors fill the table before the ring is full', async () => {
  const { driver, arrive, counters } = await bench([MERGEABLE]);
  const { next, write } = DESCRIPTOR;
  for (let i = 0; i < 256; i++) {
    const flags = i % 4 === 3 ? write : write | next;
    driver.describe(RECEIVE.descriptors, i, { address: DATA + i * 16, bytes: 3, flags, next: i + 1 });
  }
  driver.offer(RECEIVE, ...Array.from({ length: 64 }, (_, i) => i * 4));
  arrive(1000, 5);
  arrive(24, 6);
  assert.equal([counters.refused, counters.receivedFrames], [1, 1]);
  assert.is(driver.used(RECEIVE).count, 3);
});

test('a buffer that cannot hold the packet header, or without merging the frame, goes back empty', async () => {
  for (const features of [[MERGEABLE], []]) {
    const { offer, arrive, used, driver, counters } = await bench(features);
    offer([
      [DATA, 11],
      [DATA + 100, 100],
    ]);
    arrive(60, 5);
    assert.equal(used(0), [0, 0]);
    arrive(60, 6);
    assert.equal([used(1), driver.used(RECEIVE).count], [[1, 72], 2]);
    assert.equal([counters.refused, counters.receivedFrames], [1, 1]);
    assert.is(driver.view.getUint16(driver.host(DATA + 100 + PacketHeader.offsets.bufferCount), true), 1);
  }
});

test('a buffer into which nothing can be written asks for a reset, and none is given back in its place', async () => {
  for (const before of [0, 1]) {
    const { driver, offer, arrive } = await bench([MERGEABLE]);
    offer(Array.from({ length: before }, () => [DATA, 40]));
    driver.describe(RECEIVE.descriptors, 9, { address: DATA, bytes: 8, flags: 0, next: 0 });
    driver.offer(RECEIVE, 9);
    arrive(100, 5);
    assert.is(driver.used(RECEIVE).count, 0);
    assert.is(driver.read(REGISTER.status) & STATUS.needsReset, STATUS.needsReset);
  }
});

test('an index that the guest changes while the device looks twice uses no chain', async () => {
  const { driver, offer, arrive, actor } = await bench([MERGEABLE]);
  offer([
    [DATA, 40],
    [DATA + 100, 0],
  ]);
  const { window } = actor.state.net.device;
  const load16 = window.load16.bind(window);
  let looks = 0;
  window.load16 = (ipa) => {
    if (ipa !== RECEIVE.available + 2 || looks++ < 2) return load16(ipa);
    return 0x8000;
  };
  arrive(100, 5);
  assert.is(driver.used(RECEIVE).count, 0);
});

test('a frame for a neighbour goes straight, is lost when its queue is full, and is refused when the guest changes it meanwhile', async () => {
  const driver = new VirtioDriver(Array.from({ length: PAGES }, () => all));
  const [link, port, straight] = [createLink(4), createLink(4), createLink(2)];
  const neighbour = Uint8Array.of(0x52, 0x54, 0, 0, 0, 2);
  openPort(port, neighbour);
  const [atSwitch, atNeighbour] = [link, straight].map((memory) => LinkEnd.attach(farEnd(memory), 8, () => undefined));
  const paths = [{ link: straight, port }];
  const actor = await DeviceActor.start(virtioNet, { place: driver.place, mac: new Uint8Array(6), link, paths });
  driver.negotiate(featureWords([FEATURE.version1]));
  const ring = { ...RECEIVE, index: 1 };
  driver.setUp(ring);
  driver.go();
  const send = (count: number): void => {
    driver.offer(ring, ...Array.from({ length: count }, () => 0));
    driver.write(REGISTER.notify, ring.index);
    actor.turns();
  };
  driver.describe(ring.descriptors, 0, { address: DATA, bytes: 60, flags: 0, next: 0 });
  for (const [i, byte] of neighbour.entries()) driver.view.setUint8(driver.host(DATA + AT.ethernet + i), byte);
  send(3);
  const { counters, device } = actor.state.net;
  assert.equal([counters.sentFrames, counters.dropped, driver.used(ring).count], [2, 1, 3]);
  assert.is(atNeighbour?.next(), 60);
  atNeighbour?.drain();
  const copyOut = device.window.copyOut.bind(device.window);
  device.window.copyOut = (ipa, into) => {
    const done = copyOut(ipa, into);
    driver.view.setUint8(driver.host(DATA + AT.ethernet), 0x53);
    return done;
  };
  send(1);
  assert.equal([counters.sentFrames, counters.refused, driver.used(ring).count], [2, 1, 4]);
  assert.equal([atNeighbour?.waiting, atSwitch?.waiting], [false, false]);
  send(1);
  assert.is(atSwitch?.next(), 60);
});

test.run();
