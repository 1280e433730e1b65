/** Streams of lines that are cut off anywhere. */
import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { WholeLines } from './whole-lines.js';

const test = spec('whole lines');
const ARRAY = '[\n{"name":"a","ä":1},\n{"name":"b"},\n{"name":"c"}\n]\n';

/** What is written of `text` in pieces of `size` bytes, of which `bytes` arrive before the stream is cut (all: it ends). */
function written(text: string, isArray: boolean, size: number, bytes?: number): string {
  let out = '';
  const lines = new WholeLines((part) => void (out += part), isArray);
  const all = new TextEncoder().encode(text).subarray(0, bytes);
  for (let at = 0; at < all.length; at += size) lines.take(all.subarray(at, at + size));
  if (bytes === undefined) lines.end();
  else lines.cut();
  return out;
}

test('a stream that ends by itself is written as it is', () => {
  for (const size of [1, 3, 7, 100]) {
    assert.is(written(ARRAY, true, size), ARRAY);
    assert.is(written('one\ntwo', false, size), 'one\ntwo');
    assert.is(written('[]\n', true, size), '[]\n');
  }
});

test('an array that is cut off anywhere is an array of its whole elements', () => {
  const names = ['a', 'b', 'c'];
  const length = new TextEncoder().encode(ARRAY).length;
  for (const size of [1, 5, 64]) {
    let most = 0;
    for (let bytes = 0; bytes <= length; bytes++) {
      const out = written(ARRAY, true, size, bytes);
      const elements = (JSON.parse(out) as { name: string }[]).map(({ name }) => name);
      assert.equal(elements, names.slice(0, elements.length), `${bytes}: ${out}`);
      assert.ok(elements.length >= most);
      most = elements.length;
    }
    assert.is(most, 3);
  }
});

test('lines that are cut off lose the half one', () => {
  assert.is(written('one\ntwo\nthree\n', false, 2, 10), 'one\ntwo\n');
  assert.is(written('one\ntwo\n', false, 2, 8), 'one\ntwo\n');
});
test.run();
