/** One of the bare threads of the interrupt benchmark. */
import { parentPort, workerData } from 'node:worker_threads';
import { type LimitData, playLimit } from './interrupts-limit.js';

const told = playLimit(workerData as LimitData);
parentPort?.postMessage(told);
