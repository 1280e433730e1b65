/** `actor.spawn`: from spawn to the first answered message, cold and from a warm pool, and what an idle actor holds. */
import type { ActorKind } from '../../actors/runtime/actor.js';
import type { ActorRef } from '../../actors/runtime/protocol.js';
import { ActorSystem } from '../../actors/runtime/system.js';
import { bareWorker, bareWorkerMs, settledRss } from '../bare-worker.js';
import { median, pairedRatio, quantile } from '../measure.js';
import type { Bench, BenchSuite } from '../report.js';
import { type SinkProtocol, sinkKind } from './sink.actor.js';

const REPEATS = 31;
const IDLE_ACTORS = 12;
const MEMORY_REPEATS = 3;

let spawned = 0;

async function spawnMs(system: ActorSystem, kind: ActorKind): Promise<{ took: number; ref: ActorRef<SinkProtocol> }> {
  spawned += 1;
  const name = `sink-${spawned}`;
  const started = performance.now();
  const actor = await system.spawn(kind, {}, { name });
  if (!actor.ok) throw new Error(JSON.stringify(actor.error));
  const ref: ActorRef<SinkProtocol> = { actor: actor.value.actor };
  const answer = await system.sender.ask(ref, 'echo', { value: spawned });
  if (!answer.ok) throw new Error(`${name}: ${JSON.stringify(answer.error)}`);
  return { took: performance.now() - started, ref };
}

async function idleMegabytes(start: () => Promise<() => Promise<unknown>>): Promise<number> {
  const before = await settledRss();
  const stops: (() => Promise<unknown>)[] = [];
  for (let i = 0; i < IDLE_ACTORS; i++) stops.push(await start());
  const after = await settledRss();
  await Promise.all(stops.map((stop) => stop()));
  return (after - before) / IDLE_ACTORS / 2 ** 20;
}

async function run(bench: Bench): Promise<void> {
  const system = new ActorSystem({ onLog: () => undefined });
  const warmKind: ActorKind = { ...sinkKind, warm: 1 };
  bench.note('placement: started from the main thread, one at a time');
  const bare: number[] = [];
  const cold: number[] = [];
  const warm: number[] = [];
  for (let repeat = -3; repeat < REPEATS; repeat++) {
    // In turns, so that neither is always the one that follows the other's clearing up.
    const bareFirst = (repeat & 1) === 0;
    const before = bareFirst ? await bareWorkerMs() : undefined;
    const first = await spawnMs(system, sinkKind);
    await system.stop(first.ref);
    const bareTook = before ?? (await bareWorkerMs());
    await system.prepare(warmKind);
    const second = await spawnMs(system, warmKind);
    // The replacement loads on the other processor; it must not share this one with the next measurement.
    await system.prepare(warmKind);
    await system.stop(second.ref);
    if (repeat < 0) continue;
    bare.push(bareTook);
    cold.push(first.took);
    warm.push(second.took);
  }
  const against = `bare Worker (${median(bare).toFixed(1)} ms)`;
  bench.ratio('actor.spawn.cold', median(cold), 'ms', against, pairedRatio(cold, bare), { op: '<=', bound: 1.15 });
  bench.ratio('actor.spawn.warm', median(warm), 'ms', against, pairedRatio(warm, bare), { op: '<=', bound: 1 / 8 });
  bench.value('actor.spawn.cold.p99', quantile(cold, 0.99), 'ms');
  bench.value('actor.spawn.warm.p99', quantile(warm, 0.99), 'ms');

  const idleActor = async (): Promise<() => Promise<unknown>> => {
    const { ref } = await spawnMs(system, sinkKind);
    return () => system.stop(ref);
  };
  const idleWorker = async (): Promise<() => Promise<unknown>> => {
    const started = bareWorker();
    await new Promise((resolve) => {
      started.once('message', resolve);
      started.postMessage('first');
    });
    return () => started.terminate();
  };
  // In turns, because the process keeps part of what ended threads held: whoever comes first pays for the next.
  const actors: number[] = [];
  const workers: number[] = [];
  for (let repeat = -1; repeat < MEMORY_REPEATS; repeat++) {
    const worker = await idleMegabytes(idleWorker);
    const actor = await idleMegabytes(idleActor);
    if (repeat < 0) continue;
    workers.push(worker);
    actors.push(actor);
  }
  await system.close();
  const memory = `bare Worker (${median(workers).toFixed(1)} MiB)`;
  bench.ratio('actor.spawn.memory', median(actors), 'MiB', memory, pairedRatio(actors, workers), {
    op: '<=',
    bound: 1.15,
  });
}

const suite: BenchSuite = {
  title: 'starting an actor: cold, from a warm pool, and its idle memory',
  ids: ['actor.spawn.cold', 'actor.spawn.warm', 'actor.spawn.memory'],
  run,
};
export default suite;
