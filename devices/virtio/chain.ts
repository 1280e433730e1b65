/**
 * A chain of buffers a driver made available, after its descriptors were read once and checked: segments of guest memory,
 * those the device reads first, then those it writes (V1.2, 2.7.4.2). Offsets count bytes of the one or the other part.
 * All methods are for use inside the device's window; whether the segments are the guest's memory shows on use.
 */
import type { GuestWindow } from '../../actors/shared-state/guest-window/guest-window.js';
import { STAGE2_RIGHTS } from '../../actors/shared-state/stage2/stage2-map.js';

/** Segments of one chain, at most. */
export const SEGMENTS_MAX = 1024;

/** See the head of this file. Made once per queue and filled anew for every chain. */
export class Chain {
  /** Descriptor the chain starts with. */
  head = 0;
  /** Bytes the device may read, and bytes it may write. */
  readableBytes = 0;
  writableBytes = 0;
  readonly #window: GuestWindow;
  readonly #addresses = new Float64Array(SEGMENTS_MAX);
  readonly #lengths = new Float64Array(SEGMENTS_MAX);
  #count = 0;
  #readable = 0;

  constructor(window: GuestWindow) {
    this.#window = window;
  }

  /** Starts anew, for the chain at descriptor `head`. */
  begin(head: number): void {
    this.head = head;
    this.readableBytes = 0;
    this.writableBytes = 0;
    this.#count = 0;
    this.#readable = 0;
  }

  /** Adds a segment; false when there are too many, or one to read comes behind one to write. */
  add(address: number, lengthBytes: number, writable: boolean): boolean {
    if (this.#count === SEGMENTS_MAX) return false;
    if (writable) this.writableBytes += lengthBytes;
    else {
      if (this.#readable !== this.#count) return false;
      this.#readable++;
      this.readableBytes += lengthBytes;
    }
    this.#addresses[this.#count] = address;
    this.#lengths[this.#count++] = lengthBytes;
    return true;
  }

  /** Copies `into.byteLength` readable bytes from `offset` on; false when there are fewer, or some are not readable. */
  read(offset: number, into: Uint8Array): boolean {
    if (offset + into.byteLength > this.readableBytes) return false;
    return this.#each(0, this.#readable, offset, into.byteLength, (address, at, bytes) =>
      this.#window.copyOut(address, into.subarray(at, at + bytes)),
    );
  }

  /** Copies `from` to the writable bytes from `offset` on; false when there are fewer, or some are not writable. */
  write(offset: number, from: Uint8Array): boolean {
    if (offset + from.byteLength > this.writableBytes) return false;
    return this.#each(this.#readable, this.#count, offset, from.byteLength, (address, at, bytes) =>
      this.#window.copyIn(address, from.subarray(at, at + bytes)),
    );
  }

  /** Views of `bytes` readable bytes from `offset` on, in order; undefined when refused. Good for this turn. */
  readable(offset: number, bytes: number): Uint8Array[] | undefined {
    if (offset + bytes > this.readableBytes) return undefined;
    return this.#views(0, this.#readable, offset, bytes, STAGE2_RIGHTS.read);
  }

  /** Views of `bytes` writable bytes from `offset` on, as {@link readable}. */
  writable(offset: number, bytes: number): Uint8Array[] | undefined {
    if (offset + bytes > this.writableBytes) return undefined;
    return this.#views(this.#readable, this.#count, offset, bytes, STAGE2_RIGHTS.write);
  }

  #views(from: number, to: number, offset: number, bytes: number, rights: number): Uint8Array[] | undefined {
    const views: Uint8Array[] = [];
    const all = this.#each(from, to, offset, bytes, (address, _at, length) =>
      this.#window.runs(address, length, rights, views),
    );
    return all ? views : undefined;
  }

  /** Calls `act` for the pieces of `[offset, offset + bytes)` of segments `from` to `to`. */
  #each(
    from: number,
    to: number,
    offset: number,
    bytes: number,
    act: (address: number, at: number, bytes: number) => boolean,
  ): boolean {
    let skip = offset;
    let done = 0;
    for (let i = from; i < to && done < bytes; i++) {
      const length = this.#lengths[i] ?? 0;
      if (skip >= length) {
        skip -= length;
        continue;
      }
      const part = Math.min(length - skip, bytes - done);
      if (!act((this.#addresses[i] ?? 0) + skip, done, part)) return false;
      done += part;
      skip = 0;
    }
    return done === bytes;
  }
}
