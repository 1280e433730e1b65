/**
 * `gh.bell`: a doorbell rung by one guest until the other, which is awake and not in WFI, has taken the interrupt. The two ring
 * each other, from the interrupt handler on the far side, and half of the way there and back is a sample. The guest waits for some
 * microseconds before each, so that the far side is back from its handler.
 */

import { GuestPair } from '../../test/drivers/guest-pair.js';
import { median, pairedRatio, quantile } from '../measure.js';
import type { Bench, BenchSuite } from '../report.js';
import { ThreadPeers } from './thread-peers.js';

const ROUNDS = 20;
const WARM_UP = 3;
const SAMPLES = 2_000;
const PAUSE_US = 10;
const SLICE_MS = 60;
/** What a MessagePort carries there and back in turn; the size of a message of `gh.rtt`. */
const PORT_BYTES = 64;

async function run(bench: Bench): Promise<void> {
  const pair = await GuestPair.start();
  const peers = await ThreadPeers.start();
  try {
    const rounds: { bell: number[]; port: number[] }[] = [];
    for (let round = -WARM_UP; round < ROUNDS; round++) {
      const port = await peers.port(SLICE_MS, PORT_BYTES);
      const bell = await pair.jobs(`answer ${SAMPLES}`, `ring ${SAMPLES} ${PAUSE_US}`);
      if (round >= 0) rounds.push({ bell, port });
    }
    const all = (way: 'bell' | 'port'): number[] => rounds.flatMap((round) => round[way]);
    const medians = (way: 'bell' | 'port'): number[] => rounds.map((round) => median(round[way]));
    bench.note(
      'placement: two VMs of one vCPU, threads not pinned; the main thread and a worker are the peers, in turn',
    );
    bench.ratio(
      'gh.bell',
      median(medians('bell')) / 1000,
      'us p50',
      `MessagePort round trip (${(median(medians('port')) / 1000).toPrecision(3)} us)`,
      pairedRatio(medians('port'), medians('bell')),
      { op: '>=', bound: 15 },
    );
    bench.value('gh.bell.p99', quantile(all('bell'), 0.99) / 1000, 'us p99');
    bench.histogram('gh-bell', 'Doorbell rung until the interrupt is taken', [
      { label: 'doorbell, guest awake', samplesNs: all('bell') },
      { label: 'MessagePort, there and back', samplesNs: all('port') },
    ]);
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
