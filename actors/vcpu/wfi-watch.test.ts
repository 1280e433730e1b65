/** What a waiting vCPU does, against a clock of our own: every look costs a fixed time. */
import { equal } from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { WfiWatch } from './wfi-watch.js';

const test = spec('WFI watch');
/** Milliseconds a look takes. */
const LOOK_MS = 0.0001;

function world() {
  const at = {
    nowMs: 1,
    dueMs: Number.POSITIVE_INFINITY,
    isWanted: false,
    sleeps: false,
    wakesAtMs: 0,
    atOnce: false,
    sleptAtMs: 0,
  };
  const watch = new WfiWatch({
    nowMs: () => at.nowMs,
    isCalled: () => {
      at.nowMs += LOOK_MS;
      return at.nowMs >= at.dueMs;
    },
    isInterrupted: () => at.nowMs >= at.dueMs,
    mustStop: () => at.isWanted,
    isAwake: () => {
      at.nowMs += LOOK_MS;
      return at.nowMs >= at.wakesAtMs;
    },
    sleeps: (atOnce) => {
      at.atOnce = atOnce;
      at.sleptAtMs = at.nowMs;
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
  /** Rings one that sleeps and would run after `wakesMs`, then waits as `wait` does. */
  const ringAndWait = (told: number, wakesMs: number, ms: number): ReturnType<typeof wait> => {
    at.wakesAtMs = at.nowMs + wakesMs;
    at.atOnce = false;
    equal(watch.rings(7), true);
    return wait(told, ms);
  };
  return { at, watch, wait, ringAndWait };
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

test('whoever woke one that runs elsewhere watches for the answer as long as ever', () => {
  const { ringAndWait } = world();
  equal(ringAndWait(1, 0.03, 0.1).came, true);
  const late = ringAndWait(2, 0.03, 5);
  equal(late.came, false);
  equal(late.watchedMs >= 0.2 && late.watchedMs < 0.22, true);
});

test('whoever woke one that does not run while it watches sleeps at once, and after two of them without watching', () => {
  const { at, ringAndWait } = world();
  at.sleeps = true;
  for (const told of [1, 2]) {
    const from = at.nowMs;
    // The other one needs this processor: it runs, and answers, when we sleep.
    equal(ringAndWait(told, Number.POSITIVE_INFINITY, 0.15).came, true);
    equal(at.atOnce, true);
    equal(at.sleptAtMs - from < 0.11, true);
  }
  at.sleeps = false;
  equal(ringAndWait(3, Number.POSITIVE_INFINITY, 0.15), { came: false, watchedMs: 0 });
  equal(at.atOnce, true);
});

test('one wait in 16 is a trial, and those that run elsewhere are watched for again', () => {
  const { at, ringAndWait } = world();
  at.sleeps = true;
  for (const told of [1, 2]) ringAndWait(told, Number.POSITIVE_INFINITY, 0.15);
  let tries = 0;
  for (let n = 0; n < 64; n++) {
    const from = at.nowMs;
    ringAndWait(3 + n, Number.POSITIVE_INFINITY, 0.15);
    if (at.sleptAtMs - from > 0.05) tries++;
  }
  equal(tries, 4);
  at.sleeps = false;
  for (let n = 0; n < 16; n++) ringAndWait(100 + n, 0.03, 0.08);
  equal(ringAndWait(140, 0.03, 0.15).came, true);
});

test('whoever has nobody to wake but is in the way of the answer sleeps at once, too', () => {
  const { at, wait } = world();
  at.sleeps = true;
  // The answer comes a little after the sleep began, however long was watched before.
  for (const told of [1, 2]) wait(told, 0.25);
  // Short waits: it would watch again.
  for (const told of [3, 4, 5, 6]) wait(told, 0.05);
  for (const told of [7, 8]) {
    const from = at.nowMs;
    equal(wait(told, 0.05).came, true);
    equal(at.sleptAtMs - from < 0.001 && at.atOnce, true);
  }
});

test('answers that come long after the sleep began say nothing about who was in the way', () => {
  const { at, wait } = world();
  at.sleeps = true;
  for (const told of [1, 2, 3, 4]) wait(told, 5);
  wait(5, 0.05);
  at.sleeps = false;
  equal(wait(6, 0.05).came, true);
});

test('what comes before the one that was woken has said that it runs ends the wait', () => {
  const { ringAndWait } = world();
  const fast = ringAndWait(1, Number.POSITIVE_INFINITY, 0.02);
  equal(fast.came, true);
  equal(fast.watchedMs < 0.03, true);
});

test('whoever is awake when rung is not waited for', () => {
  const { at, watch, wait } = world();
  at.wakesAtMs = 0;
  equal(watch.rings(7), false);
  at.wakesAtMs = Number.POSITIVE_INFINITY;
  equal(wait(1, 0.1).came, true);
});

test('a wake is waited for once: the next wait is as if nobody had been woken', () => {
  const { at, ringAndWait, wait } = world();
  ringAndWait(1, 0.03, 0.1);
  at.wakesAtMs = Number.POSITIVE_INFINITY;
  equal(wait(2, 0.15).came, true);
});

test('nobody is kept from running by one that was woken', () => {
  const { at, ringAndWait } = world();
  at.isWanted = true;
  equal(ringAndWait(1, 0.03, 0.05).watchedMs < 0.001, true);
});

test('nobody is kept from running', () => {
  const { at, wait } = world();
  at.isWanted = true;
  equal(wait(1, 0.05), { came: false, watchedMs: 0 });
});

test.run();
