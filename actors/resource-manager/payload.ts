/** Payloads of RPC messages: little-endian fields one after another; nothing a client sends makes reading throw. */
import { FieldReader } from '../../bus/layout/field-reader.js';

/** Reads fields; what is not there reads as zero, and `isValid` says so at the end. */
export class PayloadReader extends FieldReader {
  readonly #start: number;

  constructor(bytes: Uint8Array) {
    super(bytes);
    this.#start = this.rest;
  }

  /** `count` bytes that must be zero. */
  zero(count: number): void {
    if (this.bytes(count).some((byte) => byte !== 0)) this.refuse();
  }
  /** Goes to the next multiple of four; what is skipped must be zero. */
  align(): void {
    this.zero((4 - ((this.#start - this.rest) & 3)) & 3);
  }
  /** Nothing was missing, and what had to be zero was. */
  get isValid(): boolean {
    return this.isWhole;
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
