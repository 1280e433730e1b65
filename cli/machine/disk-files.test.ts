import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { HostFiles } from '../../actors/runtime/host-files.js';
import { emptyImage, HEADER } from '../../devices/virtio-blk/qcow2/header.js';
import { spec } from '../../test/harness/spec.js';
import { openDisk, parseDisk } from './disk-files.js';

const test = spec('disk files');

function inFolder(body: (folder: string, files: HostFiles) => void): void {
  const folder = mkdtempSync(join(tmpdir(), 'wurley-disks-'));
  try {
    body(folder, new HostFiles());
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** An image that names a backing file. */
function backedBy(name: string): Uint8Array {
  const image = emptyImage(1 << 20);
  const view = new DataView(image.buffer);
  view.setUint32(HEADER.backingOffset + 4, 512);
  view.setUint32(HEADER.backingBytes, name.length);
  image.set(new TextEncoder().encode(name), 512);
  return image;
}

const plain = { isReadOnly: false, format: undefined, anyBacking: false } as const;

test('what --disk takes', () => {
  const full = parseDisk('a,,b.img,ro,format=raw,backing=any');
  assert.equal(full.ok && full.value, { path: 'a,b.img', isReadOnly: true, format: 'raw', anyBacking: true });
  for (const wrong of ['', ',ro', 'f,rw', 'f,format=vdi']) assert.not.ok(parseDisk(wrong).ok);
});

test('formats are told apart, backing files found in the same folder, and opened for reading only', () => {
  inFolder((folder, files) => {
    writeFileSync(join(folder, 'base.img'), new Uint8Array(4096));
    writeFileSync(join(folder, 'top.qcow2'), backedBy('base.img'));
    const opened = openDisk({ ...plain, path: join(folder, 'top.qcow2') }, files, false);
    assert.ok(opened.ok);
    const seen = opened.value.map(({ format, isGuessed, file }) => [format, isGuessed, file.rights]);
    assert.equal(seen, [
      ['qcow2', false, 'read-write'],
      ['raw', true, 'read'],
    ]);
    const forced = openDisk({ ...plain, path: join(folder, 'top.qcow2'), format: 'raw' }, files, false);
    assert.equal(forced.ok && forced.value.map(({ format, isGuessed }) => [format, isGuessed]), [['raw', false]]);
  });
});

test('an image that points out of its folder, at itself, or at nothing is refused in a sentence', () => {
  inFolder((folder, files) => {
    const inner = join(folder, 'inner');
    mkdirSync(inner);
    writeFileSync(join(folder, 'secret'), 'secret');
    const path = join(inner, 'disk.qcow2');
    const cases: readonly (readonly [string, RegExp])[] = [
      ['../secret', /lies in another folder; add ",backing=any"/],
      ['/etc/passwd', /lies in another folder/],
      ['nbd://host/x', /is not a plain file name/],
      ['absent.img', /is not there/],
      ['disk.qcow2', /more than 16 backing files/],
    ];
    for (const [name, expected] of cases) {
      writeFileSync(path, backedBy(name));
      const opened = openDisk({ ...plain, path }, files, false);
      assert.not.ok(opened.ok, name);
      if (!opened.ok) assert.match(opened.error, expected);
    }
    writeFileSync(path, backedBy('../secret'));
    assert.ok(openDisk({ ...plain, path, anyBacking: true }, files, false).ok);
    for (const [bytes, expected] of [
      ['', /is empty/],
      ['QFI\u00fb\u0000\u0000\u0000\u0009', /ends within its header/],
    ] as const) {
      writeFileSync(path, bytes, 'latin1');
      const opened = openDisk({ ...plain, path }, files, false);
      assert.match(opened.ok ? '' : opened.error, expected);
    }
    for (const absent of [join(folder, 'none'), folder]) {
      assert.match(
        JSON.stringify(openDisk({ ...plain, path: absent }, files, false)),
        /there is no such|no regular file/,
      );
    }
  });
});

test('a throw-away disk leaves the image read-only and no file behind', () => {
  inFolder((folder, files) => {
    const path = join(folder, 'disk.img');
    writeFileSync(path, new Uint8Array(8192));
    process.env['TMPDIR'] = folder;

    const opened = openDisk({ ...plain, path }, files, true);
    assert.ok(opened.ok);
    const seen = opened.value.map(({ format, file }) => [format, file.rights]);
    assert.equal(seen, [
      ['qcow2', 'read-write'],
      ['raw', 'read'],
    ]);
    assert.equal(readdirSync(folder), ['disk.img']);
  });
});

test.run();
