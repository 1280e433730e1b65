/** Which processors the threads of a benchmark run on. Node has no say in it; util-linux's `taskset` has, on Linux. */
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** Runs `start`, which starts one worker, and answers its thread's number; undefined where that cannot be told. */
export async function threadOf<T>(
  start: () => T | Promise<T>,
): Promise<{ readonly made: T; readonly thread?: number }> {
  const before = new Set(threads());
  const made = await start();
  const [thread, ...others] = threads().filter((id) => !before.has(id));
  return thread === undefined || others.length > 0 ? { made } : { made, thread };
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

/** Lets the calling process's first thread run on every processor again: threads that it starts inherit where it may run. */
export function anywhere(): void {
  try {
    const all = `0-${availableParallelism() - 1}`;
    execFileSync('taskset', ['-p', '-c', all, String(process.pid)], { stdio: 'ignore' });
  } catch {
    // Without `taskset` it was not pinned either.
  }
}

function threads(): number[] {
  try {
    return readdirSync('/proc/self/task').map(Number);
  } catch {
    return [];
  }
}
