/** What a waiting vCPU does, against a clock of our own: every look costs a fixed time. */
import { equal } from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { WfiWatch } from './wfi-watch.js';

const test = spec('WFI watch');
/** Milliseconds a look takes. */
const LOOK_MS = 0.0001;

function world() {
  const at = { nowMs: 1, dueMs: Number.POSITIVE_INFINITY, isWanted: false };
  const watch = new WfiWatch({
    nowMs: () => at.nowMs,
    isCalled: () => {
      at.nowMs += LOOK_MS;
      return at.nowMs >= at.dueMs;
    },
    isInterrupted: () => at.nowMs >= at.dueMs,
    mustStop: () => at.isWanted,
  });
  /** Waits for what comes after `ms`; whether it was watched until then, and for how long it was watched. */
  const wait = (told: number, ms: number): { readonly came: boolean; readonly watchedMs: number } => {
    at.dueMs = at.nowMs + ms;
    const came = watch.watches(told);
    const watchedMs = watch.takeWatchedMs();
    at.nowMs = Math.max(at.nowMs, at.dueMs);
    watch.ends();
    return { came, watchedMs };
  };
  return { at, wait };
}

test('who has told something watches for an answer, for a tenth of a millisecond at most', () => {
  const { wait } = world();
  equal(wait(1, 0.05).came, true);
  const late = wait(2, 5);
  equal(late.came, false);
  equal(late.watchedMs >= 0.1 && late.watchedMs < 0.12, true);
});

test('who waits for something else sleeps at once, until such waits are short', () => {
  const { wait } = world();
  equal(wait(0, 4), { came: false, watchedMs: 0 });
  equal(wait(0, 0.05), { came: false, watchedMs: 0 });
  equal(wait(0, 0.05).came, true);
  for (let n = 0; n < 3; n++) wait(0, 4);
  equal(wait(0, 4), { came: false, watchedMs: 0 });
});

test('answers that come late end the watching for answers, and leave the other sort alone', () => {
  const { wait } = world();
  for (let n = 0; n < 4; n++) wait(0, 0.05);
  for (let told = 1; told < 4; told++) wait(told, 5);
  equal(wait(9, 0.05).watchedMs, 0);
  equal(wait(9, 0.05).came, true);
});

test('nobody is kept from running', () => {
  const { at, wait } = world();
  at.isWanted = true;
  equal(wait(1, 0.05), { came: false, watchedMs: 0 });
});

test.run();
