/** The same traffic over MessagePorts between two workers: the peer that actors are measured against. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { PER_SAMPLE } from '../bus/rtt-loops.js';
import { tenFields } from '../bus/ten-fields.js';

/** Which end this worker is, and the port to the other. */
export interface PortPeerData {
  readonly role: 'caller' | 'sink';
  readonly port: MessagePort;
}
/** What the benchmark asks of the caller. */
export interface PortJob {
  readonly job: 'stream' | 'asks';
  readonly count: number;
}

// WHY: workerData is untyped; the benchmark of this folder alone starts this worker.
const { role, port } = workerData as PortPeerData;

if (role === 'sink') {
  let count = 0;
  port.on('message', (message: { kind: string }) => {
    if (message.kind === 'take') count += 1;
    else if (message.kind === 'echo') port.postMessage(message);
    else {
      port.postMessage({ count });
      count = 0;
    }
  });
} else {
  const answer = (): Promise<unknown> => new Promise((resolve) => port.once('message', resolve));
  parentPort?.on('message', async ({ job, count }: PortJob) => {
    if (job === 'stream') {
      const started = performance.now();
      for (let id = 0; id < count; id++) port.postMessage({ ...tenFields(id), kind: 'take' });
      port.postMessage({ kind: 'taken' });
      await answer();
      parentPort?.postMessage(count / ((performance.now() - started) / 1000));
      return;
    }
    const microseconds: number[] = [];
    let since = performance.now();
    for (let value = 0; value < count; value++) {
      port.postMessage({ kind: 'echo', value });
      await answer();
      if ((value + 1) % PER_SAMPLE !== 0) continue;
      const now = performance.now();
      microseconds.push(((now - since) * 1000) / PER_SAMPLE);
      since = now;
    }
    parentPort?.postMessage(microseconds);
  });
}
