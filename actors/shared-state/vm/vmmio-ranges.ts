/**
 * The intermediate physical ranges of a VM whose faults go to whoever runs its processors (gunyah.md 2.7, VMMIO ranges). The
 * hypervisor core writes them into the VM's block; the processors' threads look them up at every access that finds no device.
 *
 * Readers take no lock: `version` is odd while the core writes, and a reader that saw it change looks again.
 */
import type { VmBlock } from './vm-block.js';

/** Byte offset of the ranges in a VM's block. */
const VMMIO_AT = 8192;
/** Ranges of one VM at most. */
export const VMMIO_RANGES_MAX = 128;
const HEAD_WORDS = 2;
const RANGE_WORDS = 4;
const WORD = { version: 0, count: 1 } as const;
/** Bytes of the block that ranges take. */
export const VMMIO_BYTES = (HEAD_WORDS + VMMIO_RANGES_MAX * RANGE_WORDS) * 4;

/** Addresses and sizes in bytes; exact below 2^53. */
export interface VmmioRange {
  readonly base: number;
  readonly bytes: number;
}

/** See the head of this file. */
export class VmmioRanges {
  readonly #words: Int32Array;

  constructor(memory: ArrayBufferLike, block: Pick<VmBlock, 'at'>) {
    this.#words = new Int32Array(memory, block.at + VMMIO_AT, VMMIO_BYTES / 4);
  }

  /** The core: replaces all ranges. */
  replace(ranges: readonly VmmioRange[]): void {
    const words = this.#words;
    Atomics.add(words, WORD.version, 1);
    ranges.slice(0, VMMIO_RANGES_MAX).forEach(({ base, bytes }, index) => {
      const at = HEAD_WORDS + index * RANGE_WORDS;
      [base, bytes].forEach((value, part) => {
        Atomics.store(words, at + part * 2, (value % 2 ** 32) | 0);
        Atomics.store(words, at + part * 2 + 1, Math.floor(value / 2 ** 32));
      });
    });
    Atomics.store(words, WORD.count, Math.min(ranges.length, VMMIO_RANGES_MAX));
    Atomics.add(words, WORD.version, 1);
  }

  /** Whether all of `[ipa, ipa + bytes)` lies in one range. */
  has(ipa: number, bytes: number): boolean {
    const words = this.#words;
    for (;;) {
      const version = Atomics.load(words, WORD.version);
      let found = false;
      const count = Math.min(Atomics.load(words, WORD.count), VMMIO_RANGES_MAX);
      for (let index = 0; index < count && !found; index++) {
        const at = HEAD_WORDS + index * RANGE_WORDS;
        const base = this.#number(at);
        found = ipa >= base && ipa + bytes <= base + this.#number(at + 2);
      }
      if ((version & 1) === 0 && Atomics.load(words, WORD.version) === version) return found;
    }
  }

  #number(word: number): number {
    return Atomics.load(this.#words, word + 1) * 2 ** 32 + (Atomics.load(this.#words, word) >>> 0);
  }
}
