/**
 * `npm run soak:devices -- [--minutes 30] [--format qcow2] [--seed N]`: disk and network load with device workers killed meanwhile.
 * Exits 1 when anything was wrong.
 */
import { campaignOptions, refuse, wholeNumber } from '../harness/campaign-options.js';
import { deviceSoak, summary } from './device-soak.js';

const values = campaignOptions('npm run soak:devices --', 'Disk and network load while device workers are killed.', {
  minutes: { help: 'how long', value: '30' },
  format: { help: 'of the disk: raw or qcow2', value: 'qcow2' },
  seed: { help: 'of the load', value: '1' },
});
const minutes = Number(values.minutes);
const seed = wholeNumber('seed', values.seed, 0);
const format =
  (['raw', 'qcow2'] as const).find((known) => known === values.format) ?? refuse('--format wants raw or qcow2.');
if (!(minutes > 0)) refuse('--minutes wants a number above 0.');
const report = (line: string): void => void process.stdout.write(`${line}\n`);
const { kills, counts, problems } = await deviceSoak(minutes, format, seed, report);
report(summary(kills, counts));
for (const problem of problems) report(`  ${problem}`);
const again = `npm run soak:devices -- --minutes ${minutes} --format ${format} --seed ${seed}`;
report(`${problems.length === 0 ? 'nothing wrong' : 'something is wrong'} (${again})`);
process.exitCode = problems.length === 0 ? 0 : 1;
