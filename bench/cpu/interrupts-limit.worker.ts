/** One of the bare threads of the interrupt benchmark. */
import { parentPort, workerData } from 'node:worker_threads';
import { type LimitData, lookFor } from './interrupts-limit.js';

parentPort?.postMessage(lookFor(workerData as LimitData));
