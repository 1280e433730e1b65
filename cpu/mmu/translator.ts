/**
 * What the core asks of address translation. Virtual addresses travel as two 32-bit halves, physical ones as numbers
 * (below 2^48, so exact), to keep bigint out of the path of a TLB miss.
 */

/** What an access wants to do. */
export const WANT = { read: 0, write: 1, execute: 2 } as const;
/** A value of {@link WANT}. */
export type Want = (typeof WANT)[keyof typeof WANT];

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
}

/** Result of a successful translation, and description of a failed one. Reused: read it before the next call. */
export interface Translation {
  /** Intermediate physical address of the byte asked for. */
  ipa: number;
  /** Host address of the byte, or -1 when the address belongs to a device. */
  host: number;
  /** Whether a write to the same 4 KiB page would be allowed too (so the TLB may hold a write tag). */
  writable: boolean;
  /** On failure: exception class and instruction-specific syndrome, as in ESR_ELx. */
  syndrome: number;
}

/** Stage 1 and stage 2 joined, for one vCPU. */
export interface Translator {
  /**
   * Translates the virtual address hi:lo for `want`. `user`: check as EL0 would. Returns true and fills `result`, or
   * returns false and fills `result.syndrome`.
   */
  translate(lo: number, hi: number, want: Want, user: boolean, result: Translation): boolean;
}

/** Translation with the MMU off: virtual is physical. */
export class IdentityTranslator implements Translator {
  readonly #memory: PhysicalMemory;

  constructor(memory: PhysicalMemory) {
    this.#memory = memory;
  }

  translate(lo: number, hi: number, want: Want, _user: boolean, result: Translation): boolean {
    const ipa = (hi >>> 0) * 2 ** 32 + (lo >>> 0);
    const frame = this.#memory.frame(Math.floor(ipa / 4096), want);
    result.ipa = ipa;
    result.host = frame < 0 ? -1 : frame + (ipa % 4096);
    result.writable = frame >= 0;
    return true;
  }
}
