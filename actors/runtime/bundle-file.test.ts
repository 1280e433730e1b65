import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { equal, is, throws, ok as truthy } from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { bundleBytes, compileBundle, loadBundle, runBundle } from './bundle-file.js';
import { type Moved, moved, takeMoves } from './moved.js';
import { actorFile } from './worker-files.js';

const test = spec('bundles');
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
