/**
 * How long an interrupt waits for a guest that is busy, in guest time from being raised to the handler's first instruction: SGIs
 * of a second vCPU, which counts the time in a loop of its own, and the vCPU's own timer, in loops of 16 sorts. Beside it, what
 * the host allows: two bare threads that do nothing but look.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { runUnderWurley } from '../../test/drivers/wurley.js';
import { guestImage, type InterruptsLine, parseInterrupts } from '../../test/guests/reports.js';
import { quantile } from '../measure.js';
import type { Bench } from '../report.js';
import { type LimitData, WAITS_AT } from './interrupts-limit.js';
import { ThreadWaits } from './thread-waits.js';

const ROUNDS = 3;
const CPUS = 2;
const SAMPLES = 300;
const BOUND_NS = 50_000;
/** Loops that do not sleep. */
const LOOPS = 15;
const us = (ns: number): string => (ns / 1000).toFixed(1);

/** In this one the vCPU's thread sleeps, and the host's waking is what is measured (see `timer.late`): reported apart. */
const ASLEEP = 'wfe';

/** By source, a p99 (ns) for each loop: best of rounds. */
type Limits = Record<'sgi' | 'timer', number[]>;

/**
 * Reports `cpu.irq` (raised by another thread) and `cpu.irq.timer`: the worst loop's p99, each loop's best of rounds; the host's
 * limit is as many p99 of as many waits, chosen in the same way. `cpu.irq.asleep`: the loop that sleeps.
 *
 * How long the vCPUs' threads waited for a processor meanwhile is said beside it: where that is more than a hundredth of the time, no p99 can
 * be below the length of such a wait, whatever we do. What is ours is bounded by counting: a run ends within its budget and one region's
 * instructions (cpu/jit/budget.test.ts).
 */
export async function measureInterrupts(bench: Bench): Promise<void> {
  const best = new Map<string, InterruptsLine>();
  const limits: Limits = { sgi: [], timer: [] };
  for (let round = 0; round < ROUNDS; round++) {
    const waits = new ThreadWaits();
    const outcome = await runUnderWurley({
      boot: ['--kernel', guestImage('interrupts')],
      ...{ cpus: CPUS, memoryMiB: 256, bootargs: `rounds=${SAMPLES}`, deadlineMs: 180_000 },
    });
    const waited = waits.end(CPUS);
    if (waited !== undefined) {
      const { share, turns, meanNs } = waited;
      const each = `${us(meanNs)} us before each of ${turns} turns`;
      bench.note(
        `cpu.irq round ${round + 1}: vCPUs waited ${(share * 100).toFixed(1)} % of the time for a processor, ${each}`,
      );
    }
    if (!outcome.ok) {
      bench.note(`cpu.irq: ${outcome.error.text}`);
      return;
    }
    for (const line of parseInterrupts(outcome.value.console)) {
      const key = `${line.loop} ${line.source}`;
      if (line.p99Ns < (best.get(key)?.p99Ns ?? Number.POSITIVE_INFINITY)) best.set(key, line);
    }
    await measureLimit(limits);
  }
  for (const { loop, source, p50Ns, p99Ns, maxNs } of best.values()) {
    bench.note(`cpu.irq ${loop} ${source}: p50 ${us(p50Ns)}, p99 ${us(p99Ns)}, max ${us(maxNs)} us`);
  }
  const sources = [
    ['cpu.irq', 'sgi'],
    ['cpu.irq.timer', 'timer'],
  ] as const;
  for (const [id, source] of sources) {
    const lines = [...best.values()].filter((line) => line.source === source && line.loop !== ASLEEP);
    if (lines.length === 0) continue;
    const worst = Math.max(...lines.map(({ p99Ns }) => p99Ns));
    const slowest = lines.find(({ p99Ns }) => p99Ns === worst)?.loop ?? '';
    const against = `50 us; slowest of ${lines.length} loops (${slowest}); bare threads here ${us(Math.max(...limits[source]))} us`;
    bench.ratio(id, worst / 1000, 'us, p99', against, worst / BOUND_NS, { op: '<=', bound: 1 });
  }
  const asleep = [...best.values()].filter(({ loop, source }) => loop === ASLEEP && !source.endsWith('-start'));
  if (asleep.length > 0) bench.value('cpu.irq.asleep', Math.max(...asleep.map(({ p99Ns }) => p99Ns)) / 1000, 'us, p99');
}

/** One round of bare threads: lowers `limits` where it was quicker. */
async function measureLimit(limits: Limits): Promise<void> {
  const rounds = LOOPS * SAMPLES;
  const shared = new SharedArrayBuffer(WAITS_AT + rounds * 2 * 8);
  const threads = (['raiser', 'taker'] as const).map((role) => {
    const workerData: LimitData = { role, shared, rounds };
    return new Worker(new URL('./interrupts-limit.worker.js', import.meta.url), { workerData });
  });
  await Promise.all(threads.map((thread) => once(thread, 'message')));
  await Promise.all(threads.map((thread) => thread.terminate()));
  const waits = [...new Float64Array(shared, WAITS_AT)];
  for (const [kind, source] of (['sgi', 'timer'] as const).entries()) {
    for (let loop = 0; loop < LOOPS; loop++) {
      const first = kind * rounds + loop * SAMPLES;
      const p99 = quantile(waits.slice(first, first + SAMPLES), 0.99);
      limits[source][loop] = Math.min(limits[source][loop] ?? Number.POSITIVE_INFINITY, p99);
    }
  }
}
