/**
 * `npm run lives -- [--lives 1000] [--step 100]`: lives of VMs (made, lent their memory, started, heard, killed, reclaimed), two at a time, to the
 * end whatever it takes; `gh.lifecycle` of `npm run bench -- msgq` has five minutes. Exits 1 when anything was left behind.
 */
import { readdirSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { settledRss } from '../../bench/bare-worker.js';
import { HostedVms } from '../../bench/msgq/hosted-vms.js';
import { campaignOptions, wholeNumber } from '../harness/campaign-options.js';

const WARM_UP = 20;
const MIB = 2 ** 20;

const values = campaignOptions('npm run lives --', 'Takes VMs from their start to their end and looks what is left.', {
  lives: { help: 'how many', value: '1000' },
  step: { help: 'lives between two looks', value: '100' },
});
const lives = wholeNumber('lives', values.lives, 1);
const step = wholeNumber('step', values.step, 1);
const report = (line: string): void => void process.stdout.write(`${line}\n`);

const vms = await HostedVms.start();
/** What the host holds, with descriptors and threads of the process. */
const holdings = async (): Promise<object> => {
  await vms.host.prepare();
  const rss = await settledRss();
  const [threads, descriptors] = ['task', 'fd'].map((folder) => readdirSync(`/proc/self/${folder}`).length);
  report(`  ${(rss / MIB).toFixed(1)} MiB resident, ${threads} threads, ${descriptors} descriptors`);
  return { ...(await vms.host.census()), ...vms.host.resources(), threads, descriptors };
};
const live = async (count: number): Promise<void> => {
  let begun = 0;
  const lane = async (name: string): Promise<void> => {
    while (begun < count) {
      begun++;
      await vms.end((await vms.vm(name)).vm);
    }
  };
  await Promise.all(['one', 'two'].map(lane));
};
await live(WARM_UP);
const before = await holdings();
let after = before;
for (let done = 0; done < lives; ) {
  const count = Math.min(step, lives - done);
  const begun = performance.now();
  await live(count);
  done += count;
  report(`${done} lives, ${((performance.now() - begun) / count).toFixed(0)} ms each`);
  after = await holdings();
}
await vms.close();
const same = isDeepStrictEqual(before, after);
if (!same) report(`before ${JSON.stringify(before)}, after ${JSON.stringify(after)}`);
report(`${same ? 'nothing is left' : 'something is left'} (npm run lives -- --lives ${lives})`);
process.exitCode = same ? 0 : 1;
