/**
 * Touches memory that a booting kernel and its first processor are about to use, before they do, from a thread that has time for it: who touches
 * memory first waits for the kernel (and, in a virtual machine, for its host) to make it. See docs/adr/0315.
 */

/** Memory that is in use soon: byte addresses. */
export interface SoonUsed {
  readonly at: number;
  readonly bytes: number;
}

/** What is backed by pages of this size is made all at once. */
const PIECE_BYTES = 2 << 20;
/** Between two pieces: what this thread is for goes first, and what is touched too long before is better left to whoever needs a processor. */
const PAUSE_MS = 5;
/** A touch that took longer made something. */
const MADE_MS = 0.05;

/** What a kernel's boot uses behind its images, and at the end of memory, where Linux keeps its table of frames; smaller memories may not have that much. */
const BEHIND_IMAGES_BYTES = 24 << 20;
const MEMORY_END_BYTES = 10 << 20;
const RAM_BYTES_MIN = 256 << 20;
/** Records of code that a boot makes, from the beginning of the first processor's arena on, while it runs for a second. */
const RECORDS_BYTES = 24 << 20;

/** What a Linux kernel is about to use of `ram`, in which its images end at `imagesEnd`. */
export function soonUsedByKernel({ at, bytes }: SoonUsed, imagesEnd: number): SoonUsed[] {
  const last = at + bytes - MEMORY_END_BYTES;
  if (bytes < RAM_BYTES_MIN || imagesEnd > last) return [];
  return [
    { at: imagesEnd, bytes: Math.min(BEHIND_IMAGES_BYTES, last - imagesEnd) },
    { at: last, bytes: MEMORY_END_BYTES },
  ];
}

/** What a processor is about to use of its arena. */
export function soonUsedByProcessor({ at, bytes }: SoonUsed): SoonUsed {
  return { at, bytes: Math.min(RECORDS_BYTES, bytes) };
}

/** See the head of this file. */
export class TouchAhead {
  readonly #words: Int32Array;
  /** Addresses, one in each piece: the first of all ranges, then the second. */
  readonly #places: readonly number[];
  #next = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(memory: WebAssembly.Memory, ranges: readonly SoonUsed[]) {
    this.#words = new Int32Array(memory.buffer);
    const places: (readonly [nth: number, at: number])[] = [];
    for (const { at, bytes } of ranges) {
      for (let nth = 0; nth * PIECE_BYTES < bytes; nth++) places.push([nth, at + nth * PIECE_BYTES]);
    }
    this.#places = places.sort(([a], [b]) => a - b).map(([, at]) => at);
  }

  /** Begins; what the process is for does not wait for it. */
  begin(): void {
    const touchNext = (): void => {
      let tookMs = 0;
      while (tookMs < MADE_MS && this.#next < this.#places.length) tookMs = this.#touch(this.#places[this.#next++]!);
      if (this.#next < this.#places.length) this.#timer = setTimeout(touchNext, PAUSE_MS).unref();
    };
    touchNext();
  }

  /** Touches nothing any more. */
  end(): void {
    clearTimeout(this.#timer);
    this.#next = this.#places.length;
  }

  /** Milliseconds that it took. The guest may be at work there: what is written is what is there. */
  #touch(at: number): number {
    const begun = performance.now();
    Atomics.or(this.#words, at >>> 2, 0);
    return performance.now() - begun;
  }
}
