/** Runs a host program to its end, with its output bounded and, where wanted, line by line. */
import { type ChildProcess, spawn } from 'node:child_process';

/** How a program ended; `code` is -1 when it could not be started. */
export interface ProgramRun {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

const ENDINGS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Has whatever signal ends this process end `child` first: apt would go on, and hold its lock against the next run. Returns what takes that back. */
function endWithUs(child: ChildProcess): () => void {
  const listeners = ENDINGS.map((signal) => {
    const listener = (): void => {
      child.kill();
      release();
      // Now as if nobody had listened, unless somebody else does.
      process.kill(process.pid, signal);
    };
    process.on(signal, listener);
    return [signal, listener] as const;
  });
  const release = (): void => {
    for (const [signal, listener] of listeners) process.off(signal, listener);
  };
  return release;
}

/** Runs `program` with `args` in `folder`. `onStatus` gets the lines it writes to file descriptor 3. */
export function runProgram(
  program: string,
  args: readonly string[],
  options: {
    readonly folder?: string;
    readonly onStatus?: (line: string) => void;
    readonly outputBytesMax?: number;
  } = {},
): Promise<ProgramRun> {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      ...(options.folder === undefined ? {} : { cwd: options.folder }),
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      env: { ...process.env, LC_ALL: 'C.UTF-8' },
    });
    const release = endWithUs(child);
    const texts = { stdout: '', stderr: '' };
    const collect = (name: 'stdout' | 'stderr') => (chunk: Buffer) => {
      if (texts[name].length < (options.outputBytesMax ?? OUTPUT_BYTES_MAX)) texts[name] += chunk.toString('utf8');
    };
    child.stdout?.on('data', collect('stdout'));
    child.stderr?.on('data', collect('stderr'));
    let rest = '';
    child.stdio[3]?.on('data', (chunk: Buffer) => {
      const lines = (rest + chunk.toString('utf8')).split('\n');
      rest = (lines.pop() ?? '').slice(0, 4096);
      for (const line of lines) options.onStatus?.(line);
    });
    child.on('error', () => {
      release();
      resolve({ code: -1, ...texts });
    });
    child.on('close', (code) => {
      release();
      resolve({ code: code ?? -1, ...texts });
    });
  });
}
