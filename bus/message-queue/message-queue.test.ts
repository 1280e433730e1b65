import { equal, throws, ok as truthy } from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { queueDepth, recoverQueue } from './queue-core.js';
import { CORRUPT, NOTHING } from './queue-end.js';
import {
  createQueue,
  formatQueue,
  GUNYAH_QUEUE_LIMITS,
  QueueHeader,
  type QueueMode,
  type QueueSpec,
  readQueueShape,
} from './queue-layout.js';
import { QueueReceiver } from './queue-receiver.js';
import { QueueSender, UNCHANGED } from './queue-sender.js';

const test = spec('message-queue');

function pair(specification: QueueSpec) {
  const handle = createQueue(specification);
  const log: string[] = [];
  const signals = {
    data: (asserted: boolean) => void log.push(asserted ? 'data' : 'data cleared'),
    space: (asserted: boolean) => void log.push(asserted ? 'space' : 'space cleared'),
  };
  const sender = QueueSender.attach(handle, { owner: 1, signals });
  const receiver = QueueReceiver.attach(handle, { owner: 2, signals });
  truthy(sender.ok && receiver.ok);
  return { handle, log, sender: sender.value, receiver: receiver.value };
}

for (const mode of ['single', 'fan-in', 'shared'] as const satisfies QueueMode[]) {
  test(`${mode}: carries messages in order with their sizes, and refuses when full`, () => {
    const { sender, receiver, log } = pair({ depth: 3, messageBytesMax: 10, mode });
    for (let i = 1; i <= 3; i++)
      equal(sender.send(new Uint8Array(i).fill(i)), { ok: true, value: { hasSpace: i < 3 } });
    equal(sender.send(new Uint8Array(1)), { ok: false, error: { status: 'queueFull', at: 'send' } });
    equal(log, ['data']);
    const into = new Uint8Array(10);
    for (let i = 1; i <= 3; i++) {
      equal(receiver.receive(into), { ok: true, value: { sizeBytes: i, hasMore: i < 3 } });
      equal([...into.subarray(0, i)], Array(i).fill(i));
    }
    equal(log, ['data', 'space']);
    equal(receiver.peek(), NOTHING);
  });
  test(`${mode}: refuses sizes 0 and above the maximum and stays usable`, () => {
    const { sender } = pair({ depth: 2, messageBytesMax: 4, mode });
    equal(sender.send(new Uint8Array(0)).ok, false);
    equal(sender.send(new Uint8Array(5)).ok, false);
    equal(sender.send(new Uint8Array(4)).ok, true);
  });
}

test('configure refuses what Gunyah refuses', () => {
  const { sender, receiver } = pair({ depth: 4, messageBytesMax: 4, mode: 'shared' });
  equal(sender.configure(1, 0).ok, false);
  equal(sender.configure(4, UNCHANGED).ok, false);
  equal(receiver.configure(0, UNCHANGED).ok, false);
  equal(receiver.configure(5, UNCHANGED).ok, false);
  equal(receiver.configure(0xffff_fffe, UNCHANGED).ok, true);
});

test('lies at an offset inside a larger shared memory', () => {
  const buffer = new SharedArrayBuffer(65536);
  const specification = { depth: 4, messageBytesMax: 32, mode: 'single' } as const;
  truthy(formatQueue({ buffer, byteOffset: 4096 }, specification).ok);
  equal(formatQueue({ buffer, byteOffset: 65536 - 512 }, specification).ok, false);
  const sender = QueueSender.attach({ buffer, byteOffset: 4096 }, { owner: 1 });
  truthy(sender.ok && sender.value.send(new Uint8Array(32)).ok);
  equal(QueueSender.attach({ buffer, byteOffset: 0 }, { owner: 1 }).ok, false);
  throws(() => createQueue({ ...specification, depth: 0 }));
});
/** What a thread that dies inside `publish` leaves: numbers in slots, a tail that does not know of them, a lock. */
function diedPublishing(mode: 'single' | 'fan-in', numbers: readonly number[]) {
  const handle = createQueue({ depth: 4, messageBytesMax: 56, mode });
  const words = new Int32Array(handle.buffer);
  const victim = QueueSender.attach(handle, { owner: 7 });
  truthy(victim.ok);
  equal(victim.value.reserve() > 0, true);
  const shape = readQueueShape(handle);
  truthy(shape.ok);
  for (const number of numbers) {
    const slot = (QueueHeader.sizeBytes + number * shape.value.slotBytes) >> 2;
    words.set([number + 1, 1, 40 + number], slot);
  }
  return handle;
}

for (const mode of ['single', 'fan-in'] as const) {
  test(`${mode}: a message whose sender died before it moved the tail is neither lost nor doubled`, () => {
    for (const numbers of [[0], [0, 1, 2]]) {
      const handle = diedPublishing(mode, numbers);
      const receiver = QueueReceiver.attach(handle, { owner: 2 });
      truthy(receiver.ok);
      equal(receiver.value.peek(), 1);
      equal(receiver.value.bytes[receiver.value.offset], 40);
      receiver.value.take();
      if (mode === 'fan-in') equal(recoverQueue(handle, 7), true);
      const sender = QueueSender.attach(handle, { owner: 3 });
      truthy(sender.ok);
      equal(queueDepth(handle), numbers.length);
      truthy(sender.value.send(Uint8Array.of(99)).ok);
      const got: number[] = [];
      while (receiver.value.peek() > 0) {
        got.push(receiver.value.bytes[receiver.value.offset] ?? 0);
        receiver.value.take();
      }
      equal(got, [...numbers.slice(1).map((number) => 40 + number), 99]);
    }
  });
  test(`${mode}: of a batch whose sender died before its first message nothing is ever seen`, () => {
    const handle = diedPublishing(mode, [1, 2]);
    const receiver = QueueReceiver.attach(handle, { owner: 2 });
    truthy(receiver.ok);
    equal(receiver.value.peek(), NOTHING);
    if (mode === 'fan-in') equal(recoverQueue(handle, 7), true);
    const sender = QueueSender.attach(handle, { owner: 3 });
    truthy(sender.ok && sender.value.send(Uint8Array.of(99)).ok);
    equal(receiver.value.peek(), 1);
    receiver.value.release();
    equal(receiver.value.peek(), NOTHING);
  });
}

test('a slot that lost its number is reported, not waited for', () => {
  const { handle } = pair({ depth: 4, messageBytesMax: 56, mode: 'single' });
  const sender = QueueSender.attach(handle, { owner: 1 });
  const receiver = QueueReceiver.attach(handle, { owner: 2 });
  truthy(sender.ok && receiver.ok && sender.value.send(Uint8Array.of(1)).ok);
  new Int32Array(handle.buffer)[QueueHeader.sizeBytes >> 2] = 0;
  equal(receiver.value.next(10, 1000), CORRUPT);
});

test("a queue at Gunyah's limits holds 255 messages of 1023 bytes", () => {
  const { depthMax, messageBytesMax } = GUNYAH_QUEUE_LIMITS;
  const { sender, receiver } = pair({ depth: depthMax, messageBytesMax, mode: 'shared' });
  const message = new Uint8Array(messageBytesMax);
  for (let lap = 0; lap < 3; lap++) {
    for (let n = 0; n < depthMax; n++) truthy(sender.send(message.fill(n)).ok);
    equal(sender.send(message).ok, false);
    for (let n = 0; n < depthMax; n++) {
      equal(receiver.peek(), messageBytesMax);
      receiver.copyOut(message);
      equal([message[0], message[messageBytesMax - 1]], [n, n]);
      receiver.release();
    }
  }
});
test.run();
