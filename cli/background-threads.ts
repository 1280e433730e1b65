/** Threads of this process that no guest waits for: how much of a processor they get beside those that run guests. */
import { readdirSync } from 'node:fs';
import { setPriority } from 'node:os';
import { setFlagsFromString } from 'node:v8';

/** A tenth of what a thread of normal priority gets, where both want the same processor; all of one that is idle. */
const NICENESS = 10;
/** Threads that Node.js starts before the program: one for delayed tasks and four that V8 compiles and collects in. */
const THREADS = 5;

/**
 * Lowers the priority of the threads V8 compiles in, which are the process's first. Called before anything that starts
 * threads of ours. Nothing happens where priorities belong to processes (all but Linux) or may not be changed.
 *
 * Each thread then collects its young objects alone: it would have to wait for what those threads have begun of it, and a guest whose
 * processor it is takes no interrupt meanwhile (docs/adr/0263).
 */
export function lowerBackgroundThreads(): void {
  if (process.platform !== 'linux') return;
  setFlagsFromString('--no-parallel-scavenge');
  try {
    const threads = readdirSync('/proc/self/task').map(Number);
    const others = threads.filter((thread) => thread !== process.pid).sort((a, b) => a - b);
    // Linux takes a thread's number where POSIX has a process's.
    for (const thread of others.slice(0, THREADS)) setPriority(thread, NICENESS);
  } catch {
    // Then guests share their processors with the compiler, as they would otherwise.
  }
}
