/** A lab's statistics as tables for people. */
import type { LabStatistics, QueueStatistics } from './lab-statistics.js';
import { spanText, table, timeText } from './table.js';

const QUEUE_HEAD = ['queue', 'from', 'to', 'depth', 'sent', 'per second', 'p50', 'p90', 'p99', 'max'] as const;

/** A line for each direction of each queue. */
export function queueTable(queues: readonly QueueStatistics[]): string {
  const rows = queues.map(({ name, from, to, depth, capacity, sent, perSecond, latencyNs }) => [
    ...[name, from, to, `${depth}/${capacity}`, sent.toLocaleString('en'), Math.round(perSecond).toLocaleString('en')],
    ...(latencyNs === undefined || latencyNs.count === 0
      ? ['-', '-', '-', '-']
      : [latencyNs.p50, latencyNs.p90, latencyNs.p99, latencyNs.max].map(timeText)),
  ]);
  return table([QUEUE_HEAD, ...rows], [3, 4, 5, 6, 7, 8, 9]);
}

/** VMs, their exits, queues. */
export function statisticsTable({ vms, queues }: LabStatistics): string {
  const rows = vms.map(({ name, state, upSeconds, restarts, mips, busy, vcpus }) => {
    const exits = new Map<string, number>();
    for (const vcpu of vcpus) {
      for (const [reason, count] of Object.entries(vcpu.exits)) exits.set(reason, (exits.get(reason) ?? 0) + count);
    }
    const listed = [...exits].filter(([, count]) => count > 0).sort(([, a], [, b]) => b - a);
    const text = listed.map(([reason, count]) => `${reason} ${count.toLocaleString('en')}`).join(', ');
    const up = state === 'running' ? spanText(upSeconds) : '-';
    return [name, state, up, String(restarts), mips.toFixed(1), `${Math.round(busy * 100)} %`, text];
  });
  const parts = [table([['VM', 'state', 'up', 'restarts', 'MIPS', 'busy', 'exits'], ...rows], [3, 4, 5])];
  if (queues.length > 0) parts.push(queueTable(queues));
  return parts.join('\n');
}
