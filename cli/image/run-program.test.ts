/** Host programs that are run: what they say comes back, and who is ended takes them along. */
import { spawn } from 'node:child_process';
import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { runProgram } from './run-program.js';

const test = spec('host programs');
const MODULE = new URL('./run-program.js', import.meta.url).href;

test('output, exit code and status lines come back; what cannot be started has the code -1', async () => {
  const lines: string[] = [];
  const script = 'echo out; echo err >&2; echo one >&3; echo two >&3; exit 7';
  const run = await runProgram('sh', ['-c', script], { onStatus: (line) => lines.push(line) });
  assert.equal(run, { code: 7, stdout: 'out\n', stderr: 'err\n' });
  assert.equal(lines, ['one', 'two']);
  assert.is((await runProgram('/nowhere/program', [])).code, -1);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) assert.is(process.listenerCount(signal), 0, signal);
});

/** Whether a process with this number is there. */
function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`${signal} to who runs them ends them too`, async () => {
    const source = `import(${JSON.stringify(MODULE)}).then(({ runProgram }) => {
      const onStatus = (line) => process.stdout.write(line + '\\n');
      void Promise.all([1, 2].map(() => runProgram('sh', ['-c', 'echo $$ >&3; exec sleep 1000'], { onStatus })));
    });`;
    const parent = spawn(process.execPath, ['-e', source], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = new Promise<NodeJS.Signals | null>((resolve) => parent.once('exit', (_, by) => resolve(by)));
    let said = '';
    await new Promise<void>((resolve) => {
      parent.stdout.on('data', (chunk: Buffer) => {
        said += chunk.toString();
        if (said.split('\n').length > 2) resolve();
      });
    });
    const pids = said.trim().split('\n').map(Number);
    assert.ok(pids.length === 2 && pids.every(isThere));
    parent.kill(signal);
    assert.is(await ended, signal);
    for (let n = 0; n < 500 && pids.some(isThere); n++) await new Promise((resolve) => setTimeout(resolve, 20));
    assert.not.ok(pids.some(isThere));
  });
}

test.run();
