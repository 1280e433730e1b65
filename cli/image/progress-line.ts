/** One line of progress on a terminal, rewritten in place; on anything else, a plain line when the activity changes. */
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

/** A progress line on `stream`. `done()` removes it. `now` is milliseconds. */
export function progressLine(
  stream: ProgressStream,
  now: () => number,
): { readonly report: Report; readonly done: () => void } {
  let activity = '';
  let drawnAt = Number.NEGATIVE_INFINITY;
  const bar = (fraction: number): string => {
    const full = Math.round(Math.min(1, Math.max(0, fraction)) * BAR_CELLS);
    return `[${'#'.repeat(full)}${'.'.repeat(BAR_CELLS - full)}] ${Math.round(fraction * 100)
      .toString()
      .padStart(3)}%`;
  };
  return {
    report(what, fraction) {
      const isNew = what !== activity;
      activity = what;
      if (stream.isTTY !== true) {
        if (isNew) stream.write(`${what}\n`);
        return;
      }
      if (!isNew && now() - drawnAt < REDRAW_MS) return;
      drawnAt = now();
      const text = fraction === undefined ? what : `${bar(fraction)} ${what}`;
      stream.write(`\r\x1b[K${text.slice(0, (stream.columns ?? 80) - 1)}`);
    },
    done() {
      if (stream.isTTY === true && activity !== '') stream.write('\r\x1b[K');
    },
  };
}
