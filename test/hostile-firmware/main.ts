/**
 * `npm run fuzz:firmware -- [--count 5000] [--seed 1] [--slices 60000]`: damaged firmware and variable stores. Exits 1 when anything was wrong.
 */
import { campaignOptions, refuse, wholeNumber } from '../harness/campaign-options.js';
import { attack, type Tally, uBoot } from './campaign.js';

/** What the process may hold over what it held after the first machines. */
const GROWN_BYTES_MAX = 512 << 20;
const PROGRESS_MS = 60_000;

const values = campaignOptions('npm run fuzz:firmware --', 'Damaged firmware images and variable stores.', {
  count: { help: 'machines to start', value: '5000' },
  seed: { help: 'of everything that is random', value: '1' },
  slices: { help: 'how long a machine may run, in slices of 10,000 branches', value: '60000' },
});
const count = wholeNumber('count', values.count, 1);
const seed = wholeNumber('seed', values.seed, 0);
const slices = wholeNumber('slices', values.slices, 1);
const program = uBoot();
if (program === undefined) refuse("Debian's u-boot-qemu is not installed.");
const again = `npm run fuzz:firmware -- --count ${count} --seed ${seed} --slices ${slices}`;

/** What became of so many machines. */
function summary(machines: number, { refused, started, taken, damaged, ends, grownBytes }: Tally): string {
  const ended = Object.entries(ends).map(([stop, n]) => `${n} ${stop}`);
  const { user, system } = process.cpuUsage();
  return (
    `${machines} machines: ${refused} refused, ended: ${ended.join(', ')}; U-Boot started in ${started}, took its environment in ` +
    `${taken} and not in ${damaged}; ${((user + system) / 1e6).toFixed(0)} s of processor time, ` +
    `${(grownBytes / (1 << 20)).toFixed(0)} MiB more than at the start`
  );
}

/** The campaign takes hours; standard error hears of it once a minute. */
let dueMs = PROGRESS_MS;
function progress(machines: number, tally: Tally): void {
  if (performance.now() < dueMs) return;
  dueMs = performance.now() + PROGRESS_MS;
  process.stderr.write(`${(performance.now() / 60_000).toFixed(0)} min: ${summary(machines, tally)}\n`);
}

let isWrong = false;
try {
  const tally = await attack(program, seed, count, slices, progress);
  process.stdout.write(`${summary(count, tally)} (${again})\n`);
  isWrong = tally.grownBytes > GROWN_BYTES_MAX;
} catch (thrown) {
  isWrong = true;
  process.stdout.write(
    `${(thrown as Error).message}: ${String(((thrown as Error).cause as Error).stack)}\n(${again})\n`,
  );
}
process.stdout.write(isWrong ? 'something is wrong\n' : 'nothing wrong\n');
process.exitCode = isWrong ? 1 : 0;
