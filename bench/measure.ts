/** Arithmetic of measurements: quantiles, medians, and ratios of pairs measured side by side. */

/** The `q` quantile (0 .. 1) of `samples`, nearest rank. */
export function quantile(samples: readonly number[], q: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
}

/** The middle value. */
export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5);
}

/**
 * Median of the ratios of pairs: `a[i]` and `b[i]` were measured one right after the other, so that what else the machine
 * does hits both.
 */
export function pairedRatio(a: readonly number[], b: readonly number[]): number {
  return median(a.map((value, i) => value / (b[i] ?? Number.NaN)));
}

/** Nanoseconds of a clock that only goes forward. */
export function nowNs(): number {
  return performance.now() * 1e6;
}
