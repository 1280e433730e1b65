import fc from 'fast-check';
import { Packr } from 'msgpackr/pack';
import { equal, ok as truthy } from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { Codec } from './codec.js';
import { withinLimits } from './limits.js';

const test = spec('codec limits');
const limits = { depthMax: 4, itemsMax: 100 };
const plain = new Packr({ useRecords: false });
const within = (bytes: Uint8Array, bounds = limits): boolean => withinLimits(bytes, 0, bytes.length, bounds);

test('accepts what the codec encodes, at any offset', () => {
  const leaf = fc.oneof(
    fc.string(),
    fc.integer(),
    fc.double(),
    fc.boolean(),
    fc.constant(null),
    fc.uint8Array(),
    fc.bigInt({ min: -(1n << 63n), max: (1n << 64n) - 1n }),
  );
  const value = fc.oneof(
    leaf,
    fc.array(leaf, { maxLength: 20 }),
    fc.dictionary(fc.string(), fc.array(leaf, { maxLength: 3 }), { maxKeys: 8 }),
  );
  fc.assert(
    fc.property(value, fc.nat(5), (one, place) => {
      const packed = plain.pack(one);
      const bytes = new Uint8Array(packed.length + place);
      bytes.set(packed, place);
      return withinLimits(bytes, place, bytes.length, limits);
    }),
  );
});

test('refuses depth, number, truncation, leftovers, extensions and lying lengths', () => {
  let nest: unknown = 1;
  for (let i = 0; i < 5; i++) nest = [nest];
  equal(within(plain.pack(nest)), false);
  equal(within(plain.pack([[[[1]]]])), true);
  equal(within(plain.pack(Array(101).fill(0))), false);
  const packed = plain.pack({ a: 'text', b: [1, 2.5] });
  for (let cut = 0; cut < packed.length; cut++) equal(within(packed.subarray(0, cut)), false);
  equal(within(new Uint8Array([...packed, 0])), false);
  for (const bytes of [
    [0xc1],
    [0xd4, 1, 2],
    [0xc7, 1, 2, 3],
    [0xdd, 0xff, 0xff, 0xff, 0xff],
    [0xdb, 0x7f, 0, 0, 0, 65],
    [0xdf, 0, 0, 0, 2, 1],
  ]) {
    equal(within(new Uint8Array(bytes)), false, `${bytes}`);
  }
  // Two million nested arrays must not exhaust the stack.
  equal(within(new Uint8Array(2_000_000).fill(0x91), { depthMax: 64, itemsMax: 1e9 }), false);
});

test('random bytes decode or are refused, and never throw', () => {
  const codec = new Codec({ untrusted: limits });
  const trusting = new Codec();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      const decoded = codec.decodeRange(bytes, 0, bytes.length);
      trusting.decodeRange(bytes, 0, bytes.length);
      if (!within(bytes)) truthy(!decoded.ok);
    }),
    { numRuns: 3000 },
  );
});
test.run();
