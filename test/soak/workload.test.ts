/** The soak's script does on this machine's own shell what the host expects of the guest. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { spec } from '../harness/spec.js';
import { checkResult, LOAD_SCRIPT, WORK } from './workload.js';

const test = spec('soak workload');

test('every kind of work gives what is expected, and a wrong result is found', () => {
  const folder = mkdtempSync(join(tmpdir(), 'wurley-soak-'));
  try {
    writeFileSync(join(folder, 'load.sh'), LOAD_SCRIPT.replaceAll('/tmp/', `${folder}/`));
    // One round: the time is over before the second.
    const run = spawnSync('sh', [join(folder, 'load.sh'), '3', '0'], { encoding: 'utf8', timeout: 60_000 });
    const lines = run.stdout.split('\n').filter((line) => line.startsWith('R 3 0 '));
    assert.equal(
      lines.map((line) => line.split(' ')[3]),
      WORK,
      run.stderr,
    );
    for (const line of lines) assert.ok(checkResult(line)?.right, checkResult(line)?.text);
    const [first = ''] = lines;
    assert.is(checkResult(`${first}0`)?.right, false);
    assert.is(checkResult('R 1 2 nothing 3')?.right, false);
    assert.is(checkResult('hello'), undefined);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
test.run();
