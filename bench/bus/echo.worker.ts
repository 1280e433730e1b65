/**
 * The far side of the round-trip benchmarks: answers messages in one of several ways. Between jobs it is
 * in its event loop, so that it can also answer over a MessagePort.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { hostThread } from '../../actors/runtime/host-services.js';
import type { QueueHandle } from '../../bus/message-queue/queue-layout.js';
import { QueueReceiver } from '../../bus/message-queue/queue-receiver.js';
import { QueueSender } from '../../bus/message-queue/queue-sender.js';
import { bareSleepEcho, bareSpinEcho, queueEcho } from './rtt-loops.js';

/** What the worker is started with. */
export interface EchoData {
  readonly there: QueueHandle;
  readonly back: QueueHandle;
  readonly bare: SharedArrayBuffer;
}
/** What to answer: messages of `sizeBytes` until told to stop; `spins` turns of polling before sleeping. */
export interface EchoJob {
  readonly kind: 'spin' | 'sleep' | 'queue' | 'port' | 'thread';
  readonly sizeBytes: number;
  readonly spins: number;
}

const port = parentPort;
if (port === null) throw new Error('runs as a worker');
const { there, back, bare } = workerData as EchoData;
const receiver = QueueReceiver.attach(there, { owner: 2 });
const sender = QueueSender.attach(back, { owner: 2 });
if (!receiver.ok || !sender.ok) throw new Error('queues do not attach');

let job: EchoJob | undefined;
port.on('message', (message: EchoJob | Uint8Array) => {
  if (message instanceof Uint8Array) {
    port.postMessage(message);
    return;
  }
  if (message.kind === 'thread') {
    port.postMessage(hostThread());
    return;
  }
  job = message;
  port.postMessage('ready');
  if (job.kind === 'spin') bareSpinEcho(bare, job.sizeBytes);
  else if (job.kind === 'sleep') bareSleepEcho(bare, job.sizeBytes);
  else if (job.kind === 'queue') queueEcho(receiver.value, sender.value, job.spins);
});
