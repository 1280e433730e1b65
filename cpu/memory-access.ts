/**
 * The slow path of guest memory accesses: what generated code calls when the TLB does not allow a direct access. It
 * translates, checks alignment and watchpoints, raises aborts with exact syndrome and address, reaches devices, and
 * fills the TLB. An access that crosses a page is checked on both sides before anything is written.
 */
import type { CodePages } from './code-pages.js';
import type { CpuState } from './cpu-state.js';
import type { DebugUnit } from './exceptions/debug.js';
import { EC, type Exceptions, ISS_ABORT } from './exceptions/exceptions.js';
import { ACCESS } from './interpreter/handler-ops.js';
import type { AddressSpace } from './mmu/address-space.js';
import {
  AS,
  type As,
  FAULT,
  newTranslation,
  type PhysicalMemory,
  type Translation,
  type Translator,
  WANT,
} from './mmu/translator.js';
import { STATE } from './state.js';

/** Unsupported exclusive or atomic access: an exclusive to a device. */
const UNSUPPORTED_ATOMIC = 0x35;
const PAGE = 4096;

/** The parts of a core that accesses involve. */
export interface AccessParts {
  readonly state: CpuState;
  readonly physical: PhysicalMemory;
  readonly translator: Translator;
  readonly space: AddressSpace;
  readonly pages: CodePages;
  readonly exceptions: Exceptions;
  readonly debug: DebugUnit;
}

/** See the head of this file. Methods are helpers of generated code: they return 0, or 1 when an exception is recorded. */
export class MemoryAccess {
  readonly #parts: AccessParts;
  readonly #first = newTranslation();
  readonly #second = newTranslation();
  /** Device accesses made, for statistics. */
  readonly counters = { slow: 0, device: 0 };

  constructor(parts: AccessParts) {
    this.#parts = parts;
  }

  /** Checks a direct access; the host address of its first byte goes to STATE.scratch. */
  probe(lo: number, hi: number, access: number): number {
    const { state, pages } = this.#parts;
    const bytes = 1 << (access & ACCESS.sizeLog2Mask);
    if (this.#check(lo, hi, bytes, access) !== 0) return 1;
    const { host, device } = this.#first;
    const write = (access & ACCESS.write) !== 0;
    // DC ZVA (the only single-byte probe for writing that is not exclusive or atomic) faults on device memory.
    if (device && bytes === 1 && write) return this.#abort(FAULT.alignment, write, lo, hi);
    if (host < 0 || (lo & (PAGE - 1)) + bytes > PAGE) {
      const { physical, exceptions } = this.#parts;
      const isHeld = host < 0 && physical.holds?.(this.#first.ipa, write ? WANT.write : WANT.read) === true;
      return isHeld ? exceptions.record(EC.unknown, 0) : this.#abort(UNSUPPORTED_ATOMIC, write, lo, hi);
    }
    if (write) pages.written((host & ~63) >>> 0, 64);
    state.set32(STATE.scratch, host);
    return 0;
  }

  /** Checks that both halves of a pair can be stored, without doing it. `access` describes one half. */
  checkStorePair(lo: number, hi: number, access: number): number {
    return this.#check(lo, hi, 1 << (access & ACCESS.sizeLog2Mask), access, 2);
  }

  /** Reads guest memory into STATE.scratch. */
  load(lo: number, hi: number, access: number): number {
    const { state } = this.#parts;
    const bytes = 1 << (access & ACCESS.sizeLog2Mask);
    if (this.#check(lo, hi, bytes, access) !== 0) return 1;
    const { host } = this.#first;
    const here = Math.min(bytes, PAGE - (lo & (PAGE - 1)));
    const into = state.at + STATE.scratch;
    if (here === bytes && host >= 0) {
      if ((access & ACCESS.ordered) === 0) this.#move(host, into, bytes);
      else this.#loadOrdered(host, bytes);
      return 0;
    }
    if (here === bytes) return this.#deviceLoad(this.#first.ipa, bytes, 0, lo, hi);
    if (this.#piece(this.#first, 0, here, lo, hi, false) !== 0) return 1;
    return this.#piece(this.#second, here, bytes - here, lo, hi, false);
  }

  /** Writes STATE.scratch to guest memory. */
  store(lo: number, hi: number, access: number): number {
    const { state, pages } = this.#parts;
    const bytes = 1 << (access & ACCESS.sizeLog2Mask);
    if (this.#check(lo, hi, bytes, access) !== 0) return 1;
    const { host } = this.#first;
    const here = Math.min(bytes, PAGE - (lo & (PAGE - 1)));
    if (here === bytes && host >= 0) {
      pages.written(host, bytes);
      const from = state.at + STATE.scratch;
      if ((access & ACCESS.ordered) === 0) this.#move(from, host, bytes);
      else this.#storeOrdered(host, bytes);
      return 0;
    }
    if (here === bytes) return this.#deviceStore(this.#first.ipa, bytes, 0, lo, hi);
    if (this.#piece(this.#first, 0, here, lo, hi, true) !== 0) return 1;
    return this.#piece(this.#second, here, bytes - here, lo, hi, true);
  }

  /**
   * Everything that can go wrong with an access of `count` elements of `bytes` bytes, in the order of priority of the
   * Arm ARM (D1.3.5.5): alignment by instruction or SCTLR.A, translation, alignment of device memory, watchpoints.
   */
  #check(lo: number, hi: number, bytes: number, access: number, count = 1): number {
    this.counters.slow++;
    const { space, debug, exceptions, state } = this.#parts;
    const write = (access & ACCESS.write) !== 0;
    const unaligned = (lo & (alignedBytes(bytes, access) - 1)) !== 0;
    const as = space.accessAs((access & ACCESS.user) !== 0);
    const first = this.#first;
    if ((access & ACCESS.modify) !== 0) {
      // WnR is 0 for what a read would have met already (Arm ARM D24.2.44, ISS of a Data Abort).
      if (unaligned) return this.#abort(FAULT.alignment, false, lo, hi);
      if (!this.#translate(lo, hi, false, as, first)) return this.#abort(first.syndrome, false, lo, hi);
    }
    if (unaligned && ((access & ACCESS.aligned) !== 0 || space.regime.alignmentCheck)) {
      return this.#abort(FAULT.alignment, write, lo, hi);
    }
    if (!this.#translate(lo, hi, write, as, first)) return this.#abort(first.syndrome, write, lo, hi);
    if (first.device && unaligned) return this.#abort(FAULT.alignment, write, lo, hi);
    const total = bytes * count;
    if ((lo & (PAGE - 1)) + total > PAGE) {
      const second = this.#second;
      const nextLo = ((lo & -PAGE) + PAGE) | 0;
      const nextHi = nextLo === 0 ? (hi + 1) | 0 : hi;
      if (!this.#translate(nextLo, nextHi, write, as, second))
        return this.#abort(second.syndrome, write, nextLo, nextHi);
      if (second.device && unaligned) return this.#abort(FAULT.alignment, write, nextLo, nextHi);
    }
    if (debug.active) {
      // The access has not happened yet: the core leaves for the debugger with pc at the instruction.
      if (debug.hostWatched(lo, hi, total, write)) return exceptions.record(EC.unknown, 0);
      const reads = !write || (access & ACCESS.modify) !== 0;
      const read = reads ? debug.watched(lo, hi, total, false, as === AS.el0) : -1;
      const offset = read >= 0 || !write ? read : debug.watched(lo, hi, total, true, as === AS.el0);
      if (offset >= 0) {
        const at = (lo >>> 0) + offset;
        const iss = FAULT.debug | (read < 0 ? ISS_ABORT.write : 0);
        const ec = EC.watchpoint + state.get32(STATE.el);
        return exceptions.recordAt(ec, iss, at | 0, at >= 2 ** 32 ? (hi + 1) | 0 : hi);
      }
    }
    return 0;
  }

  /** Translates one address and enters its page into the TLB where direct accesses may follow. */
  #translate(lo: number, hi: number, write: boolean, as: As, result: Translation): boolean {
    const { translator, space, pages, debug } = this.#parts;
    if (!translator.translate(lo, hi, write ? WANT.write : WANT.read, as === AS.el0, result)) return false;
    if (result.host < 0 || result.device || space.regime.alignmentCheck) return true;
    if (debug.active && debug.watches(lo, hi)) return true;
    const frame = (result.host & -PAGE) >>> 0;
    const direct = result.writable && pages.find(frame) === undefined;
    space.tlb.fill(as, lo, hi, frame, direct, result.blockLog2);
    return true;
  }

  /**
   * Copies; aligned elements of up to 8 bytes move whole, as other vCPUs must see them (a DataView moves them byte by byte
   * until it is optimised).
   */
  #move(from: number, to: number, bytes: number): void {
    const { words, halves, wide, bytes: all } = this.#parts.state;
    const both = from | to;
    if (bytes === 4 && (both & 3) === 0) words[to >>> 2] = words[from >>> 2]!;
    else if (bytes >= 8 && (both & 7) === 0) {
      for (let i = 0; i < bytes; i += 8) wide[(to + i) / 8] = wide[(from + i) / 8]!;
    } else if (bytes === 2 && (both & 1) === 0) halves[to >>> 1] = halves[from >>> 1]!;
    else all.copyWithin(to, from, from + bytes);
  }

  // LDAR and STLR are sequentially consistent among themselves (Arm ARM B2.3.3), here as in generated code: a store made
  // here and a load behind it that finds its page in the TLB must not change places. Both are aligned, or have faulted.

  #loadOrdered(host: number, bytes: number): void {
    const { words, halves, wide, bytes: all, at } = this.#parts.state;
    const scratch = at + STATE.scratch;
    if (bytes === 8) wide[scratch / 8] = Atomics.load(wide, host / 8);
    else if (bytes === 4) words[scratch >>> 2] = Atomics.load(words, host >>> 2);
    else if (bytes === 2) halves[scratch >>> 1] = Atomics.load(halves, host >>> 1);
    else all[scratch] = Atomics.load(all, host);
  }

  #storeOrdered(host: number, bytes: number): void {
    const { words, halves, wide, bytes: all, at } = this.#parts.state;
    const scratch = at + STATE.scratch;
    if (bytes === 8) Atomics.store(wide, host / 8, wide[scratch / 8]!);
    else if (bytes === 4) Atomics.store(words, host >>> 2, words[scratch >>> 2]!);
    else if (bytes === 2) Atomics.store(halves, host >>> 1, halves[scratch >>> 1]!);
    else Atomics.store(all, host, all[scratch]!);
  }

  /** Part of a page-crossing access: `bytes` bytes at `at` to or from STATE.scratch + `offset`. */
  #piece(at: Translation, offset: number, bytes: number, lo: number, hi: number, write: boolean): number {
    const { state, pages } = this.#parts;
    const scratch = state.at + STATE.scratch + offset;
    if (at.host >= 0) {
      if (write) {
        pages.written(at.host, bytes);
        state.bytes.copyWithin(at.host, scratch, scratch + bytes);
      } else state.bytes.copyWithin(scratch, at.host, at.host + bytes);
      return 0;
    }
    for (let i = 0; i < bytes; i++) {
      const status = write
        ? this.#deviceStore(at.ipa + i, 1, offset + i, lo, hi)
        : this.#deviceLoad(at.ipa + i, 1, offset + i, lo, hi);
      if (status !== 0) return 1;
    }
    return 0;
  }

  #deviceLoad(ipa: number, bytes: number, offset: number, lo: number, hi: number): number {
    const { state, physical } = this.#parts;
    this.counters.device++;
    const into = state.at + STATE.scratch + offset;
    for (let done = 0; done < bytes; done += 8) {
      const value = physical.read(ipa + done, Math.min(8, bytes));
      if (value === undefined) return this.#refused(false, lo, hi);
      if (bytes >= 8) state.view.setBigUint64(into + done, value, true);
      else if (bytes === 4) state.view.setUint32(into, Number(BigInt.asUintN(32, value)), true);
      else if (bytes === 2) state.view.setUint16(into, Number(BigInt.asUintN(16, value)), true);
      else state.view.setUint8(into, Number(BigInt.asUintN(8, value)));
    }
    return 0;
  }

  #deviceStore(ipa: number, bytes: number, offset: number, lo: number, hi: number): number {
    const { state, physical } = this.#parts;
    this.counters.device++;
    for (let done = 0; done < bytes; done += 8) {
      const width = Math.min(8, bytes);
      const value = BigInt.asUintN(width * 8, state.view.getBigUint64(state.at + STATE.scratch + offset + done, true));
      if (!physical.write(ipa + done, width, value)) return this.#refused(true, lo, hi);
    }
    return 0;
  }

  /** No device answered: an abort, unless the shell is to find out. */
  #refused(write: boolean, lo: number, hi: number): 1 {
    const { physical, exceptions } = this.#parts;
    return physical.isHeld === true ? exceptions.record(EC.unknown, 0) : this.#abort(FAULT.external, write, lo, hi);
  }

  #abort(status: number, write: boolean, lo: number, hi: number): 1 {
    return this.#parts.exceptions.recordDataAbort(status, write ? ISS_ABORT.write : 0, lo, hi);
  }
}

/** Bytes that must be aligned together: an element where the access has several. */
function alignedBytes(bytes: number, access: number): number {
  return (access & ACCESS.element) === 0 ? bytes : 1 << ((access >> ACCESS.elementShift) & 3);
}
