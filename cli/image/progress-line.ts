/** One line of progress on a terminal, rewritten in place; on anything else, a plain line for each activity and every ten seconds. */
import type { Report } from './package-source.js';

/** The part of a stream that is needed: process.stderr has it. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const BAR_CELLS = 24;
/** Redrawing more often than this only costs time. */
const REDRAW_MS = 80;
/** Lines for one activity, where they cannot be rewritten. */
const LINE_MS = 10_000;

/** A progress line on `stream`. `done()` removes it. `now` is milliseconds. */
export function progressLine(
  stream: ProgressStream,
  now: () => number,
): { readonly report: Report; readonly done: () => void } {
  let activity = '';
  let drawnAt = Number.NEGATIVE_INFINITY;
  const percent = (fraction: number): string => `${Math.round(Math.min(1, Math.max(0, fraction)) * 100)}%`;
  const bar = (fraction: number): string => {
    const full = Math.round(Math.min(1, Math.max(0, fraction)) * BAR_CELLS);
    return `[${'#'.repeat(full)}${'.'.repeat(BAR_CELLS - full)}] ${percent(fraction).padStart(4)}`;
  };
  return {
    report(what, fraction, detail) {
      const isNew = what !== activity;
      activity = what;
      if (!isNew && now() - drawnAt < (stream.isTTY === true ? REDRAW_MS : LINE_MS)) return;
      drawnAt = now();
      const text = detail === undefined ? what : `${what}: ${detail}`;
      if (stream.isTTY === true) {
        const line = fraction === undefined ? text : `${bar(fraction)} ${text}`;
        stream.write(`\r\x1b[K${line.slice(0, (stream.columns ?? 80) - 1)}`);
      } else stream.write(isNew || fraction === undefined ? `${text}\n` : `${text} (${percent(fraction)})\n`);
    },
    done() {
      if (stream.isTTY === true && activity !== '') stream.write('\r\x1b[K');
    },
  };
}
