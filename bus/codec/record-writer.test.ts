import fc from 'fast-check';
import { equal, is, ok as truthy } from 'uvu/assert';
import { messageValues, packrOn } from '../../test/drivers/codec-values.js';
import { spec } from '../../test/harness/spec.js';
import { Codec } from './codec.js';
import { LEFT, RecordWriter } from './record-writer.js';
import { createStructureTable, StructureTable } from './structure-table.js';

const test = spec('record writer');

/** A msgpackr configured as the codec's, the writer that must agree with it, and a decoder, all on one table. */
function trio() {
  const memory = createStructureTable();
  const table = new StructureTable(memory, 1);
  const packr = packrOn(table);
  const decoder = new Codec({ structures: new StructureTable(memory, 2) });
  return { packr, writer: new RecordWriter(table), decoder };
}

const value = messageValues(['kind', 'id', 'vm', 'queue', 'a', 'b', 'reply', 'toJSON', '__proto__', ''], 12);

test('writes exactly the bytes msgpackr writes, or leaves the value to it', () => {
  const { packr, writer, decoder } = trio();
  let written = 0;
  fc.assert(
    fc.property(value, fc.nat(3), (one, at) => {
      const packed = Uint8Array.from(packr.pack(one));
      // A shape met for the first time was just added by msgpackr; from now on both name it by its number.
      const again = Uint8Array.from(packr.pack(one));
      writer.learn();
      const bytes = new Uint8Array(new SharedArrayBuffer(65_536));
      const end = writer.write(bytes, at, bytes.length, one);
      if (end === LEFT) return;
      written++;
      equal(Uint8Array.from(bytes.subarray(at, end)), again);
      truthy(packed.length >= again.length);
      const decoded = decoder.decodeRange(bytes, at, end);
      truthy(decoded.ok);
    }),
    { numRuns: 5_000 },
  );
  truthy(written > 1_500, `${written} written`);
});

test('without shapes it writes maps, which a reader with shapes and a plain one read alike', () => {
  const { packr, decoder } = trio();
  const writer = new RecordWriter(undefined);
  const bytes = new Uint8Array(new SharedArrayBuffer(65_536));
  let written = 0;
  fc.assert(
    fc.property(value, fc.nat(3), (one, at) => {
      const end = writer.write(bytes, at, bytes.length, one);
      is(writer.learn() || writer.define(one), false);
      if (end === LEFT) return;
      written++;
      const decoded = decoder.decodeRange(bytes, at, end);
      truthy(decoded.ok);
      const other = new Codec({ structures: new StructureTable(createStructureTable(), 1) });
      const told = new Uint8Array(new SharedArrayBuffer(65_536));
      const size = other.write(told, 0, told.length, one);
      const again = other.decodeRange(told, 0, size);
      truthy(again.ok);
      equal(decoded.value, again.value);
      equal(decoded.value, packr.unpack(Uint8Array.from(bytes.subarray(at, end))));
    }),
    { numRuns: 1_000 },
  );
  truthy(written > 300, `${written} written`);
  for (const room of [0, 5, 12]) is(writer.write(bytes, 0, room, { partition: 1, index: 2 }), LEFT);
});

test('notes shapes nobody has met, and then writes what msgpackr reads and would write', () => {
  const { packr, writer, decoder } = trio();
  const memory = new Uint8Array(new SharedArrayBuffer(65_536));
  let defined = 0;
  const field = fc.oneof(fc.integer(), fc.boolean(), fc.constant(undefined), fc.stringMatching(/^[a-z]{0,5}$/));
  const flat = fc.dictionary(fc.stringMatching(/^[a-c]{1,2}$/), field, { maxKeys: 3 });
  fc.assert(
    fc.property(fc.oneof(value, fc.dictionary(fc.constantFrom('inner', 'other'), flat)), (one) => {
      let end = writer.write(memory, 0, memory.length, one);
      if (end === LEFT && writer.learn()) end = writer.write(memory, 0, memory.length, one);
      if (end !== LEFT || !writer.define(one)) return;
      end = writer.write(memory, 0, memory.length, one);
      if (end === LEFT) return;
      defined++;
      // The first time msgpackr may find that somebody has noted the shape before.
      packr.pack(one);
      equal(Uint8Array.from(memory.subarray(0, end)), Uint8Array.from(packr.pack(one)));
      equal(decoder.decodeRange(memory, 0, end), {
        ok: true,
        value: packr.unpack(Uint8Array.from(memory.subarray(0, end))),
      });
    }),
    { numRuns: 1_500 },
  );
  truthy(defined > 40, `${defined} defined`);
  const many = Object.fromEntries(Array.from({ length: 900 }, (_, n) => [`field number ${n}`, n]));
  is(writer.write(memory, 0, memory.length, many), LEFT);
  is(writer.define(many), false, 'its names take more room than a shape may');
  is(writer.write(memory, 0, memory.length, { text: 'x'.repeat(100) }), LEFT);
});

test('two threads that note the same shape give it one number', () => {
  const table = createStructureTable();
  const [first, second] = [1, 2].map((owner) => new RecordWriter(new StructureTable(table, owner)));
  const memory = new Uint8Array(64);
  for (const writer of [first, second]) {
    is(writer?.write(memory, 0, 64, { fresh: 1 }), LEFT);
    is(writer?.define({ fresh: 1 }), true);
    is(writer?.write(memory, 0, 64, { fresh: 1 }), 2);
    is(memory[0], 0x40);
  }
  is(new StructureTable(table, 3).count, 1);
});

test('never writes at or beyond the limit, whatever the room', () => {
  const { packr, writer } = trio();
  const one = { kind: 'blockRequest', id: 70_000, list: [1, 1.5, 'x'.repeat(50)], bytes: new Uint8Array(99), big: 5n };
  packr.pack(one);
  writer.learn();
  const bytes = new Uint8Array(512);
  const size = writer.write(bytes, 0, 512, one);
  truthy(size > 150);
  for (let limit = 0; limit < size + 12; limit++) {
    bytes.fill(0xa5);
    const end = writer.write(bytes, 0, limit, one);
    if (limit < size) is(end, LEFT);
    truthy(end === LEFT || end === size);
    is(
      bytes.subarray(limit).findIndex((byte) => byte !== 0xa5),
      -1,
      `limit ${limit}`,
    );
  }
});

test('names the 33rd and later shapes by two bytes, as msgpackr does', () => {
  const { packr, writer } = trio();
  for (let n = 0; n < 200; n++) {
    const one = { [`name${n}`]: n, inner: { [`other${n}`]: 'text' } };
    packr.pack(one);
    packr.pack(one);
    writer.learn();
    const bytes = new Uint8Array(256);
    const end = writer.write(bytes, 0, 256, one);
    truthy(end > 0);
    equal(bytes.slice(0, end), Uint8Array.from(packr.pack(one)));
  }
});

test('leaves what is no plain value: classes, inherited fields, functions, cycles, values too large', () => {
  const { writer, packr } = trio();
  packr.pack({ a: 1 });
  writer.learn();
  const bytes = new Uint8Array(4096);
  const cycle: { a: unknown } = { a: 1 };
  cycle.a = cycle;
  const odd = [new Date(0), new Map(), Object.create({ a: 1 }), () => 1, Symbol('s'), cycle, 1n << 64n, 'é', { b: 1 }];
  for (const one of odd) is(writer.write(bytes, 0, 4096, one), LEFT);
  truthy(writer.write(bytes, 0, 4096, { a: 1 }) > 0);
});
test.run();
