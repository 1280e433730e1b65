/**
 * A campaign of pairs of programs on two vCPUs, in batches. Usage: npm run pairs -- [--seed N] [--pairs N]
 * Prints what differs and exits with 1; a seed is shown with --show N.
 */
import { campaignOptions, wholeNumber } from '../harness/campaign-options.js';
import { comparePairs, listPair } from './compare-pairs.js';

const BATCH = 1000;
const values = campaignOptions('npm run pairs --', 'Pairs of random programs on two vCPUs, ours against QEMU.', {
  seed: { help: 'of the first pair', value: '1' },
  pairs: { help: 'how many', value: '20000' },
  show: { help: 'list this pair instead', value: '' },
});
const [first, count] = [wholeNumber('seed', values.seed, 0), wholeNumber('pairs', values.pairs, 1)];

if (values.show !== '') process.stdout.write(`${listPair(wholeNumber('show', values.show, 0))}\n`);
else {
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
