/** What two threads of Node do with each other: a MessagePort, and bare words that wake a sleeper. Between turns both sleep. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { createQueue } from '../../bus/message-queue/queue-layout.js';
import type { EchoData, EchoJob } from '../bus/echo.worker.js';
import { bareRestedAsk, bareSleepAsk } from '../bus/rtt-loops.js';
import { nowNs } from '../measure.js';
import { askThread } from '../placement.js';

/** See the file comment. */
export class ThreadPeers {
  readonly #worker: Worker;
  readonly #bare: SharedArrayBuffer;
  /** The host's thread of the far side; undefined where that cannot be told. */
  readonly thread: number | undefined;

  private constructor(worker: Worker, bare: SharedArrayBuffer, thread: number | undefined) {
    this.thread = thread;
    this.#worker = worker;
    this.#bare = bare;
  }

  static async start(): Promise<ThreadPeers> {
    const unused = { depth: 1, messageBytesMax: 1, mode: 'single' } as const;
    const workerData: EchoData = {
      ...{ there: createQueue(unused), back: createQueue(unused) },
      bare: new SharedArrayBuffer(4096),
    };
    const worker = new Worker(new URL('../bus/echo.worker.js', import.meta.url), { workerData });
    const thread = await askThread(worker, { kind: 'thread', sizeBytes: 0, spins: 0 } satisfies EchoJob);
    return new ThreadPeers(worker, workerData.bare, thread);
  }

  /** Round trips of `sizeBytes` over a MessagePort for `ms` milliseconds, in nanoseconds. */
  async port(ms: number, sizeBytes: number): Promise<number[]> {
    const message = new Uint8Array(sizeBytes);
    const samples: number[] = [];
    const end = nowNs() + ms * 1e6;
    for (let from = nowNs(); from < end; ) {
      const answered = new Promise((resolve) => this.#worker.once('message', resolve));
      this.#worker.postMessage(message);
      await answered;
      const now = nowNs();
      samples.push(now - from);
      from = now;
    }
    return samples;
  }

  /** Round trips of two threads that sleep in Atomics.wait until the other one has answered, in nanoseconds. */
  async wakes(ms: number, sizeBytes: number): Promise<number[]> {
    await this.#sleeps(sizeBytes);
    return bareSleepAsk(this.#bare, ms, sizeBytes);
  }
  /** The same, `count` of them, when both threads have slept for `restMs` milliseconds before each. */
  async restedWakes(count: number, restMs: number, sizeBytes: number): Promise<number[]> {
    await this.#sleeps(sizeBytes);
    return bareRestedAsk(this.#bare, count, restMs, sizeBytes);
  }
  async #sleeps(sizeBytes: number): Promise<void> {
    new Int32Array(this.#bare).fill(0);
    const ready = once(this.#worker, 'message');
    this.#worker.postMessage({ kind: 'sleep', sizeBytes, spins: 0 } satisfies EchoJob);
    await ready;
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}
