/** A histogram of times with buckets that grow by a twelfth of a doubling (6 %), from 100 ns to 100 s. */

const LOWEST_NS = 100;
const HIGHEST_NS = 100e9;
const PER_DOUBLING = 12;
const BUCKETS = Math.ceil(Math.log2(HIGHEST_NS / LOWEST_NS) * PER_DOUBLING) + 1;

/** What a histogram says, in nanoseconds. */
export interface Percentiles {
  readonly count: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

/** See the head of this file. */
export class Histogram {
  readonly #counts = new Float64Array(BUCKETS);
  count = 0;
  /** Nanoseconds. */
  sum = 0;
  #max = 0;

  add(ns: number): void {
    const bucket = Math.ceil(Math.log2(Math.max(ns, LOWEST_NS) / LOWEST_NS) * PER_DOUBLING);
    const at = Math.min(bucket, BUCKETS - 1);
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    this.count++;
    this.sum += ns;
    this.#max = Math.max(this.#max, ns);
  }

  /** The upper end of the bucket in which the `share`th (0 to 1) of the times lies, never above the longest. */
  percentile(share: number): number {
    let left = Math.ceil(share * this.count);
    if (left === 0) return 0;
    for (const [at, count] of this.#counts.entries()) {
      left -= count;
      if (left <= 0) return Math.min(LOWEST_NS * 2 ** (at / PER_DOUBLING), this.#max);
    }
    return this.#max;
  }

  /** How many times are at most `ns`, to the precision of the buckets. */
  atMost(ns: number): number {
    const end = Math.floor(Math.log2(Math.max(ns, LOWEST_NS) / LOWEST_NS) * PER_DOUBLING + 1e-9);
    return this.#counts.subarray(0, end + 1).reduce((sum, count) => sum + count, 0);
  }

  get percentiles(): Percentiles {
    const of = (share: number): number => Math.round(this.percentile(share));
    return { count: this.count, p50: of(0.5), p90: of(0.9), p99: of(0.99), max: Math.round(this.#max) };
  }
}
