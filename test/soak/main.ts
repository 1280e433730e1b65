/** `npm run soak -- [--minutes 30] [--cpus 4] [--memory 512] [--image debian:6.1-cloud]`. Exits 1 when anything was wrong. */
import { parseArgs } from 'node:util';
import { soak } from './soak.js';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    cpus: { type: 'string', default: '4' },
    memory: { type: 'string', default: '512' },
    image: { type: 'string', default: 'debian:6.1-cloud' },
  },
});
const [minutes, cpus, memoryMiB] = [Number(values.minutes), Number(values.cpus), Number(values.memory)];
if (!(minutes > 0) || !Number.isInteger(cpus) || cpus < 1 || cpus > 8 || !(memoryMiB >= 64)) {
  process.stderr.write('soak: --minutes wants a number above 0, --cpus 1 to 8, --memory MiB from 64 on.\n');
  process.exit(64);
}
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
