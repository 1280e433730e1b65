import { equal, throws, ok as truthy } from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { NOTHING } from './queue-end.js';
import { createQueue, formatQueue, GUNYAH_QUEUE_LIMITS, type QueueMode, type QueueSpec } from './queue-layout.js';
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
