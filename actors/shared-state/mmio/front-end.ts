/**
 * A device's registers as a vCPU's thread sees them: loads and stores run on the vCPU's own thread, on state that lies in
 * shared memory. Each front end is a module of devices/ whose default export is a {@link FrontEndFactory}; the vCPU loads
 * it by address, so that it need not know any device.
 */
import type { Ring } from '../vm/vm-block.js';

/** What a front end may touch. */
export interface FrontEndServices {
  /** Drives the level of shared peripheral interrupt `intid`. */
  setLine(intid: number, level: boolean): void;
  /** Rings a device's actor. */
  readonly ring: Ring;
  /** Whether an actor's thread runs, as far as it says so itself. */
  isAwake(actor: number): boolean;
  /** Number of the vCPU. */
  readonly cpu: number;
  /** Its actor. */
  self(): number;
  /**
   * Gives the guest `rights` (STAGE2_RIGHTS; 0: none) to what is mapped at exactly `[ipa, ipa + bytes)`. When it returns, no
   * processor uses a right that was taken. Not under a lock that another vCPU's front end may wait for.
   */
  setRights(ipa: number, bytes: number, rights: number): void;
  /** Seconds since 1970. */
  unixSeconds(): number;
}

/** One device's registers. Values are unsigned; an access never throws, whatever the guest does. */
export interface FrontEnd {
  read(offset: number, bytes: number): bigint;
  write(offset: number, bytes: number, value: bigint): void;
  /** Called when the vCPU pauses: the place to pass on what was collected since. */
  settle?(): void;
  /** Milliseconds until the device wants `settle` called; a vCPU that sleeps is awake by then. */
  dueInMs?(): number;
  /** Called before the vCPU sleeps until it is rung; `mayGoOn` while nobody wants anything of it, and nothing is due. */
  rests?(mayGoOn: () => boolean): void;
  /** Called after that. */
  wakes?(): void;
}

/** Makes a front end of the device described by `config` (plain data and shared memory). */
export type FrontEndFactory = (config: unknown, services: FrontEndServices) => FrontEnd;

/** A front end in a VM's description. */
export interface FrontEndPlace {
  /** First intermediate physical address. */
  readonly base: number;
  readonly sizeBytes: number;
  /** Module address (URL). */
  readonly module: string;
  readonly config: unknown;
}
