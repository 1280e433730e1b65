/** The producing side of the one-way benchmarks: sends a given number of messages in one of several ways. */
import { parentPort, workerData } from 'node:worker_threads';
import { hostThread } from '../../actors/runtime/host-services.js';
import { Codec } from '../../bus/codec/codec.js';
import { StructureTable } from '../../bus/codec/structure-table.js';
import type { QueueHandle } from '../../bus/message-queue/queue-layout.js';
import { QueueSender } from '../../bus/message-queue/queue-sender.js';
import { tenFields } from './ten-fields.js';

/** What the worker is started with. */
export interface StreamData {
  readonly raw: QueueHandle;
  readonly packed: QueueHandle;
  readonly shapes: SharedArrayBuffer;
  /** Lock owner; also written into each message. */
  readonly id: number;
}
/** What to send: `count` messages; raw ones are `sizeBytes` long. */
export interface StreamJob {
  readonly kind: 'raw' | 'batched' | 'msgpack' | 'msgpack-batched' | 'port' | 'port-object';
  readonly count: number;
  readonly sizeBytes: number;
}
/** Asks for the number of the worker's thread. */
export const WHICH_THREAD = { kind: 'thread' } as const;
/** Messages published together when batched. */
export const BATCH = 32;
/** Packed messages published together when batched. */
const PACKED_BATCH = 8;
const SPINS = 300;

const port = parentPort;
if (port === null) throw new Error('runs as a worker');
const { raw, packed, shapes, id } = workerData as StreamData;
const rawSender = QueueSender.attach(raw, { owner: id });
const packedSender = QueueSender.attach(packed, { owner: id });
if (!rawSender.ok || !packedSender.ok) throw new Error('queues do not attach');
const codec = new Codec({ structures: new StructureTable(shapes, id) });

/** Each message begins with the sender's id and a running number, so that the receiver can check order and loss. */
function sendRaw(sender: QueueSender, count: number, sizeBytes: number): void {
  const message = new Uint8Array(sizeBytes).fill(7);
  const head = new Int32Array(message.buffer, 0, 2);
  head[0] = id;
  for (let n = 0; n < count; n++) {
    head[1] = n;
    while (!sender.send(message).ok) sender.waitForSpace(SPINS);
  }
}

function sendBatched(sender: QueueSender, count: number, sizeBytes: number): void {
  const message = new Uint8Array(sizeBytes).fill(7);
  const head = new Int32Array(message.buffer, 0, 2);
  head[0] = id;
  for (let n = 0; n < count; ) {
    let at = sender.reserve();
    while (at < 0) {
      sender.waitForSpace(SPINS);
      at = sender.reserve();
    }
    for (let k = 0; k < BATCH && n < count && at >= 0; k++) {
      head[1] = n++;
      sender.bytes.set(message, at);
      sender.stage(sizeBytes);
      at = k + 1 < BATCH && n < count ? sender.reserve() : -1;
    }
    sender.publish();
  }
}

/** Encodes into slots and publishes up to `batch` messages together. */
function sendPacked(sender: QueueSender, count: number, batch: number): void {
  let staged = 0;
  for (let n = 0; n < count; n++) {
    const message = tenFields(n);
    while (!codec.stage(sender, message).ok) {
      sender.publish();
      staged = 0;
      sender.waitForSpace(SPINS);
    }
    if (++staged < batch && n + 1 < count) continue;
    sender.publish();
    staged = 0;
  }
}

port.on('message', (job: StreamJob | typeof WHICH_THREAD) => {
  if (job.kind === 'thread') {
    port.postMessage(hostThread());
    return;
  }
  const { kind, count, sizeBytes } = job;
  if (kind === 'raw') sendRaw(rawSender.value, count, sizeBytes);
  else if (kind === 'batched') sendBatched(rawSender.value, count, sizeBytes);
  else if (kind === 'msgpack' || kind === 'msgpack-batched')
    sendPacked(packedSender.value, count, kind === 'msgpack' ? 1 : PACKED_BATCH);
  else if (kind === 'port') for (let n = 0; n < count; n++) port.postMessage(new Uint8Array(sizeBytes).fill(7));
  else for (let n = 0; n < count; n++) port.postMessage(tenFields(n));
});
