/** `gh.lifecycle`: a thousand lives of a VM (made, lent its memory, started, heard, killed, reclaimed); what they leave behind. */
import { isDeepStrictEqual } from 'node:util';
import { settledRss } from '../bare-worker.js';
import type { Bench, BenchSuite } from '../report.js';
import { HostedVms } from './hosted-vms.js';

const LIVES = 1000;
const WARM_UP = 20;
/** Lives at once: as many as the machine that the target is for has processors. */
const LANES = ['one', 'two'] as const;
/** The runner cuts a benchmark off at five minutes. */
const TIME_MS = 270_000;
const MIB = 2 ** 20;

async function run(bench: Bench): Promise<void> {
  const vms = await HostedVms.start();
  const holdings = async (): Promise<object> => {
    await vms.host.prepare();
    return { ...(await vms.host.census()), ...vms.host.resources() };
  };
  /** So many lives, or as many as there is time for; how many. */
  const live = async (lives: number, endMs: number): Promise<number> => {
    let [begun, done] = [0, 0];
    const lane = async (name: string): Promise<void> => {
      while (begun < lives && performance.now() < endMs) {
        begun++;
        await vms.end((await vms.vm(name)).vm);
        done++;
      }
    };
    await Promise.all(LANES.map(lane));
    return done;
  };
  try {
    const begun = performance.now();
    await live(WARM_UP, Number.POSITIVE_INFINITY);
    const [before, rssBefore] = [await holdings(), await settledRss()];
    const started = performance.now();
    const lives = await live(LIVES, begun + TIME_MS);
    const perSecond = (lives / (performance.now() - started)) * 1000;
    const after = await holdings();
    const same = isDeepStrictEqual(before, after);
    bench.note(`${LANES.length} VMs at a time`);
    if (lives < LIVES) bench.note(`${lives} lives in the time there is`);
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
