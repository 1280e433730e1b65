/**
 * How late timer interrupts are for a guest that waits in WFI, from the comparator's value to the handler's first
 * instruction (test/guests/lateness): 1,000 sleeps of 1 to 5 ms, under `wurley run` and under QEMU in turn.
 */

import { runUnderQemu } from '../../test/drivers/qemu-system.js';
import { runUnderWurley } from '../../test/drivers/wurley.js';
import { guestImage, parseLateness } from '../../test/guests/reports.js';
import type { Bench, BenchSuite } from '../report.js';

const ROUNDS = 3;
const COMMON = { cpus: 1, memoryMiB: 128, bootargs: 'rounds=1000', deadlineMs: 60_000 } as const;
const NS_PER_MS = 1e6;
const BOUND_MS = 1;

async function run(bench: Bench): Promise<void> {
  const image = guestImage('lateness');
  let best: number | undefined;
  let median = Number.POSITIVE_INFINITY;
  let qemu: number | undefined;
  for (let round = 0; round < ROUNDS; round++) {
    const ours = await runUnderWurley({ ...COMMON, boot: ['--kernel', image] });
    const report = ours.ok ? parseLateness(ours.value.console) : undefined;
    if (report === undefined) bench.note('timer.late: the guest did not report');
    else {
      best = Math.min(best ?? Number.POSITIVE_INFINITY, report.p99Ns);
      median = Math.min(median, report.p50Ns);
      if (report.early > 0) bench.note(`timer.late: ${report.early} interrupts came before their time`);
    }
    const theirs = await runUnderQemu({ ...COMMON, image, cpu: 'cortex-a53' });
    const other = theirs.ok ? parseLateness(theirs.value.console) : undefined;
    if (other !== undefined) qemu = Math.min(qemu ?? Number.POSITIVE_INFINITY, other.p99Ns);
  }
  if (best === undefined) return;
  const p99Ms = best / NS_PER_MS;
  const against = qemu === undefined ? '1 ms' : `1 ms; QEMU's p99 is ${(qemu / NS_PER_MS).toFixed(2)} ms`;
  bench.ratio('timer.late', p99Ms, 'ms, p99', against, p99Ms / BOUND_MS, { op: '<=', bound: 1 });
  bench.value('timer.late.p50', median / NS_PER_MS, 'ms');
}

const suite: BenchSuite = {
  title: 'lateness of timer interrupts of an idle guest, against 1 ms and QEMU TCG',
  ids: ['timer.late'],
  run,
};
export default suite;
