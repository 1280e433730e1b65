import { Subject } from 'rxjs';
import { equal, ok as truthy } from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { createDoorbell, Doorbell } from '../doorbell/doorbell.js';
import { createQueue } from '../message-queue/queue-layout.js';
import { QueueReceiver } from '../message-queue/queue-receiver.js';
import { QueueSender } from '../message-queue/queue-sender.js';
import { drainTap, observeQueue, type TapObservation, tapStream, tapWriter } from './tap.js';

const test = spec('tap');

function setUp(tapDepth = 64) {
  const tapQueue = createQueue({ depth: tapDepth, messageBytesMax: 32, mode: 'fan-in' });
  const records = QueueReceiver.attach(tapQueue, { owner: 9 });
  const handle = createQueue({ depth: 2, messageBytesMax: 16, mode: 'single' });
  let time = 0n;
  const sink = (object: number, who: number) => {
    const queue = QueueSender.attach(tapQueue, { owner: who });
    truthy(queue.ok);
    return tapWriter({ queue: queue.value, object, who, now: () => ++time });
  };
  const sender = QueueSender.attach(handle, { owner: 1, tap: sink(70, 1) });
  const receiver = QueueReceiver.attach(handle, { owner: 2, tap: sink(70, 2) });
  truthy(records.ok && sender.ok && receiver.ok);
  return { handle, records: records.value, sender: sender.value, receiver: receiver.value, sink };
}
const brief = (o: TapObservation): string =>
  `${o.timeNs} ${o.object} ${o.who} ${o.event} ${o.level} ${o.detail} ${o.dropped}`;

test('who did what, when and how deep, only while somebody looks', () => {
  const { handle, records, sender, receiver } = setUp();
  sender.send(new Uint8Array(3));
  equal(drainTap(records, 10), []);
  observeQueue(handle, true);
  sender.send(new Uint8Array(5));
  sender.send(new Uint8Array(6));
  receiver.peek();
  receiver.release();
  receiver.flush();
  equal(drainTap(records, 10).map(brief), [
    '1 70 1 sent 2 5 0',
    '2 70 1 refused 2 0 0',
    '3 70 2 received 1 3 0',
    '4 70 2 flushed 0 1 0',
  ]);
  observeQueue(handle, false);
  sender.send(new Uint8Array(1));
  equal(drainTap(records, 10), []);
});

test('a doorbell is observed the same way', () => {
  const { records, sink } = setUp();
  const bell = Doorbell.attach(createDoorbell(), { owner: 1, tap: sink(71, 1) });
  truthy(bell.ok);
  bell.value.send(1);
  bell.value.observe(true);
  bell.value.send(2, 3);
  bell.value.receive(2, 3);
  equal(drainTap(records, 10).map(brief), ['1 71 1 rang 2 3 0', '2 71 1 answered 2 3 0']);
});

test('an observer too slow loses records, learns how many, and never blocks the observed', () => {
  const { handle, records, sender, receiver } = setUp(2);
  observeQueue(handle, true);
  for (let i = 0; i < 4; i++) {
    truthy(sender.send(new Uint8Array(1)).ok);
    receiver.peek();
    receiver.release();
  }
  equal(drainTap(records, 10).length, 2);
  sender.send(new Uint8Array(1));
  equal(drainTap(records, 10)[0]?.dropped, 3);
});

test('a stream switches the tap on for its first observer and off after its last', () => {
  const { handle, records, sender } = setUp();
  const turns = new Subject<void>();
  const switched: boolean[] = [];
  const stream = tapStream(records, turns, (on) => {
    switched.push(on);
    observeQueue(handle, on);
  });
  const [a, b]: [string[], string[]] = [[], []];
  const first = stream.subscribe((o) => a.push(o.event));
  const second = stream.subscribe((o) => b.push(o.event));
  sender.send(new Uint8Array(1));
  turns.next();
  first.unsubscribe();
  second.unsubscribe();
  equal([a, b, switched], [['sent'], ['sent'], [true, false]]);
  const ended: string[] = [];
  stream.subscribe({ complete: () => ended.push('complete'), error: () => ended.push('error') });
  turns.error(new Error('turns end'));
  equal(ended, ['error']);
});

test('malformed records are left out', () => {
  const { records, sender } = setUp();
  const other = createQueue({ depth: 4, messageBytesMax: 32, mode: 'single' });
  const writer = QueueSender.attach(other, { owner: 1 });
  const reader = QueueReceiver.attach(other, { owner: 2 });
  truthy(writer.ok && reader.ok && records && sender);
  writer.value.send(new Uint8Array(8));
  writer.value.send(new Uint8Array(32).fill(0xff));
  equal(drainTap(reader.value, 10), []);
});
test.run();
