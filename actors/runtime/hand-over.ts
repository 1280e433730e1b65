/** What a worker is given when it starts, and what it becomes: the spawn hand-over, the only use of message ports. */
import type { MessagePort } from 'node:worker_threads';

/** Shared by every worker of a system. */
export interface SystemMemory {
  readonly board: SharedArrayBuffer;
  readonly slots: number;
  readonly shapes: SharedArrayBuffer;
  /** `hostNowMs()` when the system started. */
  readonly epochMs: number;
}

/** What a worker finds as its `workerData`: what is the same for every worker of its pool. */
export interface PoolData {
  /** The bytes of the host's bundle, where it is run from one. */
  readonly host: SharedArrayBuffer | undefined;
  /** The actor's module, which is loaded while the pool's two sides agree that the worker is ready. */
  readonly module: string;
}

/** Which actor the worker becomes. */
export interface Assignment {
  readonly slot: number;
  readonly generation: number;
  readonly incarnation: number;
  readonly name: string;
  readonly seed: number;
  readonly config: unknown;
}

/** The argument of the host task. */
export interface HostTask {
  readonly memory: SystemMemory;
  /** The actor's module. */
  readonly module: string;
  /** Absent for a warm worker: it loads, and gets its assignment through the port. */
  readonly assignment: Assignment | undefined;
  /** Whether it plays an actor's first moments meanwhile. */
  readonly rehearses: boolean;
  readonly port: MessagePort;
}

/** What a host says through the port before it becomes an actor. */
export type HostMessage =
  | { readonly host: 'warm' }
  /** The module does not load or declares no actor. */
  | { readonly host: 'noModule'; readonly detail: string };
