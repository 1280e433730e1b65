/** Payloads of RPC messages: little-endian fields one after another; nothing a client sends makes reading throw. */

/** Reads fields; what is not there reads as zero, and `isValid` says so at the end. */
export class PayloadReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;
  #failed = false;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  #take(bytes: number): number {
    const at = this.#at;
    if (at + bytes > this.#bytes.length) this.#failed = true;
    else this.#at += bytes;
    return this.#failed ? -1 : at;
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
  bytes(count: number): Uint8Array {
    const at = this.#take(count);
    return at < 0 ? new Uint8Array(0) : this.#bytes.slice(at, at + count);
  }
  /** `count` bytes that must be zero. */
  zero(count: number): void {
    if (this.bytes(count).some((byte) => byte !== 0)) this.#failed = true;
  }
  /** Goes to the next multiple of four; what is skipped must be zero. */
  align(): void {
    this.zero((4 - (this.#at & 3)) & 3);
  }
  /** Bytes not read yet. */
  get rest(): number {
    return this.#bytes.length - this.#at;
  }
  /** Nothing was missing, and what had to be zero was. */
  get isValid(): boolean {
    return !this.#failed;
  }
}

/** Writes fields one after another. */
export class PayloadWriter {
  readonly #parts: number[] = [];

  u8(value: number): this {
    this.#parts.push(value & 0xff);
    return this;
  }
  u16(value: number): this {
    return this.u8(value).u8(value >> 8);
  }
  u32(value: number): this {
    return this.u16(value & 0xffff).u16(value >>> 16);
  }
  u64(value: bigint): this {
    return this.u32(Number(BigInt.asUintN(32, value))).u32(Number(BigInt.asUintN(32, value >> 32n)));
  }
  bytes(value: Uint8Array): this {
    for (const byte of value) this.#parts.push(byte);
    return this;
  }
  /** Zeros up to a multiple of four. */
  align(): this {
    while (this.#parts.length % 4 !== 0) this.#parts.push(0);
    return this;
  }
  finish(): Uint8Array {
    return Uint8Array.from(this.#parts);
  }
}
