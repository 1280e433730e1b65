/**
 * `gh.rtt`: a message from one guest to the other and back, both in WFI until it comes. `idle`: both have slept for a
 * millisecond, and so have the two threads of its limit, since what has slept wakes more slowly; `flow`: the next one is sent at once,
 * so that both vCPUs still poll.
 */

import { GuestPair } from '../../test/drivers/guest-pair.js';
import { median, pairedRatio, quantile } from '../measure.js';
import type { Bench, BenchSuite } from '../report.js';
import { keepApart } from './placed.js';
import { ThreadPeers } from './thread-peers.js';

const ROUNDS = 20;
/** Of these, where nothing is kept apart. */
const ROUNDS_FREE = 10;
const WARM_UP = 3;
const SIZE_BYTES = 64;
const SLICE_MS = 60;
const IDLE = { samples: 60, pauseUs: 1_000 } as const;
const FLOW_SAMPLES = 4_000;

/** Samples in nanoseconds of one round: guests (`idle`, `flow`) and threads (the others). */
type Round = Record<'idle' | 'wakes' | 'rested' | 'flow' | 'port', number[]>;

class Rounds {
  readonly #rounds: Round[] = [];

  async take(pair: GuestPair, peers: ThreadPeers, count: number): Promise<this> {
    for (let round = -WARM_UP; round < count; round++) {
      const wakes = await peers.wakes(SLICE_MS, SIZE_BYTES);
      const rested = await peers.restedWakes(IDLE.samples, IDLE.pauseUs / 1000, SIZE_BYTES);
      const idle = await pair.jobs('echo', `ask ${SIZE_BYTES} ${IDLE.samples} ${IDLE.pauseUs}`);
      const port = await peers.port(SLICE_MS, SIZE_BYTES);
      const flow = await pair.jobs('echo', `ask ${SIZE_BYTES} ${FLOW_SAMPLES} 0`);
      if (round >= 0) this.#rounds.push({ idle, wakes, rested, flow, port });
    }
    return this;
  }
  all(way: keyof Round): number[] {
    return this.#rounds.flatMap((round) => round[way]);
  }
  medians(way: keyof Round): number[] {
    return this.#rounds.map((round) => median(round[way]));
  }
  /** Median of the medians, in microseconds. */
  us(way: keyof Round): number {
    return median(this.medians(way)) / 1000;
  }
}

async function run(bench: Bench): Promise<void> {
  const pair = await GuestPair.start();
  const peers = await ThreadPeers.start();
  try {
    const placed = await keepApart(bench, pair, peers.thread);
    const rounds = await new Rounds().take(pair, peers, ROUNDS);
    placed.free();
    report(bench, rounds);
    if (placed.isApart) reportFree(bench, await new Rounds().take(pair, peers, ROUNDS_FREE));
  } finally {
    await peers.close();
    await pair.close();
  }
}

/** Values without a target: where the host puts the threads is no property of what is measured. */
function reportFree(bench: Bench, rounds: Rounds): void {
  bench.value('gh.rtt.idle.free', rounds.us('idle'), 'us p50, threads not pinned');
  bench.value('gh.rtt.rested.free', rounds.us('rested'), 'us p50, the ping-pong after the same pause, not pinned');
  bench.value('gh.rtt.wakes.free', rounds.us('wakes'), 'us p50, the ping-pong without a pause, not pinned');
  bench.value('gh.rtt.flow.free', rounds.us('flow'), 'us p50, threads not pinned');
  bench.value('gh.rtt.port.free', rounds.us('port'), 'us p50, MessagePort, not pinned');
}

function report(bench: Bench, rounds: Rounds): void {
  const us = (way: keyof Round): string => rounds.us(way).toPrecision(3);
  bench.ratio(
    'gh.rtt.idle',
    rounds.us('idle'),
    'us p50',
    `Atomics.wait/notify ping-pong after the same pause (${us('rested')} us)`,
    pairedRatio(rounds.medians('idle'), rounds.medians('rested')),
    { op: '<=', bound: 1.5 },
  );
  bench.value('gh.rtt.wakes', rounds.us('wakes'), 'us p50, the ping-pong without a pause');
  const backToBack = pairedRatio(rounds.medians('idle'), rounds.medians('wakes'));
  bench.value('gh.rtt.idle.wakes', backToBack, 'x the ping-pong without a pause');
  bench.value('gh.rtt.idle.p99', quantile(rounds.all('idle'), 0.99) / 1000, 'us p99');
  bench.ratio(
    'gh.rtt.flow',
    rounds.us('flow'),
    'us p50',
    `MessagePort (${us('port')} us)`,
    pairedRatio(rounds.medians('port'), rounds.medians('flow')),
    { op: '>=', bound: 15 },
  );
  bench.value('gh.rtt.flow.p99', quantile(rounds.all('flow'), 0.99) / 1000, 'us p99');
  bench.histogram('gh-rtt', 'Round trip between two guests, 64 bytes', [
    { label: 'both polling in WFI', samplesNs: rounds.all('flow') },
    { label: 'both asleep in WFI', samplesNs: rounds.all('idle') },
    { label: 'Atomics.wait/notify, both asleep before', samplesNs: rounds.all('rested') },
    { label: 'Atomics.wait/notify', samplesNs: rounds.all('wakes') },
    { label: 'MessagePort', samplesNs: rounds.all('port') },
  ]);
}

const suite: BenchSuite = {
  title: 'round trips between two guests, against Atomics.wait/notify and a MessagePort',
  ids: ['gh.rtt'],
  run,
};
export default suite;
