/** Runs a bare-metal image under `wurley run`: the counterpart of qemu-system.ts, as a process of its own. */
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { err, ok, type Result } from '../../bus/result.js';
import { launcherEnvironment, launcherOptions } from './launcher.js';

const LAUNCHER = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'cli', 'main.js');
const CONSOLE_BYTES_MAX = 4 << 20;

/** What to run. */
export interface WurleyRun {
  /** Arguments of `wurley run` that name what to boot: `['--kernel', FILE]` or an image's name. */
  readonly boot: readonly string[];
  readonly cpus: number;
  readonly memoryMiB: number;
  /** Goes to /chosen/bootargs of the device tree. */
  readonly bootargs: string;
  /** Wall-clock limit in milliseconds; the run is then killed. */
  readonly deadlineMs: number;
  /** Written to the guest's console as soon as the run starts. */
  readonly input?: string;
  /** Further arguments. */
  readonly more?: readonly string[];
}

/** A run that ended by itself. */
export interface WurleyOutcome {
  /** What the guest wrote to its console, carriage returns removed. */
  readonly console: string;
  /** Standard error of the command. */
  readonly errors: string;
  readonly exitCode: number;
  /** Wall-clock time from start to end in milliseconds. */
  readonly ms: number;
  /** Milliseconds from the start of the command until `marker` was printed, where asked for. */
  readonly markerMs: number | undefined;
}

/** Why there is no outcome. */
export interface WurleyFailure {
  readonly text: string;
  readonly console: string;
}

/** Runs `wurley run` to its end. */
export function runUnderWurley(run: WurleyRun, marker?: string): Promise<Result<WurleyOutcome, WurleyFailure>> {
  const args = [
    ...launcherOptions(),
    LAUNCHER,
    'run',
    ...run.boot,
    ...['--cpus', String(run.cpus), '--memory', `${run.memoryMiB}M`, '--append', run.bootargs],
    ...(run.more ?? []),
  ];
  return new Promise((resolve) => {
    const started = performance.now();
    // A run must not depend on earlier ones, nor leave a process behind that compiles for the next.
    const env = {
      ...process.env,
      ...launcherEnvironment(),
      WURLEY_CODE_CACHE: process.env['WURLEY_CODE_CACHE'] ?? 'off',
    };
    const child = spawn(process.execPath, args, { env, stdio: ['pipe', 'pipe', 'pipe'] });
    let console = '';
    let errors = '';
    let markerMs: number | undefined;
    let expired = false;
    const timer = setTimeout(() => {
      expired = true;
      child.kill('SIGKILL');
    }, run.deadlineMs);
    child.stdin.on('error', () => undefined); // a guest that ends early closes its input: not the runner's concern
    if (run.input === undefined) child.stdin.end();
    else child.stdin.end(run.input);
    child.stdout.on('data', (chunk: Buffer) => {
      if (console.length < CONSOLE_BYTES_MAX) console += chunk.toString('latin1').replaceAll('\r', '');
      if (marker !== undefined && markerMs === undefined && console.includes(marker)) {
        markerMs = performance.now() - started;
      }
    });
    child.stderr.on('data', (chunk: Buffer) => {
      if (errors.length < CONSOLE_BYTES_MAX) errors += chunk.toString('utf8');
    });
    child.on('error', (error) => {
      clearTimeout(timer);
      resolve(err({ text: `wurley does not start: ${error.message}`, console }));
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      if (expired)
        resolve(err({ text: `the guest did not end within ${run.deadlineMs} ms`, console: console + errors }));
      else if (code === null) resolve(err({ text: `wurley was killed by ${signal}`, console: console + errors }));
      else resolve(ok({ console, errors, exitCode: code, ms: performance.now() - started, markerMs }));
    });
  });
}
