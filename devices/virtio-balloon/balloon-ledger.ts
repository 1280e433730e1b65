/**
 * Which pages of the guest are in its balloon: a bit for each page of its memory, in shared memory, so that a worker that dies
 * takes nothing along. One thread writes. A page that is put in twice, or taken out without having been in, counts once or
 * not at all: the guest may say anything.
 */
import { assert } from '../../bus/assert.js';
import { BALLOON_PAGE_BYTES } from './balloon.wire.js';

/** The bits are behind one word, the reset of the device they belong to. */
const BITS_AT = 4;

/** Shared memory for the balloon of a guest with `ramBytes` of memory. */
export function createBalloonLedger(ramBytes: number): SharedArrayBuffer {
  return new SharedArrayBuffer(BITS_AT + Math.ceil(ramBytes / BALLOON_PAGE_BYTES / 32) * 4);
}

/** See the head of this file. */
export class BalloonLedger {
  readonly #epoch: Uint32Array;
  readonly #words: Uint32Array;
  readonly #firstPage: number;
  readonly #pages: number;
  #held = 0;

  /** For memory of `ramBytes` at `ramBase`. */
  constructor(memory: SharedArrayBuffer, ramBase: number, ramBytes: number) {
    this.#epoch = new Uint32Array(memory, 0, 1);
    this.#words = new Uint32Array(memory, BITS_AT);
    this.#firstPage = ramBase / BALLOON_PAGE_BYTES;
    this.#pages = ramBytes / BALLOON_PAGE_BYTES;
    assert(this.#words.length * 32 >= this.#pages, 'a ledger has a bit for each page');
    for (const word of this.#words) for (let bits = word; bits !== 0; bits &= bits - 1) this.#held++;
  }

  /** Pages in the balloon. */
  get held(): number {
    return this.#held;
  }

  /** Puts page number `page` in (`into`), or takes it out; false when it is not the guest's memory. */
  move(page: number, into: boolean): boolean {
    const index = page - this.#firstPage;
    if (!(index >= 0 && index < this.#pages)) return false;
    const bit = 1 << (index & 31);
    const word = this.#words[index >>> 5] ?? 0;
    if (((word & bit) !== 0) === into) return true;
    this.#words[index >>> 5] = word ^ bit;
    this.#held += into ? 1 : -1;
    return true;
  }

  /** Whether pages were put in before the reset counted `epoch`: then everything is the guest's again, and this says so once. */
  isVoid(epoch: number): boolean {
    if (this.#epoch[0] === epoch) return false;
    this.#words.fill(0);
    this.#held = 0;
    this.#epoch[0] = epoch;
    return true;
  }
}
