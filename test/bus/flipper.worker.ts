/** Damages a piece of shared memory, word after word, until told to stop: the second thread of the corruption net. */
import { parentPort, workerData } from 'node:worker_threads';
import { QueueHeader } from '../../bus/message-queue/queue-layout.js';

/** What to damage: words `from` .. `to` of `buffer`, not `except`; word 0 of `stop` ends it. */
export interface FlipperData {
  readonly buffer: SharedArrayBuffer;
  readonly from: number;
  readonly to: number;
  readonly except: number;
  readonly stop: SharedArrayBuffer;
}

/** The header's busy words, where damage hurts most. */
const BUSY = (['tail', 'head', 'headShared', 'notFullThreshold', 'notEmptyThreshold', 'tapped'] as const).map(
  (name) => QueueHeader.offsets[name] >> 2,
);
const { buffer, from, to, except, stop } = workerData as FlipperData;
const words = new Int32Array(buffer);
const stopped = new Int32Array(stop);
let random = 12345;
const draw = (): number => (random = (Math.imul(random, 1664525) + 1013904223) >>> 0) >>> 8;
parentPort?.postMessage('started');
while (Atomics.load(stopped, 0) === 0) {
  const at = (draw() & 1) === 0 ? from + (BUSY[draw() % BUSY.length] ?? 0) : from + (draw() % (to - from));
  if (at === except) continue;
  if ((draw() & 1) === 0) words[at] = (words[at] ?? 0) ^ (1 << (draw() & 31));
  else words[at] = (draw() & 7) - 3;
  Atomics.add(stopped, 1, 1);
}
