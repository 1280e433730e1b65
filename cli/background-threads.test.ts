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

const ALLOCATING = `
  import { lowerBackgroundThreads } from ${JSON.stringify(MODULE)};
  lowerBackgroundThreads();
  const kept = [];
  for (let i = 0; i < 1_000_000; i++) kept[i % 100_000] = { i, list: [i] };
`;

if (process.platform === 'linux') {
  test('young objects are collected by the thread that made them alone', () => {
    const flags = ['--trace-gc', '--trace-parallel-scavenge', '--input-type=module', '-e', ALLOCATING];
    const { stdout } = spawnSync(process.execPath, flags, { encoding: 'utf8' });
    // Before the program's first line Node.js may have collected some.
    const collections = stdout.split('Scavenge ').slice(-5);
    assert.is(collections.length, 5);
    for (const text of collections.slice(0, -1)) assert.is(text.split('scavenge[').length - 1, 1, text);
  });

  test("five threads of Node's are lowered, the program's own is not", () => {
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', PROGRAM], { encoding: 'utf8' });
    const { own, lowered } = JSON.parse(stdout) as { own: number; lowered: number };
    // A process that was itself started with the lowest priority has nothing lower.
    assert.is(lowered, own < 10 ? 5 : 0);
  });
} else process.stdout.write('skipped: threads have no priorities of their own here\n');

test.run();
