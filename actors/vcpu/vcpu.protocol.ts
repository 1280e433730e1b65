/** Messages of a vCPU actor, and what it is started with. */
import type { QueueHandle } from '../../bus/message-queue/queue-layout.js';
import type { CodeBudget } from '../../cpu/jit/region-store.js';
import type { HostFeatures } from '../../cpu/wasm/features.js';
import type { Profile } from '../abi/gunyah/identity.js';
import type { VpTicket } from '../hypervisor/partition.protocol.js';
import type { ProcessorProtocol } from '../hypervisor/processor.protocol.js';
import type { FileToken } from '../runtime/files.js';
import type { ObjectEnd } from '../runtime/object-channel.js';
import type { Ask } from '../runtime/protocol.js';
import type { CallTapPlace } from '../shared-state/call-tap/call-tap.js';
import type { FrontEndPlace } from '../shared-state/mmio/front-end.js';
import type { VcpuDebugProtocol } from './debug.protocol.js';
import type { MeterReading } from './meter.js';

/** What a vCPU counts; all since its start. */
export interface VcpuStatistics {
  readonly index: number;
  readonly state: 'off' | 'running' | 'sleeping' | 'stopped';
  readonly pc: string;
  /** The thread it runs on, as the host's tools know it; null where nobody tells. */
  readonly hostThread: number | null;
  readonly exits: Readonly<Record<string, number>>;
  /** Synchronous exceptions, in all and by class. */
  readonly exceptions: number;
  readonly exceptionClasses: Readonly<Record<string, number>>;
  readonly interrupts: number;
  readonly tlbFills: number;
  readonly tlbFlushes: number;
  /** Regions compiled, modules they came in, and what of it is in use. */
  readonly regions: number;
  readonly modules: number;
  readonly modulesInUse: number;
  readonly codeBytesInUse: number;
  readonly evictedRegions: number;
  /** Regions the scanner refused: each is an emitter bug. */
  readonly refusedRegions: number;
  readonly deviceAccesses: number;
  readonly sleeps: number;
  /** Time, instructions and hot places, by sampling. */
  readonly meter: MeterReading;
}

/** A vCPU's messages: the core's (registers, start), and how it is doing. */
export type VcpuProtocol = ProcessorProtocol & {
  statistics: Ask<object, VcpuStatistics>;
  /** Sends what was noted for the translation cache through the channel `codeCache`; how many pages that is. */
  handOverJournal: Ask<object, { readonly pages: number }>;
} & VcpuDebugProtocol;

/** Where a trace goes. */
export interface TracePlace {
  /** A queue made as TRACE_QUEUE. */
  readonly queue: QueueHandle;
  /** Bit n: events of TRACE_KINDS[n] are wanted. */
  readonly kinds: number;
}

/** What a vCPU of a Gunyah VM is given beside its ticket. */
export interface GunyahPlaces {
  readonly profile: Profile;
  /** Byte addresses of the object table and of the VM's capability space. */
  readonly table: number;
  readonly space: number;
  /** The vCPU's own thread object. */
  readonly thread: number;
  /** The core actor's number: where slow calls go. */
  readonly core: number;
}

/** See the file comment. */
export interface VcpuConfig {
  readonly memory: WebAssembly.Memory;
  /** The compiled interpreter. */
  readonly interpreter: WebAssembly.Module;
  readonly ticket: VpTicket;
  /** Guest-physical windows of the interrupt controller. */
  readonly gic: { readonly distributor: number; readonly redistributors: number };
  readonly frontEnds: readonly FrontEndPlace[];
  /** The system clock's reading when the guest's counter was zero, in milliseconds. */
  readonly epochMs: number;
  /** The core actor's number, for front ends that change what is mapped; absent: none of them does. */
  readonly core?: number;
  /** What the process has found out about its host; absent: the vCPU tries for itself. */
  readonly features?: HostFeatures;
  /** MPIDR_EL1's affinity fields, a byte each; absent: the processor's number. */
  readonly affinity?: number;
  /** False switches compiled code off. */
  readonly jit: boolean;
  /** Given to a vCPU of a VM under the Gunyah ABI. */
  readonly gunyah?: GunyahPlaces;
  /** The host's source of random bytes, for the TRNG firmware interface; absent: the guest has none. */
  readonly entropy?: FileToken;
  /** Absent: nothing is traced. */
  readonly trace?: TracePlace;
  /** Where every call is recorded while somebody watches; absent: nowhere. */
  readonly callTap?: CallTapPlace | undefined;
  /** How much compiled code is kept; absent: what suits a machine. */
  readonly codeBudget?: CodeBudget | undefined;
  /** The VM's translator; undefined: this vCPU translates for itself. */
  readonly translator?: ObjectEnd | undefined;
  /**
   * What an earlier run of the same interpreter knew of instruction words (MEMO_BYTES of cpu/state.ts; zeros: nothing).
   * Processor 0 leaves there what it knows at the end. Absent: nothing is known and nothing kept.
   */
  readonly records?: SharedArrayBuffer | undefined;
  /**
   * Addresses of the private areas of the VM's processors, whose threads have all started before one of them runs: the one that powers
   * another on lends it what it knows of instruction words. Absent: each begins with `records`.
   */
  readonly areas?: readonly number[] | undefined;
  /**
   * To the owner of the translation cache: compiled code of earlier runs comes in (one `SavedVolume[]`), and the pages
   * worth compiling for the next run go out when asked for (`JournalPage[]`). Undefined: neither.
   */
  readonly codeCache?: ObjectEnd | undefined;
}
