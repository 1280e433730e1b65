/**
 * Words of a VM's block that the hypervisor core replaces together and the processors' threads read without a lock: the first word,
 * the version, is odd while the core writes, and a reader that saw it change reads again.
 */

const VERSION = 0;

/** See the head of this file. */
export class VersionedWords {
  readonly words: Int32Array;

  constructor(memory: ArrayBufferLike, at: number, bytes: number) {
    this.words = new Int32Array(memory, at, bytes / 4);
  }

  /** The core: whatever `body` stores is seen together or not at all. */
  replace(body: () => void): void {
    Atomics.add(this.words, VERSION, 1);
    body();
    Atomics.add(this.words, VERSION, 1);
  }

  /** What `body` reads of one version; it may be called again and must change nothing. */
  read<T>(body: () => T): T {
    for (;;) {
      const version = Atomics.load(this.words, VERSION);
      const found = body();
      if ((version & 1) === 0 && Atomics.load(this.words, VERSION) === version) return found;
    }
  }

  /** The 64-bit number at two words, exact below 2^53. */
  number(word: number): number {
    return Atomics.load(this.words, word + 1) * 2 ** 32 + (Atomics.load(this.words, word) >>> 0);
  }
  setNumber(word: number, value: number): void {
    Atomics.store(this.words, word, (value % 2 ** 32) | 0);
    Atomics.store(this.words, word + 1, Math.floor(value / 2 ** 32));
  }
}
