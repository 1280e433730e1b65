import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as assert from 'uvu/assert';
import { spec } from '../test/harness/spec.js';

const test = spec('background threads');
const MODULE = join(dirname(fileURLToPath(import.meta.url)), 'background-threads.js');

const PROGRAM = `
  import { readdirSync } from 'node:fs';
  import { getPriority } from 'node:os';
  import { lowerBackgroundThreads } from ${JSON.stringify(MODULE)};
  lowerBackgroundThreads();
  const others = readdirSync('/proc/self/task').map(Number).filter((thread) => thread !== process.pid);
  console.log(JSON.stringify({ own: getPriority(), lowered: others.filter((thread) => getPriority(thread) > getPriority()).length }));
`;

if (process.platform === 'linux') {
  test("five threads of Node's are lowered, the program's own is not", () => {
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', PROGRAM], { encoding: 'utf8' });
    const { own, lowered } = JSON.parse(stdout) as { own: number; lowered: number };
    // A process that was itself started with the lowest priority has nothing lower.
    assert.is(lowered, own < 10 ? 5 : 0);
  });
} else process.stdout.write('skipped: threads have no priorities of their own here\n');

test.run();
