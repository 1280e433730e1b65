import * as assert from 'uvu/assert';
import { STAGE2_RIGHTS } from '../../actors/shared-state/stage2/stage2-map.js';
import { DeviceActor } from '../../test/drivers/device-actor.js';
import { GUEST_AT, INTID, REGISTER, type Ring, VirtioDriver } from '../../test/drivers/virtio-driver.js';
import { spec } from '../../test/harness/spec.js';
import { createLink, farEnd, LinkEnd } from '../network/link/frame-link.js';
import { VirtioDevice } from '../virtio/virtio-device.js';
import { FEATURE, featureWords } from '../virtio/wire.js';
import { NET_FEATURE } from './net-frames.js';
import { NetRehearsal } from './net-rehearsal.js';
import virtioNet from './virtio-net.actor.js';

const test = spec('rehearsal of a network card');
const PAGE = 4096;
const PAGES = 6;
const FRAME_BYTES = 60;
const RING: Ring = {
  index: 1,
  size: 16,
  descriptors: GUEST_AT,
  available: GUEST_AT + PAGE,
  used: GUEST_AT + 2 * PAGE,
};
const FEATURES = featureWords([FEATURE.version1, NET_FEATURE.mergeableBuffers]);

test('every frame of it arrives, rings go to the actor itself, and nothing is at fault', () => {
  for (const hasPaths of [true, false]) {
    const [rung, warned]: [Set<number>, string[]] = [new Set(), []];
    const services = { ring: (actor: number) => void rung.add(actor), warn: (text: string) => void warned.push(text) };
    const shape = {
      ...{ deviceId: 1, features: Object.values(NET_FEATURE), queueSizes: [256, 256] },
      ...{ configBytes: 20, configWritable: [0, 0] as const },
    };
    const makeDevice: ConstructorParameters<typeof NetRehearsal>[0]['makeDevice'] = (place, lent) =>
      new VirtioDevice(place, shape, lent);
    const rehearsal = new NetRehearsal({ self: 9, services, hasPaths, makeDevice });
    let rounds = 1;
    while (rehearsal.step()) rounds++;
    assert.is(rehearsal.frames, 2 * rounds);
    assert.ok(rounds >= 1_500, `${rounds} rounds compile what moves frames`);
    assert.equal([[...rung], warned], [[9], []]);
  }
});

test('the guest, its link and its figures see nothing of it, and a frame of theirs waits for one round at most', async () => {
  const driver = new VirtioDriver(Array.from({ length: PAGES }, () => STAGE2_RIGHTS.all));
  const link = createLink(4);
  const far = LinkEnd.attach(farEnd(link), 8, () => undefined);
  const mac = new Uint8Array(6);
  const actor = await DeviceActor.start(virtioNet, { place: driver.place, mac, link, rehearses: true });
  assert.is(actor.turn(), false, 'nothing is rehearsed before a driver is there');
  driver.negotiate(FEATURES);
  driver.setUp(RING);
  driver.go();
  driver.describe(RING.descriptors, 0, { address: GUEST_AT + 3 * PAGE, bytes: FRAME_BYTES, flags: 0, next: 0 });
  assert.is(actor.turn(), true);
  const memory = Buffer.from(driver.bytes);
  const registers = Buffer.from(new Uint8Array(driver.place.registers).slice());
  for (let n = 0; n < 50; n++) assert.is(actor.turn(), true);
  const { counters } = actor.state.net;
  // Of the machine's memory only the word has changed that counts the card's turns in it, as whenever the card is woken.
  const changed = [...memory.keys()].filter((at) => memory[at] !== driver.bytes[at]);
  const [first = 0] = changed;
  assert.ok(changed.length <= 4 && (changed.at(-1) ?? 0) - first < 4, `bytes ${changed.join(' ')} have changed`);
  assert.equal(Buffer.from(new Uint8Array(driver.place.registers).slice()), registers);
  assert.equal(Object.values(counters), [0, 0, 0, 0, 0, 0]);
  assert.equal([far.waiting, driver.takeInterrupt()], [false, false], `interrupt ${INTID}`);
  driver.offer(RING, 0);
  driver.write(REGISTER.notify, RING.index);
  actor.turn();
  assert.equal([far.next(), driver.used(RING).count], [FRAME_BYTES, 1]);
  far.drain();
  actor.turns();
  assert.equal([actor.turn(), far.waiting, counters.sentFrames], [false, false, 1]);
});

test.run();
