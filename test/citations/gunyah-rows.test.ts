/** Every table row of the Gunyah reference has a test that holds it up, and each test that is cited exists and runs. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as assert from 'uvu/assert';
import { HYPERCALLS } from '../../actors/abi/gunyah/calls.js';
import { RM_MESSAGE } from '../../actors/resource-manager/rm-messages.js';
import { spec } from '../harness/spec.js';
import { FILES } from './cited-files.js';
import { GUNYAH_ROWS, ROW_COUNTS } from './gunyah-rows.js';

const test = spec('citations of the Gunyah reference');
const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');
const rowsOf = (rows: string): string[] => rows.split(' | ').map((row) => row.trim());

/** Titles that a test file declares and runs, quotes and escapes removed; those it skips unconditionally are not among them. */
function titlesOf(path: string): readonly string[] {
  const text = readFileSync(join(ROOT, path), 'utf8');
  const declared = /(?<![\w.])test\(\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|`((?:[^`\\]|\\.)*)`)/g;
  return [...text.matchAll(declared)].map((match) =>
    (match[1] ?? match[2] ?? match[3] ?? '').replaceAll(/\\(.)/g, '$1'),
  );
}

test('each table has as many rows here as in the reference, each listed once', () => {
  const listed = new Map<string, string[]>();
  for (const { table, rows } of GUNYAH_ROWS) listed.set(table, [...(listed.get(table) ?? []), ...rowsOf(rows)]);
  for (const [table, rows] of listed) assert.is(new Set(rows).size, rows.length, `${table}: ${rows.join(', ')}`);
  const counts = Object.fromEntries([...listed].map(([table, rows]) => [table, rows.length]));
  assert.equal(Object.entries(counts).toSorted(), Object.entries(ROW_COUNTS).toSorted());
});

test('each row has a test, in words that only a title of an existing test has', () => {
  const titles = new Map(
    Object.entries(FILES).map(([name, path]) => [name, existsSync(join(ROOT, path)) ? titlesOf(path) : []]),
  );
  const problems: string[] = [];
  for (const { table, rows, tests } of GUNYAH_ROWS) {
    if (tests.length === 0) problems.push(`${table} ${rows}: no test is cited`);
    for (const [file, words] of tests) {
      const found = titles.get(file)?.filter((title) => title.includes(words)).length ?? 0;
      if (found !== 1)
        problems.push(`${table} ${rows}: ${FILES[file]} has ${found} tests with "${words}" in their title`);
    }
  }
  assert.equal(problems, []);
});

test('files that nobody cites are not listed, and those listed are test files that run', () => {
  const cited = new Set(GUNYAH_ROWS.flatMap(({ tests }) => tests.map(([file]) => file)));
  assert.equal(
    Object.keys(FILES).filter((file) => !cited.has(file as keyof typeof FILES)),
    [],
  );
  for (const path of Object.values(FILES)) {
    assert.ok(/\.(test|integration)\.ts$/.test(path), path);
    assert.ok(/\btest\.run\(\);\s*$/.test(readFileSync(join(ROOT, path), 'utf8')), `${path} runs`);
  }
});

test('the tables of calls and messages have what the reference lists', () => {
  // Section 2: rows of calls, where "bind and unbind" are two or four calls and the creations eleven.
  const count = (of: string): number => ROW_COUNTS[of] ?? 0;
  const reserved = 3; // 0x08, 0x16, 0x1E
  const rows = ['2.1', '2.2', '2.4', '2.5', '2.6', '2.7', '2.8', '2.9 a', '2.10'].reduce(
    (sum, at) => sum + count(at),
    0,
  );
  const more = 9 + 1 + 3 + 1 + 1; // creations, watchdog, virtio bindings, reset and status, input
  assert.is(HYPERCALLS.length, rows - reserved + more);
  assert.is(Object.keys(RM_MESSAGE).length, 50);
});

test('the check itself notices a test that is gone', () => {
  assert.equal(
    titlesOf(FILES.numbers).filter((title) => title.includes('no such test')),
    [],
  );
  assert.ok(titlesOf(FILES.manager).some((title) => title.includes('functions: bad sizes')));
});
test.run();
