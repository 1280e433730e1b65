/**
 * What a card does while its guest has nothing for it: two made-up cards, with made-up guests, send each other frames through the
 * functions that move the real ones. V8 interprets those for some 2,500 frames before it compiles them well, which takes ordinary
 * traffic minutes and makes every answer wait (docs/adr/0255). Everything is private to this object.
 */
import { CardLinks, type StraightPath } from '../network/link/card-links.js';
import { createLink, farEnd, openPort } from '../network/link/frame-link.js';
import { AT, Ethernet, PacketHeader } from '../network/wire/headers.js';
import { MadeUpGuest } from '../virtio/made-up-guest.js';
import type { VirtioDevice, VirtioPlace, VirtioServices } from '../virtio/virtio-device.js';
import { DESCRIPTOR, Descriptor } from '../virtio/wire.js';
import { moveFrames, NET_QUEUE, type NetState, newNetState } from './net-frames.js';

/** What it needs of the actor. */
export interface RehearsalParts {
  /** Number of the actor, which is rung instead of all that the made-up cards would ring: a turn more costs it nothing. */
  readonly self: number;
  readonly services: VirtioServices;
  /** As the real card: with straight paths or without. */
  readonly hasPaths: boolean;
  /** Makes the card's device at a place. */
  readonly makeDevice: (place: VirtioPlace, services: VirtioServices) => VirtioDevice;
}

/** Rounds of a rehearsal, of a frame each way. */
const ROUNDS = 2_000;
const LINK_DEPTH = 4;
/** Like a Linux guest's. */
const RECEIVE_BUFFERS = 64;
const RECEIVE_BYTES = 1536;
/** A ping, and a full frame of three pieces after every so many. */
const SMALL_BYTES = PacketHeader.sizeBytes + 98;
const PIECES = [PacketHeader.sizeBytes + 66, 700, 748] as const;
const ROUNDS_PER_LARGE = 8;
/** Addresses administered by nobody but us (bit 1 of the first byte). */
const MACS = [Uint8Array.of(2, 0, 0, 0, 0, 1), Uint8Array.of(2, 0, 0, 0, 0, 2)] as const;

/** One in the lower half of 32 bits and one in the upper, as addresses of guests are. */
const GUESTS_AT = [0x4000_0000, 0xc000_0000] as const;

/** One of the two. */
class MadeUpCard {
  readonly state: NetState;
  readonly #guest: MadeUpGuest;
  readonly #tableAt: number;

  constructor(side: 0 | 1, parts: RehearsalParts, ends: Pick<StraightPath, 'link'>, paths: readonly StraightPath[]) {
    const { self, services, makeDevice } = parts;
    const guest = new MadeUpGuest(GUESTS_AT[side], 2, RECEIVE_BUFFERS * RECEIVE_BYTES + 8192, self);
    const device = makeDevice(guest.place, services);
    guest.drive();
    this.#guest = guest;
    const links = new CardLinks({ link: ends.link, paths, mac: MACS[side] }, self, services.ring);
    this.state = newNetState(device, links, undefined);
    for (let n = 0; n < RECEIVE_BUFFERS; n++) {
      guest.describe(NET_QUEUE.receive, n, guest.dataAt + n * RECEIVE_BYTES, RECEIVE_BYTES, DESCRIPTOR.write);
      guest.offer(NET_QUEUE.receive, n);
    }
    const frameAt = guest.dataAt + RECEIVE_BUFFERS * RECEIVE_BYTES;
    const addressesAt = frameAt - guest.at + AT.ethernet;
    guest.bytes.set(MACS[side === 0 ? 1 : 0], addressesAt + Ethernet.offsets.to);
    guest.bytes.set(MACS[side], addressesAt + Ethernet.offsets.from);
    guest.describe(NET_QUEUE.transmit, 0, frameAt, SMALL_BYTES, 0);
    this.#tableAt = frameAt + 4096;
    let at = frameAt;
    for (const [n, bytes] of PIECES.entries()) {
      const flags = n < PIECES.length - 1 ? DESCRIPTOR.next : 0;
      guest.describeAt(this.#tableAt + n * Descriptor.sizeBytes, at, bytes, flags, n + 1);
      at += bytes;
    }
    guest.describe(NET_QUEUE.transmit, 1, this.#tableAt, PIECES.length * Descriptor.sizeBytes, DESCRIPTOR.indirect);
  }

  /** Its guest sends a frame. */
  send(isLarge: boolean): void {
    this.#guest.offer(NET_QUEUE.transmit, isLarge ? 1 : 0);
    moveFrames(this.state);
    this.#guest.acknowledge();
  }

  /** Its guest receives what there is and offers as many buffers again. */
  receive(): void {
    const before = this.#guest.used(NET_QUEUE.receive);
    moveFrames(this.state);
    if (!this.#guest.acknowledge()) return;
    const after = this.#guest.used(NET_QUEUE.receive);
    for (let n = before; n !== after; n = (n + 1) & 0xffff) this.#guest.offer(NET_QUEUE.receive, n % RECEIVE_BUFFERS);
  }
}

/** See the file comment. */
export class NetRehearsal {
  readonly #cards: readonly [MadeUpCard, MadeUpCard];
  #rounds = 0;

  constructor(parts: RehearsalParts) {
    const main = createLink(LINK_DEPTH);
    const straight = createLink(LINK_DEPTH);
    const ports = MACS.map((mac) => {
      const port = createLink(1);
      openPort(port, mac);
      return port;
    });
    const [first = main, second = main] = ports;
    const paths = (link: StraightPath['link'], port: StraightPath['port']) => (parts.hasPaths ? [{ link, port }] : []);
    this.#cards = [
      new MadeUpCard(0, parts, { link: main }, paths(straight, second)),
      new MadeUpCard(1, parts, { link: farEnd(main) }, paths(farEnd(straight), first)),
    ];
  }

  /** Frames that have arrived at either card. */
  get frames(): number {
    return this.#cards[0].state.counters.receivedFrames + this.#cards[1].state.counters.receivedFrames;
  }

  /** A round of it, some 20 to 500 microseconds; false when that was the last. */
  step(): boolean {
    const isLarge = this.#rounds % ROUNDS_PER_LARGE === 0;
    const [one, other] = this.#cards;
    one.send(isLarge);
    other.receive();
    other.send(isLarge);
    one.receive();
    return ++this.#rounds < ROUNDS;
  }
}
