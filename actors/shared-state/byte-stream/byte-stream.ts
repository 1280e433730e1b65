/**
 * A stream of bytes in shared memory: a ring with one reader and writers that exclude each other by other means (a device's
 * lock). The writer publishes by `tail`, the reader frees by `head`; both count bytes modulo 2^32. Sleepers on either side
 * use the two parking places.
 */
import { assert } from '../../../bus/assert.js';
import { Parking } from '../../../bus/doorbell/parking.js';

const WORD = {
  head: 0,
  tail: 1,
  closed: 2,
  dataSleepers: 16,
  dataWakeups: 17,
  roomSleepers: 32,
  roomWakeups: 33,
} as const;
const HEAD_BYTES = 192;

/** Shared memory for a stream of `capacity` bytes (a power of two). */
export function createByteStream(capacity: number): SharedArrayBuffer {
  assert(capacity >= 16 && (capacity & (capacity - 1)) === 0, 'a byte stream holds a power of two');
  return new SharedArrayBuffer(HEAD_BYTES + capacity);
}

/** One thread's view of a stream. */
export class ByteStream {
  /** Where the reader sleeps. */
  readonly data: Parking;
  /** Where writers sleep. */
  readonly space: Parking;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;

  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory, 0, HEAD_BYTES / 4);
    this.#bytes = new Uint8Array(memory, HEAD_BYTES);
    this.data = new Parking(this.#words, WORD.dataSleepers);
    this.space = new Parking(this.#words, WORD.roomSleepers);
  }

  /** Bytes that can be read. */
  get length(): number {
    const length = (Atomics.load(this.#words, WORD.tail) - Atomics.load(this.#words, WORD.head)) >>> 0;
    return Math.min(length, this.#bytes.length);
  }
  /** Bytes that can be written. */
  get room(): number {
    return this.#bytes.length - this.length;
  }
  /** Whether the writer has said that nothing more comes. */
  get closed(): boolean {
    return Atomics.load(this.#words, WORD.closed) !== 0;
  }

  /** Writes one byte; false when full. Wakes nobody: see {@link announce}. */
  push(byte: number): boolean {
    if (this.room === 0) return false;
    const tail = Atomics.load(this.#words, WORD.tail);
    this.#bytes[(tail >>> 0) & (this.#bytes.length - 1)] = byte;
    Atomics.store(this.#words, WORD.tail, (tail + 1) | 0);
    return true;
  }
  /** Wakes the reader. */
  announce(): void {
    this.data.unpark();
  }
  /** Writes as much of `bytes` as fits and wakes the reader; answers how many. */
  write(bytes: Uint8Array): number {
    const count = Math.min(bytes.length, this.room);
    const tail = Atomics.load(this.#words, WORD.tail);
    const mask = this.#bytes.length - 1;
    for (let i = 0; i < count; i++) this.#bytes[((tail + i) >>> 0) & mask] = bytes[i] ?? 0;
    Atomics.store(this.#words, WORD.tail, (tail + count) | 0);
    if (count > 0) this.announce();
    return count;
  }
  /** Takes up to `max` bytes and wakes writers. */
  read(max = this.#bytes.length): Uint8Array {
    const count = Math.min(max, this.length);
    const head = Atomics.load(this.#words, WORD.head);
    const mask = this.#bytes.length - 1;
    const taken = new Uint8Array(count);
    for (let i = 0; i < count; i++) taken[i] = this.#bytes[((head + i) >>> 0) & mask] ?? 0;
    Atomics.store(this.#words, WORD.head, (head + count) | 0);
    if (count > 0) this.space.unpark();
    return taken;
  }
  /** Nothing more will be written. */
  close(): void {
    Atomics.store(this.#words, WORD.closed, 1);
    this.announce();
  }
}
