/**
 * The first collection of old objects in the heap of a vCPU's thread, made while the vCPU is young. V8 begins one once old objects are some megabytes more than they
 * were when few of the young ones survived, which is at any time in a thread's first minutes; afterwards it lets them grow to several times what they are. So it is
 * asked for early, by a weight on it (cpu/jit/heap-pressure.ts).
 */
import { isHeapPressed, pressHeap, releaseHeap } from '../../cpu/jit/heap-pressure.js';

/**
 * While there is that much, V8 goes on with the collection whenever there is a little more, for some milliseconds each time. It would else do so as the thread allocates,
 * which takes seconds. So there is a little more every so many milliseconds, for the rest of the time that it has.
 */
const STEP = { bytes: 4096, everyMs: 10 } as const;
/** It has so long before the vCPU is old. */
export const COLLECTION_MS = 1_500;

/** See the head of this file. */
export class OwnHeap {
  /** Small buffers, while the weight is there. */
  readonly #steps: ArrayBuffer[] = [];
  #nextMs = Number.NEGATIVE_INFINITY;
  #isDone = false;

  /** Goes on with it: it is to be done `leftMs` milliseconds after `nowMs`, when this lets go of the memory. */
  collects(nowMs: number, leftMs: number): void {
    if (this.#isDone || leftMs > COLLECTION_MS) return;
    this.#isDone = leftMs <= 0;
    if (this.#isDone) {
      this.#steps.length = 0;
      releaseHeap();
    } else if (nowMs >= this.#nextMs) {
      this.#nextMs = nowMs + STEP.everyMs;
      if (!isHeapPressed()) pressHeap();
      this.#steps.push(new ArrayBuffer(STEP.bytes));
    }
  }

  /** Whether it has begun and let go again. */
  get isDone(): boolean {
    return this.#isDone;
  }
}
