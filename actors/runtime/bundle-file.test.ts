import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { equal, is, throws, ok as truthy } from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { bundleBytes, compileBundle, loadBundle, runBundle } from './bundle-file.js';
import { type Moved, moved, takeMoves } from './moved.js';
import { actorFile } from './worker-files.js';

const test = spec('bundles');
const MODULE = new URL('./bundle-file.js', import.meta.url).href;
const SOURCE = `exports.default = { path: __filename, sum: (a, b) => a + b, sep: require('node:path').sep };`;

function inFolder(body: (folder: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), 'bundle-'));
  try {
    body(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('a bundle exports what its source does, with V8 code and without', () =>
  inFolder((folder) => {
    const path = join(folder, 'x.bundle');
    const script = compileBundle(path, bundleBytes(SOURCE, new Uint8Array()));
    truthy(runBundle(path, script).default);
    const code = script.createCachedData();
    // Code of a source of another length is not this source's.
    const longer = `${SOURCE} `;
    for (const [source, bytes] of [
      [SOURCE, new Uint8Array()],
      [SOURCE, code],
      [longer, code],
    ] as const) {
      writeFileSync(path, bundleBytes(source, bytes));
      const made = loadBundle(path).default as { path: string; sep: string; sum(a: number, b: number): number };
      equal([made.path, made.sum(2, 3), made.sep], [path, 5, '/']);
    }
    is(compileBundle(path, bundleBytes(SOURCE, code)).cachedDataRejected, false);
    is(compileBundle(path, bundleBytes(`${longer} `, code)).cachedDataRejected, true);
  }));

test('a thread that is asked to adds the code of what it ran to a bundle, which V8 takes', () =>
  inFolder((folder) => {
    const path = join(folder, 'x.bundle');
    // Functions are compiled when they are first called; what is known of them before is that they end.
    const bodies = Array.from({ length: 40 }, (_, n) => `function f${n}(a) { return a * ${n} + Math.sqrt(a); }`);
    const source = `${bodies.join('\n')}\nexports.default = () => ${bodies.map((_, n) => `f${n}(2)`).join('+')};`;
    const fresh = compileBundle(path, bundleBytes(source, new Uint8Array()));
    const before = bundleBytes(source, fresh.createCachedData());
    const program = `const { keepCode, loadBundle } = await import(${JSON.stringify(MODULE)});
      const { setFlagsFromString } = await import('node:v8');
      loadBundle(${JSON.stringify(path)}).default();
      setFlagsFromString('--wasm-tiering-budget=12345');
      keepCode();`;
    const use = (env: NodeJS.ProcessEnv): Buffer => {
      writeFileSync(path, before);
      const args = ['--input-type=module', '-e', program];
      const { status, stderr } = spawnSync(process.execPath, args, { env: { ...process.env, ...env } });
      is(status, 0, stderr.toString());
      return readFileSync(path);
    };
    is(use({}).byteLength, before.byteLength);
    const after = use({ WURLEY_KEEP_CODE: '1' });
    truthy(after.byteLength > before.byteLength + 1000, `${before.byteLength} and ${after.byteLength} bytes`);
    is(compileBundle(path, after).cachedDataRejected, false);
  }));

test('what the module throws, loading the bundle throws', () =>
  inFolder((folder) => {
    const path = join(folder, 'x.bundle');
    writeFileSync(path, bundleBytes(`throw new Error('not today');`, new Uint8Array()));
    throws(() => loadBundle(path), 'not today');
  }));

test('a bundle stands in for its module unless it is missing or older than the compiled sources', () =>
  inFolder((folder) => {
    const module = pathToFileURL(join(folder, 'x.actor.js'));
    const bundle = join(folder, 'x.actor.bundle');
    is(actorFile(module).href, module.href);
    writeFileSync(bundle, '');
    // Under coverage the modules are used, whatever there is.
    const fresh = process.env['NODE_V8_COVERAGE'] === undefined ? pathToFileURL(bundle).href : module.href;
    is(actorFile(module).href, fresh);
    utimesSync(bundle, 1, 1);
    is(actorFile(module).href, module.href);
    const other = pathToFileURL(join(folder, 'x.js'));
    is(actorFile(other).href, other.href);
  }));

test('another copy of moved() in the same thread makes wrappers this one takes', async () => {
  const copy: { moved(value: Uint8Array): Moved<Uint8Array> } = await import(
    `${new URL('./moved.js', import.meta.url).href}?copy`
  );
  truthy(copy.moved !== (moved as unknown));
  const bytes = new Uint8Array(8);
  const taken = takeMoves({ bytes: copy.moved(bytes) });
  is(taken?.plain.bytes as unknown, bytes);
  is(taken?.moves.length, 1);
});
test.run();
