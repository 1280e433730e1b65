/** Damages a piece of shared memory, word after word, until told to stop: the second thread of the corruption net. */
import { parentPort, workerData } from 'node:worker_threads';

/** What to damage: words `from` .. `to` of `buffer`, not `except`; word 0 of `stop` ends it. */
export interface FlipperData {
  readonly buffer: SharedArrayBuffer;
  readonly from: number;
  readonly to: number;
  readonly except: number;
  readonly stop: SharedArrayBuffer;
}

const { buffer, from, to, except, stop } = workerData as FlipperData;
const words = new Int32Array(buffer);
const stopped = new Int32Array(stop);
let random = 12345;
const draw = (): number => (random = (Math.imul(random, 1664525) + 1013904223) >>> 0) >>> 8;
parentPort?.postMessage('started');
while (Atomics.load(stopped, 0) === 0) {
  // Half of the damage goes to the header's busy words, where it hurts most.
  const header = [32, 64, 6, 7, 8][draw() % 5] ?? 0;
  const at = (draw() & 1) === 0 ? from + header : from + (draw() % (to - from));
  if (at === except) continue;
  if ((draw() & 1) === 0) words[at] = (words[at] ?? 0) ^ (1 << (draw() & 31));
  else words[at] = (draw() & 7) - 3;
  Atomics.add(stopped, 1, 1);
}
