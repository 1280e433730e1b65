/** Which processors the threads of a benchmark run on. Node has no say in it; util-linux's `taskset` has, on Linux. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import type { Worker } from 'node:worker_threads';

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

/** Keeps the first thread on processor 0 and the second on processor 1; false when that is not possible here. */
export function apart(one: number | undefined, other: number | undefined): boolean {
  if (one === undefined || other === undefined || availableParallelism() < 2) return false;
  try {
    for (const [processor, thread] of [one, other].entries()) {
      execFileSync('taskset', ['-p', '-c', String(processor), String(thread)], { stdio: 'ignore' });
    }
    return true;
  } catch {
    return false;
  }
}

/** Lets threads run on every processor again; those that a thread starts inherit where it may run. */
export function anywhere(threads: readonly number[] = [process.pid]): void {
  const all = `0-${availableParallelism() - 1}`;
  for (const thread of threads) {
    try {
      execFileSync('taskset', ['-p', '-c', all, String(thread)], { stdio: 'ignore' });
    } catch {
      // Without `taskset` it was not pinned either.
    }
  }
}

function threads(): number[] {
  try {
    return readdirSync('/proc/self/task').map(Number);
  } catch {
    return [];
  }
}
