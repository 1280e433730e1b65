/** The bus under load across real threads: 20 million raw and 1 million packed messages, eight producers, killed producers. */
import { once } from 'node:events';
import { equal, ok as truthy } from 'uvu/assert';
import { createStructureTable } from '../../bus/codec/structure-table.js';
import { recoverQueue } from '../../bus/message-queue/queue-core.js';
import { NOTHING } from '../../bus/message-queue/queue-end.js';
import { createQueue } from '../../bus/message-queue/queue-layout.js';
import { QueueReceiver } from '../../bus/message-queue/queue-receiver.js';
import { QueueSender } from '../../bus/message-queue/queue-sender.js';
import { spec } from '../harness/spec.js';
import { packedNet, SHIPPED, streamNet, stressThread, wakeNet } from './nets.js';

const test = spec('bus reliability');
// Far more than a free machine needs: with other work beside them two spinning threads may get a tenth of a processor.
const deadline = { deadlineMs: 500_000 };
const run = { pauseEvery: 50_000, spins: 500, deadlineMs: 450_000 };

test(
  '10 million messages, one by one, through a queue of 7 that is mostly full',
  async () => {
    await streamNet({ ...run, mode: 'single', depth: 7, producers: 1, count: 10_000_000, batch: 1 });
  },
  deadline,
);

test(
  '6 million messages in batches through a queue of 100',
  async () => {
    await streamNet({ ...run, mode: 'single', depth: 100, producers: 1, count: 6_000_000, batch: 24 });
  },
  deadline,
);

test(
  '4 million messages of 8 producers into one mailbox',
  async () => {
    await streamNet({ ...run, mode: 'fan-in', depth: 64, producers: 8, count: 500_000, batch: 1 });
  },
  deadline,
);

test(
  'a shared queue under one lock',
  async () => {
    await streamNet({ ...run, mode: 'shared', depth: 9, producers: 3, count: 50_000, batch: 1 });
  },
  deadline,
);

test(
  '1 million packed messages of changing shapes, through small and large slots',
  async () => {
    await packedNet(createStructureTable(), 900_000, 240);
    await packedNet(createStructureTable(), 100_000, 4096);
  },
  deadline,
);

test(
  '20,000 round trips of sleeping threads lose no waking',
  async () => {
    await wakeNet(SHIPPED, 20_000, 60_000);
  },
  deadline,
);

test(
  'a producer killed half way through a message has published nothing and blocks nobody for good',
  async () => {
    for (const batch of [1, 2]) {
      const queue = createQueue({ depth: 4, messageBytesMax: 60, mode: 'fan-in' });
      const common = { base: SHIPPED, queue, producers: 1, count: 0, pauseEvery: 1, spins: 0 };
      const worker = stressThread({ ...common, role: 'die', id: 7, batch });
      await once(worker, 'message');
      await worker.terminate();
      const receiver = QueueReceiver.attach(queue, { owner: 2 });
      const sender = QueueSender.attach(queue, { owner: 3 });
      truthy(receiver.ok && sender.ok);
      equal(receiver.value.peek(), NOTHING);
      equal(recoverQueue(queue, 8), false, 'somebody else did not hold the lock');
      equal(recoverQueue(queue, 7), true, 'the dead producer held the lock');
      truthy(sender.value.send(new Uint8Array([1, 2, 3])).ok);
      equal(receiver.value.peek(), 3);
      receiver.value.release();
      equal(receiver.value.peek(), NOTHING);
    }
  },
  deadline,
);

test(
  '30 producers killed at any point: what they published is whole and in order, the others go on',
  async () => {
    const queue = createQueue({ depth: 16, messageBytesMax: 60, mode: 'fan-in' });
    const common = { base: SHIPPED, queue, producers: 1, count: 0, pauseEvery: 1, spins: 0, batch: 1 };
    const receiver = QueueReceiver.attach(queue, { owner: 1000 });
    truthy(receiver.ok);
    const words = new Int32Array(queue.buffer);
    const next = new Map<number, number>();
    const drainFor = async (ms: number): Promise<number> => {
      let got = 0;
      for (const end = performance.now() + ms; performance.now() < end; ) {
        for (let k = 0; k < 1000; k++) {
          const size = receiver.value.next(0, 1);
          if (size === NOTHING) break;
          equal(size, 60);
          const from = receiver.value.offset >> 2;
          const id = words[from] ?? 0;
          const n = words[from + 1] ?? 0;
          if (n !== (next.get(id) ?? 0)) throw new Error(`message ${n} of ${id} came in place of ${next.get(id)}`);
          for (let i = 2; i < 15; i++) {
            if (words[from + i] !== (Math.imul(n + i, 0x9e3779b1) ^ (id << 24)))
              throw new Error(`message ${n} is torn`);
          }
          next.set(id, n + 1);
          receiver.value.take();
          got++;
        }
        receiver.value.free();
        await new Promise((resolve) => setImmediate(resolve));
      }
      return got;
    };
    const survivor = stressThread({ ...common, role: 'send-forever', id: 100 });
    await once(survivor, 'message');
    let recovered = 0;
    for (let id = 1; id <= 30; id++) {
      const victim = stressThread({ ...common, role: 'send-forever', id });
      await once(victim, 'message');
      await drainFor(5 + (id % 7));
      await victim.terminate();
      if (recoverQueue(queue, id)) recovered++;
      const before = next.get(100) ?? 0;
      await drainFor(5);
      for (let tries = 0; (next.get(100) ?? 0) === before && tries < 100; tries++) await drainFor(10);
      truthy((next.get(100) ?? 0) > before, `producer 100 stands still after ${id} was killed`);
    }
    await survivor.terminate();
    process.stdout.write(`  ${recovered} of 30 were killed inside the lock\n`);
  },
  deadline,
);
test.run();
