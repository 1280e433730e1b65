/** Pulls into one cache come one after another, also after one that failed; those into others do not wait. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { alonePulling } from './pull-lock.js';

const test = spec('one pull at a time');
const HAS_FLOCK = spawnSync('flock', ['--version']).status === 0;
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const silent = (): void => undefined;

if (!HAS_FLOCK) test.skip('pulls', 'flock(1) of util-linux is not installed');
else {
  test('three at once come in turns, and one that fails gives the lock back', async () => {
    const cache = mkdtempSync(join(tmpdir(), 'wurley-lock-'));
    try {
      let inside = 0;
      let most = 0;
      const pull = (fails: boolean) => async (): Promise<void> => {
        most = Math.max(most, ++inside);
        await sleep(50);
        inside -= 1;
        if (fails) throw new Error('no network');
      };
      const ends = await Promise.allSettled(
        [true, false, true].map((fails) => alonePulling(cache, silent, pull(fails))),
      );
      assert.is(most, 1);
      assert.equal(
        ends.map(({ status }) => status),
        ['rejected', 'fulfilled', 'rejected'],
      );
    } finally {
      rmSync(cache, { recursive: true });
    }
  });
  test('who waits says so, and has the lock when its holder ends; another cache is free', async () => {
    const [cache, other] = [1, 2].map(() => mkdtempSync(join(tmpdir(), 'wurley-lock-'))) as [string, string];
    const holder = spawn('flock', [join(cache, 'pull.lock'), 'cat'], { stdio: ['pipe', 'pipe', 'ignore'] });
    try {
      holder.stdin.on('error', silent);
      holder.stdin.write('.');
      await new Promise((resolve) => holder.stdout.once('data', resolve));
      const said: string[] = [];
      const waited = alonePulling(
        cache,
        (what) => {
          said.push(what);
          holder.stdin.end();
        },
        async (hasWaited) => hasWaited,
      );
      assert.is(await alonePulling(other, silent, async (hasWaited) => hasWaited), false);
      assert.is(await waited, true);
      assert.equal(said, ['waiting for another pull to end']);
    } finally {
      holder.kill('SIGKILL');
      for (const folder of [cache, other]) rmSync(folder, { recursive: true });
    }
  });
}
test.run();
