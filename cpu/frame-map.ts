/** What is known of page frames, as a number for each, in a map that is emptied often (number-map.ts says why not the language's; docs/adr/0328). */
import { NumberMap } from './number-map.js';

/** See the head of this file. Frames are known by their host address, below 2^32; values are 0 or more. */
export class FrameMap {
  readonly #map = new NumberMap();

  /** How many frames are in it. */
  get size(): number {
    return this.#map.size;
  }

  /** What is known of the frame at `host`; -1: nothing. */
  get(host: number): number {
    return this.#map.get(host >>> 12);
  }

  set(host: number, value: number): void {
    this.#map.set(host >>> 12, value);
  }

  delete(host: number): void {
    this.#map.delete(host >>> 12);
  }

  clear(): void {
    this.#map.clear();
  }
}
