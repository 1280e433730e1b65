/** The kept interpreter: a damaged file is never used, is replaced, and costs a rebuild and nothing else. */
import { spawnSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { mutate, seededRandom } from '../../test/harness/mutations.js';
import { spec } from '../../test/harness/spec.js';

const test = spec('interpreter cache');
const folder = mkdtempSync(join(tmpdir(), 'wurley-interpreter-'));
const DAMAGED = 5;
const MODULE = new URL('interpreter-cache.js', import.meta.url).href;
const SCRIPT = `
  const { loadInterpreter } = await import(process.argv[1]);
  const { module, from } = await loadInterpreter(process.argv[2]);
  const isWhole = WebAssembly.Module.exports(module).some((entry) => entry.name === 'run');
  process.stdout.write(isWhole ? from : 'broken');
`;

/** Loads the interpreter in a process of its own, as every run does: V8 reads no module back that it has just compiled. */
function load(from: string): string {
  const run = spawnSync(process.execPath, ['--input-type=module', '-e', SCRIPT, MODULE, from], { encoding: 'utf8' });
  return run.status === 0 ? run.stdout : `${run.status} ${run.signal}: ${run.stderr}`;
}
const kept = (): string[] => readdirSync(folder).filter((name) => name.startsWith('interpreter-'));

test(
  'whatever happens to the file, the interpreter is right, and the file is right afterwards',
  () => {
    assert.is(load(folder), 'built');
    const [name = ''] = kept();
    const path = join(folder, name);
    if (name === '') return; // a V8 that cannot serialise keeps nothing
    const whole = new Uint8Array(readFileSync(path));
    assert.is(load(folder), 'cache');
    const random = seededRandom(11);
    const flipped = new Uint8Array(whole);
    flipped[whole.length - 9] = (flipped[whole.length - 9] ?? 0) ^ 4;
    const damaged: Uint8Array[] = [new Uint8Array(0), whole.subarray(0, 40), flipped];
    while (damaged.length < DAMAGED) damaged.push(mutate(whole, random, 128));
    for (const bytes of damaged) {
      writeFileSync(path, bytes);
      const isWhole = Buffer.compare(bytes, whole) === 0;
      assert.is(load(folder), isWhole ? 'cache' : 'built');
      assert.is(load(folder), 'cache', 'the file was replaced');
      assert.equal(kept(), [name], 'and nothing was left beside it');
    }
  },
  { deadlineMs: 240_000 },
);
test(
  'a folder that cannot be written costs the cache, not the run',
  () => {
    const blocked = join(folder, 'blocked');
    writeFileSync(blocked, 'a file where a folder should be');
    assert.is(load(join(blocked, 'below')), 'built');
    const [name = 'none'] = kept();
    const squatted = join(folder, 'squatted');
    mkdirSync(join(squatted, name), { recursive: true });
    assert.is(load(squatted), 'built');
  },
  { deadlineMs: 120_000 },
);
test(
  'interpreters of other builds are kept within a bound, those last used longest',
  () => {
    const many = join(folder, 'many');
    mkdirSync(many);
    const old = Array.from({ length: 14 }, (_, n) => join(many, `interpreter-${n}.bin`));
    for (const [n, file] of old.entries()) {
      writeFileSync(file, new Uint8Array(3 << 20));
      utimesSync(file, n + 1, n + 1);
    }
    writeFileSync(join(many, 'other'), 'x');
    assert.is(load(many), 'built');
    const left = readdirSync(many).filter((name) => name.startsWith('interpreter-'));
    if (left.length === old.length) return; // a V8 that cannot serialise writes nothing
    const bytes = left.reduce((sum, name) => sum + statSync(join(many, name)).size, 0);
    assert.ok(bytes <= 32 << 20 && left.length >= 9, `${left.length} files`);
    assert.ok(left.includes('interpreter-13.bin') && !left.includes('interpreter-0.bin'));
    assert.ok(readdirSync(many).includes('other'));
  },
  { deadlineMs: 120_000 },
);
test('the folder goes', () => rmSync(folder, { recursive: true }));
test.run();
