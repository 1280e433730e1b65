/** Which processors the threads of a benchmark run on. Node has no say in it; util-linux's `taskset` has, on Linux. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import type { Worker } from 'node:worker_threads';

/** Where this process may run, read before it is pinned: afterwards Node knows of one processor only. */
const PROCESSORS = allowedProcessors();

/** Runs `start`, which starts one worker, and answers its thread's number; undefined where that cannot be told. */
export async function threadOf<T>(
  start: () => T | Promise<T>,
): Promise<{ readonly made: T; readonly thread?: number }> {
  const before = new Set(threads());
  const made = await start();
  const [thread, ...others] = threads().filter((id) => !before.has(id));
  return thread === undefined || others.length > 0 ? { made } : { made, thread };
}

/** The thread of a worker that answers `question` with its number; undefined where that cannot be told. */
export async function askThread(worker: Worker, question: object): Promise<number | undefined> {
  worker.postMessage(question);
  const [thread] = (await once(worker, 'message')) as [number | null];
  return thread ?? undefined;
}

/** Keeps the first thread on the first processor and the second on the second; false when that is not possible here. */
export function apart(one: number | undefined, other: number | undefined): boolean {
  const [first, second] = PROCESSORS;
  if (one === undefined || other === undefined || first === undefined || second === undefined) return false;
  try {
    execFileSync('taskset', ['-p', '-c', String(first), String(one)], { stdio: 'ignore' });
    execFileSync('taskset', ['-p', '-c', String(second), String(other)], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Lets threads run on every processor that they could at the start; those that a thread starts inherit where it may run. */
export function anywhere(threads: readonly number[] = [process.pid]): void {
  const all = PROCESSORS.join();
  for (const thread of threads) {
    try {
      execFileSync('taskset', ['-p', '-c', all, String(thread)], { stdio: 'ignore' });
    } catch {
      // Without `taskset` it was not pinned either.
    }
  }
}

/** Numbers of the processors (Cpus_allowed_list of proc(5), such as `0-3,8`); as many as Node counts where nobody tells. */
function allowedProcessors(): readonly number[] {
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(read('/proc/self/status'))?.[1];
  if (list === undefined) return Array.from({ length: availableParallelism() }, (_, n) => n);
  return list.split(',').flatMap((range) => {
    const [from = 0, to = from] = range.split('-').map(Number);
    return Array.from({ length: to - from + 1 }, (_, n) => from + n);
  });
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function threads(): number[] {
  try {
    return readdirSync('/proc/self/task').map(Number);
  } catch {
    return [];
  }
}
