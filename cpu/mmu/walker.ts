/**
 * Stage 1 translation table walks (Arm ARM D8.2, AArch64.S1Translate), joined with stage 2. Faults carry the exact
 * status code and level. Walk caches remember the level 2 and level 3 tables of recently used addresses; a TLBI that may
 * concern table descriptors empties them (`forgetTables`).
 *
 * The paths here run for each TLB miss, so they are written with 32-bit integers and without allocation.
 */
import { type CpuState, PSTATE } from '../cpu-state.js';
import { STATE } from '../state.js';
import { SLOT } from '../sysreg/registers.js';
import type { Regime, RegimeHalf } from './regime.js';
import {
  AS,
  type As,
  FAULT,
  joinStage2,
  type PhysicalMemory,
  type Translation,
  type Translator,
  WANT,
  type Want,
} from './translator.js';

/** Attributes gathered from table descriptors, at the place of the high word they come from. */
const TABLE_LIMITS = 0x78000000; // APTable, UXNTable, PXNTable
const AP_TABLE_NO_EL0 = 1 << 29;
const AP_TABLE_READ_ONLY = 1 << 30;
const UXN_TABLE = 1 << 28;
const PXN_TABLE = 1 << 27;

const AF = 1 << 10;
const NOT_GLOBAL = 1 << 11;
const CACHE_ENTRIES = 64;

/** Bits `lsb`.. of hi:lo, `width` (at most 13) of them. */
function field(lo: number, hi: number, lsb: number, width: number): number {
  const mask = (1 << width) - 1;
  if (lsb >= 32) return (hi >>> (lsb - 32)) & mask;
  return ((lo >>> lsb) | (hi << (32 - lsb))) & mask;
}

/** Remembered tables of one level: address prefix and half -> table and limits above it. */
class TableCache {
  readonly #prefixLo = new Int32Array(CACHE_ENTRIES);
  readonly #prefixHi = new Int32Array(CACHE_ENTRIES);
  readonly #root = new Float64Array(CACHE_ENTRIES).fill(-1);
  readonly #asid = new Int32Array(CACHE_ENTRIES);
  readonly base = new Float64Array(CACHE_ENTRIES);
  readonly limits = new Int32Array(CACHE_ENTRIES);
  #used = false;

  /** The entry for the table that bits `lsb` and up of the address lead to, or -1. */
  find(lo: number, hi: number, lsb: number, root: number, asid: number): number {
    const prefix = lsb >= 32 ? 0 : lo >>> lsb;
    const index = TableCache.#index(lo, hi, lsb);
    return this.#prefixLo[index] === (prefix | 0) &&
      this.#prefixHi[index] === (lsb > 32 ? hi >> (lsb - 32) : hi) &&
      this.#root[index] === root &&
      this.#asid[index] === asid
      ? index
      : -1;
  }

  /** Remembers a table. */
  add(lo: number, hi: number, lsb: number, root: number, asid: number, base: number, limits: number): void {
    const index = TableCache.#index(lo, hi, lsb);
    this.#prefixLo[index] = lsb >= 32 ? 0 : lo >>> lsb;
    this.#prefixHi[index] = lsb > 32 ? hi >> (lsb - 32) : hi;
    this.#root[index] = root;
    this.#asid[index] = asid;
    this.base[index] = base;
    this.limits[index] = limits;
    this.#used = true;
  }

  clear(): void {
    if (!this.#used) return;
    this.#root.fill(-1);
    this.#used = false;
  }

  static #index(lo: number, hi: number, lsb: number): number {
    const low = lsb >= 32 ? hi >>> (lsb - 32) : (lo >>> lsb) | (hi << (32 - lsb));
    return (low ^ (hi >>> 28)) & (CACHE_ENTRIES - 1);
  }
}

/** See the head of this file. */
export class Walker implements Translator {
  readonly #words: Int32Array;
  readonly #regime: Regime;
  readonly #memory: PhysicalMemory;
  readonly #state: CpuState;
  readonly #tables = [new TableCache(), new TableCache()] as const; // level 2, level 3
  /** Second word of the descriptor read last. */
  #high = 0;

  constructor(state: CpuState, regime: Regime, memory: PhysicalMemory) {
    this.#state = state;
    this.#words = state.words;
    this.#regime = regime;
    this.#memory = memory;
  }

  /** Drops what was remembered of table descriptors. */
  forgetTables(): void {
    this.#tables[0].clear();
    this.#tables[1].clear();
  }

  translate(lo: number, hi: number, want: Want, user: boolean, result: Translation): boolean {
    const privileged = (this.#state.get32(STATE.pstate) & PSTATE.pan) !== 0 ? AS.el1 : AS.el1NoPan;
    return this.translateAs(lo, hi, want, user ? AS.el0 : privileged, result);
  }

  /** {@link translate} with the rights of `as`, whatever PSTATE says. */
  translateAs(lo: number, hi: number, want: Want, as: As, result: Translation): boolean {
    const regime = this.#regime;
    const half = regime.halves[(hi >>> 23) & 1]!; // bit 55
    if (!regime.enabled) return this.#untranslated(lo, hi, want, half, result);
    const upper = (hi >>> 23) & 1;
    // Bits above the input size must all equal bit 55; TBI takes the top byte out of the comparison.
    let top = upper === 1 ? ~hi : hi;
    const topLow = upper === 1 ? ~lo : lo;
    if (half.topByteIgnored) top &= 0x00ffffff;
    const inputBits = half.inputBits;
    const outside = inputBits >= 32 ? top >>> (inputBits - 32) !== 0 : top !== 0 || topLow >>> inputBits !== 0;
    if (outside || !half.walks || (half.shutToEl0 && as === AS.el0)) {
      result.syndrome = FAULT.translation;
      return false;
    }
    return this.#walk(lo, hi, want, as, half, result);
  }

  #untranslated(lo: number, hi: number, want: Want, half: RegimeHalf, result: Translation): boolean {
    // Stage 1 off: the address is physical; data accesses are Device-nGnRnE (Arm ARM D8.2.10).
    const high = half.topByteIgnored ? hi & 0x00ffffff : hi;
    const ipa = (high >>> 0) * 2 ** 32 + (lo >>> 0);
    if (ipa >= this.#regime.outputLimit) {
      result.syndrome = FAULT.addressSize;
      return false;
    }
    result.ipa = ipa;
    result.device = true;
    result.ofAsid = false;
    result.blockLog2 = 12;
    result.attributes = 2;
    joinStage2(this.#memory, want, result);
    result.writable = result.host >= 0;
    return true;
  }

  #walk(lo: number, hi: number, want: Want, as: As, half: RegimeHalf, result: Translation): boolean {
    const { granule, inputBits, base: root } = half;
    const stride = granule - 3;
    const asid = this.#regime.asid;
    const level3Lsb = granule + stride;
    const level2Lsb = level3Lsb + stride;
    let level = half.startLevel;
    let table = root;
    let limits = 0;
    let found = this.#tables[1].find(lo, hi, level3Lsb, root, asid);
    if (found >= 0) {
      level = 3;
      table = this.#tables[1].base[found]!;
      limits = this.#tables[1].limits[found]!;
    } else if (level < 2) {
      found = this.#tables[0].find(lo, hi, level2Lsb, root, asid);
      if (found >= 0) {
        level = 2;
        table = this.#tables[0].base[found]!;
        limits = this.#tables[0].limits[found]!;
      }
    }
    const outputBits = this.#regime.outputBits;
    if (table >= this.#regime.outputLimit) {
      result.syndrome = FAULT.addressSize; // the TTBR's address: level 0
      return false;
    }
    for (;;) {
      const lsb = granule + (3 - level) * stride;
      const index = field(lo, hi, lsb, Math.min(stride, inputBits - lsb));
      const at = table + index * 8;
      const frame = this.#memory.frame(Math.floor(at / 4096), WANT.read);
      if (frame < 0) {
        result.syndrome = FAULT.externalOnWalk | level;
        return false;
      }
      const word = (frame + (at & 0xfff)) >>> 2;
      // A descriptor is one 64-bit value to the guest: read again if another vCPU replaced it in between.
      let low = Atomics.load(this.#words, word);
      let high = Atomics.load(this.#words, word + 1);
      while (Atomics.load(this.#words, word) !== low) {
        low = Atomics.load(this.#words, word);
        high = Atomics.load(this.#words, word + 1);
      }
      const isTable = (low & 2) !== 0 && level < 3;
      const isLeaf =
        level === 3 ? (low & 3) === 3 : (low & 3) === 1 && (level === 2 || (level === 1 && granule === 12));
      if (!isTable && !isLeaf) {
        result.syndrome = FAULT.translation | level;
        return false;
      }
      if ((low & 1) === 0) {
        result.syndrome = FAULT.translation | level;
        return false;
      }
      if ((high & 0xffff) >>> (outputBits - 32) !== 0) {
        result.syndrome = FAULT.addressSize | level;
        return false;
      }
      if (isLeaf) {
        this.#high = high;
        return this.#leaf(lo, hi, want, as, level, lsb, low, limits, result);
      }
      if (!half.flat) limits |= high & TABLE_LIMITS;
      table = (high & 0xffff) * 2 ** 32 + ((low & (-1 << granule)) >>> 0);
      level++;
      if (level === 3) this.#tables[1].add(lo, hi, level3Lsb, root, asid, table, limits);
      else if (level === 2) this.#tables[0].add(lo, hi, level2Lsb, root, asid, table, limits);
    }
  }

  /** Permission checks and output of a block or page descriptor. */
  #leaf(
    lo: number,
    hi: number,
    want: Want,
    as: As,
    level: number,
    lsb: number,
    low: number,
    limits: number,
    result: Translation,
  ): boolean {
    if ((low & AF) === 0) {
      result.syndrome = FAULT.accessFlag | level;
      return false;
    }
    const high = this.#high;
    const el0 = (low & (1 << 6)) !== 0 && (limits & AP_TABLE_NO_EL0) === 0;
    const writes = (low & (1 << 7)) === 0 && (limits & AP_TABLE_READ_ONLY) === 0;
    const wxn = this.#regime.writeExecuteNever;
    let allowed: boolean;
    if (want === WANT.execute) {
      if (as === AS.el0) {
        allowed = (high & (1 << 22)) === 0 && (limits & UXN_TABLE) === 0 && !(wxn && el0 && writes);
      } else {
        allowed = (high & (1 << 21)) === 0 && (limits & PXN_TABLE) === 0 && !(el0 && writes) && !(wxn && writes);
      }
    } else {
      allowed = as === AS.el0 ? el0 : as === AS.el1NoPan || !el0;
      if (want === WANT.write) allowed = allowed && writes;
    }
    if (!allowed) {
      result.syndrome = FAULT.permission | level;
      return false;
    }
    const offsetLow = lsb >= 32 ? lo : lo & ((1 << lsb) - 1);
    const baseLow = lsb >= 32 ? 0 : low & (-1 << lsb);
    result.ipa = (high & 0xffff) * 2 ** 32 + ((baseLow | offsetLow) >>> 0);
    if (lsb > 32) result.ipa += (hi & ((1 << (lsb - 32)) - 1)) * 2 ** 32;
    result.blockLog2 = lsb;
    result.ofAsid = (low & NOT_GLOBAL) !== 0;
    const attribute = (low >>> 2) & 7;
    result.device = ((this.#regime.deviceAttributes >>> attribute) & 1) === 1;
    result.attributes = (this.#attribute(attribute) << 8) | (result.device ? 2 : (low >>> 8) & 3);
    const page = Math.floor(result.ipa / 4096);
    const frame = this.#memory.frame(page, want);
    result.host = frame < 0 ? -1 : frame + (lo & 0xfff);
    result.writable = writes && frame >= 0 && (want === WANT.write || this.#memory.frame(page, WANT.write) === frame);
    return true;
  }

  #attribute(index: number): number {
    return (this.#state.get32(SLOT.mair + (index & 4)) >>> ((index & 3) * 8)) & 0xff;
  }
}
