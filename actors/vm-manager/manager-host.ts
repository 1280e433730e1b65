/** What the VM manager asks of the machine it runs on; the actor implements it by messages, tests on the core's own classes. */
import type { Result } from '../../bus/result.js';
import type { RunExit } from '../shared-state/vm/proxied-run.js';

/** Memory of the host VM that a process has mapped. */
export interface UserMemory {
  /** Address of the first byte in the host VM, which is its user address too: there is one process. */
  readonly address: number;
  /** The same byte in the machine's memory. */
  readonly host: number;
  readonly bytes: number;
}

/** See the head of this file. */
export interface ManagerHost {
  /** Fresh zeroed memory of the host VM. */
  mapMemory(bytes: number): Promise<Result<UserMemory, 'ENOMEM'>>;
  unmapMemory(memory: UserMemory): Promise<void>;
  /** The doorbell behind one of the host VM's capabilities, if it may send with it. */
  bell(capability: bigint): Bell | undefined;
  /** The virtual processor behind one of them, if it may be run with it. */
  processor(capability: bigint): Processor | undefined;
  /** A hypercall of the host VM; X0. */
  hypercall(number: number, args: readonly bigint[]): Promise<number>;
  /** Resolves after `ms` milliseconds. */
  pause(ms: number): Promise<void>;
}

/** A virtual processor as whoever runs it sees it (gunyah.md 2.9). The driver is rung when a run ends or it has attention. */
export interface Processor {
  /** Whether it runs only when it is run. */
  readonly isProxied: boolean;
  /** Gives it its turn, with the answer to the exit before; false while somebody else runs it. */
  begin(resume0: bigint, resume1: number): boolean;
  /** What the run ended with; undefined while it goes on. */
  take(): RunExit | undefined;
  /** Whether it has something to do again after it has waited, or has gone. */
  readonly hasAttention: boolean;
  /** Asks for the turn back. */
  recall(): void;
}

/** A doorbell's sending side. */
export interface Bell {
  send(flags: bigint): void;
  /** Enable and acknowledge masks; false without the right to receive (`source-can-clear`). */
  mask(enable: bigint, acknowledge: bigint): boolean;
}
