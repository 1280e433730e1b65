import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { FileHandle } from '../../actors/runtime/files.js';
import { useHostFile } from '../../actors/runtime/host-files.js';
import { type Random, seededRandom } from '../../actors/runtime/random.js';
import { MemoryFile } from '../../test/drivers/memory-file.js';
import { spec } from '../../test/harness/spec.js';
import type { Done } from './disk-image.js';
import { QCOW2_MAGIC } from './qcow2/header.js';
import { RawImage } from './raw-image.js';

const test = spec('raw images');
const SECTOR = 512;
const BYTES_MAX = 96 * 1024;

/** Makes the file another length behind the image's back. */
type Resize = (bytes: number) => void;

/** What the beginning of a disk may be: nothing, noise, partition tables, the header of another format. */
function beginning(random: Random, bytes: number): Uint8Array {
  const content = new Uint8Array(bytes);
  const view = new DataView(content.buffer);
  const kind = random.below(5);
  if (kind === 1) for (let at = 0; at < bytes; at++) content[at] = random.below(256);
  if (kind === 2 && bytes >= 512) {
    for (let at = 446; at < 510; at++) content[at] = random.below(256);
    view.setUint16(510, 0x55aa);
  }
  if (kind === 3 && bytes >= 1024) {
    new TextEncoder().encodeInto('EFI PART', content.subarray(512));
    for (let at = 520; at < 1024; at += 4) view.setUint32(at, random.u32());
  }
  if (kind === 4 && bytes >= 32) {
    content.set(QCOW2_MAGIC);
    view.setUint32(4, 2);
    view.setUint32(12, random.below(64)); // where the name of a backing file would be
    view.setUint32(16, random.u32());
  }
  return content;
}

/** Memory in pieces, as a guest has it. */
function pieces(bytes: Uint8Array, random: Random): Uint8Array[] {
  const views: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const part = Math.min(bytes.length - at, 1 + random.below(4096));
    views.push(bytes.subarray(at, at + part));
    at += part;
  }
  return views;
}

/** What came of the rounds. */
interface Seen {
  refused: number;
  written: number;
  resized: number;
  headersRefused: number;
}

/**
 * Uses an image of any length while the file behind it changes, and compares every read with a model: the bytes that are there, and zeros.
 */
function use(file: FileHandle, contents: Uint8Array, resize: Resize, random: Random, seen: Seen): void {
  const isGuessed = random.oneIn(2);
  const model = new Uint8Array(BYTES_MAX * 2);
  model.set(contents);
  let length = contents.length;
  const image = RawImage.open(file, isGuessed);
  assert.ok(image.ok);
  if (!image.ok) return;
  const { sizeBytes } = image.value;
  assert.is(sizeBytes, Math.ceil(length / SECTOR) * SECTOR);
  const sectors = sizeBytes / SECTOR;
  const settle = (done: Done, offset: number, bytes: Uint8Array): void => {
    if (done.ok) {
      seen.written++;
      assert.is(file.rights, 'read-write');
      model.set(bytes, offset);
      length = Math.max(length, offset + bytes.length);
    } else {
      seen.refused++;
      assert.match(done.error.detail, /^[a-zA-Z0-9 ,;^()_.-]+$/);
      assert.ok(file.rights === 'read' || isGuessed, 'a write within the disk is refused without a reason');
    }
  };
  for (let n = 0; n < 6 && sectors > 0; n++) {
    if (random.oneIn(4)) {
      const next = random.below(BYTES_MAX);
      resize(next);
      model.fill(0, Math.min(next, length));
      length = next;
      seen.resized++;
    }
    const at = random.oneIn(3) ? 0 : random.below(sectors);
    const bytes = (1 + random.below(Math.min(sectors - at, 24))) * SECTOR;
    const offset = at * SECTOR;
    switch (random.below(4)) {
      case 0: {
        const data = random.oneIn(3) ? beginning(random, bytes) : new Uint8Array(bytes).fill(random.below(256));
        const isHeader = QCOW2_MAGIC.every((byte, i) => data[i] === byte);
        const done = image.value.write(offset, pieces(data, random));
        if (isGuessed && isHeader && offset === 0) {
          assert.not.ok(done.ok, 'a guessed image becomes a qcow2 image');
          seen.headersRefused++;
        } else if (isGuessed && file.rights === 'read-write') assert.ok(done.ok);
        settle(done, offset, data);
        break;
      }
      case 1:
        settle(image.value.zero(offset, bytes), offset, new Uint8Array(bytes));
        break;
      case 2:
        assert.ok(image.value.discard().ok);
        assert.ok(image.value.flush().ok);
        break;
      default: {
        const into = new Uint8Array(bytes).fill(0xa5);
        assert.ok(image.value.read(offset, pieces(into, random)).ok);
        assert.is(Buffer.compare(into, model.subarray(offset, offset + bytes)), 0, `${bytes} bytes at ${offset}`);
      }
    }
  }
  assert.ok(image.value.close().ok);
  const left = new Uint8Array(BYTES_MAX * 2);
  assert.is(file.read(0, left).ok, true);
  assert.is(Buffer.compare(left.subarray(0, length), model.subarray(0, length)), 0, 'what the file holds in the end');
}

const none = (): Seen => ({ refused: 0, written: 0, resized: 0, headersRefused: 0 });

test(
  '20,000 images of any length and content, cut off and lengthened while in use, read as what is there and zeros',
  () => {
    const random = seededRandom(0x726177, 'raw');
    const seen = none();
    for (let round = 0; round < 20_000; round++) {
      const contents = beginning(random, random.below(random.oneIn(4) ? 2_000 : BYTES_MAX));
      const file = new MemoryFile(contents.slice(), random.oneIn(5) ? 'read' : 'read-write', BYTES_MAX * 2);
      use(file, contents, (bytes) => void file.cut(bytes), random, seen);
    }
    const { refused, written, resized, headersRefused } = seen;
    assert.ok(refused > 1_000 && written > 10_000 && resized > 10_000 && headersRefused > 100, JSON.stringify(seen));
  },
  { deadlineMs: 120_000 },
);

test(
  '300 such files of the host, with holes',
  () => {
    const random = seededRandom(0x686f6c65, 'holes');
    const folder = mkdtempSync(join(tmpdir(), 'wurley-raw-'));
    const path = join(folder, 'disk.raw');
    const seen = none();
    try {
      for (let round = 0; round < 300; round++) {
        const bytes = random.below(BYTES_MAX);
        const contents = new Uint8Array(bytes);
        contents.set(beginning(random, Math.min(bytes, 4096)));
        writeFileSync(path, contents.subarray(0, Math.min(bytes, 4096)));
        const rights = random.oneIn(5) ? 'read' : 'read-write';
        const [file, hand] = [openSync(path, rights === 'read' ? 'r' : 'r+'), openSync(path, 'r+')];
        try {
          ftruncateSync(hand, bytes);
          const cut = (length: number): void => ftruncateSync(hand, length);
          use(useHostFile({ file, rights, label: 'disk' }), contents, cut, random, seen);
        } finally {
          closeSync(file);
          closeSync(hand);
        }
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
    assert.ok(seen.written > 100 && seen.resized > 100, JSON.stringify(seen));
  },
  { deadlineMs: 60_000 },
);

test('a full host refuses in a sentence, and what was there is still there', () => {
  const file = new MemoryFile(new Uint8Array(SECTOR * 4).fill(7), 'read-write', SECTOR * 2);
  const image = RawImage.open(file, false);
  assert.ok(image.ok);
  if (!image.ok) return;
  const done = image.value.write(SECTOR * 2, [new Uint8Array(SECTOR)]);
  assert.not.ok(done.ok);
  if (!done.ok) assert.match(done.error.detail, /ENOSPC/);
  assert.not.ok(image.value.zero(SECTOR * 2, SECTOR).ok);
  const into = new Uint8Array(SECTOR);
  assert.ok(image.value.read(SECTOR * 2, [into]).ok);
  assert.ok(into.every((byte) => byte === 7));
});

test.run();
