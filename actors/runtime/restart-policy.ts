/** When a failing actor is restarted: at most `restartsMax` times within any `withinMs`. */
import type { Supervision } from './actor.js';

/** What to do with an actor that has failed. */
export type Verdict = 'restart' | Supervision['otherwise'];

/** Remembers the restarts of one actor. */
export class RestartPolicy {
  readonly #supervision: Supervision;
  #restartsAtMs: number[] = [];

  constructor(supervision: Supervision) {
    this.#supervision = supervision;
  }

  /** Decides about a failure at `nowMs`; a restart is counted at once. */
  decide(nowMs: number): Verdict {
    const { restartsMax, withinMs, otherwise } = this.#supervision;
    this.#restartsAtMs = this.#restartsAtMs.filter((at) => nowMs - at < withinMs);
    if (this.#restartsAtMs.length >= restartsMax) return otherwise;
    this.#restartsAtMs.push(nowMs);
    return 'restart';
  }
}
