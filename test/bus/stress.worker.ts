/**
 * One thread of the stress nets. It loads the queue's code from `base`, so that the same nets run on the shipped code and on
 * copies with a bug in them.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { Codec } from '../../bus/codec/codec.js';
import type { QueueHandle } from '../../bus/message-queue/queue-layout.js';
import type { QueueReceiver } from '../../bus/message-queue/queue-receiver.js';
import type { QueueSender } from '../../bus/message-queue/queue-sender.js';

/** What a thread does. */
export interface StressData {
  /** URL of the folder `bus/` to test. */
  readonly base: string;
  readonly role: 'send' | 'receive' | 'send-packed' | 'receive-packed' | 'ping' | 'pong' | 'die' | 'send-forever';
  readonly queue: QueueHandle;
  /** Second queue of ping and pong; shapes of the packed roles. */
  readonly back?: QueueHandle;
  readonly shapes?: SharedArrayBuffer;
  /** Owner id of this thread; senders are 1 .. producers. */
  readonly id: number;
  readonly producers: number;
  /** Messages per producer. */
  readonly count: number;
  /** Pauses: about one in so many messages. */
  readonly pauseEvery: number;
  /** Messages published together. */
  readonly batch: number;
  readonly spins: number;
}

const data = workerData as StressData;
const port = parentPort;
if (port === null) throw new Error('runs as a worker');
const load = async <T>(file: string): Promise<T> => (await import(new URL(file, data.base).href)) as T;
const { QueueSender: Sender } = await load<{ QueueSender: typeof QueueSender }>('message-queue/queue-sender.js');
const { QueueReceiver: Receiver } = await load<{ QueueReceiver: typeof QueueReceiver }>(
  'message-queue/queue-receiver.js',
);
const attach = <T>(result: { ok: true; value: T } | { ok: false; error: unknown }): T => {
  if (!result.ok) throw new Error(`does not attach: ${JSON.stringify(result.error)}`);
  return result.value;
};
const sleeper = new Int32Array(new SharedArrayBuffer(4));
let random = data.id * 7919 + 17;
/** Sometimes sleeps for up to 2 ms, sometimes burns a little time. */
function maybePause(): void {
  random = (Math.imul(random, 1664525) + 1013904223) >>> 0;
  const draw = random >>> 8;
  if (draw % data.pauseEvery !== 0) return;
  if ((draw & 0x100) === 0) Atomics.wait(sleeper, 0, 0, 1 + (draw & 1));
  else for (let i = 0; i < 2000; i++) Atomics.load(sleeper, 0);
}

/** Words of message `n` of producer `id`: sender, number, then words that depend on both; 12 .. 60 bytes. */
const wordsOf = (n: number): number => 3 + (n % 13);
const word = (id: number, n: number, i: number): number => Math.imul(n + i, 0x9e3779b1) ^ (id << 24);

/** Writes message `n` to the words from `to` on. */
function fill(words: Int32Array, to: number, n: number): void {
  words[to] = data.id;
  words[to + 1] = n;
  for (let i = 2; i < wordsOf(n); i++) words[to + i] = word(data.id, n, i);
}

function send(sender: QueueSender): void {
  const words = new Int32Array(sender.bytes.buffer, sender.bytes.byteOffset, sender.bytes.byteLength >> 2);
  const whole = new Int32Array(wordsOf(12));
  for (let n = 0; n < data.count; ) {
    // One in three goes the way of messages that lie elsewhere.
    if (data.batch === 1 && n % 3 === 0) {
      fill(whole, 0, n);
      const message = new Uint8Array(whole.buffer, 0, wordsOf(n) * 4);
      while (!sender.send(message).ok) sender.waitForSpace(data.spins);
      n++;
      maybePause();
      continue;
    }
    let at = sender.reserve();
    while (at < 0) {
      if (at !== -1) throw new Error('sender found corruption');
      sender.waitForSpace(data.spins);
      at = sender.reserve();
    }
    for (let k = 0; ; ) {
      fill(words, at >> 2, n);
      sender.stage(wordsOf(n) * 4);
      n++;
      if (++k >= data.batch || n >= data.count) break;
      at = sender.reserve();
      if (at < 0) break;
    }
    sender.publish();
    maybePause();
  }
}

function receive(receiver: QueueReceiver, total: number): void {
  const words = new Int32Array(receiver.bytes.buffer, receiver.bytes.byteOffset, receiver.bytes.byteLength >> 2);
  const next = new Array<number>(data.producers + 1).fill(0);
  for (let got = 0; got < total; got++) {
    const size = receiver.next(data.spins);
    if (size < 0) throw new Error(`receiver got ${size} after ${got} messages`);
    const from = receiver.offset >> 2;
    const id = words[from] ?? 0;
    const n = words[from + 1] ?? -1;
    if (n !== next[id]) throw new Error(`message ${n} of producer ${id} came in place of ${next[id]}`);
    if (size !== wordsOf(n) * 4) throw new Error(`message ${n} has ${size} bytes`);
    for (let i = 2; i < size >> 2; i++) {
      if (words[from + i] !== word(id, n, i)) throw new Error(`word ${i} of message ${n} of producer ${id} is wrong`);
    }
    next[id] = n + 1;
    receiver.take();
    maybePause();
  }
  receiver.free();
  if (receiver.peek() !== -1) throw new Error('a message too many');
}

async function codec(): Promise<Codec> {
  const { Codec: Make } = await load<{ Codec: typeof Codec }>('codec/codec.js');
  const { StructureTable: Table } =
    await load<typeof import('../../bus/codec/structure-table.js')>('codec/structure-table.js');
  return new Make(data.shapes === undefined ? {} : { structures: new Table(data.shapes, data.id) });
}

/** Shapes vary, so that both sides learn new ones while running. */
const packedValue = (n: number) => ({
  n,
  [`field${n % 50}`]: `text ${n}`,
  big: BigInt(n) << 32n,
  list: [n, { m: n % 7 }],
});

async function main(): Promise<void> {
  if (data.role === 'send') send(attach(Sender.attach(data.queue, { owner: data.id })));
  else if (data.role === 'receive') {
    receive(attach(Receiver.attach(data.queue, { owner: data.id })), data.count * data.producers);
  } else if (data.role === 'send-packed') {
    const sender = attach(Sender.attach(data.queue, { owner: data.id }));
    const packer = await codec();
    for (let n = 0; n < data.count; n++) {
      for (let sent = packer.send(sender, packedValue(n)); !sent.ok; sent = packer.send(sender, packedValue(n))) {
        if (sent.error.status !== 'queueFull') throw new Error(sent.error.status);
        sender.waitForSpace(data.spins);
      }
      maybePause();
    }
  } else if (data.role === 'receive-packed') {
    const receiver = attach(Receiver.attach(data.queue, { owner: data.id }));
    const packer = await codec();
    for (let n = 0; n < data.count; n++) {
      const decoded = packer.decode(receiver, receiver.next(data.spins));
      receiver.take();
      const value = (decoded.ok ? decoded.value : {}) as ReturnType<typeof packedValue>;
      const good = value.n === n && value[`field${n % 50}`] === `text ${n}` && value.big === BigInt(n) << 32n;
      const item = good ? value.list[1] : undefined;
      if (typeof item !== 'object' || item.m !== n % 7) throw new Error(`packed message ${n} is wrong`);
      maybePause();
    }
  } else if (data.role === 'ping' || data.role === 'pong') pingPong();
  else if (data.role === 'die') die();
  else sendForever();
}

/** Both sides sleep between messages; a lost waking hangs them for ever. */
function pingPong(): void {
  if (data.back === undefined) throw new Error('ping needs two queues');
  const there = data.role === 'ping' ? data.queue : data.back;
  const back = data.role === 'ping' ? data.back : data.queue;
  const sender = attach(Sender.attach(there, { owner: data.id }));
  const receiver = attach(Receiver.attach(back, { owner: data.id }));
  const message = new Uint8Array(8);
  for (let n = 0; n < data.count; n++) {
    if (data.role === 'ping') sender.send(message);
    // Between looking and sleeping lies the window in which a waking can be lost; vary when the other side acts.
    for (let i = (random = (Math.imul(random, 1664525) + 1013904223) >>> 0) >>> 24; i > 0; i--)
      Atomics.load(sleeper, 0);
    while (receiver.next(0) < 0);
    receiver.release();
    if (data.role === 'pong') sender.send(message);
  }
}

/** Reserves, writes half a message, says so and stays there until it is killed. */
function die(): void {
  const sender = attach(Sender.attach(data.queue, { owner: data.id }));
  const at = sender.reserve();
  sender.bytes.fill(0xee, at, at + 8);
  if (data.batch > 1) sender.stage(8);
  port?.postMessage('halfway');
  Atomics.wait(sleeper, 0, 0);
}

/** Sends until killed, at a speed that leaves it inside the queue's code most of the time. */
function sendForever(): void {
  const sender = attach(Sender.attach(data.queue, { owner: data.id }));
  const message = new Uint8Array(60);
  const words = new Int32Array(message.buffer);
  port?.postMessage('started');
  for (let n = 0; ; n++) {
    words[0] = data.id;
    words[1] = n;
    for (let i = 2; i < 15; i++) words[i] = word(data.id, n, i);
    while (!sender.send(message).ok) sender.waitForSpace(10);
  }
}

await main();
port.postMessage('done');
