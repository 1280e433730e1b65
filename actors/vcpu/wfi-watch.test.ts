/** What a waiting vCPU does, against a clock of our own: every look costs a fixed time. */
import { equal } from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { WfiWatch } from './wfi-watch.js';

const test = spec('WFI watch');
/** Milliseconds a look takes. */
const LOOK_MS = 0.0001;

function world() {
  const at = { nowMs: 1, dueMs: Number.POSITIVE_INFINITY, isWanted: false, sleeps: false };
  const watch = new WfiWatch({
    nowMs: () => at.nowMs,
    isCalled: () => {
      at.nowMs += LOOK_MS;
      return at.nowMs >= at.dueMs;
    },
    isInterrupted: () => at.nowMs >= at.dueMs,
    mustStop: () => at.isWanted,
    sleeps: () => {
      if (at.sleeps) at.nowMs = Math.max(at.nowMs, at.dueMs);
      return at.sleeps;
    },
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

test('who has told something watches for an answer, for a fifth of a millisecond at most', () => {
  const { wait } = world();
  equal(wait(1, 0.05).came, true);
  const late = wait(2, 5);
  equal(late.came, false);
  equal(late.watchedMs >= 0.2 && late.watchedMs < 0.22, true);
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

test('a sleep that an interrupt ends is part of the wait, and a short one begins the watching', () => {
  const { at, wait } = world();
  at.sleeps = true;
  equal(wait(0, 4).came, true);
  for (let told = 1; told < 4; told++) equal(wait(told, 5).came, true);
  const short = wait(9, 0.05);
  equal(short.came && short.watchedMs >= 0.05, true);
  at.sleeps = false;
  equal(wait(10, 0.05).came, true);
});

test('nobody is kept from running', () => {
  const { at, wait } = world();
  at.isWanted = true;
  equal(wait(1, 0.05), { came: false, watchedMs: 0 });
});

test.run();
