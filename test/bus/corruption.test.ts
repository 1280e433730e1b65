/** 200,000 damaged queues, half of them damaged by a second thread while they are read. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { ok as truthy } from 'uvu/assert';
import { CORRUPT, NOTHING } from '../../bus/message-queue/queue-end.js';
import {
  createQueue,
  formatQueue,
  QueueHeader,
  type QueueMode,
  readQueueShape,
} from '../../bus/message-queue/queue-layout.js';
import { QueueReceiver } from '../../bus/message-queue/queue-receiver.js';
import { QueueSender } from '../../bus/message-queue/queue-sender.js';
import { spec } from '../harness/spec.js';
import type { FlipperData } from './flipper.worker.js';

const test = spec('queue corruption');
const STATES = 100_000;
/** The damage of the second thread counts as met from here on; how long it may take on a machine with one processor. */
const MET_MIN = { corrupt: 100, messages: 1000 };
const EVIDENCE_MS_MAX = 90_000;
const QUEUE_AT = 4096;
const DEPTH = 5;
const MESSAGE_BYTES_MAX = 56;
const SLOTS = 8;
const SLOT_BYTES = slotBytes();
const QUEUE_BYTES = QueueHeader.sizeBytes + SLOTS * SLOT_BYTES;
const CANARY = 0xa5;
const LOCK_WORD = (QUEUE_AT + QueueHeader.offsets.lock) >> 2;
const FIELDS = [
  'tail',
  'head',
  'tail',
  'head',
  'headShared',
  'headShared',
  'notFullThreshold',
  'notEmptyThreshold',
  'tapped',
  'dataSleepers',
  'spaceSleepers',
] as const;

const seed = Number(process.env['SEED'] ?? 1);
let random = seed;
const draw = (below: number): number => ((random = (Math.imul(random, 1664525) + 1013904223) >>> 0) >>> 8) % below;

function slotBytes(): number {
  const shape = readQueueShape(createQueue({ depth: DEPTH, messageBytesMax: MESSAGE_BYTES_MAX, mode: 'single' }));
  if (!shape.ok) throw new Error('a new queue is not one');
  return shape.value.slotBytes;
}

/** What the readers and writers met; both kinds must occur, or the net tests nothing. */
interface Met {
  corrupt: number;
  messages: number;
}

/** Uses both ends for about two laps, checking that every answer stays inside the ring and within limits. */
function use(sender: QueueSender, receiver: QueueReceiver, met: Met): void {
  const into = new Uint8Array(MESSAGE_BYTES_MAX);
  for (let step = 0; step < 2 * SLOTS; step++) {
    const size = receiver.peek();
    if (size === CORRUPT) {
      met.corrupt++;
      break;
    }
    if (size === NOTHING) break;
    truthy(size >= 1 && size <= MESSAGE_BYTES_MAX, `size ${size}`);
    const { offset } = receiver;
    truthy(offset >= QueueHeader.sizeBytes && offset + size <= QUEUE_BYTES, `offset ${offset}`);
    receiver.copyOut(into);
    receiver.release();
    met.messages++;
  }
  for (let step = 0; step < 2 * SLOTS; step++) {
    const at = sender.reserve();
    if (at === CORRUPT) met.corrupt++;
    if (at < 0) break;
    truthy(at >= QueueHeader.sizeBytes && at + MESSAGE_BYTES_MAX <= QUEUE_BYTES, `reserved ${at}`);
    sender.bytes.fill(step, at, at + MESSAGE_BYTES_MAX);
    sender.stage(1 + draw(sender.messageBytesMax));
    sender.publish();
  }
}

function damage(words: Int32Array): void {
  for (let n = 1 + draw(4); n > 0; n--) {
    const field = QueueHeader.offsets[FIELDS[draw(FIELDS.length)] ?? 'tail'];
    const slot = QueueHeader.sizeBytes + draw(SLOTS) * SLOT_BYTES + 4 * draw(3);
    const at = (QUEUE_AT + (draw(2) === 0 ? field : slot)) >> 2;
    const old = words[at] ?? 0;
    words[at] = [old ^ (1 << draw(32)), old + draw(9) - 4, draw(0x1000000) * 251, draw(2) === 0 ? 0 : -1][draw(4)] ?? 0;
  }
}

function arena(): { buffer: SharedArrayBuffer; bytes: Uint8Array; words: Int32Array } {
  const buffer = new SharedArrayBuffer(3 * 4096);
  const bytes = new Uint8Array(buffer).fill(CANARY);
  return { buffer, bytes, words: new Int32Array(buffer) };
}

function canariesLive(bytes: Uint8Array): void {
  for (let i = 0; i < bytes.length; i++) {
    if (i === QUEUE_AT) i += QUEUE_BYTES;
    if (bytes[i] !== CANARY) throw new Error(`byte ${i - QUEUE_AT} from the queue's start was written`);
  }
}

/** Both ends; every other state has interrupt lines, whose receiver goes by the tail where others go by slots. */
function ends(buffer: SharedArrayBuffer, state: number) {
  const handle = { buffer, byteOffset: QUEUE_AT };
  const lines = state % 2 === 0 ? { signals } : {};
  const sender = QueueSender.attach(handle, { owner: 1, ...lines });
  const receiver = QueueReceiver.attach(handle, { owner: 2, ...lines });
  return sender.ok && receiver.ok ? { sender: sender.value, receiver: receiver.value } : undefined;
}
const signals = { data: () => undefined, space: () => undefined };

test(
  `${STATES} states damaged between uses: reported or harmless (seed ${seed})`,
  () => {
    const { buffer, bytes, words } = arena();
    const met: Met = { corrupt: 0, messages: 0 };
    for (let state = 0; state < STATES; state++) {
      const mode = (['single', 'fan-in', 'shared'] as const satisfies QueueMode[])[state % 3] ?? 'single';
      truthy(
        formatQueue({ buffer, byteOffset: QUEUE_AT }, { depth: DEPTH, messageBytesMax: MESSAGE_BYTES_MAX, mode }).ok,
      );
      const early = ends(buffer, state);
      truthy(early);
      for (let n = draw(DEPTH + 1); n > 0; n--) early.sender.send(bytes.subarray(0, 1 + draw(MESSAGE_BYTES_MAX)));
      damage(words);
      // Half of the ends attach before the damage, half after it, as those of a restarted actor do.
      const used = draw(2) === 0 ? early : (ends(buffer, state) ?? early);
      use(used.sender, used.receiver, met);
      if (state % 1000 === 0) canariesLive(bytes);
    }
    canariesLive(bytes);
    truthy(met.corrupt > STATES / 10 && met.messages > STATES / 2, JSON.stringify(met));
  },
  { deadlineMs: 200_000 },
);

test(
  `${STATES} states damaged by another thread while in use`,
  async () => {
    const { buffer, bytes } = arena();
    const stop = new SharedArrayBuffer(8);
    const from = QUEUE_AT >> 2;
    const data: FlipperData = { buffer, from, to: from + (QUEUE_BYTES >> 2), except: LOCK_WORD, stop };
    const worker = new Worker(new URL('./flipper.worker.js', import.meta.url), { workerData: data });
    await once(worker, 'message');
    const met: Met = { corrupt: 0, messages: 0 };
    const control = new Int32Array(stop);
    const until = Date.now() + EVIDENCE_MS_MAX;
    // How often damage falls into a use depends on how the machine runs the two threads: at least STATES states, then on
    // until both kinds of answer were met often enough to say that the net was cast.
    const evident = (): boolean => met.corrupt >= MET_MIN.corrupt && met.messages >= MET_MIN.messages;
    let state = 0;
    try {
      for (; state < STATES || (!evident() && Date.now() < until); state++) {
        const mode = (['single', 'fan-in', 'shared'] as const satisfies QueueMode[])[state % 3] ?? 'single';
        const handle = { buffer, byteOffset: QUEUE_AT };
        formatQueue(handle, { depth: DEPTH, messageBytesMax: MESSAGE_BYTES_MAX, mode });
        const pair = ends(buffer, state);
        if (pair === undefined) continue; // damaged before it could be attached, and refused
        for (let n = draw(DEPTH + 1); n > 0; n--) pair.sender.send(bytes.subarray(0, 1 + draw(MESSAGE_BYTES_MAX)));
        use(pair.sender, pair.receiver, met);
        pair.receiver.flush();
        readQueueShape(handle);
      }
    } finally {
      Atomics.store(control, 0, 1);
      await once(worker, 'exit');
    }
    canariesLive(bytes);
    process.stdout.write(`  ${state} states, ${Atomics.load(control, 1)} words damaged meanwhile\n`);
    truthy(evident(), `met too little in ${state} states: ${JSON.stringify(met)}`);
  },
  { deadlineMs: 200_000 },
);
test.run();
