/** `npm run soak -- [--minutes 30] [--cpus 4] [--memory 512] [--image debian:6.1-cloud]`. Exits 1 when anything was wrong. */
import { campaignOptions, refuse, wholeNumber } from '../harness/campaign-options.js';
import { soak } from './soak.js';

const values = campaignOptions('npm run soak --', 'Loads a Debian guest and compares its results with the host.', {
  minutes: { help: 'how long', value: '30' },
  cpus: { help: 'vCPUs, 1 to 8', value: '4' },
  memory: { help: 'memory of the guest in MiB, at least 64', value: '512' },
  image: { help: 'kernel and busybox, as `wurley image pull` names them', value: 'debian:6.1-cloud' },
});
const minutes = Number(values.minutes);
const cpus = wholeNumber('cpus', values.cpus, 1);
const memoryMiB = wholeNumber('memory', values.memory, 64);
if (!(minutes > 0) || cpus > 8) refuse('--minutes wants a number above 0, --cpus 1 to 8.');
const report = (line: string): void => void process.stdout.write(`${line}\n`);
const { results, rounds, problems, residentMiB } = await soak({
  image: values.image,
  minutes,
  cpus,
  memoryMiB,
  report,
});
report(`${results} results in ${rounds} rounds on ${cpus} vCPUs; resident ${residentMiB.join(' then ')} MiB`);
for (const problem of problems) report(`  ${problem}`);
report(
  `${problems.length === 0 ? 'nothing wrong' : 'something is wrong'} (npm run soak -- --minutes ${minutes} --cpus ${cpus})`,
);
process.exitCode = problems.length === 0 ? 0 : 1;
