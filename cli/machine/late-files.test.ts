import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { readBootFile } from './boot-files.js';
import { LateFiles } from './late-files.js';

const test = spec('late files');
const MIB = 1 << 20;
const folder = mkdtempSync(join(tmpdir(), 'wurley-late-'));

/** A file of 2 MiB whose every page differs, with the magic of an arm64 kernel or without. */
function written(name: string, isKernel: boolean): { readonly path: string; readonly content: Uint8Array } {
  const content = new Uint8Array(2 * MIB);
  for (let at = 0; at < content.length; at += 4) content[at] = (at >> 12) + (at >> 2);
  if (isKernel) content.set([0x41, 0x52, 0x4d, 0x64], 56);
  const path = join(folder, name);
  writeFileSync(path, content);
  return { path, content };
}

async function begun(path: string, what: string, late: LateFiles): Promise<Uint8Array> {
  const read = await readBootFile(path, what, 64 * MIB, late);
  assert.ok(read.ok);
  return read.ok ? read.value.bytes : new Uint8Array();
}

test('a kernel that needs no unpacking and a RAM disk are read to where they will lie, and before that only their beginnings', async () => {
  for (const what of ['kernel', 'initrd']) {
    const late = new LateFiles();
    const { path, content } = written(what, what === 'kernel');
    const bytes = await begun(path, what, late);
    assert.is(bytes.length, content.length);
    assert.equal(bytes.subarray(0, 65_536), content.subarray(0, 65_536));
    assert.ok(bytes.subarray(65_536).every((byte) => byte === 0));
    const memory = new Uint8Array(new SharedArrayBuffer(4 * MIB));
    assert.ok((await late.place(bytes, memory.subarray(MIB, 3 * MIB))).ok);
    assert.ok(Buffer.from(memory.subarray(MIB, 3 * MIB)).equals(Buffer.from(content)));
    assert.ok(memory.subarray(3 * MIB).every((byte) => byte === 0));
    await late.close();
  }
});

test('any other kernel is read whole, and so is what is small', async () => {
  const late = new LateFiles();
  const { path, content } = written('flat', false);
  assert.equal(await begun(path, 'kernel', late), content);
  assert.equal(await begun(path, 'firmware', late), content);
  truncateSync(path, MIB - 1);
  assert.equal(await begun(path, 'initrd', late), content.subarray(0, MIB - 1));
  await late.close();
});

test('a file that became shorter meanwhile is refused in a sentence', async () => {
  const late = new LateFiles();
  const { path } = written('shrinks', true);
  const bytes = await begun(path, 'kernel', late);
  truncateSync(path, MIB);
  const placed = await late.place(bytes, new Uint8Array(bytes.length));
  assert.ok(!placed.ok && /shrinks: kernel: became shorter while it was read; start again$/.test(placed.error));
  await late.close();
});

test('the folder goes', () => rmSync(folder, { recursive: true }));
test.run();
