#!/bin/sh
// 2>/dev/null; export WURLEY_EXTRA_CA_CERTS="${NODE_EXTRA_CA_CERTS-$WURLEY_EXTRA_CA_CERTS}" GLIBC_TUNABLES=glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=4194304:glibc.malloc.trim_threshold=16777216:glibc.malloc.top_pad=1048576:glibc.malloc.arena_max=2; unset NODE_EXTRA_CA_CERTS; exec node --single-threaded-gc "$0" "$@"
// The line above is a comment to Node.js; a shell runs it, which finds no program called "//", and starts Node.js with this file.
// Node.js would read all certificates of NODE_EXTRA_CA_CERTS whenever it starts, 40 ms or more: who needs them does so (docs/adr/0312).
// It has the C library take memory in large pieces: half of the page faults of a boot are gone (docs/adr/0183).
// Each thread collects its own garbage: what it waits for from V8's threads, it would wait for in a circle (docs/adr/0267).
// All threads take it from two heaps: one each kept what V8's compilers had used once (docs/adr/0262).
// The launcher behind `npm start` and the `wurley` command: compiles the sources when dist/ is missing or older than
// they are (only in a checkout, where the compiler is installed), then hands over to the compiled program.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
const stamp = join(root, 'dist', '.tsbuildinfo');
const bundle = join(root, 'dist', 'actors', 'runtime', 'actor-host.cjs');
const sources = ['actors', 'bus', 'cpu', 'devices', 'cli', 'test', 'bench'];

/** Whether any source file below `folder` is newer than `than` (milliseconds since the epoch). */
function hasNewer(folder, than) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() ? hasNewer(path, than) : entry.name.endsWith('.ts') && statSync(path).mtimeMs > than)
      return true;
  }
  return false;
}

/** Whether dist/ is missing or older than a source file or the compiler's settings. */
function isStale() {
  if (!existsSync(stamp)) return true;
  const built = statSync(stamp).mtimeMs;
  if (statSync(join(root, 'tsconfig.json')).mtimeMs > built) return true;
  return sources.some((folder) => existsSync(join(root, folder)) && hasNewer(join(root, folder), built));
}

/** Whether `file` is missing or older than `than`. */
function isOlder(file, than) {
  return !existsSync(file) || statSync(file).mtimeMs < statSync(than).mtimeMs;
}

if (existsSync(compiler) && isStale()) {
  if (process.stderr.isTTY) process.stderr.write('wurley: compiling (first run after a change)\n');
  const build = spawnSync(process.execPath, [compiler, '-b', root], { stdio: ['ignore', 2, 2] });
  if (build.status !== 0) process.exit(build.status ?? 1);
}
// Not built: workers then load the modules one by one, which is slower and nothing else.
if (existsSync(compiler) && isOlder(bundle, stamp)) await import('./bundle-actors.mjs');
if (process.argv[2] !== '--build-only') await import(pathToFileURL(join(root, 'dist', 'cli', 'main.js')).href);
