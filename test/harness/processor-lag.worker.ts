/** A thread that wants a processor for a moment every two milliseconds and notes how long it was kept waiting for one. */
import { workerData } from 'node:worker_threads';
import type { LagData } from './processor-lag.js';

const NAP_MS = 2;

// WHY: workerData is untyped; processor-lag.ts alone starts this worker.
const words = new Int32Array((workerData as LagData).shared);
const nap = new Int32Array(new SharedArrayBuffer(4));
while (Atomics.load(words, 0) === 0) {
  const started = performance.now();
  Atomics.wait(nap, 0, 0, NAP_MS);
  const lateUs = Math.round((performance.now() - started - NAP_MS) * 1000);
  if (lateUs > Atomics.load(words, 1)) Atomics.store(words, 1, lateUs);
}
