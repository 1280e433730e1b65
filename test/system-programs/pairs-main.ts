/**
 * A campaign of pairs of programs on two vCPUs, in batches. Usage: npm run pairs -- [--seed N] [--pairs N]
 * Prints what differs and exits with 1; a seed is shown with --show N.
 */
import { parseArgs } from 'node:util';
import { comparePairs, listPair } from './compare-pairs.js';

const BATCH = 1000;
const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    pairs: { type: 'string', default: '20000' },
    show: { type: 'string' },
  },
});

if (values.show !== undefined) process.stdout.write(`${listPair(Number(values.show))}\n`);
else {
  const [first, count] = [Number(values.seed), Number(values.pairs)];
  let differences = 0;
  for (let done = 0; done < count; done += BATCH) {
    const size = Math.min(BATCH, count - done);
    const wrong = await comparePairs(Array.from({ length: size }, (_, i) => first + done + i));
    differences += wrong.length;
    process.stdout.write(
      `${wrong.map((line) => `${line}\n`).join('')}${done + size} pairs, ${differences} differences\n`,
    );
  }
  process.exitCode = differences === 0 ? 0 : 1;
}
