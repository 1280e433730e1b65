import * as assert from 'uvu/assert';
import { FrameGuest } from '../../../test/drivers/frame-guest.js';
import { spec } from '../../../test/harness/spec.js';
import { closePort, createLink, farEnd, LinkEnd, openPort, PortRight } from '../link/frame-link.js';
import { macNumber } from '../wire/addresses.js';
import { allowedPort, LearningSwitch, newPort } from './learning-switch.js';

const test = spec('learning switch');
const EVERYBODY = Uint8Array.of(255, 255, 255, 255, 255, 255);
const macOf = (n: number): Uint8Array => Uint8Array.of(0x52, 0x54, 0, 0, 0, n);

/** A switch with `count` guests; those in `fixed` may use their own address only. */
function bench(
  count: number,
  fixed: readonly number[] = [],
  depth = 8,
): {
  guests: FrameGuest[];
  learning: LearningSwitch;
  clock: { now: number };
} {
  const clock = { now: 0 };
  const learning = new LearningSwitch(() => clock.now);
  const guests = Array.from({ length: count }, (_, n) => {
    const memory = createLink(depth);
    const far = LinkEnd.attach(farEnd(memory), 99, () => undefined);
    learning.attach(newPort(far, fixed.includes(n) ? macNumber(macOf(n)) : undefined));
    return new FrameGuest(
      LinkEnd.attach(memory, n + 1, () => undefined),
      macOf(n),
      0x0a00_0001 + n,
    );
  });
  return { guests, learning, clock };
}
const payloads = (guest: FrameGuest | undefined): number => guest?.take().length ?? -1;

test('an unknown address is flooded, a known one gets its frames alone', () => {
  const { guests, learning } = bench(3);
  guests[0]?.frame(0x88b5, Buffer.from('who is there'), macOf(2));
  learning.turn();
  assert.equal(guests.map(payloads), [0, 1, 1]);
  guests[2]?.frame(0x88b5, Buffer.from('I am'), macOf(0));
  learning.turn();
  assert.equal(guests.map(payloads), [1, 0, 0]);
  guests[1]?.frame(0x88b5, Buffer.from('hello 2'), macOf(2));
  guests[1]?.frame(0x88b5, Buffer.from('hello all'), EVERYBODY);
  learning.turn();
  assert.equal(guests.map(payloads), [1, 0, 2]);
});

test('an address is forgotten after five minutes of silence, and moves with its owner', () => {
  const { guests, learning, clock } = bench(3);
  guests[2]?.frame(0x88b5, Buffer.from('here'), EVERYBODY);
  learning.turn();
  for (const guest of guests) guest.take();
  clock.now = 301_000;
  guests[0]?.frame(0x88b5, Buffer.from('?'), macOf(2));
  learning.turn();
  assert.equal(guests.map(payloads), [0, 1, 1]);
  const traveller = guests[1];
  assert.ok(traveller);
  new FrameGuest(traveller.link, macOf(2), 0).frame(0x88b5, Buffer.from('moved'), EVERYBODY);
  learning.turn();
  for (const guest of guests) guest.take();
  guests[0]?.frame(0x88b5, Buffer.from('?'), macOf(2));
  learning.turn();
  assert.equal(guests.map(payloads), [0, 1, 0]);
});

test('a port with an address of its own cannot speak under another', () => {
  const { guests, learning } = bench(2, [0]);
  const forger = guests[0];
  assert.ok(forger);
  new FrameGuest(forger.link, macOf(1), 0).frame(0x88b5, Buffer.from('I am you'), EVERYBODY);
  forger.frame(0x88b5, Buffer.from('I am I'), EVERYBODY);
  learning.turn();
  assert.equal(guests.map(payloads), [0, 1]);
  assert.is(learning.ports[0]?.counters.spoofed, 1);
});

test('a port that does not take its frames loses them, counted, and delays nobody', () => {
  const { guests, learning } = bench(3, [], 4);
  for (let round = 0; round < 5; round++) {
    for (let n = 0; n < 4; n++) guests[0]?.frame(0x88b5, Buffer.from([round, n]), EVERYBODY);
    learning.turn();
    assert.is(payloads(guests[1]), 4);
  }
  assert.is(learning.ports[2]?.counters.dropped, 16);
  assert.is(payloads(guests[2]), 4);
});

test('a flood of made-up addresses forgets old ones and holds no memory', () => {
  const { guests, learning } = bench(2);
  const [one] = guests;
  assert.ok(one);
  for (let n = 0; n < 5000; n++) {
    new FrameGuest(one.link, Uint8Array.of(2, 0, 0, 0, n >> 8, n), 0).frame(0x88b5, Buffer.from('x'), EVERYBODY);
    learning.turn();
    guests[1]?.take();
  }
  guests[0]?.frame(0x88b5, Buffer.from('still'), EVERYBODY);
  learning.turn();
  assert.is(payloads(guests[1]), 1);
});

test('a port made beforehand is silent until it is opened, and speaks under the address it was opened with', () => {
  const learning = new LearningSwitch(() => 0);
  const links = [createLink(8), createLink(8), createLink(8)];
  const [first, second] = links;
  if (first === undefined || second === undefined) throw new Error('three links were made');
  for (const link of links) {
    const end = LinkEnd.attach(farEnd(link), 99, () => undefined);
    learning.attach(allowedPort(end, new PortRight(farEnd(link))));
  }
  const guests = links.map(
    (link, n) =>
      new FrameGuest(
        LinkEnd.attach(link, n + 1, () => undefined),
        macOf(n),
        n,
      ),
  );
  const hello = (n: number): void => guests[n]?.frame(0x88b5, Buffer.from('hello'), EVERYBODY);
  hello(0);
  learning.turn();
  assert.equal(guests.map(payloads), [0, 0, 0]);
  openPort(first, macOf(0));
  openPort(second);
  learning.turn();
  assert.equal(guests.map(payloads), [0, 1, 0], 'what waited goes to who is there');
  openPort(first, Uint8Array.of(0xfe, 0xff, 0xff, 0xff, 0xff, 0xf0));
  hello(0);
  learning.turn();
  assert.equal(guests.map(payloads), [0, 0, 0], 'another address is not its own');
  assert.is(learning.ports[0]?.counters.spoofed, 1);
  assert.is(new PortRight(first).mac, 0xfeff_ffff_fff0);
  closePort(first);
  hello(1);
  learning.turn();
  assert.equal(guests.map(payloads), [0, 0, 0], 'nobody is there any more');
});

test.run();
