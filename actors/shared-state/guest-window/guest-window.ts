/**
 * How a device reaches guest memory: through the VM's stage-2 map and its rights, page by page, and not otherwise.
 *
 * A device's thread works in turns: it enters, looks pages up and uses them, and leaves. The core, having taken a right
 * away, waits until every device that was inside has left (hypervisor.actor.ts), as it waits for the vCPUs; so no
 * address may be kept from one turn to the next. Why nothing is missed: entering and reading the map are sequentially
 * consistent here, changing the map and reading the turns are so there; one of the two sees the other.
 *
 * Addresses are guest-physical bytes as plain numbers. What a guest supplies may be anything: an access outside the map,
 * or without the right, answers "refused" and touches nothing outside.
 */
import { assert } from '../../../bus/assert.js';
import { HYP_PAGE_BYTES } from '../../../bus/units.js';
import { STAGE2_PAGES_MAX, STAGE2_RIGHTS, Stage2Reader } from '../stage2/stage2-map.js';
import { VM_WINDOWS_MAX, VmBlock } from '../vm/vm-block.js';

/** Where a VM's shared parts are, in bytes of the machine's memory. */
export interface WindowPlace {
  /** The VM's block. */
  readonly block: number;
  /** Root of the stage-2 map. */
  readonly stage2: number;
}

/** What an access that the map does not allow answers, where a number is expected. */
export const REFUSED = -1;

const OFFSET = HYP_PAGE_BYTES - 1;

/** See the head of this file. One per device and thread. */
export class GuestWindow {
  readonly #map: Stage2Reader;
  readonly #block: VmBlock;
  readonly #window: number;
  readonly #buffer: ArrayBufferLike;
  readonly #bytes: Uint8Array;
  readonly #halves: Int16Array;
  readonly #words: Int32Array;
  #isInside = false;

  /**
   * Window number `window` of the VM; a predecessor that died inside is counted as having left. `shares`: another thread uses the same
   * window, never at the same time, and may be inside now.
   */
  constructor(memory: ArrayBufferLike, { block, stage2 }: WindowPlace, window: number, shares = false) {
    assert(Number.isInteger(window) && window >= 0 && window < VM_WINDOWS_MAX, 'the window has a slot in the VM block');
    this.#map = new Stage2Reader(memory, stage2);
    this.#block = new VmBlock(memory, block);
    this.#window = window;
    this.#buffer = memory;
    this.#bytes = new Uint8Array(memory);
    this.#halves = new Int16Array(memory);
    this.#words = new Int32Array(memory);
    if (!shares && (this.#block.windowTurns(window) & 1) !== 0) this.#block.leaveWindow(window);
  }

  /** Runs `body` inside. Turns do not nest. */
  within<T>(body: () => T): T {
    assert(!this.#isInside, 'turns inside a window do not nest');
    this.#block.enterWindow(this.#window);
    this.#isInside = true;
    try {
      return body();
    } finally {
      this.#isInside = false;
      this.#block.leaveWindow(this.#window);
    }
  }

  /** Whether the thread is inside. */
  get isInside(): boolean {
    return this.#isInside;
  }

  /** Address in the machine's memory of the byte at `ipa`, good to the end of its page and of this turn; or REFUSED. */
  host(ipa: number, rights: number): number {
    assert(this.#isInside, 'guest memory is used inside the window only');
    const page = Math.floor(ipa / HYP_PAGE_BYTES);
    if (!(page >= 0 && page < STAGE2_PAGES_MAX)) return REFUSED;
    const frame = this.#map.frameNow(page, rights);
    return frame < 0 ? REFUSED : frame + (ipa & OFFSET);
  }

  /** The 16-bit word at `ipa`, which is even; loads and stores of words order what is around them. */
  load16(ipa: number): number {
    const host = this.host(ipa, STAGE2_RIGHTS.read);
    return host < 0 || (host & 1) !== 0 ? REFUSED : Atomics.load(this.#halves, host / 2) & 0xffff;
  }

  /** Stores a 16-bit word at `ipa`, which is even; false when refused. */
  store16(ipa: number, value: number): boolean {
    const host = this.host(ipa, STAGE2_RIGHTS.write);
    if (host < 0 || (host & 1) !== 0) return false;
    Atomics.store(this.#halves, host / 2, value);
    return true;
  }

  /** Reads `into.length` 32-bit words at `ipa`, which is a multiple of their size (so they are in one page). */
  loadWords(ipa: number, into: Int32Array): boolean {
    const host = this.host(ipa, STAGE2_RIGHTS.read);
    if (host < 0 || host % into.byteLength !== 0) return false;
    for (let i = 0; i < into.length; i++) into[i] = this.#words[(host >>> 2) + i] ?? 0;
    return true;
  }

  /** Stores two 32-bit words at `ipa`, a multiple of 4. */
  storePair(ipa: number, first: number, second: number): boolean {
    const low = this.host(ipa, STAGE2_RIGHTS.write);
    const high = this.host(ipa + 4, STAGE2_RIGHTS.write);
    if (low < 0 || high < 0 || (low & 3) !== 0) return false;
    this.#words[low >>> 2] = first;
    this.#words[high >>> 2] = second;
    return true;
  }

  /** Copies guest memory from `ipa` on into all of `into`; false (with `into` partly filled) when refused. */
  copyOut(ipa: number, into: Uint8Array): boolean {
    for (let done = 0; done < into.byteLength; ) {
      const host = this.host(ipa + done, STAGE2_RIGHTS.read);
      if (host < 0) return false;
      const part = Math.min(HYP_PAGE_BYTES - (host & OFFSET), into.byteLength - done);
      into.set(this.#bytes.subarray(host, host + part), done);
      done += part;
    }
    return true;
  }

  /** Copies all of `from` to guest memory from `ipa` on; false (with a part copied) when refused. */
  copyIn(ipa: number, from: Uint8Array): boolean {
    for (let done = 0; done < from.byteLength; ) {
      const host = this.host(ipa + done, STAGE2_RIGHTS.write);
      if (host < 0) return false;
      const part = Math.min(HYP_PAGE_BYTES - (host & OFFSET), from.byteLength - done);
      this.#bytes.set(from.subarray(done, done + part), host);
      done += part;
    }
    return true;
  }

  /**
   * Adds views of `[ipa, ipa + bytes)` to `into`, one per run of pages that are neighbours in the machine's memory too.
   * They are good for this turn. False when some page is refused (`into` may then have grown).
   */
  runs(ipa: number, bytes: number, rights: number, into: Uint8Array[]): boolean {
    let start = 0;
    let length = 0;
    for (let done = 0; done < bytes; ) {
      const host = this.host(ipa + done, rights);
      if (host < 0) return false;
      const part = Math.min(HYP_PAGE_BYTES - (host & OFFSET), bytes - done);
      if (length > 0 && start + length === host) length += part;
      else {
        if (length > 0) into.push(new Uint8Array(this.#buffer, start, length));
        start = host;
        length = part;
      }
      done += part;
    }
    if (length > 0) into.push(new Uint8Array(this.#buffer, start, length));
    return true;
  }
}
