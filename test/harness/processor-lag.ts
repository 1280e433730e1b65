/**
 * How long a thread of this process has to wait for a processor, from one moment to another: what a test takes into account
 * that measures times on a machine it does not have to itself. Two threads look, one of them the caller's.
 */
import { once } from 'node:events';
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { Worker } from 'node:worker_threads';

/** What the other thread is given: word 0 ends it, word 1 is the longest wait so far in microseconds. */
export interface LagData {
  readonly shared: SharedArrayBuffer;
}

const RESOLUTION_MS = 5;

/** See the file comment. */
export class ProcessorLag {
  readonly #words = new Int32Array(new SharedArrayBuffer(8));
  readonly #worker: Worker;
  readonly #loop: IntervalHistogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });

  private constructor() {
    const data: LagData = { shared: this.#words.buffer as SharedArrayBuffer };
    this.#worker = new Worker(new URL('./processor-lag.worker.js', import.meta.url), { workerData: data });
    this.#worker.unref();
    this.#loop.enable();
  }

  /** Starts looking. */
  static async start(): Promise<ProcessorLag> {
    const lag = new ProcessorLag();
    await once(lag.#worker, 'online');
    return lag;
  }

  /** From now on. */
  reset(): void {
    this.#loop.reset();
    Atomics.store(this.#words, 1, 0);
  }

  /** The longest wait of this thread's own timers since `reset`, in milliseconds. */
  get ownMs(): number {
    return Math.max(0, this.#loop.max / 1e6 - RESOLUTION_MS);
  }

  /** The longest wait of either thread since `reset`, in milliseconds. */
  get longestMs(): number {
    return Math.max(this.ownMs, Atomics.load(this.#words, 1) / 1000);
  }

  /** Stops looking. */
  async stop(): Promise<void> {
    this.#loop.disable();
    Atomics.store(this.#words, 0, 1);
    await this.#worker.terminate();
  }
}
