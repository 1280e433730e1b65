import * as assert from 'uvu/assert';
import { STAGE2_RIGHTS } from '../../actors/shared-state/stage2/stage2-map.js';
import { DeviceActor } from '../../test/drivers/device-actor.js';
import { GUEST_AT, REGISTER, type Ring, VirtioDriver } from '../../test/drivers/virtio-driver.js';
import { spec } from '../../test/harness/spec.js';
import { FEATURE, featureWords, INTERRUPT, STATUS } from '../virtio/wire.js';
import { BALLOON_FEATURE, BALLOON_QUEUE, STATISTICS } from './balloon.wire.js';
import { createBalloonLedger } from './balloon-ledger.js';
import virtioBalloon, { type BalloonState } from './virtio-balloon.actor.js';

const test = spec('virtio balloon');
const PAGE = 4096;
const PAGES = 12;
const FIRST = GUEST_AT / PAGE;
const { all } = STAGE2_RIGHTS;
/** The guest's memory, of which the last page is not there. */
const RAM_BYTES = PAGES * PAGE;
const DATA = GUEST_AT + 9 * PAGE;
const RINGS = Object.values(BALLOON_QUEUE).map((index): Ring => {
  const descriptors = GUEST_AT + index * 3 * PAGE;
  return { index, size: 128, descriptors, available: descriptors + PAGE, used: descriptors + 2 * PAGE };
});

async function bench(options: { targetBytes?: number; deflateOnOom?: boolean; incarnation?: number } = {}) {
  const driver = new VirtioDriver(Array.from({ length: PAGES }, (_, page) => (page === PAGES - 1 ? 0 : all)));
  const ledger = createBalloonLedger(RAM_BYTES);
  const { targetBytes = 0, deflateOnOom = false } = options;
  const config = { place: driver.place, ramBase: GUEST_AT, ramBytes: RAM_BYTES, ledger, targetBytes, deflateOnOom };
  const live = (incarnation = 0) => DeviceActor.start(virtioBalloon, config, { incarnation });
  const actor = await live();
  const begin = (): void => {
    driver.negotiate(featureWords([FEATURE.version1, BALLOON_FEATURE.mustTellHost, BALLOON_FEATURE.statistics]));
    for (const ring of RINGS) {
      driver.view.setUint32(driver.host(ring.available), 0, true);
      driver.view.setUint32(driver.host(ring.used), 0, true);
      driver.setUp(ring);
    }
    driver.go();
    actor.turns();
  };
  begin();
  const send = (queue: number, bytes: Uint8Array, length = bytes.length): number => {
    const ring = RINGS[queue];
    assert.ok(ring !== undefined);
    driver.bytes.set(bytes, driver.host(DATA));
    driver.describe(ring.descriptors, 0, { address: DATA, bytes: length, flags: 0, next: 0 });
    driver.offer(ring, 0);
    driver.write(REGISTER.notify, queue);
    actor.turns();
    return driver.used(ring).count;
  };
  const move = (queue: number, ...pages: readonly number[]): number =>
    send(queue, new Uint8Array(Uint32Array.from(pages).buffer));
  const state = (of = actor): BalloonState => {
    const answer = of.declaration.on.state(of.state, {}, of.context);
    if (answer instanceof Promise || !answer.ok) throw new Error('no answer');
    return answer.value;
  };
  return { driver, actor, live, begin, send, move, state };
}

/** A statistic as the driver writes it. */
function statistic(tag: number, value: bigint): number[] {
  const view = new DataView(new ArrayBuffer(10));
  view.setUint16(0, tag, true);
  view.setBigUint64(2, value, true);
  return [...new Uint8Array(view.buffer)];
}

test('the target is in the configuration, changes are announced, and the driver writes what it has given up', async () => {
  const { driver, actor } = await bench({ targetBytes: 3 * PAGE + 5 });
  assert.is(driver.read(REGISTER.deviceId), 5);
  assert.is(driver.read(REGISTER.config), 3);
  const setTarget = (bytes: number): void => void actor.declaration.on.setTarget(actor.state, { bytes }, actor.context);
  setTarget(5 * PAGE);
  assert.is(driver.read(REGISTER.config), 5);
  assert.is(driver.read(REGISTER.interruptStatus), INTERRUPT.configChange);
  for (const [bytes, pages] of [
    [2 ** 50, PAGES],
    [-1, 0],
  ] as const) {
    setTarget(bytes);
    assert.is(driver.read(REGISTER.config), pages);
  }
  driver.write(REGISTER.config, 9);
  driver.write(REGISTER.config + 4, 7);
  assert.equal([driver.read(REGISTER.config), driver.read(REGISTER.config + 4)], [0, 7]);
});

test('deflate on OOM is offered only where it was asked for', async () => {
  for (const deflateOnOom of [false, true]) {
    const { driver } = await bench({ deflateOnOom });
    driver.write(REGISTER.deviceFeaturesSelect, 0);
    const offered = driver.read(REGISTER.deviceFeatures);
    assert.is((offered & (1 << BALLOON_FEATURE.deflateOnOom)) !== 0, deflateOnOom);
  }
});

test('pages count once, whatever the guest says; what is not its memory does not count', async () => {
  const { move, state } = await bench();
  const { inflate, deflate } = BALLOON_QUEUE;
  assert.is(move(inflate, FIRST, FIRST + 1, FIRST + 1), 1);
  assert.is(state().heldBytes, 2 * PAGE);
  move(inflate, 0, FIRST - 1, FIRST + PAGES, 0xffff_ffff, FIRST + PAGES - 1);
  assert.equal([state().heldBytes, state().refused], [2 * PAGE, 5]);
  move(deflate, FIRST + 1, FIRST + 1, FIRST + 2, 0xffff_ffff);
  assert.equal([state().heldBytes, state().refused], [PAGE, 6]);
});

test('a list that is too long or not there asks for a reset, after which everything is the guest\u2019s', async () => {
  for (const [bytes, length] of [
    [4, 4 * PAGE],
    [4, 0xffff_fffc],
  ] as const) {
    const { driver, begin, send, move, state } = await bench();
    move(BALLOON_QUEUE.inflate, FIRST);
    assert.is(send(BALLOON_QUEUE.inflate, new Uint8Array(bytes), length), 1);
    assert.is(driver.read(REGISTER.status) & STATUS.needsReset, STATUS.needsReset);
    assert.is(state().heldBytes, PAGE);
    begin();
    assert.is(state().heldBytes, 0);
    move(BALLOON_QUEUE.inflate, FIRST + 3);
    assert.is(state().heldBytes, PAGE);
  }
});

test('statistics are read when they come, and asked for anew by whoever wants to know', async () => {
  const { driver, send, state } = await bench();
  const free = STATISTICS.indexOf('freeBytes');
  const report = Uint8Array.from([...statistic(free, 5n << 20n), ...statistic(999, 1n), 1, 2, 3]);
  assert.is(send(BALLOON_QUEUE.statistics, report), 0, 'the buffer stays here until new ones are wanted');
  assert.equal(state().statistics, { freeBytes: 5 << 20 });
  const [, , ring] = RINGS;
  assert.ok(ring !== undefined);
  assert.is(driver.used(ring).count, 1);
  assert.ok(driver.takeInterrupt());
  assert.is(state().reports, 1);
  assert.is(driver.used(ring).count, 1, 'the driver has not answered yet');
  send(BALLOON_QUEUE.statistics, Uint8Array.from(statistic(free, 6n << 20n)));
  assert.equal([state().statistics, state().reports], [{ freeBytes: 6 << 20 }, 2]);
});

test('a successor knows what is in the balloon and what was wanted', async () => {
  const { driver, live, move, state } = await bench({ targetBytes: 2 * PAGE });
  move(BALLOON_QUEUE.inflate, FIRST, FIRST + 5);
  const successor = await live(1);
  assert.equal([state(successor).heldBytes, state(successor).targetBytes], [2 * PAGE, 2 * PAGE]);
  driver.write(REGISTER.status, 0);
  successor.turns();
  assert.is(state(successor).heldBytes, 0);
});

test.run();
