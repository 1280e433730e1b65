import fc from 'fast-check';
import { equal, match, throws, ok as truthy } from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { array, bytes, i32, i64, mustBeZero, nested, u8, u16, u32, u64 } from './fields.js';
import { type Of, struct } from './struct.js';
import { layoutTable } from './table.js';

const test = spec('struct');
const Inner = struct('Inner', 8, { kind: u16(0), pad: mustBeZero(2, 2), count: u32(4) });
const Outer = struct('Outer', 64, {
  a: u8(0),
  b: u8(1),
  c: u16(2),
  d: i32(4),
  e: u64(8),
  f: i64(16),
  inner: nested(24, Inner),
  list: array(32, 3, u32),
  pad: mustBeZero(44, 4),
  id: bytes(48, 16),
});
type Outer = Of<typeof Outer>;

test('round trip of any value at any aligned place', () => {
  const value: fc.Arbitrary<Outer> = fc.record(
    {
      a: fc.nat(255),
      b: fc.nat(255),
      c: fc.nat(65535),
      d: fc.integer(),
      e: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
      f: fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n }),
      inner: fc.record({ kind: fc.nat(65535), count: fc.nat(0x7fffffff) }, { noNullPrototype: true }),
      list: fc.array(fc.nat(0x7fffffff), { minLength: 3, maxLength: 3 }),
      id: fc.uint8Array({ minLength: 16, maxLength: 16 }),
    },
    { noNullPrototype: true },
  );
  fc.assert(
    fc.property(value, fc.nat(8), (one, place) => {
      const view = new DataView(new ArrayBuffer(128));
      new Uint8Array(view.buffer).fill(0xff);
      Outer.write(view, place * 8, one);
      const read = Outer.read(view, place * 8);
      truthy(read.ok);
      equal(read.value, one);
    }),
  );
});

test('little-endian bytes at the declared places', () => {
  const view = new DataView(new ArrayBuffer(8));
  Inner.write(view, 0, { kind: 0x0102, count: 0x03040506 });
  equal([...new Uint8Array(view.buffer)], [2, 1, 0, 0, 6, 5, 4, 3]);
  equal(Inner.offsets.count, 4);
});

test('padding that is not zero is refused by name, also inside; so is a view too short', () => {
  const view = new DataView(new ArrayBuffer(64));
  view.setUint8(47, 1);
  equal(Outer.read(view, 0), { ok: false, error: { status: 'badArgument', at: 'Outer.pad' } });
  view.setUint8(47, 0);
  view.setUint8(27, 1);
  equal(Outer.read(view, 0), { ok: false, error: { status: 'badArgument', at: 'Outer.inner.pad' } });
  equal(Outer.read(view, 1).ok, false);
  equal(Outer.read(view, -1).ok, false);
  throws(() => Inner.write(view, 60, { kind: 1, count: 1 }));
  const List = struct('List', 16, { all: array(0, 2, (at) => nested(at, Inner)) });
  view.setUint8(27, 0);
  view.setUint8(10, 1);
  equal(List.read(view, 0), { ok: false, error: { status: 'badArgument', at: 'List.all[1].pad' } });
});

test('gaps, overlaps, misalignment and wrong totals do not load', () => {
  throws(() => struct('X', 8, { a: u32(0) }), /total/);
  throws(() => struct('X', 12, { a: u32(0), b: u32(8) }), /gap/);
  throws(() => struct('X', 6, { a: u32(0), b: u16(2) }), /overlaps/);
  throws(() => struct('X', 6, { a: u16(0), b: u32(2) }), /aligned/);
  throws(() => struct('X', 4, { a: u32(-4) }), /whole/);
});

test('a layout prints as a table', () => {
  match(layoutTable(Inner), /\| 0x04 \| 4 \| u32 \| count \|/);
});

test('wrong lengths of byte strings and arrays are assertions', () => {
  const view = new DataView(new ArrayBuffer(64));
  const Text = struct('Text', 4, { text: bytes(0, 4) });
  throws(() => Text.write(view, 0, { text: new Uint8Array(3) }));
  const List = struct('List', 8, { all: array(0, 2, u32) });
  throws(() => List.write(view, 0, { all: [1] }));
});
test.run();
