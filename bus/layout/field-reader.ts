/**
 * Reads little-endian fields one after another from bytes that somebody else wrote, where a message has no fixed layout (for that:
 * struct.ts). Nothing in the bytes makes reading throw or reach beyond them.
 */

/** From the first field that is not there on, everything reads as zero or nothing, and `isWhole` is false. */
export class FieldReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #end: number;
  #at: number;
  #isWhole = true;

  /** Reads bytes `from` .. `end` of `bytes`. */
  constructor(bytes: Uint8Array, from = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#at = from;
    this.#end = end;
  }

  /** Nothing was missing so far, and nothing was refused. */
  get isWhole(): boolean {
    return this.#isWhole;
  }
  /** Bytes not read yet. */
  get rest(): number {
    return this.#end - this.#at;
  }
  u8(): number {
    const at = this.#take(1);
    return at < 0 ? 0 : this.#view.getUint8(at);
  }
  u16(): number {
    const at = this.#take(2);
    return at < 0 ? 0 : this.#view.getUint16(at, true);
  }
  u32(): number {
    const at = this.#take(4);
    return at < 0 ? 0 : this.#view.getUint32(at, true);
  }
  u64(): bigint {
    const at = this.#take(8);
    return at < 0 ? 0n : this.#view.getBigUint64(at, true);
  }
  /** `count` bytes, copied. */
  bytes(count: number): Uint8Array {
    const at = this.#take(count);
    return at < 0 ? new Uint8Array(0) : this.#bytes.slice(at, at + count);
  }

  /** What was read is not what it has to be. */
  protected refuse(): void {
    this.#isWhole = false;
  }

  #take(count: number): number {
    const at = this.#at;
    if (at + count > this.#end) this.#isWhole = false;
    if (!this.#isWhole) return -1;
    this.#at += count;
    return at;
  }
}
