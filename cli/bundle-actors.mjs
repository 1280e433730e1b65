// Makes the files from which actor workers start fast (actors/runtime/bundle-file.ts): next to every compiled X.actor.js an
// X.actor.bundle, and in dist/actors/runtime the bundle of the host and its loader. Run it after the compiler; workers load
// the modules one by one where a bundle is missing or older than the compiled sources (actors/runtime/worker-files.ts).
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, transformSync } from 'esbuild';

const dist = join(dirname(fileURLToPath(import.meta.url)), '..', 'dist');
const runtime = join(dist, 'actors', 'runtime');
const { BUNDLE_SUFFIX, bundleBytes, compileBundle, runBundle } = await import(join(runtime, 'bundle-file.js'));

/**
 * What a script has not: `import.meta.url` is still the place of the module that says it, and an `import()` of something
 * that only the running program knows is lent to it (actors/runtime/bundle-file.ts).
 */
const forScripts = (from, hasImport = false) => ({
  name: 'for-scripts',
  setup({ onLoad }) {
    onLoad({ filter: /\.js$/ }, ({ path }) => {
      const place = JSON.stringify(relative(from, path));
      const url = `new URL(${place}, __bundleUrl).href`;
      const written = readFileSync(path, 'utf8');
      // The names inside other people's packages stand in nobody's messages.
      const short = { minifyIdentifiers: true, minifySyntax: true };
      const source = path.includes('/node_modules/') ? transformSync(written, short).code : written;
      const text = source.replaceAll('import.meta.url', url);
      const contents = hasImport ? text : text.replace(/\bimport\((?!\s*['"`])/g, '__importModule(');
      return { contents, loader: 'js' };
    });
  },
});

/** msgpackr in a bundle of its own, loaded when the codec first makes one: most threads never do (bus/codec/codec.ts). */
const MSGPACKR = join(dist, 'bus', 'codec', `msgpackr${BUNDLE_SUFFIX}`);
const lazyMsgpackr = (from) => ({
  name: 'lazy-msgpackr',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^msgpackr\/pack$/ }, () => ({ path: 'msgpackr', namespace: 'lazy' }));
    onLoad({ filter: /^msgpackr$/, namespace: 'lazy' }, () => ({
      resolveDir: runtime,
      contents: `const { loadBundle } = require('./bundle-file.js');
        const { resolve } = require('node:path');
        let library;
        const load = () => (library ??= loadBundle(resolve(__filename, '..', ${JSON.stringify(relative(from, MSGPACKR))})));
        Object.defineProperty(exports, 'Packr', { enumerable: true, get: () => load().Packr });`,
    }));
  },
});

/** Modules, by their place below dist, that a bundle leaves to one that is loaded before it (`shared` of loadBundle). */
const leftTo = (modules) => ({
  name: 'left-to',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^\.\.?\/.*\.js$/ }, ({ path, resolveDir }) => {
      const place = relative(dist, join(resolveDir, path));
      return modules.includes(place) ? { path: place, namespace: 'shared' } : undefined;
    });
    onLoad({ filter: /./, namespace: 'shared' }, ({ path }) => ({
      contents: `module.exports = __shared[${JSON.stringify(path)}];`,
    }));
  },
});

/** Has a bundle find `contents` where it asks for those modules of Node's; or where files of a certain place do. */
const inPlaceOf = (filter, contents, who = /./) => ({
  name: 'in-place-of',
  setup({ onResolve, onLoad }) {
    const namespace = `in place of ${filter}`;
    onResolve({ filter }, ({ path, importer }) => (who.test(importer) ? { path, namespace } : undefined));
    onLoad({ filter: /./, namespace }, () => ({ contents }));
  },
});
/** Commander starts programs for commands that are programs of their own; ours are not. */
const startsNone = inPlaceOf(
  /^node:child_process$/,
  `module.exports = { spawn: (...parts) => process.getBuiltinModule('node:child_process').spawn(...parts) };`,
  /commander/,
);

/** What {@link forScripts} has modules say in place of `import.meta.url` stands on it; made once, as a start asks for a hundred. */
const BUNDLE_URL = `const __bundleUrl = require('node:url').pathToFileURL(__filename);`;

/** What a thread that starts would make each time: see actors/vcpu/gic-code.ts. */
const { gicModuleBytes } = await import(join(dist, 'actors', 'vcpu', 'gic-code.js'));
const MADE = { __gicModule: JSON.stringify(Buffer.from(gicModuleBytes()).toString('base64')) };

/** One CommonJS text with everything that `contents`, standing in `folder`, imports, and what that is. */
async function bundleOf(
  folder,
  contents,
  plugins = [startsNone, lazyMsgpackr(folder), forScripts(folder)],
  external = [],
  hasImport = false,
) {
  const built = await build({
    stdin: { contents, resolveDir: folder },
    bundle: true,
    write: false,
    platform: 'node',
    target: 'node20',
    // CommonJS, because a thread starts 5 ms later when it needs the machinery of ES modules.
    format: 'cjs',
    // Names stay, and lines are short: they stand in the error messages of actors. A thread that starts copies the text.
    minifySyntax: true,
    minifyWhitespace: true,
    lineLimit: 100,
    legalComments: 'none',
    logLevel: 'silent',
    plugins,
    external,
    metafile: true,
    define: MADE,
    ...(plugins.length > 0 ? { supported: { 'dynamic-import': hasImport }, banner: { js: BUNDLE_URL } } : {}),
  });
  return { text: built.outputFiles[0].text, inputs: Object.keys(built.metafile.inputs) };
}

/** The text of {@link bundleOf}. */
const bundle = async (...parts) => (await bundleOf(...parts)).text;

/** Writes under another name first: somebody may be starting workers meanwhile. */
function put(path, content) {
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, content);
  renameSync(draft, path);
}

/** Writes the bundle of `source`; `exercise`, if given, uses what it exports, so that V8's code of that comes along. */
async function putBundle(path, source, exercise) {
  const script = compileBundle(path, bundleBytes(source, new Uint8Array()));
  await exercise?.(runBundle(path, script));
  put(path, bundleBytes(source, script.createCachedData()));
}

await putBundle(
  MSGPACKR,
  await bundle(dirname(MSGPACKR), `export { Packr } from 'msgpackr/pack';`, [forScripts(dirname(MSGPACKR))]),
  ({ Packr }) => {
    const packr = new Packr({ useRecords: true, copyBuffers: true, int64AsType: 'bigint', moreTypes: false });
    for (const value of [
      undefined,
      'x'.repeat(99),
      { list: [1, 1.5, -3, 5n], bytes: new Uint8Array(9), inner: { a: null } },
    ])
      packr.unpack(packr.pack(value));
  },
);
for (const entry of readdirSync(dist, { recursive: true })) {
  if (!entry.endsWith('.actor.js')) continue;
  const path = join(dist, entry);
  try {
    const source = await bundle(dirname(path), `export { default } from ${JSON.stringify(path)};`);
    await putBundle(path.replace(/\.js$/, '.bundle'), source, ({ default: actor }) => actor?.warmUp?.(true));
  } catch (thrown) {
    // What cannot be one file (a module that waits while it loads) stays what it is.
    process.stderr.write(`wurley: ${relative(dist, path)} is not bundled: ${String(thrown.message).split('\n')[0]}\n`);
  }
}
// What a vCPU's thread imports when it starts: as modules, one after the other, they would be 40 ms of it.
for (const entry of readdirSync(dist, { recursive: true })) {
  if (!entry.endsWith('.front-end.js')) continue;
  const path = join(dist, entry);
  const source = await bundle(dirname(path), `export { default } from ${JSON.stringify(path)};`);
  await putBundle(path.replace(/\.js$/, '.bundle'), source);
}
// The library of workers: a thread that starts reads its part of it, and what that needs, from one file.
const pool = join(runtime, 'piscina');
const library = dirname(createRequire(import.meta.url).resolve('piscina'));
mkdirSync(pool, { recursive: true });
put(join(pool, 'package.json'), '{"type": "commonjs"}\n');
// How many processors there are, and how long tasks take, are questions of the pool's and not of its workers.
const withoutQuestions = inPlaceOf(/^node:(os|perf_hooks)$/, 'module.exports = {};');
// Its histograms are for those who ask for them, which the runtime does not, and its assertions hold; both load a dozen modules of Node's.
const withoutHistograms = inPlaceOf(
  /^node:perf_hooks$/,
  `module.exports = {
     performance: { now: () => Number(process.hrtime.bigint()) / 1e6 },
     createHistogram: (...options) => process.getBuiltinModule('node:perf_hooks').createHistogram(...options),
   };`,
);
const assertsLate = inPlaceOf(
  /^node:assert$/,
  `const assert = () => process.getBuiltinModule('node:assert');
   module.exports = (...parts) => void (parts[0] || assert()(...parts));
   module.exports.notStrictEqual = (...parts) => void (Object.is(parts[0], parts[1]) && assert().notStrictEqual(...parts));`,
);
const partOfPool = (entry, plugins) =>
  bundle(pool, `module.exports = require(${JSON.stringify(join(library, `${entry}.js`))});`, plugins, [
    '@napi-rs/nice',
  ]);
put(join(pool, 'worker.js'), await partOfPool('worker', [withoutQuestions]));
// It finds its worker beside itself.
const place = `const __dirname = require('node:path').dirname(__filename);`;
await putBundle(
  join(pool, 'index.bundle'),
  `${place} ${await partOfPool('index', [withoutHistograms, assertsLate])}`,
  () => undefined,
);
// The command; what `wurley run` begins first, and the rest of it, which uses the modules of that; and what loads them.
const cli = join(dist, 'cli');
await putBundle(join(cli, 'command.bundle'), await bundle(cli, `export { default } from './command.js';`));
const first = `export { default } from './machine/first-threads.js';`;
const shared = (await bundleOf(cli, first)).inputs
  .map((input) => relative(dist, resolve(input)))
  .filter((place) => place.endsWith('.js') && !place.startsWith('..') && !place.includes(':'));
const names = shared.map((place, i) => `import * as shared${i} from ${JSON.stringify(join(dist, place))};`);
const table = shared.map((place, i) => `${JSON.stringify(place)}: shared${i}`);
await putBundle(
  join(cli, 'first-threads.bundle'),
  await bundle(cli, `${first} ${names.join(' ')} export const shared = { ${table.join(', ')} };`),
);
await putBundle(
  join(cli, 'run-command.bundle'),
  await bundle(cli, `export { default } from './run-command.js';`, [
    leftTo(shared),
    startsNone,
    lazyMsgpackr(cli),
    forScripts(cli),
  ]),
);
// Not a script: it may import modules, where there is no bundle of them.
const modules = ['command', 'run-command', 'machine/first-threads'].map((name) => `./${name}.js`);
const start = `export { default } from './start.js';`;
put(join(cli, 'start.cjs'), await bundle(cli, start, [forScripts(cli, true)], modules, true));
await putBundle(
  join(runtime, 'actor-host.bundle'),
  await bundle(runtime, `export { default } from './actor-host.worker.js'; export { rehearse } from './rehearsal.js';`),
  ({ rehearse }) => rehearse(),
);
put(
  join(runtime, 'actor-host.cjs'),
  await bundle(
    runtime,
    `import { workerData } from 'node:worker_threads';
     import { loadBundle } from './bundle-file.js';
     module.exports = loadBundle(__dirname + '/actor-host.bundle', workerData.host).default;`,
    [],
  ),
);
// What the caches of machine code are named after: the content of all that generates it, so that a build without a change keeps them.
const hash = createHash('sha256');
const generators = readdirSync(join(dist, 'cpu'), { recursive: true }).filter((file) => file.endsWith('.js'));
for (const file of generators.sort()) hash.update(`${file}:`).update(readFileSync(join(dist, 'cpu', file)));
put(join(dist, 'cpu', 'build-identity'), hash.digest('hex').slice(0, 16));
// For where no bundle may be used: see actors/runtime/worker-files.ts.
put(
  join(runtime, 'actor-host-modules.cjs'),
  "module.exports = (task) => import('./actor-host.worker.js').then(({ default: host }) => host(task));\n",
);

// What a machine runs of them: one is started, twice, because the first time it makes its interpreter as well. The second time each
// thread adds V8's code of what it has run to its bundle when it ends (actors/runtime/bundle-file.ts); otherwise a thread reads and
// compiles each of its functions when it first comes to it. Where that fails they stay as they are.
const guest = join(dist, '..', 'test', 'guests', 'bin', 'suite.elf');
const cache = mkdtempSync(join(tmpdir(), 'wurley-build-'));
for (const [program, keep] of [
  ['only=none', {}],
  ['', { WURLEY_KEEP_CODE: '1' }],
]) {
  const args = ['run', '--kernel', guest, '--append', program, '--cpus', '2', '--timeout', '60'];
  const env = { ...process.env, ...keep, XDG_CACHE_HOME: cache, WURLEY_CODE_CACHE: 'off' };
  spawnSync(process.execPath, ['--single-threaded-gc', join(cli, 'main.js'), ...args], { env, stdio: 'ignore' });
}
rmSync(cache, { recursive: true, force: true });
