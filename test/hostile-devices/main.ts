/**
 * `npm run fuzz:devices -- [--device net] [--count 200000] [--seed 1]`: hostile chains for one virtio device or for all of them.
 * Exits 1 when anything was wrong.
 */
import { campaignOptions, refuse, wholeNumber } from '../harness/campaign-options.js';
import { attack, SUBJECTS } from './campaign.js';

/** What a device may hold at the end over what it held at the start: code the engine has made meanwhile counts, too. */
const GROWN_BYTES_MAX = 96 << 20;

const values = campaignOptions('npm run fuzz:devices --', 'Hostile descriptor chains for virtio devices.', {
  device: { help: `all, or one of ${Object.keys(SUBJECTS).join(', ')}`, value: 'all' },
  count: { help: 'chains for each device', value: '200000' },
  seed: { help: 'of everything that is random', value: '1' },
});
const count = wholeNumber('count', values.count, 1);
const seed = wholeNumber('seed', values.seed, 0);
if (values.device !== 'all' && SUBJECTS[values.device] === undefined) {
  refuse(`--device wants all or one of ${Object.keys(SUBJECTS).join(', ')}, not "${values.device}".`);
}
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const devices = values.device === 'all' ? Object.keys(SUBJECTS) : [values.device];
let wrong = 0;
for (const device of devices) {
  const started = process.cpuUsage();
  const again = `npm run fuzz:devices -- --device ${device} --count ${count} --seed ${seed}`;
  try {
    const { chains, served, lives, changes, refusals, grownBytes } = await attack(device, seed, count);
    const { user, system } = process.cpuUsage(started);
    const grown = `${(grownBytes / (1 << 20)).toFixed(1)} MiB more than at the start`;
    say(
      `${device}: ${chains} chains in ${lives} lives, ${served} served, ${changes} changes under its hands, ${refusals} refused; ` +
        `${((user + system) / 1e6).toFixed(0)} s of processor time, ${grown} (${again})`,
    );
    if (grownBytes < GROWN_BYTES_MAX) continue;
    wrong++;
    say(`${device}: it keeps too much`);
  } catch (thrown) {
    wrong++;
    say(`${(thrown as Error).message}: ${String(((thrown as Error).cause as Error).stack)}\n(${again})`);
  }
}
say(wrong === 0 ? 'nothing wrong' : 'something is wrong');
process.exitCode = wrong === 0 ? 0 : 1;
