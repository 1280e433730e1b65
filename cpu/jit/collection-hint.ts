/**
 * Has V8 collect modules that are not in use any more. Their machine code, metadata and WebAssembly are freed with a collection of old objects, but
 * V8 counts next to nothing of them when it decides on one: a vCPU that makes little other garbage keeps several times its budget of dead code.
 *
 * What V8 does count are the bytes of array buffers. One that is larger than it lets all of them grow between two collections begins one;
 * and while it is there each further buffer, of which a module brings many, takes it a step of some milliseconds ahead. Never touched, it takes no
 * memory.
 */

/** V8 lets buffers grow by 64 MiB (its kExternalAllocationSoftLimit). A C library's allocator maps so much, all of it zeroes that are not there. */
const PRESSURE_BYTES = 72 << 20;
/** At least so much WebAssembly makes a collection worth its while. */
const WORTH_BYTES_MIN = 1 << 20;

/** See the head of this file. */
export class CollectionHint {
  readonly #worthBytes: number;
  #bytes = 0;
  /** The buffer that counts, until the next one. */
  readonly #pressure: ArrayBuffer[] = [];
  /** Collections asked for. */
  count = 0;

  /** @param worthBytes so much WebAssembly that is not in use any more is to be collected, within limits */
  constructor(worthBytes: number) {
    this.#worthBytes = Math.max(worthBytes, WORTH_BYTES_MIN);
  }

  /** `bytes` of WebAssembly are not in use any more. */
  note(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Asks for a collection if there is enough to collect. Takes some 20 us then, and steps of the collection follow. */
  give(): void {
    if (this.#bytes < this.#worthBytes) return;
    this.#bytes = 0;
    this.count++;
    this.#pressure[0] = new ArrayBuffer(PRESSURE_BYTES);
  }
}
