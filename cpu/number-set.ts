/** A set of whole numbers from 0 to 2^53 that is emptied often (number-map.ts says why not the language's). */
import { NumberMap } from './number-map.js';

/** See the head of this file. */
export class NumberSet {
  readonly #map = new NumberMap();

  /** How many numbers are in it. */
  get size(): number {
    return this.#map.size;
  }

  has(value: number): boolean {
    return this.#map.get(value) >= 0;
  }

  add(value: number): void {
    this.#map.set(value, 0);
  }

  /** Takes `value` out; false when it is not in. */
  delete(value: number): boolean {
    return this.#map.delete(value);
  }

  clear(): void {
    this.#map.clear();
  }
}
