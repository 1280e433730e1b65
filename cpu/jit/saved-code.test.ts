import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { regionCode } from './region-code.js';
import { findSaved, isSavedIndex, savedIndex, savedRegion } from './saved-code.js';

const test = spec('saved code');
const HOST = 4096;
const view = new DataView(new ArrayBuffer(3 * 4096));
for (let at = 0; at < 4096; at += 4) view.setUint32(HOST + at, Math.imul(at + 1, 0x9e3779b1), true);

const word = (offset: number): number => view.getUint32(HOST + offset, true);
/** A region of `count` words from `offset` on, as the page has them but for the differences given. */
function region(number: number, offset: number, count: number, differences: Readonly<Record<number, number>> = {}) {
  const words: [number, number][] = [];
  for (let at = offset; at < offset + count * 4; at += 4) words.push([at, differences[at] ?? word(at)]);
  return { number, offset, word: word(offset), code: regionCode(words) };
}

/** Number of the region found at byte `offset`, or -1. */
function numberAt(index: Uint32Array, offset: number): number {
  const at = findSaved(index, view, HOST, offset, word(offset));
  return at < 0 ? at : savedRegion(index, at).number;
}

test('every region is found by its first word, none elsewhere', () => {
  const regions = Array.from({ length: 300 }, (_, n) => region(n, n * 8, 1 + (n % 20)));
  const index = savedIndex(regions);
  assert.ok(isSavedIndex(index));
  for (let at = 0; at < 4096; at += 4) {
    const expected = at % 8 === 0 && at < 2400 ? at / 8 : -1;
    assert.is(numberAt(index, at), expected);
    assert.is(findSaved(index, view, HOST, at, word(at) ^ 1), -1);
  }
});

test('of several that begin alike the one whose code is there is found', () => {
  const index = savedIndex([region(0, 64, 8, { 68: 1 }), region(1, 64, 8), region(2, 64, 9, { 96: 5 })]);
  assert.is(numberAt(index, 64), 1);
});

test('a region is found at each of its entry points', () => {
  const { code } = region(0, 64, 8);
  const entries = [64, 72, 92].map((offset) => ({ number: 0, offset, word: word(offset), code }));
  const index = savedIndex([...entries, region(1, 128, 2)]);
  assert.ok(isSavedIndex(index));
  assert.equal(
    [64, 68, 72, 92, 128].map((offset) => numberAt(index, offset)),
    [0, -1, 0, 0, 1],
  );
});

test('an empty index is one', () => {
  const index = savedIndex([]);
  assert.ok(isSavedIndex(index));
  assert.is(findSaved(index, view, HOST, 0, word(0)), -1);
});

test('a damaged index is refused, or finds only what it can prove', () => {
  const index = savedIndex(Array.from({ length: 20 }, (_, n) => region(n, n * 12, 3)));
  assert.not(isSavedIndex(index.subarray(0, index.length - 1)));
  assert.not(isSavedIndex(new Uint32Array(0)));
  let refused = 0;
  for (let at = 0; at < index.length; at++) {
    for (const bit of [0, 1, 4, 17, 31]) {
      const damaged = index.slice();
      damaged[at]! ^= 1 << bit;
      if (!isSavedIndex(damaged)) refused++;
      else for (let n = 0; n < 20; n++) findSaved(damaged, view, HOST, n * 12, word(n * 12));
    }
  }
  assert.ok(refused > index.length, `${refused} refused`);
});

test.run();
