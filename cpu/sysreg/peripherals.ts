/**
 * What a vCPU asks of the machine around it beyond memory: the registers of the interrupt controller's CPU interface and
 * of the timers, and maintenance that must reach other vCPUs.
 */

import type { CpuState } from '../cpu-state.js';

/** System registers that belong to the machine: GICv3 CPU interface (ICC_*) and generic timers (CNT*). */
export interface SystemPeripherals {
  /**
   * Reads the external register with encoding key `key` (see encoding.ts). undefined: not there, the access is an
   * undefined instruction. Privilege and EL0 traps have been checked.
   */
  readRegister(key: number): bigint | undefined;
  /**
   * Writes CNTPCT_EL0, which is CNTVCT_EL0, to STATE.scratch: both are read so often that an object for each reading, which a number that is returned is too, would be
   * felt. Absent: readRegister.
   */
  counter?(state: CpuState): void;
  /** Writes an external register; false: not there. It may change this vCPU's interrupt lines before it returns. */
  writeRegister(key: number, value: bigint): boolean;
  /** Called at least every few thousand backward branches: the place to update lines that depend on time. */
  poll(): void;
  /**
   * The work that a run was given is used up: how much there is for another turn of it, 0 when the run is over. It may change this vCPU's
   * interrupt lines before it returns. Absent: a run is one turn.
   */
  turn?(): number;
  /**
   * HVC (immediate in STATE.exitInfo): carries it out if all it does is to answer in the registers, without any effect on
   * this vCPU's interrupts, power state or address space. False: it has done nothing, and the call leaves `Core.run`.
   */
  call?(): boolean;
  /** SEV: sets the event register of all other vCPUs. */
  sendEvent(): void;
}

/** Helpers that the machine around a core may bring as generated code of its own. */
export interface MachineHelpers {
  /** MRS and MSR without inline access: (state address, syndrome) -> status; the value is in STATE.scratch. */
  readonly read: (state: number, iss: number) => number;
  readonly write: (state: number, iss: number) => number;
  /** The word at STATE.lookAt is not 0: takes it and brings STATE.interrupts up to date; returns 0. */
  readonly attend: (state: number) => number;
}

/** Translation or code maintenance that other vCPUs of the machine must also do (TLBI ...IS, IC IALLUIS, IC IVAU). */
export interface RemoteCpus {
  /** Asks all others to call Core.maintain with these arguments; sets STATE.remotePending of this vCPU. */
  request(kind: RemoteRequest, lo: number, hi: number): void;
  /** DSB: returns when every request of this vCPU has been carried out by every other one. */
  wait(): void;
  /** Whether there are no others. */
  readonly isAlone: boolean;
}

/**
 * `tlbi-*`: lo, hi are the operand register of TLBI; `tlbi-va-last` is for the forms that leave table pointers alone.
 * `code`: lo is the host address of a 4 KiB frame whose code changed, hi the number of changed frames behind it; hi -1: all code.
 */
export type RemoteRequest = 'tlbi-all' | 'tlbi-asid' | 'tlbi-va' | 'tlbi-va-last' | 'code';

/** A vCPU that is alone: there is nobody to tell. */
export const ALONE: RemoteCpus = { request: () => undefined, wait: () => undefined, isAlone: true };

/** A vCPU without interrupt controller and timers: their registers are undefined. */
export const NO_PERIPHERALS: SystemPeripherals = {
  readRegister: () => undefined,
  writeRegister: () => false,
  poll: () => undefined,
  sendEvent: () => undefined,
};

/** The helpers as the registers of a core and its peripherals do them. */
export function slowHelpers(
  registers: { read(iss: number): number; write(iss: number): number },
  peripherals: SystemPeripherals,
): MachineHelpers {
  return {
    read: (_state, iss) => registers.read(iss),
    write: (_state, iss) => registers.write(iss),
    attend: () => {
      peripherals.poll();
      return 0;
    },
  };
}
