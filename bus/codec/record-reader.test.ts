import fc from 'fast-check';
import { Packr } from 'msgpackr/pack';
import { equal, is, ok as truthy } from 'uvu/assert';
import { messageValues, packrOn } from '../../test/drivers/codec-values.js';
import { spec } from '../../test/harness/spec.js';
import { LEFT_OVER, RecordReader } from './record-reader.js';
import { createStructureTable, StructureTable } from './structure-table.js';

const test = spec('record reader');

/** A msgpackr configured as the codec's and the reader that must agree with it, on one table but of different threads. */
function pair() {
  const memory = createStructureTable();
  const table = new StructureTable(memory, 1);
  const packr = packrOn(table);
  return { packr, reader: new RecordReader(new StructureTable(memory, 2)) };
}

const value = messageValues(
  ['kind', 'id', 'vm', 'a b', '"', '0', 'reply', 'toJSON', '__proto__', ''],
  6,
  fc.constantFrom('blockRequest', 'debian-1', 'vmm', 'x'.repeat(63)),
);

/** `bytes` as a message in shared memory between others, `at` bytes in. */
function placed(bytes: Uint8Array, at: number): Uint8Array {
  const memory = new Uint8Array(new SharedArrayBuffer(at + bytes.length + 64)).fill(0x05);
  memory.set(bytes, at);
  return memory;
}

test('reads exactly the value msgpackr reads, or leaves the message to it', () => {
  const { packr, reader } = pair();
  let known = 0;
  fc.assert(
    fc.property(value, fc.nat(3), (one, at) => {
      packr.pack(one);
      const packed = Uint8Array.from(packr.pack(one));
      const memory = placed(packed, at);
      for (let time = 0; time < 6; time++) {
        const found = reader.read(memory, at, at + packed.length);
        if (found === LEFT_OVER) continue;
        known++;
        equal(found, packr.unpack(packed));
      }
    }),
    { numRuns: 1_500 },
  );
  truthy(known > 2_500, `${known} read`);
});

test('reads small maps, as the supervisor writes them, to what msgpackr reads, or leaves them to it', () => {
  const { packr, reader } = pair();
  const plain = new Packr({ useRecords: () => false, int64AsType: 'bigint', moreTypes: false, mapsAsObjects: true });
  let known = 0;
  fc.assert(
    fc.property(value, fc.nat(3), (one, at) => {
      const packed = Uint8Array.from(plain.pack(one));
      const found = reader.read(placed(packed, at), at, at + packed.length);
      if (found === LEFT_OVER) return;
      known++;
      equal(found, packr.unpack(packed));
    }),
    { numRuns: 3_000 },
  );
  truthy(known > 800, `${known} read`);
  const told = { kind: 'down', actor: 70_000, detail: 'worker exited', nested: { list: [1, 'x', null] } };
  const packed = Uint8Array.from(plain.pack(told));
  equal(reader.read(packed, 0, packed.length), told);
  for (let at = 0; at < packed.length; at++) {
    for (let byte = 0; byte < 256; byte++) {
      const damaged = packed.slice();
      damaged[at] = byte;
      const read = reader.read(placed(damaged, 3), 3, 3 + damaged.length);
      if (read !== LEFT_OVER) equal(read, packr.unpack(damaged));
    }
    is(reader.read(placed(packed.subarray(0, at), 1), 1, 1 + at), LEFT_OVER, `cut to ${at}`);
  }
  is(reader.read(Uint8Array.of(0x81, 0x01, 0x02), 0, 3), LEFT_OVER, 'a name that is a number');
});

test('of damaged and cut messages it reads what msgpackr reads, or leaves them', () => {
  const { packr, reader } = pair();
  const one = { kind: 'blockRequest', id: 70_000, list: [1, 1.5, 'text', -5], bytes: new Uint8Array(20), big: 5n };
  packr.pack(one);
  const packed = Uint8Array.from(packr.pack(one));
  for (let time = 0; time < 8; time++) reader.read(packed, 0, packed.length);
  equal(reader.read(packed, 0, packed.length), one);
  let read = 0;
  for (let at = 0; at < packed.length; at++) {
    for (let byte = 0; byte < 256; byte++) {
      const damaged = packed.slice();
      damaged[at] = byte;
      const found = reader.read(placed(damaged, 3), 3, 3 + damaged.length);
      if (found === LEFT_OVER) continue;
      read++;
      equal(found, packr.unpack(damaged));
    }
    is(reader.read(placed(packed.subarray(0, at), 1), 1, 1 + at), LEFT_OVER, `cut to ${at}`);
  }
  truthy(read > packed.length * 20, `${read} read`);
});

test('deep nesting and long lists that are not there are left, not followed', () => {
  const { packr, reader } = pair();
  const deep = new Uint8Array(60_000).fill(0x91);
  is(reader.read(deep, 0, deep.length), LEFT_OVER);
  is(reader.read(Uint8Array.of(0xdc, 0xff, 0xff, 1), 0, 4), LEFT_OVER);
  packr.pack({ a: 1 });
  is(reader.read(Uint8Array.of(0x7f, 0xff), 0, 2), LEFT_OVER, 'a shape nobody has made');
});

test('the 33rd and later shapes, named by two bytes, are found', () => {
  const { packr, reader } = pair();
  let known = 0;
  for (let n = 0; n < 200; n++) {
    const one = { [`name${n}`]: n, inner: { [`other${n}`]: 'text' } };
    packr.pack(one);
    const packed = Uint8Array.from(packr.pack(one));
    for (let time = 0; time < 12; time++) {
      const found = reader.read(packed, 0, packed.length);
      if (found === LEFT_OVER) continue;
      known++;
      equal(found, one);
    }
  }
  truthy(known >= 200, `${known} read`);
});
test.run();
