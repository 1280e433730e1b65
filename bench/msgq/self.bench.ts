/**
 * `gh.msgq.self`: what a message to oneself costs a guest, sent and received without waiting, against a PSCI_VERSION call of the
 * same guest. Each sample is the mean of fifty.
 */

import { GuestPair } from '../../test/drivers/guest-pair.js';
import { median, pairedRatio, quantile } from '../measure.js';
import type { Bench, BenchSuite } from '../report.js';

const ROUNDS = 15;
const WARM_UP = 3;
const SAMPLES = 400;
const WAYS = ['psci', 'self 64', 'kept 64', 'self 240', 'taken 64'] as const;
type Way = (typeof WAYS)[number];

async function run(bench: Bench): Promise<void> {
  const pair = await GuestPair.start();
  try {
    const all = new Map<Way, number[]>(WAYS.map((way) => [way, []]));
    const medians = new Map<Way, number[]>(WAYS.map((way) => [way, []]));
    for (let round = -WARM_UP; round < ROUNDS; round++) {
      for (const way of WAYS) {
        const samples = await pair.job('one', `${way} ${SAMPLES}`);
        if (round < 0) continue;
        all.get(way)?.push(...samples);
        medians.get(way)?.push(median(samples));
      }
    }
    const of = (way: Way): number[] => medians.get(way) ?? [];
    const version = median(of('psci'));
    bench.note('placement: one VM, its vCPU alone on the machine, threads not pinned');
    bench.value('gh.msgq.psci', version, 'ns');
    const report = (id: string, way: Way): void => {
      const against = `a PSCI_VERSION call of the same guest (${version} ns)`;
      bench.ratio(id, median(of(way)), 'ns', against, pairedRatio(of(way), of('psci')), { op: '<=', bound: 3 });
    };
    report('gh.msgq.self', 'self 64');
    report('gh.msgq.self.kept', 'kept 64');
    report('gh.msgq.self.240', 'self 240');
    bench.value('gh.msgq.self.taken', median(of('taken 64')), 'ns, the interrupt taken');
    bench.value('gh.msgq.self.p99', quantile(all.get('self 64') ?? [], 0.99), 'ns');
    bench.histogram('gh-msgq-self', 'A message to oneself, sent and received', [
      { label: 'PSCI_VERSION', samplesNs: all.get('psci') ?? [] },
      { label: '64 bytes', samplesNs: all.get('self 64') ?? [] },
      { label: '64 bytes, queue never empty', samplesNs: all.get('kept 64') ?? [] },
      { label: '240 bytes', samplesNs: all.get('self 240') ?? [] },
    ]);
  } finally {
    await pair.close();
  }
}

const suite: BenchSuite = {
  title: 'a message to oneself, as a guest sees it, against PSCI_VERSION',
  ids: ['gh.msgq.self'],
  run,
};
export default suite;
