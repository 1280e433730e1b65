import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import type { CodePage } from '../code-pages.js';
import { REQUESTS_MAX, type Request, RequestQueue } from './request-queue.js';

const test = spec('queue of requests');
const page = (host: number): CodePage => ({ records: 0, host, writes: 0, used: 0, regions: 0 });
const HERE = page(0);

/** A queue whose requests are told apart, and have arrivals, by their offsets. */
class Bench {
  readonly heat = new Map<number, number>();
  readonly made = new Set<number>();
  readonly forgotten: number[] = [];
  readonly queue = new RequestQueue({
    arrivals: ({ offset }) => this.heat.get(offset) ?? 0,
    forgetArrivals: ({ offset }) => void this.heat.delete(offset),
    isNeeded: ({ offset }) => !this.made.has(offset),
    onForgotten: ({ offset }) => void this.forgotten.push(offset),
  });

  add(offset: number, arrivals: number, of = HERE): void {
    this.queue.add({ page: of, offset, stale: false });
    this.heat.set(offset, arrivals);
  }
}

const offsetsOf = (requests: readonly Request[]): readonly number[] => requests.map(({ offset }) => offset);

test('the hottest are taken first, the oldest among equals, and the others wait', () => {
  const bench = new Bench();
  for (const [offset, arrivals] of [5, 900, 7, 900, 65_535, 0, 7].entries()) bench.add(offset, arrivals);
  assert.equal(offsetsOf(bench.queue.take(3)), [4, 1, 3]);
  assert.equal([...offsetsOf(bench.queue.take(3))].sort(), [0, 2, 6]);
  assert.equal(offsetsOf(bench.queue.take(3)), [5]);
  assert.equal(bench.queue.take(3), []);
});

test('it takes what sorting all of it would', () => {
  let seed = 1;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 8) % below;
  };
  for (let round = 0; round < 200; round++) {
    const bench = new Bench();
    const count = 1 + random(30);
    const heats = Array.from({ length: random(100) }, () => random(round));
    for (const [offset, arrivals] of heats.entries()) bench.add(offset, arrivals);
    const hottest = [...heats].sort((a, b) => b - a).slice(0, count);
    const taken = offsetsOf(bench.queue.take(count));
    const arrivals = taken.map((offset) => heats[offset] ?? -1);
    assert.equal(
      [...arrivals].sort((a, b) => b - a),
      hottest,
    );
    assert.is(bench.queue.length, heats.length - taken.length);
    const rest = offsetsOf(bench.queue.take(100));
    assert.is(new Set([...taken, ...rest]).size, heats.length, 'each of them once');
  }
});

test('what has been made meanwhile is not taken', () => {
  const bench = new Bench();
  for (let offset = 0; offset < 10; offset++) bench.add(offset, offset);
  for (const offset of [9, 7, 0]) bench.made.add(offset);
  assert.equal(offsetsOf(bench.queue.take(2)), [8, 6]);
  assert.equal([...offsetsOf(bench.queue.take(10))].sort(), [1, 2, 3, 4, 5]);
});

test('a page that changes takes its requests along', () => {
  const bench = new Bench();
  const other = page(4096);
  for (let offset = 0; offset < 10; offset++) bench.add(offset, 0, offset % 3 === 0 ? other : HERE);
  bench.queue.drop(other);
  assert.equal(offsetsOf(bench.queue.take(10)), [1, 2, 4, 5, 7, 8]);
  assert.equal(bench.forgotten, []);
});

test('when there are too many the colder half is forgotten, the oldest among equals', () => {
  const bench = new Bench();
  for (let offset = 0; offset < REQUESTS_MAX; offset++) bench.add(offset, offset % 4 === 0 ? 3 : 1);
  assert.equal(bench.forgotten, []);
  bench.add(REQUESTS_MAX, 0);
  assert.is(bench.queue.length, REQUESTS_MAX / 2 + 1);
  assert.is(bench.forgotten.length, REQUESTS_MAX / 2);
  assert.ok(bench.forgotten.every((offset) => offset % 4 !== 0 && offset < (REQUESTS_MAX * 2) / 3));
  assert.is(bench.heat.get(0), undefined, 'from then on arrivals count anew');
});

test('code that was run and never again makes room for what is run now', () => {
  const bench = new Bench();
  for (let offset = 0; offset < REQUESTS_MAX; offset++) bench.add(offset, 1000);
  for (let offset = REQUESTS_MAX; offset < REQUESTS_MAX * 2; offset++) bench.add(offset, 1);
  bench.add(REQUESTS_MAX * 2, 0);
  assert.is(bench.forgotten.filter((offset) => offset < REQUESTS_MAX).length, REQUESTS_MAX);
  assert.ok(bench.queue.length <= REQUESTS_MAX);
});

test.run();
