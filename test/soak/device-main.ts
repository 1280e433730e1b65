/**
 * `npm run soak:devices -- [--minutes 30] [--format qcow2] [--seed N]`: disk and network load with device workers killed meanwhile.
 * Exits 1 when anything was wrong.
 */
import { parseArgs } from 'node:util';
import { deviceSoak, summary } from './device-soak.js';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    format: { type: 'string', default: 'qcow2' },
    seed: { type: 'string', default: '1' },
  },
});
const [minutes, seed] = [Number(values.minutes), Number(values.seed)];
const format = (['raw', 'qcow2'] as const).find((known) => known === values.format);
if (!(minutes > 0) || !Number.isInteger(seed) || format === undefined) {
  process.stderr.write(
    'soak:devices: --minutes wants a number above 0, --format raw or qcow2, --seed a whole number.\n',
  );
  process.exit(64);
}
const report = (line: string): void => void process.stdout.write(`${line}\n`);
const { kills, counts, problems } = await deviceSoak(minutes, format, seed, report);
report(summary(kills, counts));
for (const problem of problems) report(`  ${problem}`);
const again = `npm run soak:devices -- --minutes ${minutes} --format ${format} --seed ${seed}`;
report(`${problems.length === 0 ? 'nothing wrong' : 'something is wrong'} (${again})`);
process.exitCode = problems.length === 0 ? 0 : 1;
