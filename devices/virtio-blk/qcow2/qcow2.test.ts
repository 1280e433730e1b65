import * as assert from 'uvu/assert';
import { seededRandom } from '../../../actors/runtime/random.js';
import { compareAll, exercise } from '../../../test/drivers/disk-model.js';
import { MemoryFile } from '../../../test/drivers/memory-file.js';
import { spec } from '../../../test/harness/spec.js';
import { RawImage } from '../raw-image.js';
import { emptyImage, HEADER, readHeader, setNumber64 } from './header.js';
import { Qcow2Image } from './qcow2-image.js';

const test = spec('qcow2');
const MIB = 1 << 20;
const CLUSTER = 65_536;

function opened(file: MemoryFile, backing?: RawImage, recounts = false): Qcow2Image {
  const image = Qcow2Image.open(file, backing, recounts);
  if (!image.ok) throw new Error(image.error.detail);
  return image.value;
}

/** An image with small clusters, by hand: header, refcount table, refcount block, L1 table, a cluster each. */
function smallClusters(sizeBytes: number, clusterBits: number): Uint8Array {
  const cluster = 2 ** clusterBits;
  const l1Entries = Math.ceil(sizeBytes / (cluster * (cluster / 8)));
  const l1Clusters = Math.ceil((l1Entries * 8) / cluster);
  const image = new Uint8Array((3 + l1Clusters) * cluster);
  image.set(emptyImage(sizeBytes).subarray(0, 104));
  const view = new DataView(image.buffer);
  view.setUint32(HEADER.clusterBits, clusterBits);
  view.setUint32(HEADER.l1Entries, l1Entries);
  setNumber64(view, HEADER.l1Offset, 3 * cluster);
  setNumber64(view, HEADER.refcountTableOffset, cluster);
  setNumber64(view, cluster, 2 * cluster);
  for (let used = 0; used < 3 + l1Clusters; used++) view.setUint16(2 * cluster + used * 2, 1);
  return image;
}

test('what is written is read, also after closing and opening', () => {
  const file = new MemoryFile(emptyImage(8 * MIB));
  const model = new Uint8Array(8 * MIB);
  const load = { random: seededRandom(1, 'life'), operations: 400, bytesMax: MIB };
  for (let life = 0; life < 3; life++) {
    const image = opened(file);
    compareAll(image, model);
    exercise(image, model, load);
    assert.ok(image.close().ok);
  }
});

test('small clusters make the refcount table grow', () => {
  const file = new MemoryFile(smallClusters(12 * MIB, 9));
  const model = new Uint8Array(12 * MIB).fill(0x3c);
  const image = opened(file);
  assert.ok(image.write(0, [model]).ok);
  exercise(image, model, { random: seededRandom(2, 'small'), operations: 600, bytesMax: MIB / 4 });
  assert.ok(image.close().ok);
  const header = readHeader(file.contents.slice(0, 4096));
  assert.ok(header.ok && header.value.refcountTableClusters > 1);
  compareAll(opened(file), model);
});

test('a worker that died leaves an image that is marked, recounted, and holds what was answered', () => {
  const file = new MemoryFile(smallClusters(4 * MIB, 12));
  const model = new Uint8Array(4 * MIB);
  const random = seededRandom(3, 'death');
  for (let life = 0; life < 10; life++) {
    const image = opened(file, undefined, life > 0);
    compareAll(image, model);
    exercise(image, model, { random, operations: 60, bytesMax: MIB / 4 });
    const header = readHeader(file.contents.slice(0, 4096));
    assert.ok(header.ok && header.value.isDirty);
  }
  const last = opened(file, undefined, true);
  assert.ok(last.close().ok);
  const header = readHeader(file.contents.slice(0, 4096));
  assert.ok(header.ok && !header.value.isDirty);
  compareAll(opened(file), model);
});

test('reads come from the backing file until written, and discarded clusters read as zeros', () => {
  const base = new Uint8Array(3 * CLUSTER).fill(0x5a);
  const backing = RawImage.open(new MemoryFile(base, 'read'), false);
  assert.ok(backing.ok);
  const file = new MemoryFile(emptyImage(4 * CLUSTER));
  const image = opened(file, backing.value);
  const byteAt = (offset: number): number => {
    const read = new Uint8Array(512);
    assert.ok(image.read(offset, [read]).ok);
    return read[0] ?? -1;
  };
  assert.equal([byteAt(0), byteAt(3 * CLUSTER)], [0x5a, 0]);
  assert.ok(image.write(512, [new Uint8Array(512).fill(1)]).ok);
  assert.equal([byteAt(0), byteAt(512), byteAt(1024)], [0x5a, 1, 0x5a]);
  assert.ok(image.discard(0, 2 * CLUSTER).ok);
  assert.equal([byteAt(0), byteAt(CLUSTER), byteAt(2 * CLUSTER)], [0, 0, 0x5a]);
  assert.ok(base.every((byte) => byte === 0x5a));
});

test('a flush makes everything durable, and costs nothing when there is nothing new', () => {
  const file = new MemoryFile(emptyImage(MIB));
  const image = opened(file);
  assert.ok(image.write(0, [new Uint8Array(CLUSTER)]).ok);
  const before = file.syncs;
  assert.ok(image.flush().ok);
  assert.is(file.syncs, before + 1);
  assert.ok(image.flush().ok);
  assert.is(file.syncs, before + 1);
});

test('headers that are out of range are one sentence', () => {
  const cases: readonly (readonly [number, number, RegExp])[] = [
    [HEADER.version, 4, /version 4/],
    [HEADER.clusterBits, 31, /cluster size/],
    [HEADER.encryption, 1, /encrypted/],
    [HEADER.l1Entries, 0x7fff_ffff, /L1 table/],
    [HEADER.l1Entries, 0, /too small/],
    [HEADER.l1Offset, 0x7fff_ffff, /L1 table/],
    [HEADER.refcountTableOffset + 4, 1, /refcount table/],
    [HEADER.refcountTableClusters, 0, /refcount table/],
    [HEADER.snapshots, 0x7fff_ffff, /snapshots/],
    [HEADER.incompatible + 4, 2, /marked corrupt/],
    [HEADER.incompatible + 4, 4, /another file/],
    [HEADER.incompatible + 4, 16, /extended_l2/],
    [HEADER.incompatible + 4, 64, /features/],
    [HEADER.refcountOrder, 7, /refcounts/],
    [HEADER.headerBytes, 5000, /header length/],
    [HEADER.backingOffset + 4, 200, /backing file/],
  ];
  for (const [at, value, expected] of cases) {
    const image = emptyImage(MIB);
    new DataView(image.buffer).setUint32(at, value);
    const header = readHeader(image.subarray(0, 4096));
    assert.not.ok(header.ok, `${at}`);
    if (!header.ok) assert.match(header.error, expected);
  }
});

test(
  '20,000 damaged images are refused or used, and nothing throws or grows without end',
  () => {
    const SEED = 0x64616d67;
    const random = seededRandom(SEED, 'damage');
    const healthy = new MemoryFile(smallClusters(256 * 1024, 9));
    const image = opened(healthy);
    exercise(image, new Uint8Array(256 * 1024), { random, operations: 60, bytesMax: 16_384 });
    assert.ok(image.close().ok);
    const seed = healthy.contents;
    let refused = 0;
    let used = 0;
    for (let round = 0; round < 20_000; round++) {
      const bytes = seed.slice(0, random.oneIn(8) ? random.below(seed.length) : seed.length);
      const view = new DataView(bytes.buffer);
      for (let n = 1 + random.below(4); n > 0 && bytes.length > 4096; n--) {
        const at = random.oneIn(2) ? random.below(112) : random.below(Math.min(bytes.length - 8, 16_384));
        if (random.oneIn(3)) bytes[at] = random.below(256);
        else if (random.oneIn(2)) view.setUint32(at & ~3, random.oneIn(2) ? random.u32() : random.below(64));
        else setNumber64(view, at & ~7, random.below(300) * 512 + (random.oneIn(2) ? 2 ** 53 : 0));
      }
      const file = new MemoryFile(bytes, random.oneIn(4) ? 'read' : 'read-write', 4 << 20);
      const found = Qcow2Image.open(file, undefined, random.oneIn(4));
      if (!found.ok) {
        refused++;
        assert.match(found.error.detail, /^[a-zA-Z0-9 ,;^()_.-]+$/);
        continue;
      }
      used++;
      const size = Math.min(found.value.sizeBytes, 1 << 30);
      for (let n = 0; n < 4 && size >= 8192; n++) {
        const offset = random.below(Math.floor(Math.min(size, 300_000) / 512) - 8) * 512;
        const buffer = [new Uint8Array(4096)];
        found.value.read(offset, buffer);
        found.value.write(offset, buffer);
        if (random.oneIn(2)) found.value.discard(offset, 4096);
        else found.value.zero(offset, 4096, random.oneIn(2));
      }
      found.value.close();
    }
    assert.ok(refused > 2_000 && used > 2_000, `both are met: ${refused} refused, ${used} used`);
  },
  { deadlineMs: 120_000 },
);

test.run();
