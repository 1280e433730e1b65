/** The real clock, and logging by message to the system. One set per thread. */
import { openSync, readlinkSync, readSync } from 'node:fs';
import { CONTROL_TEXT_MAX } from './limits.js';
import type { Clock, Log, LogFields } from './services.js';
import type { LogLine } from './system-protocol.js';

/**
 * The host's clock, taken once: the global `process` is an accessor, called each time. A bigint that is stored makes no object once V8 has optimised who does so, which is
 * so of the array of `hrtime()` only where V8 inlines all of that and finds that nobody else sees it.
 */
const clockNs = process.hrtime.bigint;
const stamp = new BigUint64Array(1);
/** Low and high half of {@link stamp}: little-endian, as all that WebAssembly shares with us. */
const halves = new Uint32Array(stamp.buffer);

/**
 * Milliseconds of the host's monotonic clock, with fractions of a microsecond: the same for every thread of the process.
 * `performance.timeOrigin` would not do: each thread takes it anew from the adjustable clock, and a guest's vCPUs must
 * never see time go back when it migrates between them.
 */
export function hostNowMs(): number {
  stamp[0] = clockNs();
  return (halves[1]! * 2 ** 32 + halves[0]!) / 1e6;
}

/** A clock that counts from `epochMs` (of {@link hostNowMs}). */
export function hostClock(epochMs: number): Required<Clock> {
  return {
    monotonicMs: () => hostNowMs() - epochMs,
    storeMs: (into) => {
      stamp[0] = clockNs();
      into[0] = (halves[1]! * 2 ** 32 + halves[0]!) / 1e6 - epochMs;
    },
    unixSeconds: () => Math.floor(Date.now() / 1000),
  };
}

/** Number of the calling thread as the host's tools know it: Linux names it in /proc/thread-self (proc(5)); null elsewhere. */
export function hostThread(): number | null {
  try {
    const thread = Number(readlinkSync('/proc/thread-self').split('/').at(-1));
    return Number.isInteger(thread) ? thread : null;
  } catch {
    return null;
  }
}

/** Bytes of /proc/TID/schedstat, at most: three numbers. */
const SCHEDSTAT_BYTES = 64;
const schedstat = new Uint8Array(SCHEDSTAT_BYTES);
/** The calling thread's file (each thread has its own of this module); -1: there is none. */
let schedstatFile: number | undefined;
const SPACE = 0x20;
const ZERO = 0x30;

/** What the calling thread has had up to `atMs` (of {@link hostNowMs}), in milliseconds, and how often it was given a processor. */
const had = { atMs: 0, ranMs: 0, waitedMs: 0, turns: 0 };
/** What {@link processorWaitMs} has come to; undefined before its first call. */
let absentMs: number | undefined;

/**
 * How long the calling thread has wanted a processor and had none, in milliseconds, null where nobody tells; counts from its first call. Two things tell it on Linux.
 * The second number of the thread's schedstat (sched-stats.rst) is how long it has waited for one of this machine's processors. A hypervisor below us that runs
 * something else stops the machine's processor under the thread; what it took (steal time) is in no wait, but the thread's own clock stands still meanwhile
 * (the first number). So where the thread has kept its processor since the last call (the third number), all that its clock lacks was taken from it; where it
 * has not, it may have slept, and only its waits count. Costs two system calls.
 */
export function processorWaitMs(): number | null {
  try {
    schedstatFile ??= openSync('/proc/thread-self/schedstat', 'r');
  } catch {
    schedstatFile = -1;
  }
  if (schedstatFile < 0) return null;
  const fromMs = hostNowMs();
  // Brings the first number up to date, which is else as old as the kernel's last tick (`thread_group_cputime`).
  process.cpuUsage();
  const bytes = readSync(schedstatFile, schedstat, 0, SCHEDSTAT_BYTES, 0);
  const ranMs = numberAt(0, bytes) / 1e6;
  const waitedMs = numberAt(1, bytes) / 1e6;
  const turns = numberAt(2, bytes);
  const hasStayed = turns === had.turns;
  // At least: when between two of our readings the kernel took its own is not known.
  const lacking = hasStayed ? fromMs - had.atMs - (ranMs - had.ranMs) : waitedMs - had.waitedMs;
  absentMs = absentMs === undefined ? 0 : absentMs + Math.max(0, lacking);
  had.atMs = hostNowMs();
  had.ranMs = ranMs;
  had.waitedMs = waitedMs;
  had.turns = turns;
  return absentMs;
}

/** The number with index `index` in {@link schedstat}. */
function numberAt(index: number, bytes: number): number {
  let at = 0;
  for (let skip = index; skip > 0 && at < bytes; at++) if (schedstat[at] === SPACE) skip--;
  let value = 0;
  for (; at < bytes && schedstat[at]! >= ZERO; at++) value = value * 10 + schedstat[at]! - ZERO;
  return value;
}

/** A log that hands lines to `send`; what cannot be sent is counted, and the count is said with the next line. */
export function messageLog(name: string, clock: Clock, send: (line: LogLine) => boolean): Log {
  let lost = 0;
  const write = (level: LogLine['level'], text: string, fields: LogFields = {}): void => {
    const all = lost === 0 ? fields : { ...fields, linesLost: lost };
    const line = { atMs: clock.monotonicMs(), level, name, text: text.slice(0, CONTROL_TEXT_MAX), fields: all };
    lost = send(line) ? 0 : lost + 1;
  };
  return { info: (text, fields) => write('info', text, fields), warn: (text, fields) => write('warn', text, fields) };
}
