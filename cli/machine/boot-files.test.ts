/** Files a user names: what cannot be read as one is a sentence, and nothing is read without bound. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { readBootFile } from './boot-files.js';

const test = spec('boot files');
const BYTES_MAX = 64 << 20;
const folder = mkdtempSync(join(tmpdir(), 'wurley-files-'));
const at = (name: string): string => join(folder, name);

async function refusal(path: string): Promise<string> {
  const read = await readBootFile(path, 'kernel', BYTES_MAX);
  assert.not.ok(read.ok, path);
  return read.ok ? '' : read.error;
}

test('a file comes whole', async () => {
  writeFileSync(at('kernel'), 'abc');
  const read = await readBootFile(at('kernel'), 'kernel', 3);
  assert.ok(read.ok);
  if (read.ok) assert.equal([...read.value.bytes], [97, 98, 99]);
});
test('what is no file is one sentence with its name, the field and what to do', async () => {
  writeFileSync(at('empty'), '');
  symlinkSync(at('loop'), at('loop'));
  writeFileSync(at('huge'), '');
  truncateSync(at('huge'), BYTES_MAX + 1);
  const cases: readonly (readonly [string, RegExp])[] = [
    [at('missing'), /missing: kernel: there is no such file; give another path$/],
    [join(at('kernel'), 'below'), /below: kernel: there is no such file; give another path$/],
    [folder, /: kernel: is a folder, not a file; give another file$/],
    [at('empty'), /empty: kernel: is empty; give another file$/],
    [at('loop'), /loop: kernel: is a loop of symbolic links; give another path$/],
    [at('huge'), /huge: kernel: has 67108865 bytes, more than the machine's memory of 67108864; give another file$/],
    ['/dev/zero', /^\/dev\/zero: kernel: is a device, not a file; give another file$/],
    [at('x'.repeat(300)), /: kernel: is too long a name; give another path$/],
  ];
  for (const [path, sentence] of cases) assert.match(await refusal(path), sentence);
});
if (process.getuid?.() === 0) test.skip('a file without rights', 'root may read everything');
else {
  test('a file without rights', async () => {
    writeFileSync(at('secret'), 'x');
    chmodSync(at('secret'), 0);
    assert.match(await refusal(at('secret')), /permission denied/);
  });
}
test('a pipe is read to its end', async () => {
  if (spawnSync('mkfifo', [at('pipe')]).status !== 0) return;
  const writer = spawnSync('sh', ['-c', `(printf 12345 > '${at('pipe')}') & `], { stdio: 'ignore' });
  assert.is(writer.status, 0);
  const read = await readBootFile(at('pipe'), 'initrd', BYTES_MAX);
  assert.ok(read.ok && read.value.bytes.length === 5);
});
test('the folder goes', () => rmSync(folder, { recursive: true }));
test.run();
