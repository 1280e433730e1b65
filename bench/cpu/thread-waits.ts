/**
 * How long the threads of a process that this one has started waited for a processor (Linux: schedstat, proc(5)). What came late to such a
 * thread may have come late because it was not running: that is the host's doing, and not to be had back by the thread.
 */
import { readdirSync, readFileSync } from 'node:fs';

/** Seldom: each look takes some of the processor time that is measured. */
const LOOK_MS = 500;

/** What one thread has had, in nanoseconds, and in how many turns. */
interface ThreadTime {
  readonly ranNs: number;
  readonly waitedNs: number;
  readonly turns: number;
}

/** The waits of the busiest threads. */
export interface Waits {
  /** Part of the time in which they wanted a processor. */
  readonly share: number;
  readonly turns: number;
  readonly meanNs: number;
}

/** Watches the threads of all child processes until {@link ThreadWaits.end}. */
export class ThreadWaits {
  readonly #timer: NodeJS.Timeout;
  /** By process and thread. */
  readonly #times = new Map<string, ThreadTime>();

  constructor() {
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  #look(): void {
    for (const process of numbers('/proc')) {
      if (!isChild(process)) continue;
      for (const thread of numbers(`/proc/${process}/task`)) {
        const time = timeOf(`/proc/${process}/task/${thread}/schedstat`);
        if (time !== undefined) this.#times.set(`${process} ${thread}`, time);
      }
    }
  }

  /** Looks no more. What the `count` busiest threads had; undefined where the host does not say. */
  end(count: number): Waits | undefined {
    clearInterval(this.#timer);
    const busiest = [...this.#times.values()].sort((a, b) => b.ranNs - a.ranNs).slice(0, count);
    const sum = (of: (time: ThreadTime) => number): number => busiest.reduce((all, time) => all + of(time), 0);
    const [ranNs, waitedNs, turns] = [sum((t) => t.ranNs), sum((t) => t.waitedNs), sum((t) => t.turns)];
    if (ranNs === 0 || turns === 0) return undefined;
    return { share: waitedNs / (ranNs + waitedNs), turns, meanNs: waitedNs / turns };
  }
}

function numbers(folder: string): readonly string[] {
  try {
    return readdirSync(folder).filter((name) => /^\d+$/.test(name));
  } catch {
    return []; // not Linux, or the process has ended
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return ''; // ended meanwhile
  }
}

/** Whether this process has started process `number`. */
function isChild(number: string): boolean {
  // Behind the name, which may hold anything: state and parent.
  const [, parent] = read(`/proc/${number}/stat`)
    .replace(/^.*\) /s, '')
    .split(' ');
  return parent === String(process.pid);
}

function timeOf(file: string): ThreadTime | undefined {
  const [ranNs, waitedNs, turns] = read(file).split(' ').map(Number);
  return ranNs === undefined || waitedNs === undefined || turns === undefined ? undefined : { ranNs, waitedNs, turns };
}
