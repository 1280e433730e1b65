/** `bus.rtt.awake` and `bus.rtt.asleep`: round trips between two threads, against the barest possible ones. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { createQueue } from '../../bus/message-queue/queue-layout.js';
import { QueueReceiver } from '../../bus/message-queue/queue-receiver.js';
import { QueueSender } from '../../bus/message-queue/queue-sender.js';
import { median, nowNs, pairedRatio, quantile } from '../measure.js';
import { anywhere, apart, threadOf } from '../placement.js';
import type { Bench, BenchSuite } from '../report.js';
import type { EchoData, EchoJob } from './echo.worker.js';
import { bareSleepAsk, bareSpinAsk, queueAsk } from './rtt-loops.js';

const REPEATS = 25;
/** With fewer undisturbed rounds there is no figure. */
const REPEATS_MIN = 5;
/** Rounds are repeated for at most so long. */
const PATIENCE_MS = 40_000;
/** How long one way is measured before the next one has its turn. */
const SLICE_MS = 40;
/** A round is dropped when a median is this many times the best one. */
const DISTURBED = 8;
/** Two threads that spin side by side pass a word in less than a microsecond; if they take turns it takes milliseconds. */
const SPIN_NS_MAX = 20_000;
/** About 0.2 ms of polling before a thread parks: no awake round trip ever sleeps. */
const SPINS_AWAKE = 20_000;
/** As the queues to the resource manager are (gunyah.md section 5): what is measured is a message's way, not a cache's size. */
const QUEUE = { depth: 8, messageBytesMax: 240, mode: 'single' } as const;

type Ask = (ms: number, sizeBytes: number) => number[] | Promise<number[]>;

/** Samples of one way of asking, and the median of each repeat. */
interface Taken {
  readonly all: number[];
  readonly medians: number[];
}

/**
 * Leaves out the rounds in which our two threads did not run side by side because others had the processors: those where any
 * way took many times its best, or the first, the limit, longer than `limitNsMax`. All ways of a round are left out together.
 */
function quiet(rounds: readonly number[][][], limitNsMax: number): number[][][] {
  const medians = rounds.map((round) => round.map(median));
  const best = rounds[0]?.map((_, way) => Math.min(...medians.map((round) => round[way] ?? 0))) ?? [];
  return rounds.filter(
    (_, r) =>
      (medians[r]?.[0] ?? 0) <= limitNsMax && best.every((ns, way) => (medians[r]?.[way] ?? 0) <= DISTURBED * ns),
  );
}

async function run(bench: Bench): Promise<void> {
  const data: EchoData = {
    there: createQueue(QUEUE),
    back: createQueue(QUEUE),
    bare: new SharedArrayBuffer(4096),
  };
  const { made: worker, thread } = await threadOf(async () => {
    const started = new Worker(new URL('./echo.worker.js', import.meta.url), { workerData: data });
    await once(started, 'online');
    return started;
  });
  const sender = QueueSender.attach(data.there, { owner: 1 });
  const receiver = QueueReceiver.attach(data.back, { owner: 1 });
  if (!sender.ok || !receiver.ok) throw new Error('queues do not attach');
  // Round trips of two awake threads say nothing where both share a processor, which is where a busy system puts them.
  const pinned = apart(process.pid, thread);
  const where = pinned ? 'kept on processors 0 and 1 by taskset' : 'not pinned to processors';
  bench.note(`placement: the main thread asks, one worker answers, ${where}`);
  bench.note(`queues hold ${QUEUE.depth} messages of ${QUEUE.messageBytesMax} bytes`);
  try {
    await measure(bench, data, worker, sender.value, receiver.value);
  } finally {
    if (pinned) anywhere();
    await worker.terminate();
  }
}

async function measure(
  bench: Bench,
  data: EchoData,
  worker: Worker,
  sender: QueueSender,
  receiver: QueueReceiver,
): Promise<void> {
  const start = async (job: EchoJob): Promise<void> => {
    worker.postMessage(job);
    await once(worker, 'message');
  };
  const clear = (): void => void new Int32Array(data.bare).fill(0);
  const spin: Ask = async (ms, sizeBytes) => {
    clear();
    await start({ kind: 'spin', sizeBytes, spins: 0 });
    return bareSpinAsk(data.bare, ms, sizeBytes);
  };
  const sleep: Ask = async (ms, sizeBytes) => {
    clear();
    await start({ kind: 'sleep', sizeBytes, spins: 0 });
    return bareSleepAsk(data.bare, ms, sizeBytes);
  };
  const queue =
    (spins: number): Ask =>
    async (ms, sizeBytes) => {
      await start({ kind: 'queue', sizeBytes, spins });
      return queueAsk(sender, receiver, ms, sizeBytes, spins);
    };
  const port: Ask = async (ms, sizeBytes) => {
    const message = new Uint8Array(sizeBytes);
    const samples: number[] = [];
    await new Promise<void>((done) => {
      const end = nowNs() + ms * 1e6;
      let from = nowNs();
      worker.on('message', function answered() {
        const now = nowNs();
        samples.push(now - from);
        if (now > end) {
          worker.off('message', answered);
          done();
          return;
        }
        from = now;
        worker.postMessage(message);
      });
      worker.postMessage(message);
    });
    return samples;
  };
  const take = async (
    ways: readonly Ask[],
    sizeBytes: number,
    limitNsMax = Number.POSITIVE_INFINITY,
  ): Promise<Taken[] | undefined> => {
    const rounds: number[][][] = [];
    const end = nowNs() + PATIENCE_MS * 1e6;
    let kept: number[][][] = [];
    for (let repeat = -2; kept.length < REPEATS && nowNs() < end; repeat++) {
      const round: number[][] = [];
      for (const ask of ways) round.push(await ask(SLICE_MS, sizeBytes));
      if (repeat < 0) continue; // two rounds to compile
      rounds.push(round);
      kept = quiet(rounds, limitNsMax);
    }
    const left = rounds.length - kept.length;
    if (left > 0) bench.note(`${left} of ${rounds.length} rounds left out: others had the processors`);
    if (kept.length < REPEATS_MIN) return undefined;
    return ways.map((_, way) => ({
      all: kept.flatMap((round) => round[way] ?? []),
      medians: kept.map((round) => median(round[way] ?? [])),
    }));
  };

  for (const sizeBytes of [64, 240]) {
    const [limit, subject, peer] = (await take([spin, queue(SPINS_AWAKE), port], sizeBytes, SPIN_NS_MAX)) ?? [];
    if (limit === undefined || subject === undefined || peer === undefined) {
      bench.note(`bus.rtt.awake.${sizeBytes} was not measured: the two threads hardly ever ran side by side`);
      continue;
    }
    const id = `bus.rtt.awake.${sizeBytes}`;
    const p50 = median(subject.medians) / 1000;
    bench.ratio(
      id,
      p50,
      'us p50',
      `Atomics spin ping-pong with copies (${us(limit.medians)} us)`,
      pairedRatio(subject.medians, limit.medians),
      { op: '<=', bound: 1.3 },
    );
    bench.value(`${id}.p99`, quantile(subject.all, 0.99) / 1000, 'us p99');
    bench.ratio(
      `${id}.vs-port`,
      p50,
      'us p50',
      `MessagePort (${us(peer.medians)} us)`,
      pairedRatio(peer.medians, subject.medians),
      { op: '>=', bound: 40 },
    );
    bench.histogram(`bus-rtt-awake-${sizeBytes}`, `Round trip, ${sizeBytes} bytes, both threads awake`, [
      { label: 'bare Atomics words with copies', samplesNs: limit.all },
      { label: 'message queue', samplesNs: subject.all },
      { label: 'MessagePort', samplesNs: peer.all },
    ]);
  }
  const [limit, subject] = (await take([sleep, queue(0)], 64)) ?? [];
  if (limit === undefined || subject === undefined) {
    bench.note('bus.rtt.asleep was not measured: the machine is too busy');
    return;
  }
  bench.ratio(
    'bus.rtt.asleep',
    median(subject.medians) / 1000,
    'us p50',
    `Atomics.wait/notify ping-pong (${us(limit.medians)} us)`,
    pairedRatio(subject.medians, limit.medians),
    { op: '<=', bound: 1.15 },
  );
  bench.value('bus.rtt.asleep.p99', quantile(subject.all, 0.99) / 1000, 'us p99');
  bench.histogram('bus-rtt-asleep', 'Round trip, 64 bytes, both threads asleep between messages', [
    { label: 'bare Atomics.wait/notify', samplesNs: limit.all },
    { label: 'message queue', samplesNs: subject.all },
  ]);
}

function us(samples: readonly number[]): string {
  return (median(samples) / 1000).toPrecision(3);
}

const suite: BenchSuite = {
  title: 'round trips between two threads, awake and asleep',
  ids: ['bus.rtt.awake.64', 'bus.rtt.awake.240', 'bus.rtt.asleep'],
  run,
};
export default suite;
