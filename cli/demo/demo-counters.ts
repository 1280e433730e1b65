/** What the demo's actors count, in shared memory, so that showing it costs them no message. One set per talker. */

const SAMPLES = 1024;
const WORD = { sent: 0, refused: 0x1, rings: 2, handled: 3, samples: 4 } as const;

/** The counters of one talker and its part of the listener. */
export class DemoCounters {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #roundTrips: Float32Array;

  constructor(memory = new SharedArrayBuffer(32 + 4 * SAMPLES)) {
    this.memory = memory;
    this.#words = new Int32Array(memory, 0, 8);
    this.#roundTrips = new Float32Array(memory, 32);
  }

  /** Adds one. */
  count(what: Exclude<keyof typeof WORD, 'samples'>): void {
    Atomics.add(this.#words, WORD[what], 1);
  }

  /** Notes a round trip, in microseconds. */
  roundTrip(microseconds: number): void {
    const at = Atomics.add(this.#words, WORD.samples, 1);
    this.#roundTrips[at % SAMPLES] = microseconds;
  }

  /** The count so far. */
  total(what: keyof typeof WORD): number {
    return Atomics.load(this.#words, WORD[what]) >>> 0;
  }

  /** The `q` quantile of the latest round trips, in microseconds; undefined before the first. */
  roundTripQuantile(q: number): number | undefined {
    const count = Math.min(this.total('samples'), SAMPLES);
    const sorted = this.#roundTrips.slice(0, count).sort();
    return sorted[Math.min(count - 1, Math.floor(q * count))];
  }
}
