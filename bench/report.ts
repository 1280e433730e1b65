/**
 * What a benchmark reports and how it is shown: a table for people, JSON for tools, latency histograms as SVG. A figure that
 * was not measured is absent; nothing here fills one in.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { dirname, join } from 'node:path';

/** One measured figure. What has nothing to be compared with carries nulls. */
export interface Figure {
  /** Such as `bus.rtt.awake.64`; unique in a report. */
  readonly id: string;
  /** The measured value in `unit`. */
  readonly value: number;
  readonly unit: string;
  /** What it is compared with, measured in the same run. */
  readonly against: string | null;
  /** This over that, or that over this; `target` says which way is good. */
  readonly ratio: number | null;
  /** The promise, such as `<= 1.3`. */
  readonly target: string | null;
  readonly met: boolean | null;
}

/** What a suite is given to report with. */
export interface Bench {
  /** Reports a value that is compared with nothing. */
  value(id: string, value: number, unit: string): void;
  /** Reports a value with its ratio to something measured in the same run, held to a target. */
  ratio(id: string, value: number, unit: string, against: string, ratio: number, target: Target): void;
  /** Prints a line: placement of threads, or why something is skipped. */
  note(line: string): void;
  /** Draws the distributions of latencies (nanoseconds) into bench-results/NAME.svg. */
  histogram(name: string, title: string, series: readonly Series[]): void;
}
/** A promise about a ratio. */
export interface Target {
  readonly op: '<=' | '>=';
  readonly bound: number;
}
/** One distribution of a histogram, in nanoseconds. */
export interface Series {
  readonly label: string;
  readonly samplesNs: readonly number[];
}

/** A benchmark: the default export of a `bench/<suite>/<name>.bench.ts`. */
export interface BenchSuite {
  /** What it measures, one line for `--list`. */
  readonly title: string;
  /** Ids or prefixes of the figures it reports. */
  readonly ids: readonly string[];
  run(bench: Bench): Promise<void>;
}

/** Collects figures, prints lines, writes drawings below `folder`. */
export class Report implements Bench {
  readonly figures: Figure[] = [];
  private readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  value(id: string, value: number, unit: string): void {
    this.figures.push({ id, value, unit, against: null, ratio: null, target: null, met: null });
  }

  ratio(id: string, value: number, unit: string, against: string, ratio: number, target: Target): void {
    const met = target.op === '<=' ? ratio <= target.bound : ratio >= target.bound;
    this.figures.push({ id, value, unit, against, ratio, target: `${target.op} ${target.bound}`, met });
  }

  note(line: string): void {
    process.stdout.write(`  ${line}\n`);
  }

  histogram(name: string, title: string, series: readonly Series[]): void {
    mkdirSync(this.folder, { recursive: true });
    const file = join(this.folder, `${name}.svg`);
    writeFileSync(file, histogramSvg(title, series));
    this.note(`histogram: bench-results/${name}.svg`);
  }

  /** The figures as a table. */
  table(): string {
    const rows = this.figures.map((f) => [
      f.id,
      readable(f.value),
      f.unit,
      f.ratio === null ? '' : `${readable(f.ratio)}x`,
      f.target ?? '',
      f.met === null ? '' : f.met ? 'met' : 'MISSED',
      f.against ?? '',
    ]);
    const all = [['figure', 'value', 'unit', 'ratio', 'target', '', 'against'], ...rows];
    const widths = all[0]?.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0))) ?? [];
    const right = new Set([1, 3]);
    return all
      .map((row) =>
        row
          .map((cell, i) => (right.has(i) ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
          .join('  ')
          .trimEnd(),
      )
      .join('\n');
  }

  /** Writes `{machine, node, commit, figures}` to `file`. */
  writeJson(file: string): void {
    mkdirSync(dirname(file) || '.', { recursive: true });
    const report = { machine: machine(), node: process.version, commit: commit(), figures: this.figures };
    writeFileSync(file, `${JSON.stringify(report, undefined, 2)}\n`);
  }
}

/** One line about the computer. */
export function machine(): string {
  const model = cpus()[0]?.model.trim() ?? 'unknown processor';
  const gibibytes = Math.round(totalmem() / 2 ** 30);
  return `${model}, ${availableParallelism()} logical processors, ${gibibytes} GiB, ${process.platform} ${process.arch}`;
}

/** The checked-out commit, or `unknown` outside a repository. */
function commit(): string {
  try {
    const hash = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { stdio: ['ignore', 'pipe', 'ignore'] });
    const changed = execFileSync('git', ['status', '--porcelain', '--untracked-files=no'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return hash.toString().trim() + (changed.length > 0 ? '+changes' : '');
  } catch {
    return 'unknown';
  }
}

function readable(value: number): string {
  if (value === 0) return '0';
  if (Math.abs(value) >= 1e6) return `${(value / 1e6).toFixed(2)}M`;
  if (Math.abs(value) >= 1000) return value.toFixed(0);
  return value.toPrecision(3);
}

const COLOURS = ['#1f6feb', '#d1242f', '#1a7f37', '#9a6700', '#8250df'];
const BUCKETS_PER_DECADE = 12;

/** Distributions over a logarithmic axis of nanoseconds; each as a line of the share of samples per bucket. */
function histogramSvg(title: string, series: readonly Series[]): string {
  const [width, height, left, top, bottom] = [760, 360, 50, 50, 50];
  const bucketOf = (ns: number): number => Math.floor(Math.log10(Math.max(1, ns)) * BUCKETS_PER_DECADE);
  const buckets = series.flatMap((s) => s.samplesNs.map(bucketOf));
  const low = buckets.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY) - 1;
  const high = buckets.reduce((a, b) => Math.max(a, b), 0) + 1;
  const shares = series.map((s) => {
    const counts = new Array<number>(high - low + 1).fill(0);
    for (const ns of s.samplesNs)
      counts[bucketOf(ns) - low] = (counts[bucketOf(ns) - low] ?? 0) + 1 / s.samplesNs.length;
    return counts;
  });
  const peak = Math.max(...shares.flat());
  const x = (bucket: number): number => left + ((bucket - low) / (high - low)) * (width - left - 20);
  const y = (share: number): number => height - bottom - (share / peak) * (height - top - bottom);
  const lines = shares.map((counts, i) => {
    const points = counts.map((share, b) => `${x(b + low).toFixed(1)},${y(share).toFixed(1)}`).join(' ');
    const colour = COLOURS[i % COLOURS.length];
    const label = `<text x="${left + 10}" y="${top + 16 * i}" fill="${colour}">${escapeXml(series[i]?.label ?? '')}</text>`;
    return `<polyline fill="none" stroke="${colour}" stroke-width="2" points="${points}"/>${label}`;
  });
  const ticks: string[] = [];
  for (let decade = Math.ceil(low / BUCKETS_PER_DECADE); decade * BUCKETS_PER_DECADE <= high; decade++) {
    const at = x(decade * BUCKETS_PER_DECADE).toFixed(1);
    const text =
      ['1 ns', '10 ns', '100 ns', '1 us', '10 us', '100 us', '1 ms', '10 ms', '100 ms'][decade] ?? `1e${decade} ns`;
    ticks.push(
      `<line x1="${at}" x2="${at}" y1="${top}" y2="${height - bottom}" stroke="#d0d7de"/>`,
      `<text x="${at}" y="${height - bottom + 18}" text-anchor="middle">${text}</text>`,
    );
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="13">
<rect width="${width}" height="${height}" fill="#ffffff"/>
<text x="${left}" y="24" font-size="16">${escapeXml(title)}</text>
${[...ticks, ...lines].join('\n')}
</svg>
`;
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
