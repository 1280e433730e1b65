/** A growing little-endian byte string: what ACPI and EFI tables and AML are written with. */

/** Appends fields one after another; `bytes()` is the result so far. */
export class ByteBuilder {
  readonly #bytes: number[] = [];

  /** Number of bytes written. */
  get length(): number {
    return this.#bytes.length;
  }

  u8(...values: readonly number[]): this {
    for (const value of values) this.#bytes.push(value & 0xff);
    return this;
  }

  u16(...values: readonly number[]): this {
    for (const value of values) this.u8(value, value >>> 8);
    return this;
  }

  u32(...values: readonly number[]): this {
    for (const value of values) this.u16(value, value >>> 16);
    return this;
  }

  u64(...values: readonly (number | bigint)[]): this {
    for (const value of values) {
      const wide = BigInt(value);
      this.u32(Number(wide & 0xffff_ffffn), Number((wide >> 32n) & 0xffff_ffffn));
    }
    return this;
  }

  /** ASCII text, cut or padded with `pad` to `lengthBytes` when given. */
  text(value: string, lengthBytes: number = value.length, pad = 0): this {
    for (let i = 0; i < lengthBytes; i++) this.u8(i < value.length ? value.charCodeAt(i) : pad);
    return this;
  }

  append(bytes: Iterable<number>): this {
    for (const byte of bytes) this.#bytes.push(byte);
    return this;
  }

  /** Zeros up to `offset`. */
  padTo(offset: number): this {
    while (this.#bytes.length < offset) this.#bytes.push(0);
    return this;
  }

  bytes(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }
}
