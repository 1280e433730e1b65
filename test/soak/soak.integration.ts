/** A minute of the soak (`npm run soak` runs thirty): results as the host computes them, no kernel warning. */
import * as assert from 'uvu/assert';
import { spec } from '../harness/spec.js';
import { soak } from './soak.js';

const test = spec('soak');
const MINUTES = 1;

test(
  'forks, pipes, signals, checksums, compression on all vCPUs, with a CPU going off and on',
  async () => {
    const report = (): void => undefined;
    const options = { image: 'debian:6.1-cloud', minutes: MINUTES, cpus: 4, memoryMiB: 512, report };
    const { results, rounds, problems, exitCode } = await soak(options);
    assert.equal(problems, []);
    assert.is(exitCode, 0);
    assert.ok(rounds >= 3, `${rounds} rounds`);
    process.stdout.write(`  ${results} results in ${rounds} rounds\n`);
  },
  { deadlineMs: MINUTES * 60_000 + 300_000 },
);
test.run();
