/**
 * The intermediate physical ranges of a VM whose faults go to whoever runs its processors (gunyah.md 2.7, VMMIO ranges). The
 * hypervisor core writes them into the VM's block; the processors' threads look them up at every access that finds no device.
 */
import { VersionedWords } from './versioned-words.js';
import type { VmBlock } from './vm-block.js';

/** Byte offset of the ranges in a VM's block. */
const VMMIO_AT = 8192;
/** Ranges of one VM at most. */
export const VMMIO_RANGES_MAX = 128;
const HEAD_WORDS = 2;
const RANGE_WORDS = 4;
/** Behind the version. */
const WORD = { count: 1 } as const;
/** Bytes of the block that ranges take. */
export const VMMIO_BYTES = (HEAD_WORDS + VMMIO_RANGES_MAX * RANGE_WORDS) * 4;

/** Addresses and sizes in bytes; exact below 2^53. */
export interface VmmioRange {
  readonly base: number;
  readonly bytes: number;
}

/** See the head of this file. */
export class VmmioRanges {
  readonly #shared: VersionedWords;

  constructor(memory: ArrayBufferLike, block: Pick<VmBlock, 'at'>) {
    this.#shared = new VersionedWords(memory, block.at + VMMIO_AT, VMMIO_BYTES);
  }

  /** The core: replaces all ranges. */
  replace(ranges: readonly VmmioRange[]): void {
    const shared = this.#shared;
    shared.replace(() => {
      ranges.slice(0, VMMIO_RANGES_MAX).forEach(({ base, bytes }, index) => {
        const at = HEAD_WORDS + index * RANGE_WORDS;
        shared.setNumber(at, base);
        shared.setNumber(at + 2, bytes);
      });
      Atomics.store(shared.words, WORD.count, Math.min(ranges.length, VMMIO_RANGES_MAX));
    });
  }

  /** Whether all of `[ipa, ipa + bytes)` lies in one range. */
  has(ipa: number, bytes: number): boolean {
    const shared = this.#shared;
    return shared.read(() => {
      const count = Math.min(Atomics.load(shared.words, WORD.count), VMMIO_RANGES_MAX);
      for (let index = 0; index < count; index++) {
        const at = HEAD_WORDS + index * RANGE_WORDS;
        const base = shared.number(at);
        if (ipa >= base && ipa + bytes <= base + shared.number(at + 2)) return true;
      }
      return false;
    });
  }
}
