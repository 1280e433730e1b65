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
