import * as assert from 'uvu/assert';
import { seededRandom } from '../../../actors/runtime/random.js';
import { FrameGuest, flagNames, internetChecksum } from '../../../test/drivers/frame-guest.js';
import { MemoryNetwork, type MemoryStream } from '../../../test/drivers/memory-network.js';
import { spec } from '../../../test/harness/spec.js';
import { createLink, farEnd, LinkEnd } from '../link/frame-link.js';
import { TCP } from '../wire/headers.js';
import { DEFAULT_PLAN, Gateway } from './gateway.js';

const test = spec('gateway');
const ROUTER = DEFAULT_PLAN.router;
const OUTSIDE = 0xc000_0207; // 192.0.2.7
const GUEST = DEFAULT_PLAN.firstGuest;
const PORTS = { from: 40_000, to: 80 };
/** Maximum segment size 1460, window scale 7. */
const SYN_OPTIONS = Uint8Array.of(2, 4, 5, 180, 1, 3, 3, 7);
const text = (content: string): Uint8Array => Buffer.from(content, 'latin1');

/** A gateway and a guest on one link, with a clock and timers in hand. */
function bench(): {
  guest: FrameGuest;
  gateway: Gateway;
  network: MemoryNetwork;
  run(ms?: number): void;
} {
  const memory = createLink(256);
  const timers: { at: number; action: () => void }[] = [];
  let now = 0;
  const network = new MemoryNetwork();
  const random = seededRandom(1);
  const link = LinkEnd.attach(farEnd(memory), 2, () => undefined);
  const after = (ms: number, action: () => void): void => void timers.push({ at: now + ms, action });
  const parts = { link, network, plan: DEFAULT_PLAN, now: () => now, randomU32: () => random.u32(), after };
  const gateway = new Gateway(parts);
  const guest = new FrameGuest(
    LinkEnd.attach(memory, 1, () => undefined),
    Uint8Array.of(0x52, 0x54, 0, 1, 2, 3),
    GUEST,
  );
  return {
    guest,
    gateway,
    network,
    run(ms = 0) {
      const end = now + ms;
      while (gateway.turn());
      for (;;) {
        timers.sort((a, b) => a.at - b.at);
        const [next] = timers;
        if (next === undefined || next.at > end) break;
        timers.shift();
        now = Math.max(now, next.at);
        next.action();
        while (gateway.turn());
      }
      now = end;
    },
  };
}

/** Opens a connection from the guest; the guest's next and expected sequence numbers, and the host's side. */
function connected(b: ReturnType<typeof bench>): { next: number; expected: number; stream: MemoryStream } {
  b.guest.tcp(OUTSIDE, PORTS, { sequence: 1000, flags: TCP.syn }, undefined, SYN_OPTIONS);
  b.run();
  assert.equal(b.guest.take(), [], 'no answer before the host has connected');
  const stream = b.network.streams.at(-1);
  assert.ok(stream !== undefined);
  assert.equal(stream.to, { address: '192.0.2.7', port: 80 });
  stream.events?.opened();
  b.run();
  const [answer] = b.guest.take();
  assert.is(flagNames(answer?.tcp?.flags ?? 0), 'SYN ACK');
  assert.is(answer?.tcp?.acknowledgement, 1001);
  const expected = ((answer?.tcp?.sequence ?? 0) + 1) >>> 0;
  b.guest.tcp(OUTSIDE, PORTS, { sequence: 1001, acknowledgement: expected, flags: TCP.ack, window: 512 });
  b.run();
  return { next: 1001, expected, stream };
}

test('the router and the name server answer ARP, nobody else', () => {
  const b = bench();
  for (const address of [ROUTER, DEFAULT_PLAN.nameServer, 0x0a00_0263]) b.guest.arp(address);
  b.run();
  const answers = b.guest.take();
  assert.equal(
    answers.map(({ arp }) => [arp?.operation, arp?.senderIp, arp?.senderMac]),
    [
      [2, ROUTER, '52550a000202'],
      [2, DEFAULT_PLAN.nameServer, '52550a000202'],
    ],
  );
});

test('a ping of the router comes back as it went, one of the outside does not', () => {
  const b = bench();
  const echo = Buffer.from([8, 0, 0, 0, 0x12, 0x34, 0, 1, ...text('payload of a ping')]);
  echo.writeUInt16BE(internetChecksum(echo), 2);
  b.guest.packet(ROUTER, 1, echo);
  b.guest.packet(OUTSIDE, 1, echo);
  b.run();
  const answers = b.guest.take();
  assert.is(answers.length, 1);
  const reply = answers[0]?.ip?.payload ?? new Uint8Array(0);
  assert.is(reply[0], 0);
  assert.is(internetChecksum(reply), 0);
  assert.equal(reply.subarray(4), new Uint8Array(echo.subarray(4)));
});

test('DHCP offers and confirms the first address, router and name server', () => {
  const b = bench();
  b.guest.address = 0;
  const request = (type: number, more: number[]): Uint8Array => {
    const packet = Buffer.alloc(300);
    packet.set([1, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef]);
    packet.set(b.guest.mac, 28);
    packet.set([0x63, 0x82, 0x53, 0x63, 53, 1, type, ...more, 255], 236);
    return packet;
  };
  b.guest.udp(0xffff_ffff, 68, 67, request(1, []), 0);
  b.guest.udp(0xffff_ffff, 68, 67, request(3, [50, 4, 10, 0, 2, 15, 54, 4, 10, 0, 2, 2]), 0);
  b.guest.udp(0xffff_ffff, 68, 67, request(3, [50, 4, 10, 0, 2, 99, 54, 4, 10, 0, 2, 2]), 0);
  b.guest.udp(0xffff_ffff, 68, 67, request(3, [50, 4, 10, 0, 2, 15, 54, 4, 192, 0, 2, 1]), 0);
  b.run();
  const answers = b.guest.take().map(({ udp }) => Buffer.from(udp?.payload ?? []));
  assert.equal(
    answers.map((answer) => [answer[242], answer.readUInt32BE(16)]),
    [
      [2, GUEST],
      [5, GUEST],
      [6, 0],
    ],
    'offer, acknowledgement, refusal of another address; nothing for another server',
  );
  const offer = answers[0]?.subarray(240).toString('hex') ?? '';
  for (const option of ['03040a000202', '06040a000203', '0104ffffff00']) assert.ok(offer.includes(option), option);
});

test('datagrams go out by a socket per guest port, and answers come back under the name the guest used', () => {
  const b = bench();
  b.guest.udp(DEFAULT_PLAN.nameServer, 5000, 53, text('a question'));
  b.guest.udp(OUTSIDE, 5000, 123, text('time?'));
  b.guest.fragmentedUdp(OUTSIDE, 5001, 9, Buffer.alloc(3000, 'x'));
  b.run();
  assert.equal(
    b.network.datagramsSent.map(({ bytes, to }) => [bytes.length, to.address, to.port]),
    [
      [10, '192.0.2.53', 53],
      [5, '192.0.2.7', 123],
      [3000, '192.0.2.7', 9],
    ],
  );
  assert.is(b.network.openSockets, 2);
  b.network.received[0]?.(text('an answer'), { address: '192.0.2.53', port: 53 });
  b.network.received[0]?.(Buffer.alloc(4000, 'y'), { address: '192.0.2.7', port: 123 });
  b.run();
  const [answer, ...pieces] = b.guest.take();
  assert.equal([answer?.ip?.from, answer?.udp?.from, answer?.udp?.to], [DEFAULT_PLAN.nameServer, 53, 5000]);
  assert.is(Buffer.from(answer?.udp?.payload ?? []).toString(), 'an answer');
  assert.is(
    pieces.reduce((sum, { ip }) => sum + (ip?.payload.length ?? 0), 0),
    4008,
    'in fragments',
  );
  assert.ok(pieces.every(({ ip }) => (ip?.payload.length ?? 0) <= 1480));
  b.run(400_000);
  assert.is(b.network.openSockets, 0, 'unused sockets are closed');
});

test('bytes flow both ways, and both ends close', () => {
  const b = bench();
  const { next, expected, stream } = connected(b);
  b.guest.tcp(OUTSIDE, PORTS, { sequence: next, acknowledgement: expected, flags: TCP.ack }, text('GET / HTTP/1.0'));
  b.run();
  assert.is(stream.text, 'GET / HTTP/1.0');
  stream.events?.data(text('hello'));
  b.run();
  const frames = b.guest.take();
  assert.is(frames.at(-1)?.tcp?.acknowledgement, next + 14);
  assert.is(Buffer.concat(frames.map(({ tcp }) => tcp?.payload ?? new Uint8Array(0))).toString(), 'hello');
  stream.events?.ended();
  b.run();
  const [fin] = b.guest.take();
  assert.is(flagNames(fin?.tcp?.flags ?? 0), 'FIN ACK');
  const last = { sequence: next + 14, acknowledgement: expected + 6, flags: TCP.fin | TCP.ack };
  b.guest.tcp(OUTSIDE, PORTS, last);
  b.run();
  assert.ok(stream.ended);
  assert.is(b.guest.take().at(-1)?.tcp?.acknowledgement, next + 15);
  assert.is(b.gateway.tcp.count, 1, 'lingers');
  b.run(5_000);
  assert.is(b.gateway.tcp.count, 0);
});

test('a segment that comes twice, early or late is taken once and in order', () => {
  const b = bench();
  const { next, expected, stream } = connected(b);
  const send = (offset: number, content: string): void =>
    b.guest.tcp(OUTSIDE, PORTS, { sequence: next + offset, acknowledgement: expected, flags: TCP.ack }, text(content));
  send(3, 'def');
  send(0, 'abc');
  send(0, 'abc');
  send(1, 'bcdef');
  send(6, 'ghi');
  b.run();
  assert.is(stream.text, 'abcdefghi');
  assert.is(b.guest.take().at(-1)?.tcp?.acknowledgement, next + 9);
});

test('what the guest does not acknowledge is sent again, and its window is respected', () => {
  const b = bench();
  const { next, expected, stream } = connected(b);
  const content = Buffer.from(Array.from({ length: 200_000 }, (_, i) => i % 251));
  stream.events?.data(content);
  b.run();
  const first = b.guest.take();
  const sent = first.reduce((sum, { tcp }) => sum + (tcp?.payload.length ?? 0), 0);
  assert.ok(sent <= 512 << 7 && sent > (512 << 7) - 1460, 'the scaled window, in whole segments');
  assert.ok(
    first.some(({ header }) => header.gsoType === 1 && header.gsoSize === 1460),
    'large segments',
  );
  b.run(300);
  const again = b.guest.take();
  assert.is(again[0]?.tcp?.sequence, expected, 'from the oldest byte on');
  // Acknowledge everything as it comes, until all has come.
  const got: Uint8Array[] = [];
  let want = expected;
  for (let round = 0; round < 100 && Buffer.concat(got).length < content.length; round++) {
    for (const { tcp } of round === 0 ? again : b.guest.take()) {
      if (tcp === undefined || tcp.sequence !== want) continue;
      got.push(tcp.payload);
      want = (want + tcp.payload.length) >>> 0;
    }
    b.guest.tcp(OUTSIDE, PORTS, { sequence: next, acknowledgement: want, flags: TCP.ack, window: 512 });
    b.run();
  }
  assert.ok(Buffer.concat(got).equals(content));
  b.run(60_000);
  assert.equal(b.guest.take(), [], 'nothing is left to send');
});

test('a shut window is probed until it opens', () => {
  const b = bench();
  const { next, expected, stream } = connected(b);
  b.guest.tcp(OUTSIDE, PORTS, { sequence: next, acknowledgement: expected, flags: TCP.ack, window: 0 });
  b.run();
  b.guest.take();
  stream.events?.data(text('patience'));
  b.run(2_000);
  const probes = b.guest.take();
  assert.ok(probes.length > 0 && probes.every(({ tcp }) => (tcp?.payload.length ?? 0) <= 1));
  b.guest.tcp(OUTSIDE, PORTS, { sequence: next, acknowledgement: expected, flags: TCP.ack, window: 512 });
  b.run(1_000);
  const data = b.guest.take().find(({ tcp }) => (tcp?.payload.length ?? 0) > 1);
  assert.is(Buffer.from(data?.tcp?.payload ?? []).toString(), 'patience');
});

test('a host that does not take bytes shuts the window; one that does opens it', () => {
  const b = bench();
  const { next, expected, stream } = connected(b);
  stream.pendingBytes = 2 ** 20;
  b.guest.tcp(OUTSIDE, PORTS, { sequence: next, acknowledgement: expected, flags: TCP.ack }, text('x'));
  b.run();
  assert.is(stream.text, '', 'not taken');
  assert.is(b.guest.take().at(-1)?.tcp?.window, 0);
  stream.pendingBytes = 0;
  stream.events?.drained();
  b.run();
  assert.is(b.guest.take().at(-1)?.tcp?.window, 2 ** 15);
});

test('a refused connection, an unknown segment and a guess are answered as they deserve', () => {
  const b = bench();
  b.guest.tcp(OUTSIDE, PORTS, { sequence: 5, flags: TCP.syn }, undefined, SYN_OPTIONS);
  b.run();
  b.network.streams[0]?.events?.closed('ECONNREFUSED');
  b.run();
  const [refused] = b.guest.take();
  assert.is(flagNames(refused?.tcp?.flags ?? 0), 'RST ACK');
  assert.is(refused?.tcp?.acknowledgement, 6);
  b.guest.tcp(OUTSIDE, { from: 1, to: 2 }, { sequence: 9, acknowledgement: 77, flags: TCP.ack });
  b.run();
  const [unknown] = b.guest.take();
  assert.equal([flagNames(unknown?.tcp?.flags ?? 0), unknown?.tcp?.sequence], ['RST', 77]);
  const { next, stream } = connected(b);
  b.guest.tcp(OUTSIDE, PORTS, { sequence: next + 5, flags: TCP.rst });
  b.run();
  assert.not.ok(stream.wasReset, 'a reset that does not fit is a guess');
  b.guest.tcp(OUTSIDE, PORTS, { sequence: next, flags: TCP.rst });
  b.run();
  assert.ok(stream.wasReset);
  assert.is(b.gateway.tcp.count, 0);
});

test('a frame that comes while taken ones are not yet given back is not forgotten', () => {
  const memory = createLink(8);
  let rings = 0;
  const near = LinkEnd.attach(memory, 1, () => rings++);
  const far = LinkEnd.attach(farEnd(memory), 2, () => undefined);
  const guest = new FrameGuest(near, Uint8Array.of(0x52, 0x54, 0, 1, 2, 3), GUEST);
  guest.arp(ROUTER);
  assert.is(rings, 1);
  assert.ok(far.next() > 0);
  far.take();
  assert.is(far.next(), 0);
  guest.arp(ROUTER);
  assert.is(rings, 1, 'the sender saw a queue that was not empty');
  assert.ok(far.free(), 'so the receiver is told to look again');
  assert.ok(far.next() > 0);
  far.take();
  assert.not.ok(far.free());
  guest.arp(ROUTER);
  assert.is(rings, 2);
});

test('a published port opens a connection to the guest', () => {
  const b = bench();
  b.guest.arp(ROUTER);
  b.run();
  b.guest.take();
  const stream = new (class {
    pendingBytes = 0;
    log: string[] = [];
    write(bytes: Uint8Array): void {
      this.log.push(Buffer.from(bytes).toString());
    }
    end = (): void => void this.log.push('end');
    reset = (): void => void this.log.push('reset');
    pause = (): void => void this.log.push('pause');
    resume = (): void => void this.log.push('resume');
  })();
  const events = b.gateway.accept(stream, 22);
  b.run();
  const [syn] = b.guest.take();
  assert.equal([flagNames(syn?.tcp?.flags ?? 0), syn?.tcp?.to, syn?.ip?.from], ['SYN', 22, ROUTER]);
  const ports = { from: 22, to: syn?.tcp?.from ?? 0 };
  const acknowledgement = ((syn?.tcp?.sequence ?? 0) + 1) >>> 0;
  b.guest.tcp(ROUTER, ports, { sequence: 70, acknowledgement, flags: TCP.syn | TCP.ack }, undefined, SYN_OPTIONS);
  b.run();
  assert.is(flagNames(b.guest.take()[0]?.tcp?.flags ?? 0), 'ACK');
  b.guest.tcp(ROUTER, ports, { sequence: 71, acknowledgement, flags: TCP.ack }, text('SSH-2.0'));
  events.data(text('hi'));
  b.run();
  assert.equal(stream.log, ['pause', 'resume', 'SSH-2.0']);
  assert.is(Buffer.concat(b.guest.take().map(({ tcp }) => tcp?.payload ?? new Uint8Array(0))).toString(), 'hi');
});

test('the network itself, loopback and multicast are not reached through the gateway', () => {
  const b = bench();
  for (const to of [0x0a00_02ff, 0x7f00_0001, 0xe000_0001, 0x0000_0001]) {
    b.guest.udp(to, 1, 2, text('x'));
    b.guest.tcp(to, PORTS, { sequence: 1, flags: TCP.syn }, undefined, SYN_OPTIONS);
  }
  b.run();
  assert.equal([b.network.datagramsSent, b.network.streams], [[], []]);
  b.guest.tcp(ROUTER, PORTS, { sequence: 1, flags: TCP.syn }, undefined, SYN_OPTIONS);
  b.run();
  assert.equal(b.network.streams[0]?.to, { address: '127.0.0.1', port: 80 }, 'the router is the host');
});

test(
  '200,000 damaged frames do no harm, and the gateway still serves',
  () => {
    const b = bench();
    const random = seededRandom(7);
    const { next, expected } = connected(b);
    const seen: Uint8Array[] = [];
    for (const build of [
      () => b.guest.udp(OUTSIDE, 9, 53, text('question')),
      () => b.guest.tcp(OUTSIDE, PORTS, { sequence: next, acknowledgement: expected, flags: TCP.ack }, text('data')),
      () => b.guest.tcp(OUTSIDE, { from: 9, to: 9 }, { sequence: 3, flags: TCP.syn }, undefined, SYN_OPTIONS),
      () => b.guest.arp(ROUTER),
      () => b.guest.packet(OUTSIDE, 17, Buffer.alloc(64), 0x2003),
      () => b.guest.packet(ROUTER, 1, Buffer.from([8, 0, 0xf7, 0xff, 0, 0, 0, 0])),
    ]) {
      const far = captureNext(build);
      if (far !== undefined) seen.push(far);
    }
    /** The bytes of a frame as the gateway sees it. */
    function captureNext(build: () => void): Uint8Array | undefined {
      const { bytes } = b.guest.link;
      const at = b.guest.link.reserve();
      build();
      const frame = bytes.slice(at, at + 200);
      b.run();
      b.guest.take();
      return frame;
    }
    for (let i = 0; i < 200_000; i++) {
      const frame = Uint8Array.from(seen[random.below(seen.length)] ?? []).subarray(0, 26 + random.below(175));
      for (let n = 1 + random.below(6); n > 0; n--) frame[random.below(frame.length)] = random.u32();
      b.guest.raw(frame);
      if (i % 64 === 0) b.run(random.oneIn(50) ? 1_000 : 0);
      if (i % 64 === 0) while (b.guest.link.next() > 0) b.guest.link.take();
      if (i % 64 === 0) b.guest.link.free();
    }
    b.run(1_000_000);
    b.guest.take();
    b.guest.gatewayMac = Uint8Array.of(255, 255, 255, 255, 255, 255);
    b.guest.arp(ROUTER);
    b.run();
    assert.is(b.guest.take()[0]?.arp?.senderIp, ROUTER);
    assert.ok(b.gateway.tcp.count <= 4096 && b.network.openSockets <= 512);
  },
  { deadlineMs: 120_000 },
);

test.run();
