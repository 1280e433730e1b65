/** House rules that no other tool checks. Each test names the files that break its rule. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as assert from 'uvu/assert';
import { REAL_KINDS } from './actors/real-kinds.js';
import { spec } from './harness/spec.js';

const test = spec('house rules');
const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const FOLDERS = ['actors', 'bus', 'cpu', 'devices', 'cli', 'test', 'bench'];
const FILE_LINES_MAX = 650;

interface Source {
  readonly path: string;
  readonly text: string;
}

/** Every source file, by path from the root. */
const sources: readonly Source[] = FOLDERS.filter((folder) => existsSync(join(ROOT, folder))).flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => ({ path: relative(ROOT, path), text: readFileSync(path, 'utf8') })),
);

/** The text without comments, so that rules do not trip over prose. Good enough for our own code, not a parser. */
function code({ text }: Source): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/(^|\s)\/\/[^\n]*/g, '');
}

const isTest = ({ path }: Source): boolean => /\.(test|integration)\.ts$/.test(path);

const TOP_FILES = ['README.md', 'package.json', 'package-lock.json', 'tsconfig.json'];

if (existsSync(join(ROOT, '.git'))) {
  test('the top level has the folders and files it is to have, and nothing that a tool has left there', () => {
    const tracked = execFileSync('git', ['ls-files'], { cwd: ROOT, encoding: 'utf8' }).trim().split('\n');
    const names = new Set(tracked.map((path) => path.split('/')[0] ?? ''));
    const known = [...FOLDERS, ...TOP_FILES, 'docs'];
    assert.equal(
      [...names].filter((name) => !name.startsWith('.') && !known.includes(name)),
      [],
    );
  });
} else test.skip('the top level has what it is to have', 'this is no git work tree');

test('clock, random, timers, process, files and workers are reached only through actors/runtime and cli/', () => {
  const ambient =
    /\bDate\b|\bMath\.random\b|\bperformance\.|\bset(Timeout|Interval|Immediate)\b|\bprocess\.|['"](node:)?(fs|fs\/promises|worker_threads|child_process|net|os|crypto)['"]/;
  const guarded = sources.filter(
    (source) =>
      /^(bus|cpu|devices|actors)\//.test(source.path) && !source.path.startsWith('actors/runtime/') && !isTest(source),
  );
  assert.ok(guarded.length > 10, 'the check sees the sources');
  const found = guarded.flatMap((source) => {
    const match = ambient.exec(code(source));
    return match === null ? [] : [`${source.path}: ${match[0]}`];
  });
  assert.equal(found, []);
});

test('piscina is imported by actors/runtime/spawn.ts alone, permission flags are built there alone', () => {
  const using = (pattern: RegExp): string[] =>
    sources
      .filter(
        (source) =>
          /^(bus|cpu|devices|actors|cli)\//.test(source.path) && !isTest(source) && pattern.test(code(source)),
      )
      .map(({ path }) => path);
  assert.equal(using(/from 'piscina'/), ['actors/runtime/spawn.ts']);
  assert.equal(using(/execArgv|--experimental-permission/), ['actors/runtime/spawn.ts']);
});

test('the kill test knows every actor kind of the product (test/actors/real-kinds.ts)', () => {
  const kinds = sources.flatMap(({ path }) =>
    path.endsWith('.actor.ts') && !/^(test|bench)\//.test(path) ? [path.replace(/\.ts$/, '')] : [],
  );
  assert.equal(
    REAL_KINDS.map(({ module }) => module).toSorted(),
    kinds.toSorted(),
    'add the kind to test/actors/real-kinds.ts, and to the machine of test/actors/kill-scenes.ts if it is not in it',
  );
});

test('every test file ends with test.run()', () => {
  const without = sources.filter((source) => isTest(source) && !/\btest\.run\(\);\s*$/.test(source.text));
  assert.equal(
    without.map(({ path }) => path),
    [],
  );
});

test('no folder has a name that says nothing', () => {
  const empty = sources.filter(({ path }) =>
    path
      .split('/')
      .slice(0, -1)
      .some((part) => /^(utils?|common|helpers?|misc)$/.test(part)),
  );
  assert.equal(
    empty.map(({ path }) => path),
    [],
  );
});

test('file names are kebab-case', () => {
  const odd = sources.filter(({ path }) => !/^[a-z0-9]+([-.][a-z0-9]+)*\.ts$/.test(path.split('/').at(-1) ?? ''));
  assert.equal(
    odd.map(({ path }) => path),
    [],
  );
});

test(`no file is longer than ${FILE_LINES_MAX} lines`, () => {
  const long = sources.filter(({ text }) => text.split('\n').length > FILE_LINES_MAX);
  assert.equal(
    long.map(({ path }) => path),
    [],
  );
});

test('every promise in docs/SPECIFICATION.md cites a test or a benchmark that exists', () => {
  const path = join(ROOT, 'docs', 'SPECIFICATION.md');
  if (!existsSync(path)) return;
  const cited = /`((?:actors|bus|cpu|devices|cli|test|bench)\/[\w./-]+\.(?:test|integration|bench)\.ts)`/g;
  const rows = readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('|') && !/^\|[\s:|-]+\|$/.test(line))
    .filter((line, i, all) => i > 0 && !/^\|\s*(#|id|promise)\s*\|/i.test(line) && all.length > 0);
  assert.ok(rows.length > 0, 'the table of promises is there');
  for (const row of rows) {
    const files = [...row.matchAll(cited)].map((match) => match[1] ?? '');
    assert.ok(files.length > 0, `no test is cited: ${row}`);
    for (const file of files) assert.ok(existsSync(join(ROOT, file)), `${file} does not exist: ${row}`);
  }
});

test.run();
