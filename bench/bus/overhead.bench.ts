/** What the parts cost on one thread: a tap nobody looks at, a doorbell's ring, an uncontended lock. */
import { createDoorbell, Doorbell } from '../../bus/doorbell/doorbell.js';
import { createQueue } from '../../bus/message-queue/queue-layout.js';
import { QueueReceiver } from '../../bus/message-queue/queue-receiver.js';
import { QueueSender } from '../../bus/message-queue/queue-sender.js';
import { median, nowNs, pairedRatio } from '../measure.js';
import type { Bench, BenchSuite } from '../report.js';

/** Many short turns: what else the machine does then falls into a few of them, and the median leaves it out. */
const REPEATS = 101;
const TURNS = 20_000;

function nsPerTurn(turn: () => void): number {
  const start = nowNs();
  for (let i = 0; i < TURNS; i++) turn();
  return (nowNs() - start) / TURNS;
}

/** Sends and takes one message through a queue whose ends have a sink (never switched on) or none. */
function passing(withSink: boolean): () => void {
  const handle = createQueue({ depth: 64, messageBytesMax: 64, mode: 'single' });
  const options = withSink ? { owner: 1, tap: { record: () => undefined } } : { owner: 1 };
  const sender = QueueSender.attach(handle, options);
  const receiver = QueueReceiver.attach(handle, options);
  if (!sender.ok || !receiver.ok) throw new Error('queue does not attach');
  const message = new Uint8Array(64);
  return () => {
    sender.value.send(message);
    receiver.value.peek();
    receiver.value.release();
  };
}

async function run(bench: Bench): Promise<void> {
  bench.note('placement: the main thread alone');
  const bell = Doorbell.attach(createDoorbell(), { owner: 1 });
  if (!bell.ok) throw new Error('doorbell does not attach');
  const ring = (): void => {
    bell.value.send(1);
    bell.value.receive(1);
  };
  const flags = new BigInt64Array(new SharedArrayBuffer(64));
  const bare = (): void => {
    Atomics.or(flags, 0, 1n);
    Atomics.and(flags, 0, ~1n);
  };
  const ways = [passing(false), passing(true), ring, bare];
  const taken: number[][] = ways.map(() => []);
  for (let repeat = -15; repeat < REPEATS; repeat++) {
    // Forwards and backwards, so that no way is always the one after the other.
    const order = repeat & 1 ? [...ways.entries()].toReversed() : [...ways.entries()];
    for (const [i, way] of order) {
      const ns = nsPerTurn(way);
      if (repeat >= 0) taken[i]?.push(ns);
    }
  }
  const [without = [], withSink = [], rings = [], words = []] = taken;
  bench.ratio(
    'bus.tap.idle',
    median(withSink),
    'ns/msg',
    `no sink attached (${median(without).toFixed(1)} ns)`,
    pairedRatio(withSink, without),
    { op: '<=', bound: 1.1 },
  );
  bench.value('bus.doorbell.ring', median(rings), 'ns');
  bench.value('bus.doorbell.bigint-atomics', median(words), 'ns');
}

const suite: BenchSuite = {
  title: 'costs on one thread: idle tap, doorbell ring and answer, the same with bare BigInt64 atomics',
  ids: ['bus.tap.idle', 'bus.doorbell.ring', 'bus.doorbell.bigint-atomics'],
  run,
};
export default suite;
