/** What the VM manager asks of the machine it runs on; the actor implements it by messages, tests on the core's own classes. */
import type { Result } from '../../bus/result.js';

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
}

/** A doorbell's sending side. */
export interface Bell {
  send(flags: bigint): void;
  /** Enable and acknowledge masks; false without the right to receive (`source-can-clear`). */
  mask(enable: bigint, acknowledge: bigint): boolean;
}
