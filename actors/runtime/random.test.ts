import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { seededRandom } from './random.js';
import { TimerHeap } from './timers.js';

const test = spec('random and timers');

test('a seed and a stream name determine every number', () => {
  const draw = (seed: number, stream: string): number[] => {
    const random = seededRandom(seed, stream);
    return Array.from({ length: 100 }, () => random.u32());
  };
  assert.equal(draw(7, 'a'), draw(7, 'a'));
  assert.not.equal(draw(7, 'a'), draw(8, 'a'));
  assert.not.equal(draw(7, 'a'), draw(7, 'b'));
});

test('below() stays below and covers its range evenly', () => {
  const random = seededRandom(1);
  const counts = new Array<number>(10).fill(0);
  for (let i = 0; i < 100_000; i++) counts[random.below(10)]++;
  for (const count of counts) assert.ok(Math.abs(count - 10_000) < 500, `a tenth came up ${count} times`);
});

test('timers fire by due time, then by creation, and a cancelled one never does', () => {
  const random = seededRandom(3);
  const heap = new TimerHeap();
  const fired: number[] = [];
  const due = Array.from({ length: 500 }, () => random.below(50));
  const cancels = due.map((ms, i) => heap.add(ms, () => fired.push(i)));
  const cancelled = new Set(due.map((_, i) => i).filter(() => random.oneIn(4)));
  for (const i of cancelled) cancels[i]();
  for (let now = 0; now <= 50; now++)
    for (let act = heap.takeDue(now); act !== undefined; act = heap.takeDue(now)) act();
  const expected = due
    .map((ms, i) => ({ ms, i }))
    .filter(({ i }) => !cancelled.has(i))
    .sort((a, b) => a.ms - b.ms || a.i - b.i)
    .map(({ i }) => i);
  assert.equal(fired, expected);
  assert.is(heap.nextMs, Number.POSITIVE_INFINITY);
});

test.run();
