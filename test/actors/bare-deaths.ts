/** How long Node itself takes to end a thread and say so: what the supervisor's own time is measured against. */
import { Worker } from 'node:worker_threads';
import { hostNowMs } from '../../actors/runtime/host-services.js';
import type { BareVictimData } from '../fixtures/actors/bare-victim.worker.js';
import type { Way } from '../fixtures/actors/ways-to-die.js';

const WAYS: readonly Way[] = ['throw', 'exit', 'heap'];
const REPEATS = 5;

/** Milliseconds from a bare worker's last move to its 'exit' event: the median of the slowest way. */
export async function slowestBareDeathMs(heapMegabytesMax: number): Promise<number> {
  const medians: number[] = [];
  for (const way of WAYS) {
    const delays: number[] = [];
    for (let repeat = 0; repeat < REPEATS; repeat++) {
      const board = new SharedArrayBuffer(4);
      const data: BareVictimData = { way, board, epochMs: hostNowMs() };
      const worker = new Worker(new URL('../fixtures/actors/bare-victim.worker.js', import.meta.url), {
        workerData: data,
        resourceLimits: { maxOldGenerationSizeMb: heapMegabytesMax, maxYoungGenerationSizeMb: 16 },
        stderr: true,
      });
      worker.on('error', () => undefined);
      await new Promise((resolve) => worker.once('exit', resolve));
      delays.push(hostNowMs() - data.epochMs - (new Int32Array(board)[0] ?? 0));
    }
    medians.push(delays.sort((a, b) => a - b)[REPEATS >> 1] ?? 0);
  }
  return Math.max(...medians);
}
