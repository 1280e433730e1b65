/** The host's clock against the one that Node.js shows, and what a thread lacked of its processor against what it did. */
import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { hostClock, hostNowMs, processorWaitMs } from './host-services.js';

const test = spec('host services');

/** What `process.hrtime` says, in milliseconds. */
function nodeMs(): number {
  const [seconds, ns] = process.hrtime();
  return seconds * 1e3 + ns / 1e6;
}

test('the clock is that of process.hrtime, stored or told', () => {
  const { monotonicMs, storeMs } = hostClock(1_000);
  const stored = new Float64Array(1);
  for (let n = 0; n < 20_000; n++) {
    const before = nodeMs();
    const told = hostNowMs();
    const since = monotonicMs();
    storeMs(stored);
    const after = nodeMs();
    const between = (ms: number): boolean => ms >= before - 1e-6 && ms <= after + 1e-6;
    assert.ok(between(told) && between(since + 1_000) && between(stored[0]! + 1_000), `${before} ${told} ${after}`);
    assert.ok(since >= told - 1_000 - 1e-6 && stored[0]! >= since);
  }
});

test('a thread lacks no more than the time that passed, and sleep is nothing that it lacked', () => {
  const first = processorWaitMs();
  if (first === null) return; // nobody tells
  const started = hostNowMs();
  let last = first;
  while (hostNowMs() - started < 100) {
    const now = processorWaitMs();
    assert.ok(now !== null && now >= last);
    last = now ?? last;
  }
  const elapsed = hostNowMs() - started;
  assert.ok(last - first <= elapsed, `${last - first} of ${elapsed} ms`);
  const word = new Int32Array(new SharedArrayBuffer(4));
  // A busy host may keep it waiting once it is awake, but not every time for as long as it slept.
  const lacked = Array.from({ length: 5 }, () => {
    const before = processorWaitMs() ?? 0;
    Atomics.wait(word, 0, 0, 60);
    return (processorWaitMs() ?? 0) - before;
  });
  assert.ok(Math.min(...lacked) < 40, lacked.join(' '));
});

test.run();
