/** Cards that hand frames straight to each other, in workers that are killed while frames are under way. */
import { setTimeout as later } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import type { ActorRef } from '../../actors/runtime/protocol.js';
import { ActorSystem } from '../../actors/runtime/system.js';
import { STAGE2_RIGHTS } from '../../actors/shared-state/stage2/stage2-map.js';
import { frontEndServices } from '../../test/drivers/front-end-services.js';
import { GUEST_AT, REGISTER, type Ring, VirtioDriver } from '../../test/drivers/virtio-driver.js';
import { spec } from '../../test/harness/spec.js';
import type { StraightPath } from '../network/link/card-links.js';
import { createLink, farEnd, LinkEnd, openPort } from '../network/link/frame-link.js';
import { AT, Ethernet, PacketHeader } from '../network/wire/headers.js';
import { DESCRIPTOR, FEATURE, featureWords, STATUS } from '../virtio/wire.js';
import { NET_FEATURE } from './net-frames.js';
import { NetHelper } from './net-helper.js';
import { virtioNetKind } from './virtio-net.actor.js';

const test = spec('killed network cards');
const MINUTE = 60_000;
const PAGE = 4096;
/** A table of this size and both rings fit a page each. */
const SIZE = 64;
const BUFFER_BYTES = 2048;
const RING_PAGES = 3;
const BUFFERS_AT = GUEST_AT + 2 * RING_PAGES * PAGE;
const PAGES = 2 * RING_PAGES + (2 * SIZE * BUFFER_BYTES) / PAGE;
const ringAt = (index: number): Ring => {
  const at = GUEST_AT + index * RING_PAGES * PAGE;
  return { index, size: SIZE, descriptors: at, available: at + PAGE, used: at + 2 * PAGE };
};
const [RECEIVE, TRANSMIT] = [ringAt(0), ringAt(1)] as const;
const MACS = [Uint8Array.of(2, 0, 0, 0, 0, 1), Uint8Array.of(2, 0, 0, 0, 0, 2)] as const;
const NUMBER_AT = AT.ethernet + Ethernet.sizeBytes;
const KILLS = 8;
/** Frames that must arrive each way after a kill before the next one. */
const FRAMES = 300;

const sizeOf = (number: number): number => NUMBER_AT + 4 + ((number * 37) % 1400);
const byteOf = (number: number, at: number): number => (number * 7 + at) & 0xff;

/** A guest that sends numbered frames, and looks at every byte of those that come. */
class Guest {
  readonly driver = new VirtioDriver(Array.from({ length: PAGES }, () => STAGE2_RIGHTS.all));
  card: ActorRef<never> | undefined;
  /** Its vCPU, which moves frames in this thread where it gets the turn before the card's worker. */
  helper: NetHelper | undefined;
  sent = 0;
  arrived = 0;
  #highest = -1;
  #receivedCount = 0;
  readonly #system: ActorSystem;
  readonly #side: 0 | 1;

  constructor(system: ActorSystem, side: 0 | 1) {
    this.#system = system;
    this.#side = side;
  }

  #frameAt(ring: Ring, n: number): number {
    return this.driver.host(BUFFERS_AT + (ring.index * SIZE + (n % SIZE)) * BUFFER_BYTES);
  }
  #notify(ring: Ring): void {
    this.driver.write(REGISTER.notify, ring.index);
    if (this.card !== undefined && this.helper?.notified(ring.index) !== true) this.#system.sender.ring(this.card, 1);
  }

  begin(): void {
    const { driver } = this;
    driver.negotiate(featureWords([FEATURE.version1, NET_FEATURE.mergeableBuffers]));
    for (const ring of [RECEIVE, TRANSMIT]) driver.setUp(ring);
    driver.go();
    for (let n = 0; n < SIZE; n++) {
      const address = BUFFERS_AT + n * BUFFER_BYTES;
      driver.describe(RECEIVE.descriptors, n, { address, bytes: BUFFER_BYTES, flags: DESCRIPTOR.write, next: 0 });
      driver.offer(RECEIVE, n);
    }
    this.#notify(RECEIVE);
  }

  /** Sends as many frames as its ring has room for. */
  send(): void {
    const { driver } = this;
    const done = driver.used(TRANSMIT).count;
    for (; ((this.sent - done) & 0xffff) < SIZE; this.sent++) {
      const at = this.#frameAt(TRANSMIT, this.sent);
      const bytes = sizeOf(this.sent);
      driver.bytes.fill(0, at, at + PacketHeader.sizeBytes);
      driver.bytes.set(MACS[1 - this.#side] ?? MACS[0], at + AT.ethernet + Ethernet.offsets.to);
      driver.bytes.set(MACS[this.#side], at + AT.ethernet + Ethernet.offsets.from);
      driver.view.setUint16(at + AT.ethernet + Ethernet.offsets.type, 0x88b5);
      driver.view.setUint32(at + NUMBER_AT, this.sent);
      for (let i = NUMBER_AT + 4; i < bytes; i++) driver.bytes[at + i] = byteOf(this.sent, i);
      const address = BUFFERS_AT + (SIZE + (this.sent % SIZE)) * BUFFER_BYTES;
      driver.describe(TRANSMIT.descriptors, this.sent % SIZE, { address, bytes, flags: 0, next: 0 });
      driver.offer(TRANSMIT, this.sent % SIZE);
    }
    this.#notify(TRANSMIT);
  }

  /** Takes what has arrived. A card that died between giving a frame and taking it from the link gives it again. */
  receive(): void {
    const { driver } = this;
    this.helper?.wakes();
    const count = driver.used(RECEIVE).count;
    for (; this.#receivedCount !== count; this.#receivedCount = (this.#receivedCount + 1) & 0xffff) {
      const entry = driver.host(RECEIVE.used + 4 + (this.#receivedCount % SIZE) * 8);
      const [head, written] = [driver.view.getUint32(entry, true), driver.view.getUint32(entry + 4, true)];
      const at = this.#frameAt(RECEIVE, head);
      const number = driver.view.getUint32(at + NUMBER_AT);
      assert.is(written, sizeOf(number), `frame ${number}`);
      for (let i = NUMBER_AT + 4; i < written; i++) {
        if (driver.bytes[at + i] !== byteOf(number, i)) throw new Error(`byte ${i} of frame ${number} is damaged`);
      }
      if (number > this.#highest) {
        this.#highest = number;
        this.arrived++;
      }
      driver.bytes.fill(0, at, at + BUFFER_BYTES);
      driver.offer(RECEIVE, head);
    }
    this.#notify(RECEIVE);
    this.helper?.rests(() => false);
  }
}

for (const isHelped of [false, true]) {
  test(
    `of two cards that talk straight${isHelped ? ', helped by vCPUs,' : ''} one is killed: the other goes on, nothing arrives damaged, and frames flow again`,
    async () => {
      const lines: string[] = [];
      const system = new ActorSystem({ onLog: ({ text }) => void lines.push(text) });
      try {
        const links = [createLink(4), createLink(4)];
        const straight = createLink(16);
        for (const [n, link] of links.entries()) openPort(link, MACS[n]);
        const guests = [new Guest(system, 0), new Guest(system, 1)];
        for (const [n, guest] of guests.entries()) {
          const [link, port] = [links[n], links[1 - n]];
          if (link === undefined || port === undefined) throw new Error('there are two links');
          const path: StraightPath = { link: n === 0 ? straight : farEnd(straight), port };
          const config = { place: guest.driver.place, mac: MACS[n] ?? MACS[0], link, paths: [path] };
          const card = await system.spawn(virtioNetKind, config, { name: `card${n}` });
          assert.ok(card.ok);
          if (card.ok) guest.card = card.value;
          if (card.ok && isHelped) {
            const ring = (actor: number): void => system.sender.ring({ actor }, 1);
            const { place, mac } = config;
            guest.helper = new NetHelper(
              { place, mac, link, paths: [path] },
              card.value.actor,
              frontEndServices({ ring }),
            );
          }
          guest.begin();
        }
        const flow = async (count: number): Promise<void> => {
          const wanted = guests.map(({ arrived }) => arrived + count);
          while (guests.some(({ arrived }, n) => arrived < (wanted[n] ?? 0))) {
            for (const guest of guests) guest.send();
            for (const guest of guests) guest.receive();
            await later(1);
          }
        };
        await flow(FRAMES);
        for (let n = 0; n < KILLS; n++) {
          const [victim, witness] = n % 2 === 0 ? guests : [...guests].reverse();
          if (victim?.card === undefined || witness === undefined) throw new Error('there are two cards');
          for (const guest of guests) guest.send();
          system.fault(victim.card);
          // What the witness sends meanwhile finds nobody: it is lost when the way is full, and its ring does not stand still.
          const sent = witness.sent;
          while (witness.sent - sent < 4 * SIZE) {
            witness.send();
            witness.receive();
            await later(1);
          }
          await flow(FRAMES);
        }
        for (const { driver } of guests) assert.is(driver.read(REGISTER.status) & STATUS.needsReset, 0);
        for (const link of links) {
          assert.not.ok(LinkEnd.attach(farEnd(link), 1, () => undefined).waiting, 'the switch has got nothing');
        }
        assert.equal(
          lines.filter((line) => /fault|reset/.test(line)),
          [],
        );
      } finally {
        await system.close();
      }
    },
    { deadlineMs: 3 * MINUTE },
  );
}

test.run();
