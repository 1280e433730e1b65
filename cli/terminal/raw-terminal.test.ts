/** Who asks a run to end, and when that is insisted on. Signals are played by the process's own events. */
import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { onTermination } from './raw-terminal.js';

const test = spec('termination');

/** Plays `signal` as Node would tell it. */
const play = (signal: NodeJS.Signals): void => void process.emit(signal, signal);

test('the first SIGTERM is a request, and its time is limited', async () => {
  const asked: string[] = [];
  await new Promise<void>((resolve) => {
    const release = onTermination(
      (exitCode) => {
        asked.push(`stop ${exitCode}`);
        release();
        resolve();
      },
      (exitCode) => asked.push(`asked ${exitCode}`) > 0,
      20,
    );
    play('SIGTERM');
    assert.equal(asked, ['asked 143'], 'not at once');
  });
  assert.equal(asked, ['asked 143', 'stop 143']);
});

test('a SIGINT leaves the guest all the time it wants; the next signal ends it', async () => {
  const asked: string[] = [];
  const release = onTermination(
    (exitCode) => asked.push(`stop ${exitCode}`),
    (exitCode) => asked.push(`asked ${exitCode}`) > 0,
    1,
  );
  play('SIGINT');
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.equal(asked, ['asked 130']);
  play('SIGTERM');
  assert.equal(asked, ['asked 130', 'stop 143']);
  release();
});

test('what was taken back in time insists on nothing', async () => {
  const asked: number[] = [];
  const release = onTermination(
    (exitCode) => asked.push(exitCode),
    () => true,
    5,
  );
  play('SIGTERM');
  release();
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.equal(asked, []);
});

test('where nothing can be ended in order, the first signal ends', () => {
  const asked: number[] = [];
  const release = onTermination(
    (exitCode) => asked.push(exitCode),
    () => false,
  );
  play('SIGTERM');
  release();
  assert.equal(asked, [143]);
});

test.run();
