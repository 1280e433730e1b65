/** `bus.stream.raw`, `bus.stream.msgpack`: one-way throughput of one producer and one consumer, against a MessagePort. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { Codec } from '../../bus/codec/codec.js';
import { createStructureTable, StructureTable } from '../../bus/codec/structure-table.js';
import { createQueue } from '../../bus/message-queue/queue-layout.js';
import { QueueReceiver } from '../../bus/message-queue/queue-receiver.js';
import { median, nowNs, pairedRatio } from '../measure.js';
import { anywhere, apart, threadOf } from '../placement.js';
import type { Bench, BenchSuite } from '../report.js';
import type { StreamData, StreamJob } from './stream.worker.js';
import type { tenFields } from './ten-fields.js';

const REPEATS = 9;
const RAW_BYTES = 240;
const COUNTS = {
  raw: 300_000,
  batched: 600_000,
  msgpack: 100_000,
  'msgpack-batched': 100_000,
  port: 20_000,
  'port-object': 20_000,
} as const;
const SPINS = 300;

async function run(bench: Bench): Promise<void> {
  const data: StreamData = {
    raw: createQueue({ depth: 4096, messageBytesMax: RAW_BYTES, mode: 'single' }),
    packed: createQueue({ depth: 4096, messageBytesMax: 504, mode: 'single' }),
    shapes: createStructureTable(),
    id: 2,
  };
  const { made: worker, thread } = await threadOf(async () => {
    const started = new Worker(new URL('./stream.worker.js', import.meta.url), { workerData: data });
    await once(started, 'online');
    return started;
  });
  const raw = QueueReceiver.attach(data.raw, { owner: 1 });
  const packed = QueueReceiver.attach(data.packed, { owner: 1 });
  if (!raw.ok || !packed.ok) throw new Error('queues do not attach');
  const codec = new Codec({ structures: new StructureTable(data.shapes, 1) });
  // A woken thread may share its waker's processor for the whole of a sample, in which a stream is no stream.
  const pinned = apart(process.pid, thread);
  const where = pinned ? 'kept on processors 0 and 1 by taskset, with the queue and with the port' : 'not pinned';
  bench.note(`placement: one worker sends, the main thread receives, ${where}`);

  /** Messages per second of one way of sending, from the order to send until the last one has been received and checked. */
  const rate = async (kind: StreamJob['kind']): Promise<number> => {
    const count = COUNTS[kind];
    const start = nowNs();
    worker.postMessage({ kind, count, sizeBytes: RAW_BYTES } satisfies StreamJob);
    if (kind === 'port' || kind === 'port-object') {
      await new Promise<void>((resolve) => {
        let got = 0;
        worker.on('message', function received() {
          if (++got < count) return;
          worker.off('message', received);
          resolve();
        });
      });
    } else if (kind === 'msgpack' || kind === 'msgpack-batched') receivePacked(packed.value, codec, count);
    else receiveRaw(raw.value, count);
    return count / ((nowNs() - start) / 1e9);
  };
  const rates: Record<StreamJob['kind'], number[]> = {
    raw: [],
    batched: [],
    msgpack: [],
    'msgpack-batched': [],
    port: [],
    'port-object': [],
  };
  for (let repeat = -2; repeat < REPEATS; repeat++) {
    for (const kind of ['port', 'raw', 'batched', 'port-object', 'msgpack', 'msgpack-batched'] as const) {
      const perSecond = await rate(kind);
      if (repeat >= 0) rates[kind].push(perSecond);
    }
  }
  if (pinned) anywhere();
  await worker.terminate();
  const report = (id: string, kind: StreamJob['kind'], peer: 'port' | 'port-object', bound: number): void => {
    const against = `MessagePort, same message (${(median(rates[peer]) / 1e6).toFixed(2)} M/s)`;
    bench.ratio(id, median(rates[kind]), 'msg/s', against, pairedRatio(rates[kind], rates[peer]), { op: '>=', bound });
  };
  report('bus.stream.raw', 'raw', 'port', 10);
  report('bus.stream.raw.batched', 'batched', 'port', 30);
  report('bus.stream.msgpack', 'msgpack', 'port-object', 2.5);
  report('bus.stream.msgpack.batched', 'msgpack-batched', 'port-object', 2.5);
}

/** Receives and copies out `count` raw messages, checking their numbers. */
function receiveRaw(receiver: QueueReceiver, count: number): void {
  const into = new Uint8Array(RAW_BYTES);
  const head = new Int32Array(into.buffer, 0, 2);
  for (let n = 0; n < count; n++) {
    while (receiver.next(SPINS) < 0);
    receiver.copyOut(into);
    receiver.take();
    if (head[1] !== n) throw new Error(`message ${head[1]} came in place of ${n}`);
  }
  receiver.free();
}

/** Receives and decodes `count` objects, checking their numbers. */
function receivePacked(receiver: QueueReceiver, codec: Codec, count: number): void {
  for (let n = 0; n < count; n++) {
    const size = receiver.next(SPINS);
    const decoded = codec.decode(receiver, size);
    receiver.take();
    if (!decoded.ok || (decoded.value as ReturnType<typeof tenFields>).id !== n)
      throw new Error(`message ${n} is wrong`);
  }
  receiver.free();
}

const suite: BenchSuite = {
  title: 'one-way throughput, one producer and one consumer',
  ids: ['bus.stream.raw', 'bus.stream.raw.batched', 'bus.stream.msgpack'],
  run,
};
export default suite;
