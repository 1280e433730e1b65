/** What gaps between looks say of an interrupt that comes at any moment, against interrupts drawn at random. */
import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { LookGaps } from './look-gaps.js';

const test = spec('gaps between looks');

/** Gaps as long as `gaps` say, each with so much of it spent waiting. */
function observed(gaps: readonly (readonly [ms: number, waited: number])[], tells = true): LookGaps {
  let waited = 7;
  let now = 1_000;
  const looks = new LookGaps(
    () => (tells ? waited : null),
    () => now,
  );
  looks.looked(Float64Array.of(now));
  for (const [ms, wait] of gaps) {
    now += ms;
    waited += wait;
    looks.looked(Float64Array.of(now));
  }
  return looks;
}

const DRAWS = 40_000;
/** The wait that `share` of 200,000 interrupts, spread evenly over all gaps, exceed. */
function drawn(gaps: readonly number[], share: number): number {
  const all = gaps.reduce((sum, ms) => sum + ms, 0);
  const waits: number[] = [];
  let at = 0;
  for (const ms of gaps) {
    for (let due = Math.ceil((at / all) * DRAWS); (due / DRAWS) * all < at + ms; due++)
      waits.push(at + ms - (due / DRAWS) * all);
    at += ms;
  }
  waits.sort((a, b) => a - b);
  return waits[Math.floor(waits.length * (1 - share))] ?? 0;
}

/** Within a bucket, a twelfth. */
const near = (value: number, expected: number): boolean => Math.abs(value - expected) <= expected * 0.09 + 1e-4;

test('p50 and p99 are those of interrupts that come at any moment', () => {
  const long = [0, 0.3, 4];
  for (const every of [7, 50, 400]) {
    for (const ms of long) {
      const gaps = Array.from({ length: 4_000 }, (_, n) => (n % every === 0 ? ms : 0) + 0.01 + (n % 13) * 0.002);
      const { seen, own, late, allMs } = observed(gaps.map((gap) => [gap, 0])).reading();
      assert.ok(near(seen.p50, drawn(gaps, 0.5)), `${every} ${ms}: ${seen.p50}, drawn ${drawn(gaps, 0.5)}`);
      assert.ok(near(seen.p99, drawn(gaps, 0.01)), `${every} ${ms}: ${seen.p99}, drawn ${drawn(gaps, 0.01)}`);
      assert.equal(own, seen);
      assert.is(late, gaps.filter((gap) => gap > 0.05).length);
      const lateMs = gaps.reduce((sum, gap) => sum + Math.max(0, gap - 0.05), 0);
      assert.ok(Math.abs(seen.lateShare - lateMs / allMs) < 1e-9, `${seen.lateShare}`);
      assert.ok(Math.abs(allMs - gaps.reduce((sum, gap) => sum + gap)) < 1e-6);
    }
  }
});

test('what the thread waited for a processor is not its own', () => {
  const gaps = Array.from({ length: 4_000 }, (_, n) => (n % 50 === 49 ? ([4.02, 4] as const) : ([0.02, 0] as const)));
  const { seen, own } = observed(gaps).reading();
  assert.ok(seen.p99 > 3 && seen.max > 4);
  assert.ok(own !== null && own.p99 < 0.025 && own.max < 0.0201, `${own?.p99} ${own?.max}`);
});

test('waits of short gaps do not make a long gap shorter', () => {
  // Each short gap waited a little, but the long one is all the thread's own.
  const gaps = Array.from({ length: 6_400 }, (_, n) =>
    n % 640 === 639 ? ([1, 0] as const) : ([0.03, 0.002] as const),
  );
  const { own } = observed(gaps).reading();
  assert.ok(own !== null && own.max >= 1 - 128 * 0.002, `${own?.max}`);
});

test('a processor lost behind a late look, while the waits are read, is lacking in the next gap', () => {
  let [now, waited, lost] = [1_000, 7, 0];
  const looks = new LookGaps(
    () => {
      now += lost;
      waited += lost;
      lost = 0;
      return waited;
    },
    () => now,
  );
  looks.looked(Float64Array.of(now));
  for (let n = 0; n < 1_000; n++) {
    now += 0.02;
    looks.looked(Float64Array.of(now));
  }
  now += 1.2;
  lost = 2;
  looks.looked(Float64Array.of(now));
  looks.looked(Float64Array.of((now += 0.01)));
  const { own, seen } = looks.reading();
  assert.ok(seen.max > 2);
  assert.ok(own !== null && Math.abs(own.max - 1.2) < 0.001, `${own?.max}`);
});

test('sleep is no gap, and a host that tells no waits has no own part', () => {
  const looks = observed([[0.02, 0]], false);
  looks.rests();
  looks.looked(Float64Array.of(5_000));
  looks.looked(Float64Array.of(5_000.03));
  const { allMs, seen, own } = looks.reading();
  assert.ok(Math.abs(allMs - 0.05) < 1e-6 && seen.max < 0.031);
  assert.is(own, null);
});

test('the first five seconds are left out when they are over', () => {
  const start = Array.from({ length: 1_250 }, () => [4, 0] as const);
  assert.not(observed(start.slice(1)).reading().isSettled);
  assert.ok(observed(start.slice(1)).reading().seen.p50 > 1);
  const { isSettled, allMs, late, seen } = observed([
    ...start,
    ...Array.from({ length: 99 }, () => [0.02, 0] as const),
  ]).reading();
  assert.equal([isSettled, late], [true, 0]);
  assert.ok(Math.abs(allMs - 1.98) < 1e-6 && seen.max < 0.021);
});

test('a vCPU that never ran', () => {
  const { allMs, seen } = new LookGaps(
    () => 0,
    () => 0,
  ).reading();
  assert.equal([allMs, seen], [0, { p50: 0, p99: 0, max: 0, lateShare: 0 }]);
});

test.run();
