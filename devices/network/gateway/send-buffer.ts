/** Bytes on their way to the guest: kept until acknowledged, read at any offset for sending and sending again. */

/** A queue of chunks addressed by the distance from the oldest byte. */
export class SendBuffer {
  #chunks: Uint8Array[] = [];
  /** Bytes of the first chunk that are acknowledged already. */
  #skipped = 0;
  #length = 0;

  /** Bytes held. */
  get length(): number {
    return this.#length;
  }

  /** Adds `bytes`, which must not change afterwards. */
  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#chunks.push(bytes);
    this.#length += bytes.length;
  }

  /** Drops the `count` oldest bytes. */
  drop(count: number): void {
    let left = Math.min(count, this.#length);
    this.#length -= left;
    let gone = 0;
    for (const chunk of this.#chunks) {
      const here = chunk.length - this.#skipped;
      if (left < here) {
        this.#skipped += left;
        break;
      }
      left -= here;
      this.#skipped = 0;
      gone++;
    }
    if (gone > 0) this.#chunks = this.#chunks.slice(gone);
  }

  /** Copies `count` bytes, `offset` from the oldest on, to `into[at..]`. The caller knows that they are there. */
  copy(offset: number, count: number, into: Uint8Array, at: number): void {
    let skip = this.#skipped + offset;
    let done = 0;
    for (const chunk of this.#chunks) {
      if (done >= count) return;
      if (skip >= chunk.length) {
        skip -= chunk.length;
        continue;
      }
      const part = chunk.subarray(skip, Math.min(chunk.length, skip + count - done));
      into.set(part, at + done);
      done += part.length;
      skip = 0;
    }
  }
}
