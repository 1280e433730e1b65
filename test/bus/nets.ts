/** The stress nets: whole runs of threads over one queue. They fail by throwing, also when nothing moves any more. */
import { Worker } from 'node:worker_threads';
import {
  createQueue,
  headOffset,
  type QueueHandle,
  QueueHeader,
  type QueueMode,
  readQueueShape,
} from '../../bus/message-queue/queue-layout.js';
import type { StressData } from './stress.worker.js';

/** The shipped code. */
export const SHIPPED = new URL('../../bus/', import.meta.url).href;

/** Starts one stress thread. */
export function stressThread(data: StressData): Worker {
  return new Worker(new URL('./stress.worker.js', import.meta.url), { workerData: data });
}

/** Settles when the thread has done its work; fails with its error. */
function done(worker: Worker): Promise<void> {
  return new Promise((resolve, reject) => {
    worker.on('message', (message) => {
      if (message === 'done') resolve();
    });
    worker.on('error', reject);
    worker.on('exit', () => reject(new Error('thread ended early')));
  });
}

/** Runs threads to their end; kills them all when one fails or `deadlineMs` passes. */
async function together(threads: readonly StressData[], deadlineMs: number): Promise<void> {
  const workers = threads.map(stressThread);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing came of it within ${deadlineMs} ms`)), deadlineMs);
  });
  try {
    await Promise.race([Promise.all(workers.map(done)), late]);
  } finally {
    clearTimeout(timer);
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

/** One run of producers into one receiver. */
export interface StreamNet {
  readonly base?: string;
  readonly mode: QueueMode;
  readonly depth: number;
  readonly producers: number;
  /** Messages per producer. */
  readonly count: number;
  readonly pauseEvery: number;
  readonly batch: number;
  readonly spins: number;
  readonly deadlineMs: number;
}

/** Every message arrives once, in order per producer, with every word right. Indices start just below 2^32. */
export async function streamNet(net: StreamNet): Promise<void> {
  const { base = SHIPPED, mode, depth, producers, deadlineMs } = net;
  const queue = createQueue({ depth, messageBytesMax: 60, mode });
  startAt(queue, -1000);
  const common = { ...net, base, queue };
  const senders = Array.from({ length: producers }, (_, i) => ({ ...common, role: 'send' as const, id: i + 1 }));
  await together([...senders, { ...common, role: 'receive', id: producers + 1 }], deadlineMs);
}

/** Two threads that sleep between messages: no waking is lost. */
export function wakeNet(base: string, count: number, deadlineMs: number): Promise<void> {
  const specification = { depth: 4, messageBytesMax: 8, mode: 'single' } as const;
  const common = { base, queue: createQueue(specification), back: createQueue(specification), producers: 1, count };
  const rest = { pauseEvery: 1, batch: 1, spins: 0 };
  const threads = (['ping', 'pong'] as const).map((role, i) => ({ ...common, ...rest, role, id: i + 1 }));
  return together(threads, deadlineMs);
}

/** A million objects of changing shapes through the codec. */
export function packedNet(shapes: SharedArrayBuffer, count: number, messageBytesMax: number): Promise<void> {
  const queue = createQueue({ depth: 100, messageBytesMax, mode: 'single' });
  const common = { base: SHIPPED, queue, shapes, producers: 1, count, pauseEvery: 20_000, batch: 1, spins: 2000 };
  const threads = (['send-packed', 'receive-packed'] as const).map((role, i) => ({ ...common, role, id: i + 1 }));
  return together(threads, 450_000);
}

/** Makes an unused queue look as if so many messages had passed: its indices, and in every slot the number it carried last. */
export function startAt(queue: QueueHandle, index: number): void {
  const shape = readQueueShape(queue);
  if (!shape.ok) throw new Error(shape.error.at);
  const { slotCount, slotBytes } = shape.value;
  const view = new DataView(queue.buffer, queue.byteOffset);
  for (const at of [QueueHeader.offsets.tail, headOffset(shape.value.mode)]) view.setInt32(at, index, true);
  for (let number = index - slotCount; number < index; number++) {
    view.setInt32(QueueHeader.sizeBytes + (number & (slotCount - 1)) * slotBytes, number + 1, true);
  }
}
