/** Messages of the VM manager's actor, and what it is started with. */
import type { Profile } from '../abi/gunyah/identity.js';
import type { CoreProtocol } from '../hypervisor/port.protocol.js';
import type { ActorRef, Ask } from '../runtime/protocol.js';
import type { Errno } from './errno.js';
import type { UserMemory } from './manager-host.js';
import type { IoctlCall } from './vm-manager.js';

/** How a VM ended: as VM_EXITED says, or `failed` when it never ran. */
export interface ToldExit {
  readonly isFailed: boolean;
  readonly type: number;
  readonly reason: number;
}

/** See the head of this file. Refusals are errnos. */
export type VmManagerProtocol = {
  /** Binds it to its RPC queues, by the numbers of the objects; once, before anything else. */
  connect: Ask<{ tx: number; rx: number }, undefined, Errno>;
  open: Ask<object, { fd: number }, Errno>;
  eventFile: Ask<object, { fd: number }, Errno>;
  signal: Ask<{ fd: number }, undefined, Errno>;
  readEvent: Ask<{ fd: number }, { count: number }, Errno>;
  ioctl: Ask<IoctlCall, { value: number }, Errno>;
  /** Answered when everything the last reference held is given back. */
  close: Ask<{ fd: number }, undefined, Errno>;
  mmap: Ask<{ bytes: number }, UserMemory, Errno>;
  munmap: Ask<{ address: number }, undefined, Errno>;
  /** Where a guest memory file lies. */
  memoryOf: Ask<{ fd: number }, UserMemory, Errno>;
  /**
   * The part of a vCPU's run page that has fields, as it stands. What is given is written to it first: `answer` at its offset; an
   * `immediateExit` that is not 0 also ends a run that is on.
   */
  runPage: Ask<
    { fd: number; immediateExit?: number; answer?: { at: number; bytes: Uint8Array } },
    { page: Uint8Array },
    Errno
  >;
  /** Answered when the VM of this descriptor has exited, or its start has failed. */
  over: Ask<{ fd: number }, ToldExit, Errno>;
};

/** See the head of this file. */
export interface VmManagerConfig {
  readonly memory: WebAssembly.Memory;
  readonly core: ActorRef<CoreProtocol>;
  /** Generation of the driver it is. */
  readonly generation: Profile;
  /** The host VM: its VMID, its partition, byte addresses of the object table and of its capability space. */
  readonly vmid: number;
  readonly partition: number;
  readonly table: number;
  readonly space: number;
}
