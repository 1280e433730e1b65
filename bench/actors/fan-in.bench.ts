/** `actor.fan-in`: eight producer actors into one mailbox; nothing lost, duplicated or reordered per producer. */
import { ActorSystem } from '../../actors/runtime/system.js';
import { counterKind, LEDGER } from '../../test/fixtures/actors/counter.actor.js';
import { producerKind } from '../../test/fixtures/actors/producer.actor.js';
import type { Bench, BenchSuite } from '../report.js';

const PRODUCERS = 8;
const MESSAGES = 25_000;
const DEADLINE_MS = 120_000;

async function run(bench: Bench): Promise<void> {
  const system = new ActorSystem({ onLog: () => undefined });
  const ledger = new Int32Array(new SharedArrayBuffer(4 * (LEDGER.lastSeen + PRODUCERS)));
  const counter = await system.spawn(counterKind, { ledger: ledger.buffer }, { name: 'counter' });
  if (!counter.ok) throw new Error('the counter does not start');
  const producers = [];
  for (let producer = 0; producer < PRODUCERS; producer++) {
    const config = { to: counter.value, producer, count: MESSAGES, progress: new SharedArrayBuffer(8) };
    const started = await system.spawn(producerKind, config, { name: `producer-${producer}` });
    if (!started.ok) throw new Error('a producer does not start');
    producers.push(started.value);
  }
  bench.note(`placement: ${PRODUCERS} producers and the counter, each in a worker, the main thread idle`);
  const startedMs = performance.now();
  for (const producer of producers) system.sender.tell(producer, 'go', {});
  const total = PRODUCERS * MESSAGES;
  while (Atomics.load(ledger, LEDGER.messages) < total) {
    if (performance.now() - startedMs > DEADLINE_MS) throw new Error('messages are missing');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const seconds = (performance.now() - startedMs) / 1000;
  await system.close();
  bench.value('bus.fan-in.actors', total / seconds, 'msg/s');
  const wrong = (ledger[LEDGER.violations] ?? 0) + (ledger[LEDGER.gaps] ?? 0);
  bench.ratio('bus.fan-in.actors.wrong', wrong, 'messages', 'none lost, repeated or reordered', wrong, {
    op: '<=',
    bound: 0,
  });
}

const suite: BenchSuite = {
  title: 'eight producer actors into one mailbox',
  ids: ['bus.fan-in.actors', 'bus.fan-in.actors.wrong'],
  run,
};
export default suite;
