/** A bare Worker that answers one message: what starting a thread costs without actors. */
import { parentPort } from 'node:worker_threads';

parentPort?.on('message', (message) => parentPort?.postMessage(message));
