import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { holdsCode, isRegionCode, noteWords, regionCode } from './region-code.js';

const test = spec('code of a region');
const HOST = 4096;
const code = regionCode([
  [12, 0xd65f03c0],
  [0, 0x91000400],
  [4, 0xf100041f],
  [4092, 0x14000000],
]);

function page(): DataView {
  const view = new DataView(new ArrayBuffer(3 * 4096));
  view.setUint32(HOST, 0x91000400, true);
  view.setUint32(HOST + 4, 0xf100041f, true);
  view.setUint32(HOST + 8, 0xdeadbeef, true);
  view.setUint32(HOST + 12, 0xd65f03c0, true);
  view.setUint32(HOST + 4092, 0x14000000, true);
  return view;
}

test('words are kept in runs', () => {
  assert.equal(
    [...code],
    [2, 0x91000400, 0xf100041f, (12 << 16) | 1, 0xd65f03c0, 0x0ffc0001, 0x14000000].map((word) => word >>> 0),
  );
});

test('it holds while no covered word differs, whatever lies between', () => {
  const view = page();
  assert.ok(holdsCode(view, HOST, code));
  view.setUint32(HOST + 8, 1, true);
  assert.ok(holdsCode(view, HOST, code));
  for (const offset of [0, 4, 12, 4092]) {
    const changed = page();
    changed.setUint8(HOST + offset + 3, changed.getUint8(HOST + offset + 3) ^ 1);
    assert.not(holdsCode(changed, HOST, code), `byte ${offset + 3}`);
  }
});

test('words are noted by their number in the page', () => {
  const bits = new Uint32Array(32);
  noteWords(code, bits);
  noteWords(regionCode([[128, 0x14000000]]), bits);
  const noted = Array.from({ length: 1024 }, (_, word) => word).filter((n) => ((bits[n >> 5]! >>> (n & 31)) & 1) === 1);
  assert.equal(noted, [0, 1, 3, 32, 1023]);
});

test('what is no code of a region is refused', () => {
  assert.ok(isRegionCode(code, 12));
  assert.not(isRegionCode(code, 8), 'the entry is not covered');
  const damaged: readonly (readonly number[])[] = [
    [],
    [0],
    [2, 1],
    [(4 << 16) | 1, 1, 1, 1],
    [(2 << 16) | 1, 1],
    [(4092 << 16) | 2, 1, 1],
    [1, 1, (0xfffc << 16) | 1, 1],
  ];
  for (const words of damaged) assert.not(isRegionCode(Uint32Array.from(words), 0), words.join());
});

test.run();
