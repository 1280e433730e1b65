/**
 * Frames of the machine's memory by extents: first fit over a sorted list of free extents, which the core alone holds.
 * Frames that were used are zeroed when they are given out again, never before, so that an untouched page stays untouched.
 */
import { assert } from '../../bus/assert.js';
import { HYP_PAGE_BYTES } from '../../bus/units.js';
import type { FrameLedger } from '../shared-state/frames/frame-ledger.js';

/** Contiguous frames, in bytes. */
export interface Extent {
  readonly host: number;
  readonly bytes: number;
}

const FREE = { owner: 0, state: 'free' } as const;

/** See the head of this file. */
export class FramePool {
  readonly #memory: Uint8Array;
  readonly #ledger: FrameLedger;
  /** Sorted by address, never touching each other. */
  #free: Extent[];
  /** Everything below was given out at some time. */
  #touched: number;

  /** The pool of `[from, end)`, which must be zero. */
  constructor(memory: ArrayBufferLike, ledger: FrameLedger, from: number, end: number) {
    assert(from % HYP_PAGE_BYTES === 0 && end % HYP_PAGE_BYTES === 0 && from < end, 'a pool holds whole frames');
    this.#memory = new Uint8Array(memory);
    this.#ledger = ledger;
    this.#free = [{ host: from, bytes: end - from }];
    this.#touched = from;
  }

  /** Frames that can be taken. */
  get freeFrames(): number {
    return this.#free.reduce((sum, extent) => sum + extent.bytes, 0) / HYP_PAGE_BYTES;
  }

  /** One zeroed extent of `bytes` for `owner`, or undefined. `align` is a power of two, in bytes. */
  take(bytes: number, owner: number, state: 'core' | 'owned', align = HYP_PAGE_BYTES): Extent | undefined {
    assert(bytes > 0 && bytes % HYP_PAGE_BYTES === 0, 'frames are taken whole');
    for (const [index, extent] of this.#free.entries()) {
      const host = Math.ceil(extent.host / align) * align;
      const skipped = host - extent.host;
      if (extent.bytes - skipped < bytes) continue;
      const rest: Extent[] = [];
      if (skipped > 0) rest.push({ host: extent.host, bytes: skipped });
      if (extent.bytes - skipped > bytes) rest.push({ host: host + bytes, bytes: extent.bytes - skipped - bytes });
      this.#free.splice(index, 1, ...rest);
      this.#ledger.move(host, bytes / HYP_PAGE_BYTES, FREE, { owner, state });
      if (host < this.#touched) this.#memory.fill(0, host, Math.min(host + bytes, this.#touched));
      this.#touched = Math.max(this.#touched, host + bytes);
      return { host, bytes };
    }
    return undefined;
  }

  /** Returns an extent that `take` gave. */
  give({ host, bytes }: Extent, owner: number, state: 'core' | 'owned'): void {
    this.#ledger.move(host, bytes / HYP_PAGE_BYTES, { owner, state }, FREE);
    const sorted = [...this.#free, { host, bytes }].sort((a, b) => a.host - b.host);
    const joined: Extent[] = [];
    for (const extent of sorted) {
      const last = joined.at(-1);
      if (last !== undefined && last.host + last.bytes === extent.host) {
        joined[joined.length - 1] = { host: last.host, bytes: last.bytes + extent.bytes };
      } else joined.push(extent);
    }
    this.#free = joined;
  }
}
