/**
 * The test runner: one process per test file, each with a deadline, as many at once as there are processors (of the integration
 * files only those that bear it). A file passes only if it exits 0, ran at least one test, and every test passed or was skipped.
 * Ends with `N passed, N failed`.
 *
 * Usage: node dist/test/harness/run.js [--integration] [--jobs N] [pattern ...]
 * Files are `*.test.js` below dist/; `*.integration.js` with --integration. A pattern keeps files whose path contains it.
 */
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { launcherEnvironment } from '../drivers/launcher.js';

/** Only what hangs may meet these: a machine that is slow and shared takes several times as long as ours. */
const FILE_DEADLINE_MS = 1_200_000;
const INTEGRATION_DEADLINE_MS = 1_500_000;
const OUTPUT_BYTES_MAX = 1 << 20;
/**
 * Integration files that keep one processor busy, or wait a lot, and judge no duration: they run side by side, longest first. The
 * others judge durations, or start machines that want both processors, and have them for themselves.
 */
const SIDE_BY_SIDE = [
  'test/differential/instructions',
  'test/actors/real-kills',
  'test/system-programs/system-programs',
  'cli/machine/debian-variants',
  'cli/machine/debian.integration',
  'cli/machine/virtio-disk',
  'cli/machine/network',
  'cli/image/image',
  'cli/host/vm-host',
  'cpu/decode/decoder',
  'cpu/jit/scanner/random-code',
  'cli/machine/uefi',
  'cli/machine/share',
  'cli/machine/virtio.integration',
  'cpu/fp/fp',
  'test/guests/guests',
  'cli/machine/vsock',
  'cli/machine/root-boot',
  'cli/host/debian-vms',
  'cli/machine/eviction',
  'cli/machine/esp',
  'devices/virtio-blk/qcow2/qcow2',
  'actors/gdb/gdb',
  'cli/machine/firmware',
  'cpu/isa/disassemble',
  'cli/commands/run-errors',
  'cli/machine/damaged-files',
  'cli/machine/balloon',
  'cli/image/rootfs/build-machine',
] as const;

interface FileResult {
  readonly file: string;
  readonly total: number;
  readonly passed: number;
  readonly skipped: number;
  readonly problem: string | undefined;
  readonly output: string;
  readonly ms: number;
}

/** Every compiled test file below `folder`. */
function testFiles(folder: string, suffix: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(suffix))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** Reads uvu's closing lines (`Total: 3`, `Passed: 3`, `Skipped: 0`); a missing line counts as zero. */
function count(output: string, label: string): number {
  const plain = output.replaceAll('\u001b', '').replaceAll(/\[\d+m/g, '');
  const last = [...plain.matchAll(new RegExp(`${label}:\\s+(\\d+)`, 'g'))].at(-1);
  return last === undefined ? 0 : Number(last[1]);
}

/** Runs one file in a process of its own. */
function runFile(file: string, deadlineMs: number): Promise<FileResult> {
  return new Promise((resolve) => {
    const started = performance.now();
    const child = spawn(process.execPath, ['--enable-source-maps', file], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...launcherEnvironment(), FORCE_COLOR: '0' },
    });
    let output = '';
    let expired = false;
    const collect = (chunk: Buffer): void => {
      if (output.length < OUTPUT_BYTES_MAX) output += chunk.toString('utf8');
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    const timer = setTimeout(() => {
      expired = true;
      child.kill('SIGKILL');
    }, deadlineMs);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      const total = count(output, 'Total');
      const passed = count(output, 'Passed');
      const skipped = count(output, 'Skipped');
      resolve({ file, total, passed, skipped, problem: verdict(), output, ms: performance.now() - started });
      function verdict(): string | undefined {
        if (expired) return `missed the file deadline of ${deadlineMs} ms`;
        if (signal !== null) return `killed by ${signal}`;
        if (total + skipped === 0) return 'ran no test (is test.run() missing?)';
        if (code !== 0) return `exit code ${code}`;
        if (passed !== total) return `${passed} of ${total} passed`;
        return undefined;
      }
    });
  });
}

/** Runs the selected files on `jobs` processes and prints a line per file; returns the process's exit code. */
async function main(args: readonly string[]): Promise<number> {
  const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
  const integration = args.includes('--integration');
  const jobsAt = args.indexOf('--jobs');
  const jobs = jobsAt >= 0 ? Number(args[jobsAt + 1]) : availableParallelism();
  const patterns = args.filter((arg, i) => !arg.startsWith('--') && (jobsAt < 0 || i !== jobsAt + 1));
  const files = testFiles(root, integration ? '.integration.js' : '.test.js').filter(
    (file) => patterns.length === 0 || patterns.some((pattern) => relative(root, file).includes(pattern)),
  );
  if (files.length === 0) {
    process.stdout.write('no test file matches\n0 passed, 1 failed\n');
    return 1;
  }
  const results: FileResult[] = [];
  const rank = (file: string): number => SIDE_BY_SIDE.findIndex((start) => relative(root, file).startsWith(start));
  const together = integration ? files.filter((file) => rank(file) >= 0).sort((a, b) => rank(a) - rank(b)) : files;
  const lane = async (queue: string[]): Promise<void> => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      const result = await runFile(file, integration ? INTEGRATION_DEADLINE_MS : FILE_DEADLINE_MS);
      results.push(result);
      const name = relative(root, file).replace(/\.js$/, '');
      const verdict = result.problem === undefined ? 'ok  ' : 'FAIL';
      process.stdout.write(`${verdict} ${name} (${result.passed}/${result.total}, ${Math.round(result.ms)} ms)\n`);
      if (result.problem !== undefined) process.stdout.write(`${result.output}\n  ${name}: ${result.problem}\n`);
      else for (const line of result.output.match(/^ {2}skipped: .*$/gm) ?? []) process.stdout.write(`${line}\n`);
    }
  };
  const shared = [...together];
  await Promise.all(Array.from({ length: Math.max(1, jobs) }, () => lane(shared)));
  await lane(files.filter((file) => !together.includes(file)));
  const passed = results.reduce((sum, r) => sum + r.passed, 0);
  const failed = results.reduce((sum, r) => sum + Math.max(r.total - r.passed, r.problem === undefined ? 0 : 1), 0);
  const skipped = results.reduce((sum, r) => sum + r.skipped, 0);
  process.stdout.write(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`);
  return failed === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
