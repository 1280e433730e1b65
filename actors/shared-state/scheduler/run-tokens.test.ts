/** The scheduler as a model: a host of some processors in steps of 100 microseconds, and vCPUs that want more or less of it. */
import * as assert from 'uvu/assert';
import { spec } from '../../../test/harness/spec.js';
import { AFFINITY, RUN_ENTRIES_MAX, RUN_TOKENS_BYTES, RunTokens } from './run-tokens.js';

const test = spec('run tokens');
const STEP_US = 100;

interface Load {
  readonly priority?: number;
  readonly sliceUs?: number;
  readonly affinity?: number;
  /** Runs so long, then sleeps so long; absent: it spins. */
  readonly burst?: { readonly runUs: number; readonly sleepUs: number };
}
interface Outcome {
  /** Microseconds each ran. */
  readonly ran: number[];
  /** The longest each waited for a token. */
  readonly waited: number[];
  /** Most that ran at once. */
  readonly atOnce: number;
}

/** Runs `loads` on `tokens` processors for a while, the way the threads of vCPUs do. */
function simulate(tokens: number, loads: readonly Load[], steps: number, startUs = 0): Outcome {
  const pool = new RunTokens(new SharedArrayBuffer(RUN_TOKENS_BYTES), 0);
  pool.format(tokens);
  const entries = loads.map(({ priority = 32, sliceUs = 5_000, affinity = AFFINITY.any }) => {
    const entry = pool.add();
    pool.configure(entry, priority, sliceUs, affinity);
    return entry;
  });
  const ran = loads.map(() => 0);
  const waited = loads.map(() => 0);
  const waiting = loads.map(() => 0);
  const burst = loads.map(() => 0);
  const sleepsUntil = loads.map(() => 0);
  let atOnce = 0;
  for (let step = 0; step < steps; step++) {
    const now = step * STEP_US;
    const nowUs = (startUs + now) | 0;
    const after = (nowUs + STEP_US) | 0;
    const awake = entries.map((_, n) => n).filter((n) => (sleepsUntil[n] ?? 0) <= now);
    const running = awake.filter((n) => pool.acquire(entries[n] ?? 0, n + 1, nowUs));
    for (const n of awake) {
      waiting[n] = running.includes(n) ? 0 : (waiting[n] ?? 0) + STEP_US;
      waited[n] = Math.max(waited[n] ?? 0, waiting[n] ?? 0);
    }
    for (const n of running) {
      const { burst: wish } = loads[n] ?? {};
      ran[n] = (ran[n] ?? 0) + STEP_US;
      burst[n] = (burst[n] ?? 0) + STEP_US;
      if (wish !== undefined && (burst[n] ?? 0) >= wish.runUs) {
        burst[n] = 0;
        sleepsUntil[n] = now + STEP_US + wish.sleepUs;
        pool.release(entries[n] ?? 0, after);
      } else pool.handOver(entries[n] ?? 0, after);
    }
    atOnce = Math.max(atOnce, running.length);
  }
  return { ran, waited, atOnce };
}

test('equal spinners get equal shares, on one processor and on several, also where the clock wraps', () => {
  for (const [tokens, count] of [
    [1, 3],
    [2, 3],
    [2, 7],
    [4, 5],
  ] as const) {
    for (const startUs of [0, 0x7fff_0000]) {
      const { ran, atOnce } = simulate(
        tokens,
        Array.from({ length: count }, () => ({})),
        20_000,
        startUs,
      );
      const share = (20_000 * STEP_US * tokens) / count;
      for (const us of ran) assert.ok(Math.abs(us / share - 1) < 0.05, `${tokens} for ${count}: ${us} of ${share}`);
      assert.ok(atOnce <= tokens, 'no more run at once than there are tokens');
    }
  }
});

test('a weight doubles with every eight levels of priority, and the lowest still runs', () => {
  const { ran } = simulate(1, [{ priority: 40 }, { priority: 32 }, { priority: 0 }], 60_000);
  const [high = 0, middle = 0, low = 0] = ran;
  assert.ok(Math.abs(high / middle - 2) < 0.1, `${high} to ${middle}`);
  assert.ok(low > 0 && Math.abs(middle / low - 16) < 2.5, `${middle} to ${low}`);
});

test('one that runs briefly and sleeps gets all it wants, at once, beside three that spin', () => {
  const interactive = { burst: { runUs: 200, sleepUs: 9_800 } };
  for (const tokens of [1, 2]) {
    const { ran, waited } = simulate(tokens, [{}, {}, {}, interactive], 40_000);
    const wanted = (40_000 * STEP_US) / 50;
    assert.ok((ran[3] ?? 0) > 0.85 * wanted, `it ran ${ran[3]} of ${wanted}`);
    assert.ok((waited[3] ?? 0) <= 5_200, `it waited ${waited[3]} us at most`);
  }
});

test('sleeping earns no credit: who slept for long does not keep the others from running', () => {
  const sleeper = { burst: { runUs: 500_000, sleepUs: 500_000 } };
  const { waited } = simulate(1, [{}, sleeper], 40_000);
  assert.ok((waited[0] ?? 0) <= 10_000, `${waited[0]}`);
});

test('affinity: two of one processor share it, the third has the other; one without any never runs', () => {
  const { ran } = simulate(2, [{ affinity: 0 }, { affinity: 0 }, { affinity: 1 }, { affinity: AFFINITY.none }], 20_000);
  const whole = 20_000 * STEP_US;
  assert.ok(Math.abs((ran[0] ?? 0) / whole - 0.5) < 0.05 && Math.abs((ran[1] ?? 0) / whole - 0.5) < 0.05, `${ran}`);
  assert.ok((ran[2] ?? 0) > 0.98 * whole && ran[3] === 0, `${ran}`);
});

test('a longer slice means fewer changes, not a larger share', () => {
  const { ran, waited } = simulate(1, [{ sliceUs: 20_000 }, { sliceUs: 1_000 }], 40_000);
  assert.ok(Math.abs((ran[0] ?? 0) / (ran[1] ?? 1) - 1) < 0.1, `${ran}`);
  assert.ok((waited[1] ?? 0) > (waited[0] ?? 0) / 4);
});

test('yield gives the token to the next at once; without others it keeps it', () => {
  const pool = new RunTokens(new SharedArrayBuffer(RUN_TOKENS_BYTES), 0);
  pool.format(1);
  const [a, b] = [pool.add(), pool.add()];
  assert.ok(pool.acquire(a, 11, 0));
  assert.is(pool.handOver(a, 10, true), undefined);
  assert.not.ok(pool.acquire(b, 22, 10));
  assert.is(pool.handOver(a, 20, true), 22);
  assert.ok(pool.acquire(b, 22, 30));
  assert.not.ok(pool.acquire(a, 11, 30));
  // The holder dies: whoever waits has the token.
  assert.is(pool.remove(b, 40), 11);
  assert.ok(pool.acquire(a, 11, 50));
  assert.is(pool.release(a, 60), 0);
  assert.is(pool.add() % RUN_ENTRIES_MAX, b);
});

test('without tokens everybody runs', () => {
  const pool = new RunTokens(new SharedArrayBuffer(RUN_TOKENS_BYTES), 0);
  const [a, b] = [pool.add(), pool.add()];
  assert.ok(pool.acquire(a, 1, 0) && pool.acquire(b, 2, 0));
  assert.is(pool.release(a, 10), 0);
});
test('one that gets a token at once is never seen waiting', () => {
  const pool = new RunTokens(new SharedArrayBuffer(RUN_TOKENS_BYTES), 0);
  pool.format(2);
  const entries = [pool.add(), pool.add(), pool.add()] as const;
  const { store } = Atomics;
  let seen = 0;
  // Between any two stores another thread may look.
  const look = (words: Int32Array, index: number, value: number): number => {
    if (pool.isContended) seen++;
    return store(words, index, value);
  };
  Object.assign(Atomics, { store: look });
  try {
    assert.is(pool.acquire(entries[0], 1, 0), true);
    assert.is(pool.acquire(entries[1], 2, 10), true);
    assert.is(pool.release(entries[1], 20), 0);
    assert.is(pool.acquire(entries[1], 2, 30), true);
    assert.is(seen, 0);
    assert.is(pool.acquire(entries[2], 3, 40), false);
    assert.is(pool.acquire(entries[2], 3, 50), false);
    assert.is(pool.isContended, true);
    assert.is(pool.release(entries[1], 60), 3);
    assert.is(pool.isContended, false);
  } finally {
    Object.assign(Atomics, { store });
  }
});

test('a vCPU that was removed before it noticed takes no token along and leaves its entry free', () => {
  const pool = new RunTokens(new SharedArrayBuffer(RUN_TOKENS_BYTES), 0);
  pool.format(1);
  for (let life = 0; life < 3; life++) {
    const entry = pool.add();
    assert.is(entry % RUN_ENTRIES_MAX, 0, 'the entry of the one before');
    assert.ok(pool.acquire(entry, 5, 10));
    assert.is(pool.remove(entry, 20), 0);
    // Its thread is late: it still asks, sleeps, and asks again.
    assert.ok(pool.acquire(entry, 5, 30));
    assert.is(pool.handOver(entry, 35), undefined);
    assert.is(pool.release(entry, 40), 0);
    assert.ok(pool.acquire(entry, 5, 50));
  }
  const next = pool.add();
  assert.ok(pool.acquire(next, 6, 60), 'the token is there');
});

test('whoever has the entry of a vCPU that was removed is not disturbed by its late thread', () => {
  const pool = new RunTokens(new SharedArrayBuffer(RUN_TOKENS_BYTES), 0);
  pool.format(1);
  const late = pool.add();
  assert.ok(pool.acquire(late, 5, 10));
  assert.is(pool.remove(late, 20), 0);
  const heir = pool.add();
  assert.is(heir % RUN_ENTRIES_MAX, late % RUN_ENTRIES_MAX);
  assert.ok(pool.acquire(heir, 6, 30));
  const other = pool.add();
  assert.not(pool.acquire(other, 7, 40));
  // The late thread neither gives the heir's token away nor ends it.
  assert.is(pool.handOver(late, 90_000, true), undefined);
  assert.is(pool.release(late, 90_001), 0);
  assert.is(pool.remove(late, 90_002), 0);
  pool.configure(late, 0, 1, 0);
  assert.not(pool.acquire(other, 7, 90_003));
  assert.is(pool.handOver(heir, 90_004, true), 7);
});
test.run();
