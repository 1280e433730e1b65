/** `gh.lifecycle`: a thousand lives of a VM (made, lent its memory, started, heard, killed, reclaimed); what they leave behind. */
import { isDeepStrictEqual } from 'node:util';
import { settledRss } from '../bare-worker.js';
import type { Bench, BenchSuite } from '../report.js';
import { HostedVms } from './hosted-vms.js';

const LIVES = 1000;
const WARM_UP = 20;
/** The runner cuts a benchmark off at five minutes. */
const TIME_MS = 270_000;
const MIB = 2 ** 20;

async function run(bench: Bench): Promise<void> {
  const vms = await HostedVms.start();
  const life = async (): Promise<void> => vms.end((await vms.vm('one')).vm);
  const holdings = async (): Promise<object> => ({ ...(await vms.host.census()), ...vms.host.resources() });
  try {
    const begun = performance.now();
    for (let n = 0; n < WARM_UP; n++) await life();
    const [before, rssBefore] = [await holdings(), await settledRss()];
    const started = performance.now();
    let lives = 0;
    for (; lives < LIVES && performance.now() - begun < TIME_MS; lives++) await life();
    const perSecond = (lives / (performance.now() - started)) * 1000;
    const after = await holdings();
    const same = isDeepStrictEqual(before, after);
    if (lives < LIVES) bench.note(`${lives} lives in the time there is; each is a figure of its own below`);
    if (!same) bench.note(`before ${JSON.stringify(before)}, after ${JSON.stringify(after)}`);
    bench.value('gh.lifecycle.lives', lives, 'lives');
    bench.value('gh.lifecycle.rate', perSecond, 'lives/s');
    bench.value('gh.lifecycle.rss', ((await settledRss()) - rssBefore) / MIB, 'MiB more than before');
    const left = same ? 0 : 1;
    bench.ratio('gh.lifecycle', left, 'differences', 'frames, partitions, actors, queues, files', left, {
      op: '<=',
      bound: 0,
    });
  } finally {
    await vms.close();
  }
}

const suite: BenchSuite = {
  title: 'a thousand lives of a VM leave the ledger and the host as they were',
  ids: ['gh.lifecycle'],
  run,
};
export default suite;
