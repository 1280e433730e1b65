/** What the start of an actor or a VM is compared with, and how memory is read. */
import { Worker } from 'node:worker_threads';

/** A Worker with nothing in it. */
export function bareWorker(): Worker {
  return new Worker(new URL('./actors/bare.worker.js', import.meta.url));
}

/** Milliseconds from starting one to its first answer. */
export async function bareWorkerMs(): Promise<number> {
  const started = performance.now();
  const worker = bareWorker();
  await new Promise((resolve) => {
    worker.once('message', resolve);
    worker.postMessage('first');
  });
  const took = performance.now() - started;
  await worker.terminate();
  return took;
}

/** Resident memory once it has stopped moving, in bytes. */
export async function settledRss(): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, 500));
  return process.memoryUsage.rss();
}
