/**
 * How long an interrupt waits for a guest that is busy, in guest time from being raised to the handler's first instruction: SGIs
 * of a second vCPU, which counts the time in a loop of its own, and the vCPU's own timer, in loops of 16 sorts. Beside it, what
 * the host allows: two bare threads that do nothing but look.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { LookGapsReading } from '../../actors/vcpu/look-gaps.js';
import { runUnderWurley } from '../../test/drivers/wurley.js';
import { guestImage, type InterruptsLine, parseInterrupts } from '../../test/guests/reports.js';
import { quantile } from '../measure.js';
import type { Bench } from '../report.js';
import { BESIDE_BYTES, endBeside, type LimitData, WAITS_AT } from './interrupts-limit.js';
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

/** Interrupts of each loop and source before anything is measured: V8 has optimised by then what the loop runs. */
const WARM = 500;

/** By source, a p99 (ns) for each loop: best of rounds. */
type Limits = Record<'sgi' | 'timer', number[]>;

/** What `--stats` says of a vCPU's looks (microseconds). */
interface Looks {
  readonly seenP99: number;
  readonly ownP99: number;
}

function parseLooks(text: string): Looks[] {
  const lines = text.matchAll(/an interrupt waits .*?, p99 ([\d,]+), longest .*; by the thread itself p99 ([\d,]+)/g);
  const number = (digits = ''): number => Number(digits.replaceAll(',', ''));
  return [...lines].map(([, seen, own]) => ({ seenP99: number(seen), ownP99: number(own) }));
}

/** The best of rounds, by loop and source. */
class BestLines {
  readonly lines = new Map<string, InterruptsLine>();

  take(lines: readonly InterruptsLine[]): void {
    for (const line of lines) {
      const key = `${line.loop} ${line.source}`;
      if (line.p99Ns < (this.lines.get(key)?.p99Ns ?? Number.POSITIVE_INFINITY)) this.lines.set(key, line);
    }
  }

  /** The slowest of the loops that do not sleep. */
  worst(source: string): InterruptsLine | undefined {
    const lines = [...this.lines.values()].filter((line) => line.source === source && line.loop !== ASLEEP);
    return lines.sort((a, b) => b.p99Ns - a.p99Ns)[0];
  }
}

async function runInterrupts(bench: Bench, cpus: number, round: number) {
  const waits = new ThreadWaits();
  const outcome = await runUnderWurley({
    boot: ['--kernel', guestImage('interrupts')],
    ...{ cpus, memoryMiB: 256, bootargs: `rounds=${SAMPLES} warm=${WARM}`, deadlineMs: 180_000, more: ['--stats'] },
  });
  const waited = waits.end(cpus);
  if (waited !== undefined) {
    const { share, turns, meanNs } = waited;
    const each = `${us(meanNs)} us before each of ${turns} turns`;
    const part = (share * 100).toFixed(1);
    bench.note(`cpu.irq round ${round + 1}, ${cpus} vCPUs: waited ${part} % of the time for a processor, ${each}`);
  }
  if (outcome.ok) return outcome.value;
  bench.note(`cpu.irq: ${outcome.error.text}`);
  return undefined;
}

/**
 * Reports `cpu.irq` (raised by another thread) and `cpu.irq.timer`: the worst loop's p99, each loop's best of rounds; the host's
 * limit is as many p99 of as many waits, chosen in the same way. `cpu.irq.asleep`: the loop that sleeps.
 *
 * How long the vCPUs' threads waited for a processor meanwhile is said beside it: where that is more than a hundredth of the time, no p99 can
 * be below the length of such a wait, whatever we do. `cpu.irq.own` is what is ours: between two looks of a vCPU, without such waits, in all
 * loops after its first five seconds (what a vCPU's own statistics say; a run ends within its budget and one region's instructions, cpu/jit/budget.test.ts).
 *
 * `cpu.irq.one`: a machine with one vCPU and its timer, while a bare thread beside it does nothing but look: what that one misses, in the same
 * seconds, is what the host, and V8's threads on it, do to any thread.
 */
export async function measureInterrupts(bench: Bench): Promise<void> {
  const best = new BestLines();
  const alone = new BestLines();
  const limits: Limits = { sgi: [], timer: [] };
  const own: number[] = [];
  const beside: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const outcome = await runInterrupts(bench, CPUS, round);
    if (outcome === undefined) return;
    best.take(parseInterrupts(outcome.console));
    const looks = parseLooks(outcome.console + outcome.errors);
    if (looks.length > 0) own.push(Math.max(...looks.map(({ ownP99 }) => ownP99)));
    await measureLimit(limits);
    const besideP99 = startBeside();
    const one = await runInterrupts(bench, 1, round);
    beside.push(await besideP99());
    alone.take(parseInterrupts(one?.console ?? ''));
  }
  for (const { loop, source, p50Ns, p99Ns, maxNs } of best.lines.values()) {
    bench.note(`cpu.irq ${loop} ${source}: p50 ${us(p50Ns)}, p99 ${us(p99Ns)}, max ${us(maxNs)} us`);
  }
  const report = (id: string, line: InterruptsLine | undefined, besides: string): void => {
    if (line === undefined) return;
    const against = `50 us; slowest of ${LOOPS} loops (${line.loop}); ${besides}`;
    bench.ratio(id, line.p99Ns / 1000, 'us, p99', against, line.p99Ns / BOUND_NS, { op: '<=', bound: 1 });
  };
  report('cpu.irq', best.worst('sgi'), `bare threads here ${us(Math.max(...limits.sgi))} us`);
  report('cpu.irq.timer', best.worst('timer'), `bare threads here ${us(Math.max(...limits.timer))} us`);
  report('cpu.irq.one', alone.worst('timer'), `a bare thread beside it ${us(Math.min(...beside))} us`);
  if (own.length > 0) {
    const least = Math.min(...own);
    const against = '50 us; all loops after 5 s, without waits for a processor';
    bench.ratio('cpu.irq.own', least, 'us, p99', against, (least * 1000) / BOUND_NS, { op: '<=', bound: 1 });
  }
  const asleep = [...best.lines.values()].filter(({ loop, source }) => loop === ASLEEP && !source.endsWith('-start'));
  if (asleep.length > 0) bench.value('cpu.irq.asleep', Math.max(...asleep.map(({ p99Ns }) => p99Ns)) / 1000, 'us, p99');
}

/** Starts a bare thread; what this returns ends it and tells its p99 in nanoseconds. */
function startBeside(): () => Promise<number> {
  const shared = new SharedArrayBuffer(BESIDE_BYTES);
  const workerData: LimitData = { role: 'beside', shared, rounds: 0 };
  const thread = new Worker(new URL('./interrupts-limit.worker.js', import.meta.url), { workerData });
  const told = once(thread, 'message');
  return async () => {
    endBeside(shared);
    // WHY: what playLimit returns in this role.
    const [reading] = (await told) as [LookGapsReading];
    await thread.terminate();
    return reading.seen.p99 * 1e6;
  };
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
