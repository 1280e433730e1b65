/**
 * `npm run bench -- [suite ...] [--json FILE] [--list]`. A suite is a folder of bench/; without one all of them run. Exits 1
 * when a target was missed or a benchmark failed.
 */
import { readdirSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { type BenchSuite, machine, Report } from './report.js';

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = resolve(HERE, '..', '..');
/** A benchmark that takes longer than this is cut off. */
const DEADLINE_MS = 300_000;

interface Found {
  readonly suite: string;
  readonly name: string;
  readonly bench: BenchSuite;
}

async function find(): Promise<Found[]> {
  const files = readdirSync(HERE, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.bench.js'))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  return Promise.all(
    files.map(async (file) => {
      const path = relative(HERE, file).replace(/\.bench\.js$/, '');
      const module = (await import(pathToFileURL(file).href)) as { default: BenchSuite };
      return { suite: dirname(path), name: path, bench: module.default };
    }),
  );
}

async function main(args: readonly string[]): Promise<number> {
  const jsonAt = args.indexOf('--json');
  const json = jsonAt >= 0 ? args[jsonAt + 1] : undefined;
  if (jsonAt >= 0 && json === undefined) throw new Error('--json wants a file name');
  const names = args.filter((arg, i) => !arg.startsWith('--') && (jsonAt < 0 || i !== jsonAt + 1));
  const all = await find();
  const unknown = names.find((name) => !all.some((found) => found.suite === name || found.name === name));
  if (unknown !== undefined) throw new Error(`no benchmark suite is called ${unknown}; --list shows them`);
  const chosen = all.filter((found) => names.length === 0 || names.includes(found.suite) || names.includes(found.name));
  if (args.includes('--list')) {
    for (const { name, bench } of chosen)
      process.stdout.write(`${name.padEnd(22)} ${bench.title}\n${' '.repeat(23)}${bench.ids.join(', ')}\n`);
    return 0;
  }
  process.stdout.write(`${machine()}, Node ${process.version}\n`);
  const report = new Report(join(ROOT, 'bench-results'));
  let failures = 0;
  for (const { name, bench } of chosen) {
    process.stdout.write(`${name}: ${bench.title}\n`);
    const timer = setTimeout(() => {
      process.stderr.write(`${name} took longer than ${DEADLINE_MS / 1000} s\n`);
      process.exit(1);
    }, DEADLINE_MS);
    try {
      await bench.run(report);
    } catch (problem) {
      failures++;
      process.stdout.write(
        `  failed: ${problem instanceof Error ? (problem.stack ?? problem.message) : String(problem)}\n`,
      );
    } finally {
      clearTimeout(timer);
    }
  }
  process.stdout.write(`\n${report.table()}\n`);
  if (json !== undefined) report.writeJson(json);
  return failures === 0 && report.figures.every((figure) => figure.met !== false) ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
