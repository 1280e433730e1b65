/** The wire format of the RPC (gunyah.md 5.1): headers, fragments, what is dropped, how messages wait. */
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { createQueue } from '../../bus/message-queue/queue-layout.js';
import { QueueReceiver } from '../../bus/message-queue/queue-receiver.js';
import { QueueSender } from '../../bus/message-queue/queue-sender.js';
import { spec } from '../../test/harness/spec.js';
import { RpcLink } from './rpc-link.js';
import { Assembler, PACKET, packetsOf, RPC, type RpcMessage } from './rpc-packet.js';

const test = spec('rm rpc packets');

test('a header is eight bytes: 0x21, type and fragments, sequence, message', () => {
  const [packet] = packetsOf({
    type: PACKET.request,
    sequence: 0x1234,
    message: 0x5600_0024,
    content: new Uint8Array(0),
  });
  assert.equal([...(packet ?? [])], [0x21, 1, 0x34, 0x12, 0x24, 0, 0, 0x56]);
});

test('fragments: ceil(length / 232) - 1, every packet but the last full', () => {
  // Reply contents of 0, 1, 228, ... bytes have four bytes of error before them.
  for (const [bytes, packets] of [
    [0, 1],
    [4, 1],
    [5, 1],
    [232, 1],
    [233, 2],
    [236, 2],
    [464, 2],
    [465, 3],
    [14_616, 63],
  ] as const) {
    const cut = packetsOf({ type: PACKET.reply, sequence: 1, message: 2, content: new Uint8Array(bytes) });
    assert.is(cut.length, packets, `${bytes} bytes`);
    assert.ok(cut.every((packet) => packet[1] === ((packet === cut[0] ? 2 : 0) | ((packets - 1) << 2))));
    assert.ok(cut.slice(0, -1).every((packet) => packet.length === 240));
  }
});

test('any message comes back whole', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 2000 }),
      fc.nat(0xffff),
      fc.nat(0xffff_ffff),
      (content, sequence, message) => {
        const assembler = new Assembler();
        const sent = { type: PACKET.request, sequence, message, content };
        const got = packetsOf(sent).map((packet) => assembler.take(packet));
        assert.equal(got.at(-1), sent);
        assert.ok(got.slice(0, -1).every((part) => part === undefined));
      },
    ),
    { numRuns: 100 },
  );
});

test('what does not fit is dropped: short, wrong version, too many fragments, continuations of nothing', () => {
  const assembler = new Assembler();
  const [first, second] = packetsOf({ type: 1, sequence: 1, message: 9, content: new Uint8Array(300) });
  assert.ok(first !== undefined && second !== undefined);
  if (first === undefined || second === undefined) return;
  const changed = (packet: Uint8Array, at: number, value: number): Uint8Array => {
    const copy = packet.slice();
    copy[at] = value;
    return copy;
  };
  assert.is(assembler.take(second), undefined);
  assert.is(assembler.take(new Uint8Array(7)), undefined);
  assert.is(assembler.take(changed(first, 0, 0x11)), undefined);
  assert.is(assembler.take(changed(first, 1, 1 | (63 << 2))), undefined);
  assembler.take(first);
  assert.is(assembler.take(changed(second, 2, 7)), undefined); // other sequence
  assert.is(assembler.take(changed(second, 4, 7)), undefined); // other message
  assert.is(assembler.take(changed(second, 1, 2 << 2)), undefined); // other count
  assert.is(assembler.take(second)?.content.length, 300);
  // A new first packet discards a message that was not completed.
  assembler.take(first);
  const [whole] = packetsOf({ type: 1, sequence: 2, message: 3, content: new Uint8Array(1) });
  assert.is(assembler.take(whole ?? new Uint8Array(0))?.sequence, 2);
  assert.is(assembler.take(second), undefined);
});

test('messages to one client are never interleaved, wait for room, and are bounded', () => {
  const shape = { depth: RPC.queueDepth, messageBytesMax: RPC.packetBytes, mode: 'shared' } as const;
  const [up, down] = [createQueue(shape), createQueue(shape)];
  const attached = [QueueReceiver.attach(up, { owner: 1 }), QueueSender.attach(down, { owner: 1 })] as const;
  const guest = QueueReceiver.attach(down, { owner: 2 });
  assert.ok(attached[0].ok && attached[1].ok && guest.ok);
  if (!attached[0].ok || !attached[1].ok || !guest.ok) return;
  const link = new RpcLink(attached[0].value, attached[1].value);
  link.send({ type: PACKET.reply, sequence: 1, message: 1, content: new Uint8Array(20 * 232) });
  link.send({ type: PACKET.reply, sequence: 2, message: 1, content: new Uint8Array(1) });
  link.send({ type: PACKET.reply, sequence: 3, message: 1, content: new Uint8Array(1) }); // displaces the one before
  for (let n = 0; n < 300; n++) {
    link.send({ type: PACKET.notification, sequence: n, message: 2, content: new Uint8Array(8) });
  }
  const assembler = new Assembler();
  const seen: RpcMessage[] = [];
  const packet = new Uint8Array(240);
  for (let got = guest.value.receive(packet); got.ok; got = guest.value.receive(packet)) {
    const message = assembler.take(packet.slice(0, got.value.sizeBytes));
    if (message !== undefined) seen.push(message);
    link.flush();
  }
  assert.equal(
    seen.filter(({ type }) => type === PACKET.reply).map(({ sequence }) => sequence),
    [1, 3],
  );
  const notices = seen.filter(({ type }) => type === PACKET.notification).map(({ sequence }) => sequence);
  assert.equal([notices.length, notices[0], notices.at(-1)], [256, 44, 299]);
  assert.is(link.waiting, 0);
});
test.run();
