/** Rows as aligned columns, as `wurley ps` and `wurley stats` print them. */

/** Columns are as wide as their longest cell; those named in `right` are aligned to the right. */
export function table(rows: readonly (readonly string[])[], right: readonly number[] = []): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [n, cell] of row.entries()) widths[n] = Math.max(widths[n] ?? 0, cell.length);
  }
  const lines = rows.map((row) =>
    row
      .map((cell, n) => (right.includes(n) ? cell.padStart(widths[n] ?? 0) : cell.padEnd(widths[n] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
  return `${lines.join('\n')}\n`;
}

/** 0 to 3 significant places of a time in nanoseconds: `850 ns`, `12.3 us`, `4.56 ms`. */
export function timeText(ns: number): string {
  if (ns < 1000) return `${Math.round(ns)} ns`;
  if (ns < 1e6) return `${(ns / 1000).toFixed(ns < 1e5 ? 1 : 0)} us`;
  return ns < 1e9 ? `${(ns / 1e6).toFixed(ns < 1e8 ? 1 : 0)} ms` : `${(ns / 1e9).toFixed(1)} s`;
}

/** `9 s`, `4 min`, `3 h`. */
export function spanText(seconds: number): string {
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  return seconds < 7200 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`;
}
