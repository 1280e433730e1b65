import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { Decoder } from '../decode/decoder.js';
import { INSTRUCTIONS } from '../isa/table.js';
import { compileBatch } from './compile-batch.js';
import { RegionOps } from './region-ops.js';
import { scanModule } from './scanner/scan-module.js';
import { placeRegions } from './translate.js';
import { translateAccepted } from './translate-accepted.js';

const test = spec('compiled batches');
const decoder = new Decoder(INSTRUCTIONS);
const REGIONS = 13;
const [LDR, LDRB, RET] = [0xf9400020, 0x39400020, 0xd65f03c0];

/** Memory with a page for each region: a load, of a byte in those of `bytes`, and RET. */
function codeOf(bytes: readonly number[]): DataView {
  const view = new DataView(new ArrayBuffer(REGIONS * 4096));
  for (let n = 0; n < REGIONS; n++) {
    view.setUint32(n * 4096, bytes.includes(n) ? LDRB : LDR, true);
    view.setUint32(n * 4096 + 4, RET, true);
  }
  return view;
}
const entries = Array.from({ length: REGIONS }, (_, n) => ({ host: n * 4096, offset: 0 }));

/** What `make` does with an emitter that forgets to check loads of a byte. */
function withBug<T>(make: () => T): T {
  const { checkedEntry } = RegionOps.prototype;
  RegionOps.prototype.checkedEntry = function (va, bytes, write) {
    return bytes === 1 ? this.wrap(va) : checkedEntry.call(this, va, bytes, write);
  };
  try {
    return make();
  } finally {
    RegionOps.prototype.checkedEntry = checkedEntry;
  }
}

test('what the scanner accepts is one module', () => {
  const { modules, instructions, refusals } = compileBatch(codeOf([2]), decoder, entries);
  assert.equal([modules.length, modules[0]?.regions.length, instructions, refusals.length], [1, REGIONS, 26, 0]);
});

test('of a refused module only the regions that are refused by themselves are lost', () => {
  for (const bad of [[0], [7, 8], [12, 3, 5]]) {
    const { modules, instructions, refusals } = withBug(() => compileBatch(codeOf(bad), decoder, entries));
    assert.is(refusals.length, bad.length);
    assert.ok(refusals.every(({ rule, functionIndex }) => rule === 'address' && functionIndex === 1));
    const kept = modules.flatMap(({ regions }) => regions.map(({ host }) => host / 4096));
    assert.equal(
      kept.sort((a, b) => a - b),
      entries.flatMap((_, n) => (bad.includes(n) ? [] : [n])),
    );
    assert.is(instructions, kept.length * 2);
    const sizes = modules.map(({ regions }) => new Set(regions.map(({ name }) => name)).size);
    assert.is(
      sizes.reduce((sum, size) => sum + size, 0),
      kept.length,
      'each by its own name in its module',
    );
  }
});

test('what a volume is made of loses only the regions that are refused by themselves, too', () => {
  for (const bad of [[], [0], [7, 8], [12, 3, 5], entries.map((_, n) => n)]) {
    const placed = placeRegions(codeOf(bad), decoder, entries);
    const { batch, refusals } = withBug(() => translateAccepted(placed));
    assert.is(refusals.length, bad.length);
    const kept = entries.flatMap((_, n) => (bad.includes(n) ? [] : [n]));
    assert.equal(batch?.regions.map(({ host }) => host / 4096) ?? [], kept);
    assert.equal(
      batch?.regions.map(({ name }) => name) ?? [],
      kept.map((_, n) => `r${n}`),
      'numbered as they lie in the one table',
    );
    if (batch !== undefined) assert.ok(scanModule(batch.bytes).ok);
  }
});

test('where there is nothing to translate there is no module', () => {
  const none = compileBatch(new DataView(new ArrayBuffer(4096)), decoder, [{ host: 0, offset: 0 }]);
  assert.equal(none, { modules: [], instructions: 0, refusals: [] });
});

test.run();
