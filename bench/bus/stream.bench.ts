/** `bus.stream.raw`, `bus.stream.msgpack`: one-way throughput of one producer and one consumer, against a MessagePort. */
import { Worker } from 'node:worker_threads';
import { Codec } from '../../bus/codec/codec.js';
import { createStructureTable, StructureTable } from '../../bus/codec/structure-table.js';
import { createQueue } from '../../bus/message-queue/queue-layout.js';
import { QueueReceiver } from '../../bus/message-queue/queue-receiver.js';
import { median, nowNs, pairedRatio } from '../measure.js';
import type { Bench, BenchSuite } from '../report.js';
import type { StreamData, StreamJob } from './stream.worker.js';
import type { tenFields } from './ten-fields.js';

const REPEATS = 9;
const RAW_BYTES = 240;
const COUNTS = { raw: 300_000, batched: 600_000, msgpack: 100_000, port: 20_000, 'port-object': 20_000 } as const;
const SPINS = 2000;

async function run(bench: Bench): Promise<void> {
  const data: StreamData = {
    raw: createQueue({ depth: 1024, messageBytesMax: RAW_BYTES, mode: 'single' }),
    packed: createQueue({ depth: 1024, messageBytesMax: 504, mode: 'single' }),
    shapes: createStructureTable(),
    id: 2,
  };
  const worker = new Worker(new URL('./stream.worker.js', import.meta.url), { workerData: data });
  const raw = QueueReceiver.attach(data.raw, { owner: 1 });
  const packed = QueueReceiver.attach(data.packed, { owner: 1 });
  if (!raw.ok || !packed.ok) throw new Error('queues do not attach');
  const codec = new Codec({ structures: new StructureTable(data.shapes, 1) });
  bench.note('placement: one worker sends, the main thread receives; not pinned to processors');

  /** Messages per second of one way of sending. */
  const rate = async (kind: StreamJob['kind']): Promise<number> => {
    const count = COUNTS[kind];
    worker.postMessage({ kind, count, sizeBytes: RAW_BYTES } satisfies StreamJob);
    if (kind === 'port' || kind === 'port-object') {
      return new Promise((resolve) => {
        let got = 0;
        let first = 0;
        worker.on('message', function received() {
          if (got === 0) first = nowNs();
          if (++got < count) return;
          worker.off('message', received);
          resolve((count - 1) / ((nowNs() - first) / 1e9));
        });
      });
    }
    return kind === 'msgpack' ? receivePacked(packed.value, codec, count) : receiveRaw(raw.value, count);
  };
  const rates: Record<StreamJob['kind'], number[]> = { raw: [], batched: [], msgpack: [], port: [], 'port-object': [] };
  for (let repeat = -2; repeat < REPEATS; repeat++) {
    for (const kind of ['port', 'raw', 'batched', 'port-object', 'msgpack'] as const) {
      const perSecond = await rate(kind);
      if (repeat >= 0) rates[kind].push(perSecond);
    }
  }
  await worker.terminate();
  const report = (id: string, kind: StreamJob['kind'], peer: 'port' | 'port-object', bound: number): void => {
    const against = `MessagePort, same message (${(median(rates[peer]) / 1e6).toFixed(2)} M/s)`;
    bench.ratio(id, median(rates[kind]), 'msg/s', against, pairedRatio(rates[kind], rates[peer]), { op: '>=', bound });
  };
  report('bus.stream.raw', 'raw', 'port', 10);
  report('bus.stream.raw.batched', 'batched', 'port', 30);
  report('bus.stream.msgpack', 'msgpack', 'port-object', 2.5);
}

/** Receives and copies out `count` raw messages, checking their numbers; messages per second from the first one on. */
function receiveRaw(receiver: QueueReceiver, count: number): number {
  const into = new Uint8Array(RAW_BYTES);
  const head = new Int32Array(into.buffer, 0, 2);
  let first = 0;
  for (let n = 0; n < count; n++) {
    while (receiver.next(SPINS) < 0);
    if (n === 0) first = nowNs();
    receiver.copyOut(into);
    receiver.take();
    if (head[1] !== n) throw new Error(`message ${head[1]} came in place of ${n}`);
  }
  receiver.free();
  return (count - 1) / ((nowNs() - first) / 1e9);
}

/** Receives and decodes `count` objects, checking their numbers. */
function receivePacked(receiver: QueueReceiver, codec: Codec, count: number): number {
  let first = 0;
  for (let n = 0; n < count; n++) {
    const size = receiver.next(SPINS);
    if (n === 0) first = nowNs();
    const decoded = codec.decode(receiver, size);
    receiver.take();
    if (!decoded.ok || (decoded.value as ReturnType<typeof tenFields>).id !== n)
      throw new Error(`message ${n} is wrong`);
  }
  receiver.free();
  return (count - 1) / ((nowNs() - first) / 1e9);
}

const suite: BenchSuite = {
  title: 'one-way throughput, one producer and one consumer',
  ids: ['bus.stream.raw', 'bus.stream.raw.batched', 'bus.stream.msgpack'],
  run,
};
export default suite;
