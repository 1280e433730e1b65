/** One of the two bare threads of the interrupt benchmark. */
import { parentPort, workerData } from 'node:worker_threads';
import { type LimitData, playLimit } from './interrupts-limit.js';

playLimit(workerData as LimitData);
parentPort?.postMessage('done');
