/** The real clock, and logging by message to the system. One set per thread. */
import { openSync, readlinkSync, readSync } from 'node:fs';
import { CONTROL_TEXT_MAX } from './limits.js';
import type { Clock, Log, LogFields } from './services.js';
import type { LogLine } from './system-protocol.js';

/**
 * Milliseconds of the host's monotonic clock, with fractions of a microsecond: the same for every thread of the process.
 * `performance.timeOrigin` would not do: each thread takes it anew from the adjustable clock, and a guest's vCPUs must
 * never see time go back when it migrates between them.
 */
export function hostNowMs(): number {
  const time = process.hrtime(); // read by index: it is called so often that an iterator would be felt
  return time[0] * 1e3 + time[1] / 1e6;
}

/** A clock that counts from `epochMs` (of {@link hostNowMs}). */
export function hostClock(epochMs: number): Clock {
  return {
    monotonicMs: () => hostNowMs() - epochMs,
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

/**
 * How long the calling thread has waited for a processor in all, in milliseconds: the second number of its schedstat (Linux, sched-stats.rst), which
 * is exact while it runs. Null where nobody tells. Costs a system call.
 */
export function processorWaitMs(): number | null {
  try {
    schedstatFile ??= openSync('/proc/thread-self/schedstat', 'r');
  } catch {
    schedstatFile = -1;
  }
  if (schedstatFile < 0) return null;
  const bytes = readSync(schedstatFile, schedstat, 0, SCHEDSTAT_BYTES, 0);
  let at = 0;
  while (at < bytes && schedstat[at] !== SPACE) at++;
  let waitedNs = 0;
  for (at++; at < bytes && schedstat[at] !== SPACE; at++) waitedNs = waitedNs * 10 + schedstat[at]! - ZERO;
  return waitedNs / 1e6;
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
