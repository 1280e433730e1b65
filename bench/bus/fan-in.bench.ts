/** `bus.fan-in`: eight producers into one mailbox; nothing lost, duplicated or out of order per producer. */
import { Worker } from 'node:worker_threads';
import { createStructureTable } from '../../bus/codec/structure-table.js';
import { createQueue } from '../../bus/message-queue/queue-layout.js';
import { QueueReceiver } from '../../bus/message-queue/queue-receiver.js';
import { median, nowNs } from '../measure.js';
import type { Bench, BenchSuite } from '../report.js';
import type { StreamData, StreamJob } from './stream.worker.js';

const PRODUCERS = 8;
const REPEATS = 5;
const COUNT = 50_000;
const RAW_BYTES = 240;
const SPINS = 2000;

async function run(bench: Bench): Promise<void> {
  const raw = createQueue({ depth: 1024, messageBytesMax: RAW_BYTES, mode: 'fan-in' });
  const packed = createQueue({ depth: 1, messageBytesMax: 8, mode: 'single' });
  const shapes = createStructureTable();
  const workers = Array.from({ length: PRODUCERS }, (_, i) => {
    const workerData: StreamData = { raw, packed, shapes, id: i + 1 };
    return new Worker(new URL('./stream.worker.js', import.meta.url), { workerData });
  });
  const receiver = QueueReceiver.attach(raw, { owner: PRODUCERS + 1 });
  if (!receiver.ok) throw new Error('queue does not attach');
  bench.note(`placement: ${PRODUCERS} workers send, the main thread receives; not pinned to processors`);
  const into = new Uint8Array(RAW_BYTES);
  const head = new Int32Array(into.buffer, 0, 2);
  const rates: number[] = [];
  let wrong = 0;
  let received = 0;
  for (let repeat = -1; repeat < REPEATS; repeat++) {
    for (const worker of workers)
      worker.postMessage({ kind: 'raw', count: COUNT, sizeBytes: RAW_BYTES } satisfies StreamJob);
    const next = new Array<number>(PRODUCERS + 1).fill(0);
    let first = 0;
    for (let got = 0; got < PRODUCERS * COUNT; got++) {
      while (receiver.value.next(SPINS) < 0);
      if (got === 0) first = nowNs();
      receiver.value.copyOut(into);
      receiver.value.take();
      const [id = 0, n = 0] = head;
      if (n !== next[id]) wrong++;
      next[id] = n + 1;
      received++;
    }
    receiver.value.free();
    if (repeat >= 0) rates.push((PRODUCERS * COUNT) / ((nowNs() - first) / 1e9));
  }
  // A message too many would be a duplicate.
  if (receiver.value.next(0, 50) >= 0) wrong++;
  await Promise.all(workers.map((worker) => worker.terminate()));
  const ratio = wrong / received;
  bench.ratio('bus.fan-in', median(rates), 'msg/s', `wrong messages of ${received}`, ratio, { op: '<=', bound: 0 });
}

const suite: BenchSuite = { title: 'eight producers into one mailbox', ids: ['bus.fan-in'], run };
export default suite;
