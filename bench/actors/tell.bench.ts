/** `actor.tell`: typed tells and asks between two actors in workers, against a MessagePort between two workers. */
import { once } from 'node:events';
import { MessageChannel, Worker } from 'node:worker_threads';
import { ActorSystem } from '../../actors/runtime/system.js';
import { PER_SAMPLE } from '../bus/rtt-loops.js';
import { median, pairedRatio, quantile } from '../measure.js';
import { apart, threadOf } from '../placement.js';
import type { Bench, BenchSuite } from '../report.js';
import { callerKind } from './caller.actor.js';
import type { PortJob, PortPeerData } from './port-peer.worker.js';
import { sinkKind } from './sink.actor.js';

const REPEATS = 7;
const TELLS = 60_000;
const PORT_TELLS = 30_000;
const ASKS = 6_000;
const PORT_ASKS = 1_500;

async function run(bench: Bench): Promise<void> {
  const system = new ActorSystem({ onLog: () => undefined });
  const { made: sink, thread: sinkThread } = await threadOf(() => system.spawn(sinkKind, {}, { name: 'sink' }));
  const samples = new Float64Array(new SharedArrayBuffer((8 * ASKS) / PER_SAMPLE));
  const { made: caller, thread: callerThread } = await threadOf(() =>
    system.spawn(callerKind, { samples: samples.buffer }, { name: 'caller' }),
  );
  if (!sink.ok || !caller.ok) throw new Error('the actors do not start');
  const { port1, port2 } = new MessageChannel();
  const peer = (data: PortPeerData): Promise<{ readonly made: Worker; readonly thread?: number }> =>
    threadOf(async () => {
      const worker = new Worker(new URL('./port-peer.worker.js', import.meta.url), {
        workerData: data,
        transferList: [data.port],
      });
      await once(worker, 'online');
      return worker;
    });
  const { made: portCaller, thread: portCallerThread } = await peer({ role: 'caller', port: port1 });
  const { made: portSink, thread: portSinkThread } = await peer({ role: 'sink', port: port2 });
  const pinned = apart(callerThread, sinkThread) && apart(portCallerThread, portSinkThread);
  const overPort = (job: PortJob): Promise<unknown> =>
    new Promise((resolve) => {
      portCaller.once('message', resolve);
      portCaller.postMessage(job);
    });
  const where = pinned ? 'kept on processors 0 and 1 by taskset, the MessagePort peers likewise' : 'not pinned';
  bench.note(`placement: sender and receiver each in a worker, ${where}; the main thread idle`);
  bench.note(`a round trip is the mean of ${PER_SAMPLE} one after another, for both`);

  const tells: number[] = [];
  const portTells: number[] = [];
  const asks: number[] = [];
  const portAsks: number[] = [];
  const all: { asks: number[]; portAsks: number[] } = { asks: [], portAsks: [] };
  for (let repeat = -2; repeat < REPEATS; repeat++) {
    const options = { timeoutMs: 60_000 };
    const streamed = await system.sender.ask(caller.value, 'stream', { to: sink.value, count: TELLS }, options);
    if (!streamed.ok) throw new Error(JSON.stringify(streamed.error));
    const portRate = Number(await overPort({ job: 'stream', count: PORT_TELLS }));
    const asked = await system.sender.ask(caller.value, 'asks', { to: sink.value, count: ASKS }, options);
    if (!asked.ok) throw new Error(JSON.stringify(asked.error));
    const portTrips = (await overPort({ job: 'asks', count: PORT_ASKS })) as number[];
    if (repeat < 0) continue;
    tells.push(streamed.value.perSecond);
    portTells.push(portRate);
    const trips = [...samples];
    asks.push(median(trips));
    portAsks.push(median(portTrips));
    all.asks.push(...trips);
    all.portAsks.push(...portTrips);
  }
  await system.close();
  await Promise.all([portCaller.terminate(), portSink.terminate()]);

  const portRate = `MessagePort, same object (${(median(portTells) / 1e6).toFixed(2)} M/s)`;
  bench.ratio('actor.tell', median(tells), 'msg/s', portRate, pairedRatio(tells, portTells), { op: '>=', bound: 2 });
  const portTrip = `MessagePort (${median(portAsks).toFixed(1)} us)`;
  bench.ratio('actor.ask.p50', median(asks), 'us', portTrip, pairedRatio(asks, portAsks), { op: '<=', bound: 1 / 25 });
  bench.value('actor.ask.p99', quantile(all.asks, 0.99), 'us');
  bench.histogram('actor-ask', 'Round trip of an ask between two awake actors', [
    { label: 'actor ask', samplesNs: all.asks.map((us) => us * 1000) },
    { label: 'MessagePort', samplesNs: all.portAsks.map((us) => us * 1000) },
  ]);
}

const suite: BenchSuite = {
  title: 'tells and asks between two actors',
  ids: ['actor.tell', 'actor.ask.p50', 'actor.ask.p99'],
  run,
};
export default suite;
