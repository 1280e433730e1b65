/**
 * `gh.bell`: a doorbell rung by one guest until the other, which is awake and not in WFI, has taken the interrupt. The two ring
 * each other, from the interrupt handler on the far side, and half of the way there and back is a sample. The guest waits for some
 * microseconds before each, so that the far side is back from its handler.
 */

import { GuestPair } from '../../test/drivers/guest-pair.js';
import { median, pairedRatio, quantile } from '../measure.js';
import type { Bench, BenchSuite } from '../report.js';
import { keepApart } from './placed.js';
import { ThreadPeers } from './thread-peers.js';

const ROUNDS = 20;
/** Of these, where nothing is kept apart. */
const ROUNDS_FREE = 5;
const WARM_UP = 3;
const SAMPLES = 2_000;
const PAUSE_US = 10;
const SLICE_MS = 60;
/** What a MessagePort carries there and back in turn; the size of a message of `gh.rtt`. */
const PORT_BYTES = 64;

type Round = Record<'bell' | 'port', number[]>;

async function take(pair: GuestPair, peers: ThreadPeers, count: number): Promise<Round[]> {
  const rounds: Round[] = [];
  for (let round = -WARM_UP; round < count; round++) {
    const port = await peers.port(SLICE_MS, PORT_BYTES);
    const bell = await pair.jobs(`answer ${SAMPLES}`, `ring ${SAMPLES} ${PAUSE_US}`);
    if (round >= 0) rounds.push({ bell, port });
  }
  return rounds;
}
const mediansOf = (rounds: readonly Round[], way: keyof Round): number[] => rounds.map((round) => median(round[way]));

async function run(bench: Bench): Promise<void> {
  const pair = await GuestPair.start();
  const peers = await ThreadPeers.start();
  try {
    const placed = await keepApart(bench, pair, peers.thread);
    const rounds = await take(pair, peers, ROUNDS);
    placed.free();
    const all = (way: keyof Round): number[] => rounds.flatMap((round) => round[way]);
    const [bells, ports] = [mediansOf(rounds, 'bell'), mediansOf(rounds, 'port')];
    const against = `MessagePort round trip (${(median(ports) / 1000).toPrecision(3)} us)`;
    const target = { op: '>=', bound: 15 } as const;
    bench.ratio('gh.bell', median(bells) / 1000, 'us p50', against, pairedRatio(ports, bells), target);
    bench.value('gh.bell.p99', quantile(all('bell'), 0.99) / 1000, 'us p99');
    bench.histogram('gh-bell', 'Doorbell rung until the interrupt is taken', [
      { label: 'doorbell, guest awake', samplesNs: all('bell') },
      { label: 'MessagePort, there and back', samplesNs: all('port') },
    ]);
    if (!placed.isApart) return;
    const free = await take(pair, peers, ROUNDS_FREE);
    bench.value('gh.bell.free', median(mediansOf(free, 'bell')) / 1000, 'us p50, threads not pinned');
    bench.value('gh.bell.port.free', median(mediansOf(free, 'port')) / 1000, 'us p50, MessagePort, not pinned');
  } finally {
    await peers.close();
    await pair.close();
  }
}

const suite: BenchSuite = {
  title: 'a doorbell until its interrupt is taken in an awake guest, against a MessagePort',
  ids: ['gh.bell'],
  run,
};
export default suite;
