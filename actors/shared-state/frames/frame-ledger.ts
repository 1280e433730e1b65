/**
 * Who owns which 4 KiB frame of the machine's memory: one word per frame in shared memory, written by the hypervisor core
 * only and readable by everybody (audits, tests, a TLB fill that wants to be sure).
 *
 * Word: owner partition in bits 15..0 (0: the core itself), state in bits 19..16, number of partitions it is shared with
 * in bits 31..24.
 */
import { assert } from '../../../bus/assert.js';
import { HYP_PAGE_BYTES } from '../../../bus/units.js';

/** States of a frame. */
export const FRAME_STATE = { free: 0, core: 1, owned: 2, lent: 3, shared: 4, donated: 5 } as const;
/** A name in {@link FRAME_STATE}. */
export type FrameState = keyof typeof FRAME_STATE;

const NAMES = Object.keys(FRAME_STATE) as readonly FrameState[];
const OWNER_MASK = 0xffff;

/** One thread's view of the ledger. */
export class FrameLedger {
  readonly #words: Uint32Array;
  readonly #bytes: Buffer;

  /** The ledger at byte `at` for `frames` frames. */
  constructor(memory: ArrayBufferLike, at: number, frames: number) {
    this.#words = new Uint32Array(memory, at, frames);
    this.#bytes = Buffer.from(memory, at, frames * 4);
  }

  /** Bytes a ledger of `frames` frames takes. */
  static bytes(frames: number): number {
    return frames * 4;
  }

  /** What is known of the frame at byte address `host`. */
  entry(host: number): { readonly owner: number; readonly state: FrameState } {
    const word = this.#words[Math.floor(host / HYP_PAGE_BYTES)] ?? 0;
    return { owner: word & OWNER_MASK, state: NAMES[(word >>> 16) & 0xf] ?? 'free' };
  }

  /** The core only: `frames` frames from `host` go from `from` to `to`; asserts that they were all in `from`. */
  move(
    host: number,
    frames: number,
    from: { owner: number; state: FrameState },
    to: { owner: number; state: FrameState },
  ): void {
    const first = host / HYP_PAGE_BYTES;
    const expected = (FRAME_STATE[from.state] << 16) | from.owner;
    if (!this.#areAll(expected, first, frames)) {
      const wrong = this.#words.subarray(first, first + frames).findIndex((word) => word !== expected);
      assert(false, `frame ${first + wrong} is not ${from.state} of partition ${from.owner}`);
    }
    this.#words.fill((FRAME_STATE[to.state] << 16) | to.owner, first, first + frames);
  }

  /** Whether `frames` words from `first` on, one at least, are `expected`: the first is, and each is what the next one is. */
  #areAll(expected: number, first: number, frames: number): boolean {
    const [from, end] = [first * 4, (first + frames) * 4];
    return this.#words[first] === expected && this.#bytes.compare(this.#bytes, from, end - 4, from + 4, end) === 0;
  }

  /** Frames per owner and state, for audits: `owner:state` to count. */
  census(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const word of this.#words) {
      if (word === 0) continue;
      const key = `${word & OWNER_MASK}:${NAMES[(word >>> 16) & 0xf]}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    return counts;
  }
}
