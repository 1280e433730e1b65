import { equal, ok as truthy } from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { createQueue } from '../message-queue/queue-layout.js';
import { QueueReceiver } from '../message-queue/queue-receiver.js';
import { QueueSender } from '../message-queue/queue-sender.js';
import { Codec } from './codec.js';
import { createStructureTable, recoverStructureTable, StructureTable } from './structure-table.js';

const test = spec('codec');

function pair(messageBytesMax: number) {
  const handle = createQueue({ depth: 4, messageBytesMax, mode: 'single' });
  const sender = QueueSender.attach(handle, { owner: 1 });
  const receiver = QueueReceiver.attach(handle, { owner: 2 });
  truthy(sender.ok && receiver.ok);
  return { sender: sender.value, receiver: receiver.value };
}

test('round trip through small and large slots, with and without shared shapes', () => {
  const table = createStructureTable();
  for (const messageBytesMax of [240, 8192]) {
    for (const shared of [false, true]) {
      const { sender, receiver } = pair(messageBytesMax);
      const a = new Codec(shared ? { structures: new StructureTable(table, 1) } : {});
      const b = new Codec(shared ? { structures: new StructureTable(table, 2) } : {});
      const value = { kind: 'x', n: 1, big: 5n, bytes: new Uint8Array([1, 2, 3]), list: [1, 'two', { three: 3 }] };
      for (let i = 0; i < 20; i++) {
        truthy(a.send(sender, value).ok);
        const decoded = b.decode(receiver, receiver.peek());
        receiver.release();
        truthy(decoded.ok);
        equal({ ...(decoded.value as typeof value), bytes: 0 }, { ...value, bytes: 0 });
        equal([...(decoded.value as typeof value).bytes], [1, 2, 3]);
      }
    }
  }
});

test('a value too large or not encodable is refused and the queue stays usable', () => {
  const { sender, receiver } = pair(240);
  const codec = new Codec();
  const large = codec.send(sender, 'x'.repeat(1000));
  truthy(!large.ok && large.error.status === 'messageSize');
  const huge = codec.send(sender, 2n ** 70n);
  truthy(!huge.ok && huge.error.status === 'badArgument');
  truthy(codec.send(sender, 7).ok);
  const decoded = codec.decode(receiver, receiver.peek());
  truthy(decoded.ok && decoded.value === 7);
});
test('values of every sort survive the trip with shared shapes', () => {
  const { sender, receiver } = pair(4000);
  const table = createStructureTable();
  const a = new Codec({ structures: new StructureTable(table, 1) });
  const b = new Codec({ structures: new StructureTable(table, 2) });
  const values = [
    [],
    [1, 2],
    [-1, 5],
    [[1]],
    {},
    { kind: 'a', x: 1 },
    { kind: 'a', y: 2 },
    { kind: 'a', x: { x: [] } },
    null,
    'x',
    5n,
  ];
  for (const value of [...values, ...values]) {
    truthy(a.send(sender, value).ok);
    const decoded = b.decode(receiver, receiver.peek());
    receiver.release();
    truthy(decoded.ok);
    equal(decoded.value, value);
  }
});

test('more shapes than the table holds travel all the same', () => {
  const { sender, receiver } = pair(4000);
  const table = createStructureTable();
  const a = new Codec({ structures: new StructureTable(table, 1) });
  const b = new Codec({ structures: new StructureTable(table, 2) });
  for (let n = 0; n < 1500; n++) {
    const value = { [`a${n}`]: n, inner: { [`b${n}`]: n, [`c${n % 7}`]: [n] } };
    truthy(a.send(sender, value).ok);
    const decoded = b.decode(receiver, receiver.peek());
    receiver.release();
    truthy(decoded.ok);
    equal(decoded.value, value);
  }
});

test('maps for a reader with shapes: every number, text and name comes through, whatever shapes there are', () => {
  const { sender, receiver } = pair(4000);
  const shapes = createStructureTable();
  const reader = new Codec({ structures: new StructureTable(shapes, 2) });
  const writer = new Codec({ readWithStructures: true });
  const numbers = Array.from({ length: 600 }, (_, i) => i - 300);
  for (const count of [0, 1, 40, 100]) {
    const other = new Codec({ structures: new StructureTable(shapes, 1) });
    for (let n = 0; n < count; n++) {
      truthy(other.send(sender, { [`f${n}`]: n, tail: 1 }).ok);
      truthy(reader.decode(receiver, receiver.peek()).ok);
      receiver.release();
    }
    const list = { numbers, text: 'x'.repeat(70), deep: [{ value: 64 }, 127, { 64: 65 }] };
    for (const value of [list, ...numbers.map((n) => ({ value: n })), ...numbers]) {
      truthy(writer.send(sender, value).ok);
      const decoded = reader.decode(receiver, receiver.peek());
      receiver.release();
      truthy(decoded.ok, `${JSON.stringify(value)} with ${count} shapes`);
      equal(decoded.value, value);
    }
  }
});

test('a dead owner leaves the table usable', () => {
  const table = createStructureTable();
  new Int32Array(table)[0] = 5;
  equal(recoverStructureTable(table, 4), false);
  equal(recoverStructureTable(table, 5), true);
  const shapes = new StructureTable(table, 1);
  truthy(shapes.save([['a', 'b']]));
  equal(new StructureTable(table, 2).load(), [['a', 'b']]);
});
test.run();
