/**
 * What a lab needs of a host of several VMs: start one by its description, links between them, consoles, ends, counters and
 * the calls they make. The control server, the supervisor of `wurley up` and the embedded lab know only this; the host in
 * cli/host implements it on one machine memory, one hypervisor core and one resource manager.
 */
import type { Observable } from 'rxjs';
import type { Profile } from '../../actors/abi/gunyah/identity.js';
import type { Result } from '../../bus/result.js';

/** A disk of a VM. */
export interface DiskSpec {
  /** Path of a raw or qcow2 image, absolute. */
  readonly file: string;
  readonly readOnly: boolean;
  /** What the guest writes is thrown away when the VM ends. */
  readonly snapshot: boolean;
}

/** What a VM starts from. Paths are absolute; the host reads and checks the files, with the sentences of `wurley run`. */
export type BootSpec =
  /** arm64 Image, ELF64 or flat binary. */
  | { readonly kernel: string; readonly initrd: string | undefined }
  /** An image of the catalog such as `debian:6.1-cloud`, which has been pulled. */
  | { readonly image: string };

/** One VM of a lab. */
export interface VmSpec {
  /** Unique in the lab: `[a-z][a-z0-9-]{0,31}`. */
  readonly name: string;
  readonly boot: BootSpec;
  /** Kernel command line; added to an image's own. */
  readonly append: string;
  readonly memoryBytes: number;
  readonly cpus: number;
  readonly platform: 'virt' | 'gunyah';
  /** Driver generation, of a VM on the platform `gunyah`. */
  readonly profile: Profile;
  /** Whether it is the primary VM (VMID 3), which may make VMs of its own through the resource manager. At most one is. */
  readonly primary: boolean;
  /** Whether it may put VMs together by hypercalls: it holds its own partition. Only the primary VM; absent: it may not. */
  readonly root?: boolean;
  readonly console: 'pl011' | 'virtio';
  readonly disks: readonly DiskSpec[];
  readonly rng: boolean;
  /** Network cards in order; `switch:NAME` is a switch of the lab, which VMs of the lab alone share. */
  readonly networks: readonly { readonly kind: 'user' | 'switch'; readonly switchName: string }[];
}

/**
 * A link between two VMs on the platform `gunyah`. It exists for as long as the host; each end is made, with new capabilities
 * and interrupts and a node in the VM's device tree below `/hypervisor` called by the link's name, whenever its VM starts.
 */
export type LinkSpec =
  /** A pair of message queues, one in each direction; a VM's with itself is one queue, both ends of which it has. */
  | {
      readonly kind: 'queue';
      readonly name: string;
      readonly between: readonly [string, string];
      /** Messages each direction holds, 1 to 255, and bytes of the longest, 1 to 1023. */
      readonly depth: number;
      readonly messageBytesMax: number;
    }
  /** A doorbell that `from` rings and `to` hears. */
  | { readonly kind: 'doorbell'; readonly name: string; readonly from: string; readonly to: string }
  /** Memory that all of `between` see, at a guest-physical address told in the node. */
  | {
      readonly kind: 'memory';
      readonly name: string;
      readonly between: readonly string[];
      readonly bytes: number;
      readonly writers: readonly string[];
    };

/** Where a VM stands. */
export type VmState = 'starting' | 'running' | 'ended';

/** Why a VM ended. */
export interface VmEnd {
  /** `crash`: a worker of it died or its device failed; `reset` is also a panicking kernel; `requested`: by us. */
  readonly reason: 'off' | 'reset' | 'crash' | 'requested';
  /** A sentence part that says why, such as `primary-vcpu0 was killed (...)`; empty where the reason says it all. */
  readonly detail: string;
}

/** What one vCPU of a VM did since the VM started. */
export interface VcpuCounters {
  readonly index: number;
  readonly state: 'off' | 'running' | 'sleeping' | 'stopped';
  /** The thread it runs on, as `taskset` and other tools of the host know it; null where nobody tells. */
  readonly hostThread: number | null;
  readonly instructions: number;
  /** Milliseconds in guest code, in exits, and idle. */
  readonly guestMs: number;
  readonly exitsMs: number;
  readonly idleMs: number;
  readonly exits: Readonly<Record<string, number>>;
  readonly interrupts: number;
}

/** One direction of a message queue, as it stands. Counters may wrap at 2^32. */
export interface QueueCounters {
  /** As in {@link CallRecord.object}. */
  readonly object: number;
  /** Name of the link; of a queue that a guest made through the resource manager its label, such as `echo`. */
  readonly name: string;
  /** VM at the sending and at the receiving end; `rm` is the resource manager. */
  readonly from: string;
  readonly to: string;
  readonly depth: number;
  readonly capacity: number;
  /** Messages sent since it was made. */
  readonly sent: number;
}

/** A VM that was started. The object stays valid after its end. */
export interface LabVm {
  readonly name: string;
  /** VMID under Gunyah; 0 of a VM on `virt`. */
  readonly vmid: number;
  /** The VM whose guest made it, through the resource manager or by hypercalls; undefined: the lab. */
  readonly madeBy: string | undefined;
  readonly state: VmState;
  /** What it prints, from the first byte: a late subscriber gets nothing twice and nothing from before. Completes at the end. */
  readonly output: Observable<Uint8Array>;
  /** Bytes for its console: how many were taken, which is 0 while its input is full or it has none. */
  type(bytes: Uint8Array): number;
  resize(columns: number, rows: number): void;
  /** Presses the power button (or asks by the resource manager for a graceful stop). */
  shutDown(): void;
  /** Ends it at once. `ended` resolves when its memory and workers are given back. */
  kill(detail: string): void;
  readonly ended: Promise<VmEnd>;
  /** What its vCPUs did; empty after the end. */
  counters(): Promise<readonly VcpuCounters[]>;
}

/** Something that happened to a host. */
export type LabEvent =
  /** A VM runs: one of {@link LabHost.start}, or one that a guest made. */
  | { readonly kind: 'started'; readonly vm: LabVm }
  | { readonly kind: 'ended'; readonly vm: LabVm; readonly end: VmEnd }
  /** A worker died. What it takes down ends by itself; a device that is started again takes nothing down. */
  | {
      readonly kind: 'workerDied';
      readonly worker: string;
      readonly detail: string;
      readonly vm: string | undefined;
      readonly restarts: boolean;
    };

/** One call of a guest, undecoded. */
export interface CallRecord {
  readonly vm: string;
  readonly vcpu: number;
  /** The host's monotonic clock in nanoseconds: one clock for all VMs. */
  readonly startNs: number;
  readonly durationNs: number;
  readonly instruction: 'hvc' | 'smc';
  readonly immediate: number;
  /** X0 to X8 before and X0 to X4 after the call. */
  readonly before: readonly bigint[];
  readonly after: readonly bigint[];
  /** The queue or doorbell that a successful msgqueue or doorbell call was for; 0: none. */
  readonly object: number;
  /** Which message of that queue it was, counted from its making and wrapping at 2^32. */
  readonly sequence: number;
  /** Length of the message that was sent or received, and its first 256 bytes. */
  readonly messageBytes: number;
  readonly message: Uint8Array | undefined;
  /** Records lost before this one because nobody took them. */
  readonly lost: number;
}

/** A host that runs the VMs of one lab. Refusals are sentences without the final stop. */
export interface LabHost {
  /** Declares a link; both ends must be declared before the VMs at them start. */
  link(spec: LinkSpec): Promise<Result<undefined, string>>;
  /** Starts a VM whose name no running VM has. One that ended may be started again under its name: a new {@link LabVm}. */
  start(spec: VmSpec): Promise<Result<LabVm, string>>;
  /** Hot: what happens from now on. Completes when the host is disposed. */
  readonly events: Observable<LabEvent>;
  /** Every queue of the host as it stands now. */
  queues(): readonly QueueCounters[];
  /**
   * The calls of all VMs while there is a subscriber; with none the guests pay for nothing. `callStream` (call-stream.ts) is
   * this over a host's `CallTap`, whose `place` every vCPU is given as its `callTap`.
   */
  readonly calls: Observable<readonly CallRecord[]>;
  /** Ends what still runs and gives everything back. */
  dispose(): Promise<void>;
}
