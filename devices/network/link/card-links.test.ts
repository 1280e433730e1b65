import * as assert from 'uvu/assert';
import { spec } from '../../../test/harness/spec.js';
import { AT, Ethernet } from '../wire/headers.js';
import { CardLinks } from './card-links.js';
import { closePort, createLink, farEnd, LinkEnd, openPort } from './frame-link.js';

const test = spec('links of a card');
const BYTES = 64;
const macOf = (n: number): Uint8Array => Uint8Array.of(0x52, 0x54, 0, 0, 0, n);
const quiet = (): void => undefined;

/** Two cards with a straight way between them, and the switch's ends of their links. */
function bench() {
  const ports = [createLink(4), createLink(4)] as const;
  const straight = createLink(4);
  const rung: number[] = [];
  const ring = (actor: number): void => void rung.push(actor);
  const one = new CardLinks(
    { link: ports[0], paths: [{ link: straight, port: ports[1] }], mac: macOf(1) },
    ...([1, ring] as const),
  );
  const two = new CardLinks(
    { link: ports[1], paths: [{ link: farEnd(straight), port: ports[0] }], mac: macOf(2) },
    ...([2, ring] as const),
  );
  const atSwitch = ports.map((link) => LinkEnd.attach(farEnd(link), 3, quiet));
  openPort(ports[0], macOf(1));
  openPort(ports[1], macOf(2));
  return { ports, one, two, atSwitch, rung };
}

/** Sends a frame filled with `fill`; false when the link it belongs to was full. */
function send(card: CardLinks, from: Uint8Array, to: Uint8Array, fill = 0): boolean {
  const frame = new Uint8Array(BYTES).fill(fill);
  frame.set(to, AT.ethernet + Ethernet.offsets.to);
  frame.set(from, AT.ethernet + Ethernet.offsets.from);
  const link = card.toward(frame, 0);
  const at = link.reserve();
  if (at < 0) return false;
  link.bytes.set(frame, at);
  link.commit(BYTES);
  card.flush();
  return true;
}

/** The last byte of every frame that waits. */
function heard(card: Pick<CardLinks, 'next' | 'received' | 'offset' | 'take' | 'free'>): readonly number[] {
  const fills: number[] = [];
  for (let size = card.next(); size > 0; size = card.next()) {
    assert.is(size, BYTES);
    fills.push(card.received[card.offset + BYTES - 1] ?? -1);
    card.take();
  }
  card.free();
  return fills;
}

test('a frame for the address of an open port goes straight, in order, and rings the card there', () => {
  const { one, two, atSwitch, rung } = bench();
  for (const fill of [1, 2, 3]) assert.ok(send(one, macOf(1), macOf(2), fill));
  assert.equal(rung, [2]);
  assert.ok(two.waiting);
  assert.equal(heard(two), [1, 2, 3]);
  assert.not.ok(two.waiting);
  assert.ok(send(two, macOf(2), macOf(1), 4));
  assert.equal(heard(one), [4]);
  assert.not.ok(atSwitch.some((end) => end.waiting));
});

test('groups, strangers, other source addresses and closed ports are for the switch', () => {
  const { ports, one, two, atSwitch } = bench();
  const [port] = atSwitch;
  assert.ok(port);
  const broadcast = new Uint8Array(6).fill(255);
  send(one, macOf(1), broadcast, 1);
  send(one, macOf(1), macOf(7), 2);
  send(one, macOf(7), macOf(2), 3);
  closePort(ports[1]);
  send(one, macOf(1), macOf(2), 4);
  assert.equal(heard(port), [1, 2, 3, 4]);
  assert.not.ok(two.waiting);
  openPort(ports[1]); // whoever is there may have any address: only the switch knows
  send(one, macOf(1), macOf(2), 5);
  assert.equal(heard(port), [5]);
  openPort(ports[1], macOf(8));
  send(one, macOf(1), macOf(8), 6);
  assert.equal(heard(two), [6]);
});

test('every link has its turn, a full one refuses and has room again, and what waits can be dropped', () => {
  const { one, two, atSwitch, rung } = bench();
  const [, port] = atSwitch;
  assert.ok(port);
  for (const fill of [1, 2, 3, 4]) assert.ok(send(one, macOf(1), macOf(2), fill));
  assert.not.ok(send(one, macOf(1), macOf(2), 5));
  port.bytes.fill(9, port.reserve(), port.reserve() + BYTES);
  port.commit(BYTES);
  port.flush();
  assert.equal([...heard(two)].sort(), [1, 2, 3, 4, 9]);
  assert.equal(rung, [2, 1], 'the sender that found it full is told of the room');
  assert.ok(send(one, macOf(1), macOf(2), 6));
  two.drain();
  assert.not.ok(two.waiting);
  assert.equal(heard(two), []);
});

test.run();
