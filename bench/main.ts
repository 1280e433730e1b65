/**
 * `npm run bench -- [suite ...] [--json FILE] [--list]`. A suite is a folder of bench/ or one benchmark in it; without one all
 * of them run. Exits 0 when every target was met, 1 when one was missed or a benchmark failed, 64 for a command line that is
 * not understood.
 */
import { readdirSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { type BenchSuite, machine, Report } from './report.js';

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = resolve(HERE, '..', '..');
/** A benchmark that takes longer than this is cut off. */
const DEADLINE_MS = 600_000;

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

/** Suites that belong together: who asks for the bus's figures wants those of the actors on it as well. */
const ALONG: Readonly<Record<string, readonly string[]>> = { bus: ['actors'] };
const EXIT_USAGE = 64;

const USAGE = `Usage: npm run bench -- [SUITE or BENCHMARK ...] [--json FILE] [--list]

Runs the benchmarks named, or all of them; bus brings actors with it. Each takes at most ${DEADLINE_MS / 60_000} minutes.
  --list       what there is, and the figures each measures
  --json FILE  writes the figures there as well
Exits 0 when every target was met, 1 when one was missed or a benchmark failed.
`;

/** What the command line asks for, or the sentence that says why it is not understood. */
function parse(args: readonly string[]): { names: string[]; json?: string; list: boolean; help: boolean } | string {
  const names: string[] = [];
  let json: string | undefined;
  let list = false;
  let help = false;
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? '';
    if (arg === '--list') list = true;
    else if (arg === '--help' || arg === '-h') help = true;
    else if (arg === '--json') {
      json = args[++i];
      if (json === undefined || json.startsWith('--')) return '--json wants a file name';
    } else if (arg.startsWith('-')) return `there is no flag ${arg}; --help shows those there are`;
    else names.push(arg, ...(ALONG[arg] ?? []));
  }
  return { names, list, help, ...(json === undefined ? {} : { json }) };
}

async function main(args: readonly string[]): Promise<number> {
  const refuse = (why: string): number => {
    process.stderr.write(`bench: ${why}.\n`);
    return EXIT_USAGE;
  };
  const asked = parse(args);
  if (typeof asked === 'string') return refuse(asked);
  const { names, json, list } = asked;
  if (asked.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const all = await find();
  const unknown = names.find((name) => !all.some((found) => found.suite === name || found.name === name));
  if (unknown !== undefined) return refuse(`no suite or benchmark is called ${unknown}; --list shows them`);
  const chosen = all.filter((found) => names.length === 0 || names.includes(found.suite) || names.includes(found.name));
  if (list) {
    for (const { name, bench } of chosen)
      process.stdout.write(`${name.padEnd(22)} ${bench.title}\n${' '.repeat(23)}${bench.ids.join(', ')}\n`);
    return 0;
  }
  process.stdout.write(`${machine()}, Node ${process.version}\n`);
  const report = new Report(join(ROOT, 'bench-results'));
  let failures = 0;
  const conclude = (): void => {
    process.stdout.write(`\n${report.table()}\n`);
    if (json !== undefined) report.writeJson(json);
  };
  for (const { name, bench } of chosen) {
    process.stdout.write(`${name}: ${bench.title}\n`);
    const timer = setTimeout(() => {
      process.stdout.write(`  failed: took longer than ${DEADLINE_MS / 1000} s; what was measured until then:\n`);
      conclude();
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
  conclude();
  return failures === 0 && report.figures.every((figure) => figure.met !== false) ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
