/**
 * `gh.rtt`: a message from one guest to the other and back, both in WFI until it comes. `idle`: both have slept for a
 * millisecond, and so have the two threads of its limit, since what has slept wakes more slowly; `flow`: the next one is sent at once,
 * so that both vCPUs still poll.
 */

import { GuestPair } from '../../test/drivers/guest-pair.js';
import { median, pairedRatio, quantile } from '../measure.js';
import type { Bench, BenchSuite } from '../report.js';
import { ThreadPeers } from './thread-peers.js';

const ROUNDS = 20;
const WARM_UP = 3;
const SIZE_BYTES = 64;
const SLICE_MS = 60;
const IDLE = { samples: 60, pauseUs: 1_000 } as const;
const FLOW_SAMPLES = 4_000;

async function run(bench: Bench): Promise<void> {
  const pair = await GuestPair.start();
  const peers = await ThreadPeers.start();
  try {
    const rounds: { idle: number[]; wakes: number[]; rested: number[]; flow: number[]; port: number[] }[] = [];
    for (let round = -WARM_UP; round < ROUNDS; round++) {
      const wakes = await peers.wakes(SLICE_MS, SIZE_BYTES);
      const rested = await peers.restedWakes(IDLE.samples, IDLE.pauseUs / 1000, SIZE_BYTES);
      const idle = await pair.jobs('echo', `ask ${SIZE_BYTES} ${IDLE.samples} ${IDLE.pauseUs}`);
      const port = await peers.port(SLICE_MS, SIZE_BYTES);
      const flow = await pair.jobs('echo', `ask ${SIZE_BYTES} ${FLOW_SAMPLES} 0`);
      if (round >= 0) rounds.push({ idle, wakes, rested, flow, port });
    }
    const all = (way: keyof (typeof rounds)[number]): number[] => rounds.flatMap((round) => round[way]);
    const medians = (way: keyof (typeof rounds)[number]): number[] => rounds.map((round) => median(round[way]));
    const us = (ns: number): string => (ns / 1000).toPrecision(3);
    bench.note(
      'placement: two VMs of one vCPU, threads not pinned; the main thread and a worker are the peers, in turn',
    );
    bench.ratio(
      'gh.rtt.idle',
      median(medians('idle')) / 1000,
      'us p50',
      `Atomics.wait/notify ping-pong after the same pause (${us(median(medians('rested')))} us)`,
      pairedRatio(medians('idle'), medians('rested')),
      { op: '<=', bound: 1.5 },
    );
    bench.value('gh.rtt.wakes', median(medians('wakes')) / 1000, 'us p50, the ping-pong without a pause');
    const backToBack = pairedRatio(medians('idle'), medians('wakes'));
    bench.value('gh.rtt.idle.wakes', backToBack, 'x the ping-pong without a pause');
    bench.value('gh.rtt.idle.p99', quantile(all('idle'), 0.99) / 1000, 'us p99');
    bench.ratio(
      'gh.rtt.flow',
      median(medians('flow')) / 1000,
      'us p50',
      `MessagePort (${us(median(medians('port')))} us)`,
      pairedRatio(medians('port'), medians('flow')),
      { op: '>=', bound: 15 },
    );
    bench.value('gh.rtt.flow.p99', quantile(all('flow'), 0.99) / 1000, 'us p99');
    bench.histogram('gh-rtt', 'Round trip between two guests, 64 bytes', [
      { label: 'both polling in WFI', samplesNs: all('flow') },
      { label: 'both asleep in WFI', samplesNs: all('idle') },
      { label: 'Atomics.wait/notify, both asleep before', samplesNs: all('rested') },
      { label: 'Atomics.wait/notify', samplesNs: all('wakes') },
      { label: 'MessagePort', samplesNs: all('port') },
    ]);
  } finally {
    await peers.close();
    await pair.close();
  }
}

const suite: BenchSuite = {
  title: 'round trips between two guests, against Atomics.wait/notify and a MessagePort',
  ids: ['gh.rtt'],
  run,
};
export default suite;
