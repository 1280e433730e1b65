/**
 * What the core asks of address translation. Virtual addresses travel as two 32-bit halves, physical ones as numbers
 * (below 2^48, so exact), to keep bigint out of the path of a TLB miss.
 */

/** What an access wants to do. */
export const WANT = { read: 0, write: 1, execute: 2 } as const;
/** A value of {@link WANT}. */
export type Want = (typeof WANT)[keyof typeof WANT];

/**
 * With whose rights an access is made. The numbers are also the order of TLB banks within an address space: EL1 with
 * PSTATE.PAN set, EL0 (and LDTR, STTR), EL1 with PAN clear. Instruction fetches use `el1` or `el0`.
 */
export const AS = { el1: 0, el0: 1, el1NoPan: 2 } as const;
/** A value of {@link AS}. */
export type As = (typeof AS)[keyof typeof AS];

/** The machine as one vCPU sees it: stage 2 and devices. Addresses are intermediate physical. */
export interface PhysicalMemory {
  /**
   * Host address (offset in the shared memory) of the 4 KiB frame behind `ipaPage`, or -1 if no memory is there.
   * Rights the VM lacks count as absent.
   */
  frame(ipaPage: number, want: Want): number;
  /** Device read of 1, 2, 4 or 8 bytes; undefined is answered to the guest as a synchronous external abort. */
  read(ipa: number, bytes: number): bigint | undefined;
  /** Device write; false is answered to the guest as a synchronous external abort. */
  write(ipa: number, bytes: number, value: bigint): boolean;
  /**
   * Whether the access that was just refused is not to abort: the core leaves with EXIT.held, the instruction not executed,
   * and executes it again when it runs the next time.
   */
  readonly isHeld?: boolean;
  /** No memory is behind `ipa` for an instruction fetch, an exclusive or an atomic: whether that is held. */
  holds?(ipa: number, want: Want): boolean;
}

/** Result of a successful translation, and description of a failed one. Reused: read it before the next call. */
export interface Translation {
  /** Intermediate physical address of the byte asked for. */
  ipa: number;
  /** Host address of the byte (0 .. 2^32 - 1), or -1 when the address belongs to a device. */
  host: number;
  /** Whether a write to the same 4 KiB page would be allowed too (so the TLB may hold a write tag). */
  writable: boolean;
  /** Device memory: accesses must be aligned, whatever SCTLR_EL1.A says. */
  device: boolean;
  /** Not global (nG): another ASID may have something else there. */
  ofAsid: boolean;
  /** log2 of the size of the block or page that maps the address; the TLB must know what one TLBI removes. */
  blockLog2: number;
  /** Attributes as PAR_EL1 reports them: bits 63..56 (ATTR) shifted down to 15..8, and SH in bits 1..0. */
  attributes: number;
  /** On failure: fault status code as in ESR_ELx.DFSC or IFSC, see {@link FAULT}. */
  syndrome: number;
}

/** A fresh result object. */
export function newTranslation(): Translation {
  return { ipa: 0, host: 0, writable: false, device: false, ofAsid: false, blockLog2: 12, attributes: 0, syndrome: 0 };
}

/** Stage 1 and stage 2 joined, for one vCPU. */
export interface Translator {
  /**
   * Translates the virtual address hi:lo for `want`. `user`: check as EL0 would, else as EL1 with the current PAN.
   * Returns true and fills `result`, or returns false and fills `result.syndrome`.
   */
  translate(lo: number, hi: number, want: Want, user: boolean, result: Translation): boolean;
}

/** Fault status codes (Arm ARM D17.2.37, DFSC); the level is added where there is one. */
export const FAULT = {
  addressSize: 0x00,
  translation: 0x04,
  accessFlag: 0x08,
  permission: 0x0c,
  external: 0x10,
  externalOnWalk: 0x14,
  alignment: 0x21,
  debug: 0x22,
} as const;

/** Fills in what lies behind `result.ipa` for `want`. */
export function joinStage2(memory: PhysicalMemory, want: Want, result: Translation): void {
  const frame = memory.frame(Math.floor(result.ipa / 4096), want);
  result.host = frame < 0 ? -1 : frame + (result.ipa & 0xfff);
}
