/**
 * `gh.stream`: one-way throughput from one guest to the other, 240 bytes a message, over a queue of depth 8 and over the deepest
 * there is. Both sides try again for a while and then go to WFI. The peer is a worker that posts the same messages to the main thread.
 */

import { Worker } from 'node:worker_threads';
import { createStructureTable } from '../../bus/codec/structure-table.js';
import { createQueue } from '../../bus/message-queue/queue-layout.js';
import { GuestPair, LONG_DEPTH, SHORT_DEPTH } from '../../test/drivers/guest-pair.js';
import type { StreamData, StreamJob, WHICH_THREAD } from '../bus/stream.worker.js';
import { median, nowNs, pairedRatio } from '../measure.js';
import { askThread } from '../placement.js';
import type { Bench, BenchSuite } from '../report.js';
import { keepApart } from './placed.js';

const ROUNDS = 15;
/** Of these, where nothing is kept apart. */
const ROUNDS_FREE = 5;
const WARM_UP = 3;
const SIZE_BYTES = 240;
const MESSAGES = 40_000;
const PORT_MESSAGES = 20_000;

/** A worker that posts messages to this thread. */
function startPoster(): Worker {
  const unused = { depth: 1, messageBytesMax: SIZE_BYTES, mode: 'single' } as const;
  const [raw, packed] = [createQueue(unused), createQueue(unused)];
  const workerData: StreamData = { raw, packed, shapes: createStructureTable(), id: 2 };
  return new Worker(new URL('../bus/stream.worker.js', import.meta.url), { workerData });
}

/** Messages per second over a MessagePort, from the first one received to the last. */
function portRate(poster: Worker): Promise<number> {
  return new Promise((resolve) => {
    let [got, firstNs] = [0, 0];
    poster.on('message', function received() {
      if (++got === 1) firstNs = nowNs();
      if (got < PORT_MESSAGES) return;
      poster.off('message', received);
      resolve((PORT_MESSAGES - 1) / ((nowNs() - firstNs) / 1e9));
    });
    poster.postMessage({ kind: 'port', count: PORT_MESSAGES, sizeBytes: SIZE_BYTES } satisfies StreamJob);
  });
}

type Rates = Record<'port' | 'short' | 'long', number[]>;

async function take(pair: GuestPair, poster: Worker, count: number): Promise<Rates> {
  /** Messages per second, by the clock of the guest that receives. */
  const guestRate = async (link: 'short' | 'long'): Promise<number> => {
    const [tookNs] = await pair.jobs(`take ${link} ${MESSAGES}`, `send ${link} ${MESSAGES}`, 'two');
    return (MESSAGES - 1) / ((tookNs ?? Number.NaN) / 1e9);
  };
  const rates: Rates = { port: [], short: [], long: [] };
  for (let round = -WARM_UP; round < count; round++) {
    const [port, short, long] = [await portRate(poster), await guestRate('short'), await guestRate('long')];
    if (round < 0) continue;
    rates.port.push(port);
    rates.short.push(short);
    rates.long.push(long);
  }
  return rates;
}

async function run(bench: Bench): Promise<void> {
  const pair = await GuestPair.start();
  const poster = startPoster();
  const thread = await askThread(poster, { kind: 'thread' } satisfies typeof WHICH_THREAD);
  try {
    const placed = await keepApart(bench, pair, thread);
    const rates = await take(pair, poster, ROUNDS);
    placed.free();
    bench.note(`depths ${SHORT_DEPTH} and ${LONG_DEPTH}, the deepest that Gunyah has`);
    const against = `MessagePort, same message (${(median(rates.port) / 1e6).toFixed(2)} M/s)`;
    const target = { op: '>=', bound: 2 } as const;
    bench.value('gh.stream.8', median(rates.short), 'msg/s');
    bench.ratio('gh.stream', median(rates.long), 'msg/s', against, pairedRatio(rates.long, rates.port), target);
    if (!placed.isApart) return;
    const free = await take(pair, poster, ROUNDS_FREE);
    bench.value('gh.stream.free', median(free.long), 'msg/s, threads not pinned');
    bench.value('gh.stream.8.free', median(free.short), 'msg/s, threads not pinned');
    bench.value('gh.stream.port.free', median(free.port), 'msg/s, MessagePort, not pinned');
  } finally {
    await poster.terminate();
    await pair.close();
  }
}

const suite: BenchSuite = {
  title: 'one-way throughput from one guest to the other, against a MessagePort',
  ids: ['gh.stream'],
  run,
};
export default suite;
