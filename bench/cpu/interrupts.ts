/**
 * How long an interrupt waits for a guest that is busy, in guest time from being raised to the handler's first instruction: SGIs
 * of a second vCPU, which counts the time in a loop of its own, and the vCPU's own timer, in loops of 16 sorts.
 */
import { runUnderWurley } from '../../test/drivers/wurley.js';
import { guestImage, type InterruptsLine, parseInterrupts } from '../../test/guests/reports.js';
import type { Bench } from '../report.js';

const ROUNDS = 3;
const SAMPLES = 300;
const BOUND_NS = 50_000;
const us = (ns: number): string => (ns / 1000).toFixed(1);

/** In this one the vCPU's thread sleeps, and the host's waking is what is measured (see `timer.late`). */
const ASLEEP = 'wfe';

/** Reports `cpu.irq` (raised by another thread) and `cpu.irq.timer`: the worst loop's p99, each loop's best of rounds. */
export async function measureInterrupts(bench: Bench): Promise<void> {
  const best = new Map<string, InterruptsLine>();
  for (let round = 0; round < ROUNDS; round++) {
    const outcome = await runUnderWurley({
      boot: ['--kernel', guestImage('interrupts')],
      ...{ cpus: 2, memoryMiB: 256, bootargs: `rounds=${SAMPLES}`, deadlineMs: 180_000 },
    });
    if (!outcome.ok) {
      bench.note(`cpu.irq: ${outcome.error.text}`);
      return;
    }
    for (const line of parseInterrupts(outcome.value.console)) {
      const key = `${line.loop} ${line.source}`;
      if (line.p99Ns < (best.get(key)?.p99Ns ?? Number.POSITIVE_INFINITY)) best.set(key, line);
    }
  }
  for (const { loop, source, p50Ns, p99Ns, maxNs } of best.values()) {
    bench.note(`cpu.irq ${loop} ${source}: p50 ${us(p50Ns)}, p99 ${us(p99Ns)}, max ${us(maxNs)} us`);
  }
  for (const [id, source] of [
    ['cpu.irq', 'sgi'],
    ['cpu.irq.timer', 'timer'],
  ] as const) {
    const lines = [...best.values()].filter((line) => line.source === source && line.loop !== ASLEEP);
    const worst = Math.max(...lines.map(({ p99Ns }) => p99Ns));
    const against = `50 us; p99 of the slowest of ${lines.length} loops`;
    if (lines.length > 0) bench.ratio(id, worst / 1000, 'us, p99', against, worst / BOUND_NS, { op: '<=', bound: 1 });
  }
}
