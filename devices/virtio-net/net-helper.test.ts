/** A vCPU that does what its network card's worker does, in turns with it. */
import * as assert from 'uvu/assert';
import { seededRandom } from '../../actors/runtime/random.js';
import { STAGE2_RIGHTS } from '../../actors/shared-state/stage2/stage2-map.js';
import { DeviceActor } from '../../test/drivers/device-actor.js';
import { frontEndServices } from '../../test/drivers/front-end-services.js';
import { GUEST_AT, type Ring, VirtioDriver } from '../../test/drivers/virtio-driver.js';
import { spec } from '../../test/harness/spec.js';
import { createLink, farEnd, LinkEnd, openPort } from '../network/link/frame-link.js';
import { AT, Ethernet } from '../network/wire/headers.js';
import { DeviceBlockView, TURN } from '../virtio/device-block.js';
import { DESCRIPTOR, FEATURE, featureWords, STATUS } from '../virtio/wire.js';
import { NET_FEATURE, NET_QUEUE, TRANSMIT_KICK } from './net-frames.js';
import { NetHelper } from './net-helper.js';
import virtioNet from './virtio-net.actor.js';

const test = spec('a vCPU that helps its network card');
const PAGE = 4096;
const SIZE = 16;
const RING_PAGES = 3;
const BUFFERS_AT = GUEST_AT + 2 * RING_PAGES * PAGE;
const PAGES = 2 * RING_PAGES + 2 * SIZE;
const ringAt = (index: number): Ring => {
  const at = GUEST_AT + index * RING_PAGES * PAGE;
  return { index, size: SIZE, descriptors: at, available: at + PAGE, used: at + 2 * PAGE };
};
const [RECEIVE, TRANSMIT] = [ringAt(0), ringAt(1)] as const;
const MACS = [Uint8Array.of(2, 0, 0, 0, 0, 1), Uint8Array.of(2, 0, 0, 0, 0, 2)] as const;
const CARDS = [20, 21] as const;
const VCPUS = [30, 31] as const;
const NUMBER_AT = AT.ethernet + Ethernet.sizeBytes;
const SMALL_BYTES = 100;
/** More than a helper moves. */
const LARGE_BYTES = 3000;

interface Parts {
  readonly link: ReturnType<typeof createLink>;
  readonly paths: ConstructorParameters<typeof NetHelper>[0]['paths'];
  readonly onRing: (actor: number) => void;
  readonly isAwake?: (actor: number) => boolean;
}

/** A guest with its card's worker and the vCPU that helps it, in the test's thread. */
async function machine(side: 0 | 1, { link, paths, onRing, isAwake = () => false }: Parts) {
  const driver = new VirtioDriver(Array.from({ length: PAGES }, () => STAGE2_RIGHTS.all));
  const [mac, card] = [MACS[side], CARDS[side]];
  const { place } = driver;
  const actor = await DeviceActor.start(virtioNet, { place, mac, link, paths }, { actor: card, onRing });
  driver.negotiate(featureWords([FEATURE.version1, FEATURE.eventIndex, NET_FEATURE.mergeableBuffers]));
  for (const ring of [RECEIVE, TRANSMIT]) driver.setUp(ring);
  driver.go();
  const services = frontEndServices({ ring: onRing, isAwake, self: () => VCPUS[side] });
  const helper = new NetHelper({ place, mac, link, paths }, card, services);
  const view = new DeviceBlockView(place.registers);
  const bufferAt = (ring: Ring, n: number): number => BUFFERS_AT + (ring.index * SIZE + (n % SIZE)) * PAGE;
  const notify = (ring: Ring): void => {
    view.or('kicks', 1 << ring.index);
    if (!helper.notified(ring.index)) onRing(card);
  };
  const got: number[] = [];
  let [sent, received] = [0, 0];
  for (let n = 0; n < SIZE; n++) {
    const address = bufferAt(RECEIVE, n);
    driver.describe(RECEIVE.descriptors, n, { address, bytes: PAGE, flags: DESCRIPTOR.write, next: 0 });
    driver.offer(RECEIVE, n);
  }
  return {
    ...{ driver, actor, helper, view, got },
    get sent(): number {
      return sent;
    },
    /** Sends the next frame, `bytes` long, if its ring has room. */
    send(bytes: number): void {
      if (((sent - driver.used(TRANSMIT).count) & 0xffff) === SIZE) return;
      const at = driver.host(bufferAt(TRANSMIT, sent));
      driver.bytes.fill(0, at, at + NUMBER_AT);
      driver.bytes.set(MACS[side === 0 ? 1 : 0], at + AT.ethernet + Ethernet.offsets.to);
      driver.bytes.set(mac, at + AT.ethernet + Ethernet.offsets.from);
      driver.view.setUint32(at + NUMBER_AT, sent);
      driver.bytes.fill(sent & 0xff, at + NUMBER_AT + 4, at + bytes);
      driver.describe(TRANSMIT.descriptors, sent % SIZE, {
        address: bufferAt(TRANSMIT, sent),
        bytes,
        flags: 0,
        next: 0,
      });
      driver.offer(TRANSMIT, sent % SIZE);
      sent++;
      notify(TRANSMIT);
    },
    /** Takes what has arrived and offers its buffers again. */
    receive(): void {
      const before = received;
      for (const { count } = driver.used(RECEIVE); received !== count; received = (received + 1) & 0xffff) {
        const entry = driver.host(RECEIVE.used + 4 + (received % SIZE) * 8);
        const [head, written] = [driver.view.getUint32(entry, true), driver.view.getUint32(entry + 4, true)];
        const at = driver.host(bufferAt(RECEIVE, head));
        const number = driver.view.getUint32(at + NUMBER_AT);
        const rest = driver.bytes.subarray(at + NUMBER_AT + 4, at + written);
        if (rest.some((byte) => byte !== (number & 0xff))) throw new Error(`frame ${number} is damaged`);
        got.push(number);
        driver.offer(RECEIVE, head);
      }
      if (received !== before) notify(RECEIVE);
    },
  };
}

test('whoever of card and vCPU is rung moves frames: each arrives once, in order, and none is left lying', async () => {
  for (let seed = 1; seed <= 30; seed++) {
    const random = seededRandom(seed, 'helper');
    const below = (n: number): number => random.u32() % n;
    const rung = new Set<number>();
    const onRing = (actor: number): void => void rung.add(actor);
    const isAwake = (): boolean => below(4) === 0;
    const links = [createLink(4), createLink(4)] as const;
    const straight = createLink(seed % 3 === 0 ? 2 : 32);
    for (const [n, link] of links.entries()) openPort(link, MACS[n]);
    const sides = [
      await machine(0, { link: links[0], paths: [{ link: straight, port: links[1] }], onRing, isAwake }),
      await machine(1, { link: links[1], paths: [{ link: farEnd(straight), port: links[0] }], onRing, isAwake }),
    ] as const;
    const runs = (actor: number): void => {
      rung.delete(actor);
      const side = CARDS[0] === actor || VCPUS[0] === actor ? sides[0] : sides[1];
      if (actor < VCPUS[0]) side.actor.turns();
      else {
        side.helper.wakes();
        side.receive();
        for (let left = below(4); left > 0 && side.sent < 300; left--)
          side.send(below(8) === 0 ? LARGE_BYTES : SMALL_BYTES);
        side.helper.rests(() => false);
      }
    };
    for (let step = 0; step < 2_000; step++) {
      const ready = [...rung, VCPUS[below(2)] ?? 0];
      runs(ready[below(ready.length)] ?? 0);
    }
    // Nobody sends any more; guests look as their interrupts tell them.
    for (const side of sides) side.helper.wakes();
    for (let rounds = 0; rounds < 50; rounds++) {
      for (const actor of [...rung].filter((one) => one < VCPUS[0])) runs(actor);
      for (const side of sides) side.receive();
    }
    for (const [n, side] of sides.entries()) {
      const { sent } = sides[n === 0 ? 1 : 0];
      const { dropped, refused } = sides[n === 0 ? 1 : 0].actor.state.net.counters;
      const isRising = side.got.every((number, i) => i === 0 || number > (side.got[i - 1] ?? 0));
      assert.ok(isRising, `seed ${seed}: in order and once`);
      assert.is(refused, 0);
      // A full straight way loses frames, whoever meets it (ADR 205); a long one is never full here.
      if (seed % 3 !== 0) assert.equal([side.got.length, dropped], [sent, 0], `seed ${seed}`);
      else assert.ok(side.got.length > 0);
      assert.is(side.view.get('turn'), TURN.nobody);
      assert.is(side.driver.read(0x70) & STATUS.needsReset, 0);
    }
  }
});

async function alone(isAwake = false) {
  const rung: number[] = [];
  const link = createLink(4);
  const far = LinkEnd.attach(farEnd(link), 8, (actor) => void rung.push(actor));
  const parts = { link, paths: [], onRing: (actor: number) => void rung.push(actor), isAwake: () => isAwake };
  return { ...(await machine(0, parts)), far, rung };
}

test('a notification is the vCPU to see to while the worker sleeps and nobody has the turn, and what is large is left', async () => {
  const one = await alone();
  one.send(SMALL_BYTES);
  assert.equal([one.rung, one.far.next()], [[8], SMALL_BYTES]);
  one.far.drain();
  one.send(LARGE_BYTES);
  assert.equal([one.rung, one.far.next(), one.view.get('kicks')], [[8, CARDS[0]], 0, TRANSMIT_KICK]);
  one.actor.turns();
  assert.is(one.far.next(), LARGE_BYTES);
  one.far.drain();
  // Then it lets some go by, as more of the sort may follow.
  let passed = -1;
  for (let isLeft = true; isLeft; passed++) {
    one.rung.length = 0;
    one.send(SMALL_BYTES);
    isLeft = one.rung.includes(CARDS[0]);
    one.actor.turns();
    one.far.drain();
  }
  assert.ok(passed > 10 && passed < 100, `${passed} notifications are left to the worker`);
  const two = await alone();
  two.view.set('turn', TURN.worker);
  two.send(SMALL_BYTES);
  assert.equal([two.rung.at(-1), two.far.next()], [CARDS[0], 0]);
  two.view.set('turn', TURN.vcpu(0));
  assert.is(two.actor.turn(), false, 'the worker comes back later');
  assert.is(two.far.next(), 0);
  two.view.set('turn', TURN.nobody);
  two.actor.turns();
  assert.is(two.far.next(), SMALL_BYTES);
  const busy = await alone(true);
  busy.send(SMALL_BYTES);
  assert.equal([busy.rung, busy.far.next()], [[CARDS[0]], 0]);
});

test('a sleeping vCPU is rung for frames and hands them over itself, one that is awake is not', async () => {
  const { helper, far, rung, receive, got, send, actor } = await alone();
  send(SMALL_BYTES);
  const arrive = (): void => {
    const at = far.reserve();
    far.bytes.fill(0, at, at + SMALL_BYTES);
    far.commit(SMALL_BYTES);
    far.flush();
  };
  helper.rests(() => false);
  rung.length = 0;
  arrive();
  assert.equal(rung, [VCPUS[0]]);
  helper.wakes();
  receive();
  assert.is(got.length, 1);
  arrive();
  assert.is(rung.at(-1), CARDS[0]);
  actor.turns();
  receive();
  assert.is(got.length, 2);
});

test('a worker takes over the turn its predecessor died in', async () => {
  const { driver, view } = await alone();
  view.set('turn', TURN.worker);
  const link = createLink(4);
  await DeviceActor.start(virtioNet, { place: driver.place, mac: MACS[0], link }, { incarnation: 1 });
  assert.is(view.get('turn'), TURN.nobody);
  assert.is(NET_QUEUE.transmit, 1);
});

test.run();
