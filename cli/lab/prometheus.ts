/** A lab's statistics in Prometheus' text exposition format, version 0.0.4. */
import type { Histogram } from './histogram.js';
import type { LabStatistics } from './lab-statistics.js';

/** Content type of the format. */
export const PROMETHEUS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';
/** Upper ends of the latency buckets, in seconds. */
const BUCKETS = [1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 1e-2, 0.1, 1, 10] as const;

type Labels = Readonly<Record<string, string | number>>;
const escaped = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');
const labelled = (labels: Labels): string => {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(String(value))}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
};

/** A metric with its samples; one that has none is left out. */
function metric(
  name: string,
  type: 'counter' | 'gauge',
  help: string,
  samples: readonly (readonly [Labels, number])[],
): string {
  if (samples.length === 0) return '';
  const lines = samples.map(([labels, value]) => `${name}${labelled(labels)} ${value}\n`);
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`;
}

/** `latencyOf` finds the histogram of a queue by its number. */
export function prometheusText(
  lab: string,
  { vms, queues }: LabStatistics,
  latencyOf: (object: number) => Histogram | undefined,
): string {
  const ofVcpus = (value: (vcpu: LabStatistics['vms'][number]['vcpus'][number]) => number) =>
    vms.flatMap(({ name, vcpus }) => vcpus.map((vcpu) => [{ lab, vm: name, vcpu: vcpu.index }, value(vcpu)] as const));
  const ofQueues = (value: (queue: LabStatistics['queues'][number]) => number) =>
    queues.map((queue) => [queueLabels(lab, queue), value(queue)] as const);
  return [
    metric(
      'wurley_vm_up',
      'gauge',
      'Whether the VM runs.',
      vms.map(({ name, state }) => [{ lab, vm: name }, state === 'running' ? 1 : 0]),
    ),
    metric(
      'wurley_vm_restarts_total',
      'counter',
      'Lives of the VM after its first.',
      vms.map(({ name, restarts }) => [{ lab, vm: name }, restarts]),
    ),
    metric(
      'wurley_vcpu_instructions_total',
      'counter',
      'Instructions executed, estimated.',
      ofVcpus(({ instructions }) => Math.round(instructions)),
    ),
    metric(
      'wurley_vcpu_interrupts_total',
      'counter',
      'Interrupts taken.',
      ofVcpus(({ interrupts }) => interrupts),
    ),
    metric(
      'wurley_vcpu_seconds_total',
      'counter',
      'Time by what it went to.',
      vms.flatMap(({ name, vcpus }) =>
        vcpus.flatMap((vcpu) =>
          (['guest', 'exits', 'idle'] as const).map(
            (mode) => [{ lab, vm: name, vcpu: vcpu.index, mode }, vcpu[`${mode}Ms`] / 1000] as const,
          ),
        ),
      ),
    ),
    metric(
      'wurley_vcpu_exits_total',
      'counter',
      'Exits from guest code by reason.',
      vms.flatMap(({ name, vcpus }) =>
        vcpus.flatMap(({ index, exits }) =>
          Object.entries(exits).map(([reason, count]) => [{ lab, vm: name, vcpu: index, reason }, count] as const),
        ),
      ),
    ),
    metric(
      'wurley_queue_depth',
      'gauge',
      'Messages waiting.',
      ofQueues(({ depth }) => depth),
    ),
    metric(
      'wurley_queue_capacity',
      'gauge',
      'Messages the queue holds.',
      ofQueues(({ capacity }) => capacity),
    ),
    metric(
      'wurley_queue_messages_total',
      'counter',
      'Messages sent.',
      ofQueues(({ sent }) => sent),
    ),
    histograms(lab, queues, latencyOf),
  ].join('');
}

const queueLabels = (lab: string, { name, from, to, object }: LabStatistics['queues'][number]): Labels => ({
  ...{ lab, queue: name, from, to, object },
});

function histograms(
  lab: string,
  queues: LabStatistics['queues'],
  latencyOf: (object: number) => Histogram | undefined,
): string {
  const name = 'wurley_message_latency_seconds';
  const lines = queues.flatMap((queue) => {
    const histogram = latencyOf(queue.object);
    if (histogram === undefined) return [];
    const labels = queueLabels(lab, queue);
    const bucket = (le: string, count: number): string => `${name}_bucket${labelled({ ...labels, le })} ${count}\n`;
    return [
      ...BUCKETS.map((end) => bucket(String(end), histogram.atMost(end * 1e9))),
      bucket('+Inf', histogram.count),
      `${name}_sum${labelled(labels)} ${histogram.sum / 1e9}\n`,
      `${name}_count${labelled(labels)} ${histogram.count}\n`,
    ];
  });
  if (lines.length === 0) return '';
  const help = 'From the send of a message to the return of its receive, while somebody watches.';
  return `# HELP ${name} ${help}\n# TYPE ${name} histogram\n${lines.join('')}`;
}
