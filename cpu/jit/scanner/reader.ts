/**
 * Reads the binary format's integers (WebAssembly core specification, section 5.2.2). A reader never throws: past the
 * end, or on an encoding longer than its type allows, it sets `failed` and answers 0; whoever reads checks `failed`
 * before believing anything.
 */
export class Reader {
  readonly bytes: Uint8Array;
  position = 0;
  /** Reading must not go past this offset. */
  limit: number;
  failed = false;
  /** High half of the last {@link s64}. */
  high = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.limit = bytes.length;
  }

  /** One byte. */
  byte(): number {
    const value = this.bytes[this.position];
    if (value === undefined || this.position >= this.limit) {
      this.failed = true;
      return 0;
    }
    this.position++;
    return value;
  }

  /** An unsigned 32-bit number. */
  u32(): number {
    const first = this.byte();
    if (first < 0x80) return first;
    let value = first & 0x7f;
    for (let shift = 7; shift <= 28; shift += 7) {
      const next = this.byte();
      if (shift === 28 && next > 0x0f) break;
      value |= (next & 0x7f) << shift;
      if (next < 0x80) return value >>> 0;
    }
    this.failed = true;
    return 0;
  }

  /** A signed 32-bit number. */
  s32(): number {
    let value = 0;
    for (let shift = 0; shift <= 28; shift += 7) {
      const next = this.byte();
      value |= (next & 0x7f) << shift;
      if (next >= 0x80) continue;
      if (shift === 28) {
        // Of the fifth byte only four bits belong to the number; the others must repeat its sign.
        if ((next & 0x78) !== 0 && (next & 0x78) !== 0x78) break;
        return value;
      }
      return (next & 0x40) === 0 ? value : value | (-1 << (shift + 7));
    }
    this.failed = true;
    return 0;
  }

  /** A signed 64-bit number: answers its low half (as int32), leaves the high half in `high`. */
  s64(): number {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift <= 63; shift += 7) {
      const next = this.byte();
      const bits = next & 0x7f;
      if (shift < 32) {
        low |= bits << shift;
        if (shift === 28) high |= bits >> 4;
      } else high |= bits << (shift - 32);
      if (next >= 0x80) continue;
      if (shift === 63) {
        if (next !== 0 && next !== 0x7f) break;
      } else if ((next & 0x40) !== 0) {
        const filled = shift + 7;
        if (filled < 32) {
          low |= -1 << filled;
          high = -1;
        } else high |= -1 << (filled - 32);
      }
      this.high = high;
      return low;
    }
    this.failed = true;
    this.high = 0;
    return 0;
  }

  /** Passes over `count` bytes. */
  skip(count: number): void {
    if (count > this.limit - this.position) this.failed = true;
    else this.position += count;
  }

  /** A name of up to 64 ASCII characters. */
  name(): string {
    const length = this.u32();
    if (length > 64) this.failed = true;
    let text = '';
    for (let i = 0; i < length && !this.failed; i++) text += String.fromCharCode(this.byte());
    return text;
  }
}
