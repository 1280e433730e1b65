import { Subject } from 'rxjs';
import { equal, is, ok as truthy } from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { Codec } from '../codec/codec.js';
import { createQueue } from '../message-queue/queue-layout.js';
import { QueueReceiver } from '../message-queue/queue-receiver.js';
import { QueueSender } from '../message-queue/queue-sender.js';
import { drainTrace, TRACE_QUEUE, type TraceEvent, TraceWriter } from './trace.js';
import { traceStream } from './trace-stream.js';

const test = spec('trace');

function setUp(depth = 64) {
  const handle = createQueue({ ...TRACE_QUEUE, depth });
  const receiver = QueueReceiver.attach(handle, { owner: 9 });
  truthy(receiver.ok);
  let time = 0;
  const writer = (n: number) => {
    const queue = QueueSender.attach(handle, { owner: n + 1 });
    truthy(queue.ok);
    return new TraceWriter({ queue: queue.value, who: `cpu${n}`, nowNs: () => ++time, patienceMs: 1 });
  };
  return { handle, receiver: receiver.value, writer };
}

test('events of several writers arrive in order with their fields', () => {
  const { receiver, writer } = setUp();
  writer(0).emit('exception', { event: 'enter', esr: '0x56000000' });
  writer(1).emit('irq', { event: 'acknowledge', intid: 27 });
  equal(drainTrace(receiver, new Codec(), 10), [
    { kind: 'exception', timeNs: 1, who: 'cpu0', fields: { event: 'enter', esr: '0x56000000' } },
    { kind: 'irq', timeNs: 2, who: 'cpu1', fields: { event: 'acknowledge', intid: 27 } },
  ]);
});

test('a reader that is gone costs events, which are counted, and not the writer', () => {
  const { receiver, writer } = setUp(4);
  const one = writer(0);
  for (let n = 0; n < 10; n++) one.emit('power', { n });
  is(drainTrace(receiver, new Codec(), 10).length, 4);
  one.emit('power', { n: 10 });
  equal(drainTrace(receiver, new Codec(), 10)[0]?.fields, { n: 10, lost: 6 });
  one.emit('power', { n: 11 });
  equal(drainTrace(receiver, new Codec(), 10)[0]?.fields, { n: 11 });
});

test('an event too long for a slot keeps its first fields', () => {
  const { receiver, writer } = setUp();
  const many = Object.fromEntries(Array.from({ length: 90 }, (_, n) => [`x${n}`, '0x0123456789abcdef']));
  writer(0).emit('insn', many);
  equal(Object.keys(drainTrace(receiver, new Codec(), 10)[0]?.fields ?? {}), ['x0', 'x1', 'x2', 'x3']);
});

test('a stream is shared, and complete at its end', () => {
  const { receiver, writer } = setUp();
  const turns = new Subject<void>();
  const stream = traceStream(receiver, turns);
  const seen: TraceEvent[][] = [[], []];
  let ended = 0;
  for (const events of seen) {
    stream.subscribe({ next: (batch) => events.push(...batch), complete: () => ended++ });
  }
  const one = writer(0);
  one.emit('power', { n: 1 });
  turns.next();
  one.emit('power', { n: 2 });
  turns.complete();
  equal(
    seen.map((events) => events.map(({ fields }) => fields['n'])),
    [
      [1, 2],
      [1, 2],
    ],
  );
  is(ended, 2);
});

test('malformed messages are left out', () => {
  const { handle, receiver } = setUp();
  const sender = QueueSender.attach(handle, { owner: 1 });
  truthy(sender.ok);
  const codec = new Codec();
  const bad = [7, [99, 1, 'a', {}], [0, 'x', 'a', {}], [0, 1, 2, {}], [0, 1, 'a', null], [0, 1, 'a', { b: [1], c: 2 }]];
  for (const value of bad) codec.send(sender.value, value);
  sender.value.send(new Uint8Array([0xc1]));
  equal(drainTrace(receiver, codec, 10), [{ kind: 'insn', timeNs: 1, who: 'a', fields: { c: 2 } }]);
});
test.run();
