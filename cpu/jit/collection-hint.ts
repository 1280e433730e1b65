/**
 * Has V8 collect modules that are not in use any more. Their machine code, metadata and WebAssembly are freed with a collection of old objects, but
 * V8 counts next to nothing of them when it decides on one: a vCPU that makes little other garbage keeps several times its budget of dead code.
 * So it gets a weight to count (heap-pressure.ts), and the buffers that modules bring take the collection ahead.
 */
import { isHeapPressed, pressHeap } from './heap-pressure.js';

/** At least so much WebAssembly makes a collection worth its while. */
const WORTH_BYTES_MIN = 1 << 20;

/** See the head of this file. */
export class CollectionHint {
  readonly #worthBytes: number;
  #bytes = 0;
  #hasPressed = false;
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
    // Somebody else's collection takes these with it, or the next one does.
    if (isHeapPressed() && !this.#hasPressed) return;
    this.#hasPressed = true;
    this.#bytes = 0;
    this.count++;
    pressHeap();
  }
}
