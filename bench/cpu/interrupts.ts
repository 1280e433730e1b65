/**
 * How long an interrupt waits for a guest that is busy, in guest time from being raised to the vector's first instruction: SGIs of a second
 * vCPU, and the vCPU's own timer, in loops of 16 sorts. Of how many it waits longer than 50 us is what is promised, and beside it stands what
 * the host does to a bare thread that looks at nothing but the clock: shares of time subtract, where a p99 is either's.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { LookGapsReading } from '../../actors/vcpu/look-gaps.js';
import { runUnderWurley } from '../../test/drivers/wurley.js';
import { guestImage, type InterruptsLine, parseInterrupts } from '../../test/guests/reports.js';
import type { Bench } from '../report.js';
import type { LimitData } from './interrupts-limit.js';
import { ThreadWaits } from './thread-waits.js';

const CPUS = 2;
const ROUNDS = 3;
/** Interrupts of each loop and source: of the machine whose other vCPU sleeps, and of the one whose both are busy. */
const SAMPLES = { alone: 1_000, busy: 300 } as const;
/** Interrupts of each loop and source before anything is measured: V8 has optimised by then what the loop runs. */
const WARM = 500;
/** Loops that do not sleep. */
const LOOPS = 15;
/** One of a hundred may be late. */
const LATE_SHARE = 0.01;
/** In this one the vCPU's thread sleeps, and the host's waking is what is measured (see `timer.late`): reported apart. */
const ASLEEP = 'wfe';
/** How long bare threads look, before and after each round. */
const LIMIT_MS = 2_500;

const us = (ns: number): string => (ns / 1000).toFixed(1);
const percent = (share: number): string => `${(share * 100).toFixed(2)} %`;
const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / Math.max(values.length, 1);

/** The part of interrupts that comes late by what the vCPU's own thread did, as `--stats` says, most of all vCPUs. */
function ownShare(text: string): number {
  const lines = text.matchAll(/by the thread itself p99 [\d,]+, longest [\d,]+, above 50 us ([\d.]+) %/g);
  return Math.max(...[...lines].map(([, share]) => Number(share) / 100));
}

/** A loop and source in one round. */
interface Measured {
  readonly line: InterruptsLine;
  /** Late interrupts beyond those that a bare thread has late: 0 to 1. */
  readonly share: number;
  readonly bareShare: number;
}

/** The best of rounds, by loop and source. */
class BestLines {
  readonly all = new Map<string, Measured>();

  take(lines: readonly InterruptsLine[], bareShare: number): void {
    for (const line of lines) {
      const key = `${line.loop} ${line.source}`;
      const share = Math.max(0, line.lateShare - bareShare);
      const best = this.all.get(key);
      if (best === undefined || share < best.share) this.all.set(key, { line, share, bareShare });
    }
  }

  /** The worst of the loops that do not sleep. Throws if the guest has not come through all of them. */
  worst(source: string): Measured {
    const of = [...this.all.values()].filter(({ line }) => line.source === source && line.loop !== ASLEEP);
    const worst = of.sort((a, b) => b.share - a.share)[0];
    if (worst === undefined || of.length < LOOPS)
      throw new Error(`cpu.irq: ${of.length} of ${LOOPS} loops told of ${source}`);
    return worst;
  }
}

async function runInterrupts(bench: Bench, kind: 'alone' | 'busy') {
  const waits = new ThreadWaits();
  const bootargs = `rounds=${SAMPLES[kind]} warm=${WARM} busy=${kind === 'busy' ? 1 : 0}`;
  const outcome = await runUnderWurley({
    boot: ['--kernel', guestImage('interrupts')],
    ...{ cpus: CPUS, memoryMiB: 256, bootargs, deadlineMs: 180_000, more: ['--stats'] },
  });
  const waited = waits.end(kind === 'busy' ? CPUS : 1);
  if (waited !== undefined) {
    const { share, turns, meanNs } = waited;
    bench.note(
      `cpu.irq ${kind}: waited ${percent(share)} of the time for a processor, ${us(meanNs)} us before each of ${turns} turns`,
    );
  }
  if (outcome.ok) return outcome.value;
  bench.note(`cpu.irq: ${outcome.error.text}`);
  return undefined;
}

/** What `count` bare threads that look at the same time miss. */
async function bareThreads(count: number): Promise<readonly LookGapsReading[]> {
  const workerData: LimitData = { forMs: LIMIT_MS };
  const url = new URL('./interrupts-limit.worker.js', import.meta.url);
  const threads = Array.from({ length: count }, () => new Worker(url, { workerData }));
  // WHY: what lookFor returns.
  const told = await Promise.all(threads.map((thread) => once(thread, 'message') as Promise<[LookGapsReading]>));
  await Promise.all(threads.map((thread) => thread.terminate()));
  return told.map(([reading]) => reading);
}

/**
 * Reports `cpu.irq` (raised by a vCPU that sleeps in between, so that the host has a processor left for its own work and V8's compiler) and
 * `cpu.irq.timer`: the late interrupts of the worst loop, less those of a bare thread right before and after, each loop's best of rounds.
 * `cpu.irq.asleep`: the loop that sleeps.
 *
 * Then both processors busy. Whatever else runs on such a host takes a processor from a vCPU, for a time slice of the host's: how long the vCPUs
 * waited is said beside it, and `cpu.irq.busy` has no bound. `cpu.irq.own` has: late by what a vCPU's thread did while it had its processor, in all
 * loops after its first five seconds (its own statistics; a run ends within its budget and one region's instructions, cpu/jit/budget.test.ts),
 * less the same of two bare threads.
 */
export async function measureInterrupts(bench: Bench): Promise<void> {
  const best = new BestLines();
  for (let round = 0; round < ROUNDS; round++) {
    const before = await bareThreads(1);
    const outcome = await runInterrupts(bench, 'alone');
    if (outcome === undefined) return;
    const bare = [...before, ...(await bareThreads(1))].map(({ seen }) => seen.lateShare);
    bench.note(`cpu.irq: late in a bare thread before and after: ${bare.map(percent).join(', ')}`);
    best.take(parseInterrupts(outcome.console), mean(bare));
  }
  for (const { line, bareShare } of best.all.values()) {
    const { loop, source, p50Ns, p99Ns, maxNs, lateShare } = line;
    const late = `late ${percent(lateShare)} (bare thread ${percent(bareShare)})`;
    bench.note(`cpu.irq ${loop} ${source}: p50 ${us(p50Ns)}, p99 ${us(p99Ns)}, max ${us(maxNs)} us; ${late}`);
  }
  for (const [id, source] of [
    ['cpu.irq', 'sgi'],
    ['cpu.irq.timer', 'timer'],
  ] as const) {
    const { line, share, bareShare } = best.worst(source);
    const bare = `worst of ${LOOPS} loops (${line.loop}, p99 ${us(line.p99Ns)} us), less a bare thread's ${percent(bareShare)}`;
    const against = `1 % later than 50 us; ${bare}`;
    bench.ratio(id, share * 100, '% late', against, share / LATE_SHARE, { op: '<=', bound: 1 });
  }
  const asleep = [...best.all.values()].filter(({ line }) => line.loop === ASLEEP && !line.source.endsWith('-start'));
  if (asleep.length > 0)
    bench.value('cpu.irq.asleep', Math.max(...asleep.map(({ line }) => line.p99Ns)) / 1000, 'us, p99');
  await measureBusy(bench);
}

/** Reports `cpu.irq.busy` and `cpu.irq.own`: best of rounds. */
async function measureBusy(bench: Bench): Promise<void> {
  const best = new BestLines();
  const own: { share: number; bareShare: number }[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const outcome = await runInterrupts(bench, 'busy');
    if (outcome === undefined) return;
    const bare = await bareThreads(CPUS);
    best.take(parseInterrupts(outcome.console), mean(bare.map(({ seen }) => seen.lateShare)));
    const bareShare = mean(bare.map((reading) => (reading.own ?? reading.seen).lateShare));
    const share = ownShare(outcome.console + outcome.errors);
    if (Number.isFinite(share)) own.push({ share: Math.max(0, share - bareShare), bareShare });
  }
  const [sgi, timer] = [best.worst('sgi'), best.worst('timer')];
  const { share: busyShare, line } = timer.share > sgi.share ? timer : sgi;
  bench.value('cpu.irq.busy', busyShare * 100, `% late (${line.loop} ${line.source})`);
  const least = own.sort((a, b) => a.share - b.share)[0];
  if (least === undefined) return;
  const { share, bareShare } = least;
  const against = `1 % later than 50 us; all loops after 5 s, both processors busy, less bare threads' ${percent(bareShare)}`;
  bench.ratio('cpu.irq.own', share * 100, '% late', against, share / LATE_SHARE, { op: '<=', bound: 1 });
}
