/**
 * Self-hosted debug: software step, hardware breakpoints and watchpoints (Arm ARM D2). Watched pages get no TLB tags, so
 * every access to them comes by the slow path and is compared here; pages with breakpoints are executed one instruction
 * at a time. Nothing else is slowed down.
 */
import { type CpuState, PSTATE } from '../cpu-state.js';
import { STATE } from '../state.js';
import { BREAKPOINTS, WATCHPOINTS } from '../sysreg/id-registers.js';
import { SLOT } from '../sysreg/registers.js';

const MDSCR = { ss: 1, kde: 1 << 13, mde: 1 << 15 } as const;
/** In STATE.interrupts: generated code must report when PSTATE.D is cleared (bit 9 is D's place in DAIF). */
export const DEBUG_LINE = PSTATE.d;

/** One enabled breakpoint or watchpoint. */
interface Trigger {
  readonly address: bigint;
  /** Bytes covered from `address`, as a mask of low address bits that do not matter (watchpoint ranges), or 0. */
  readonly mask: bigint;
  /** Byte address select within the aligned doubleword (watchpoints) or word (breakpoints). */
  readonly bytes: number;
  /** Bit 0: EL1, bit 1: EL0. */
  readonly levels: number;
  /** Bit 0: loads, bit 1: stores. */
  readonly accesses: number;
}

/** What a debugger outside the guest watches: `bytes` bytes at `address`. */
export interface HostWatchpoint {
  readonly address: bigint;
  readonly bytes: number;
  /** Bit 0: loads, bit 1: stores. */
  readonly accesses: number;
}

/** A host watchpoint that was hit: it, and the address of the access. */
export interface HostHit {
  readonly watchpoint: HostWatchpoint;
  readonly address: bigint;
}

/** See the head of this file. */
export class DebugUnit {
  readonly #state: CpuState;
  #breakpoints: readonly Trigger[] = [];
  #watchpoints: readonly Trigger[] = [];
  #hostBreakpoints: ReadonlySet<bigint> = new Set();
  #hostPages: ReadonlySet<bigint> = new Set();
  #hostWatchpoints: readonly HostWatchpoint[] = [];
  /** The host watchpoint that ended the last access; its reader clears it. */
  hostHit: HostHit | undefined;
  /** Whether any breakpoint or watchpoint is enabled (by the guest's registers or a debugger). */
  active = false;
  /** Whether MDSCR_EL1.SS is set and the OS lock is off. */
  stepEnabled = false;

  constructor(state: CpuState) {
    this.#state = state;
  }

  /** Whether debug exceptions are enabled at `el` when the masks are `daif`. */
  enabledAt(el: number, daif: number): boolean {
    const state = this.#state;
    if ((state.get32(SLOT.oslsr) & 2) !== 0 || (state.get32(SLOT.osdlr) & 1) !== 0) return false;
    return el === 0 || ((state.get32(SLOT.mdscr) & MDSCR.kde) !== 0 && (daif & PSTATE.d) === 0);
  }

  /** Whether debug exceptions are enabled now. */
  enabled(): boolean {
    return this.enabledAt(this.#state.get32(STATE.el), this.#state.get32(STATE.daif));
  }

  /** Whether software step applies to the next instruction. */
  get stepping(): boolean {
    return this.stepEnabled && this.enabled();
  }

  /** A debug register changed: takes the triggers anew. */
  update(): void {
    const state = this.#state;
    const mdscr = state.get32(SLOT.mdscr);
    const unlocked = (state.get32(SLOT.oslsr) & 2) === 0;
    this.stepEnabled = unlocked && (mdscr & MDSCR.ss) !== 0;
    const monitor = unlocked && (mdscr & MDSCR.mde) !== 0;
    this.#breakpoints = monitor ? this.#triggers(SLOT.breakpoints, BREAKPOINTS, breakpoint) : [];
    this.#watchpoints = monitor ? this.#triggers(SLOT.watchpoints, WATCHPOINTS, watchpoint) : [];
    const guests = this.#breakpoints.length + this.#watchpoints.length > 0;
    this.active = guests || this.#hostBreakpoints.size + this.#hostWatchpoints.length > 0;
    const line = (state.at + STATE.interrupts) >>> 2;
    if ((guests || this.stepEnabled) && (mdscr & MDSCR.kde) !== 0) Atomics.or(state.words, line, DEBUG_LINE);
    else Atomics.and(state.words, line, ~DEBUG_LINE);
  }

  /**
   * What a debugger outside the guest stops at, in place of what it gave before: virtual addresses, in whatever context,
   * unseen by the guest. The caller flushes translations, as after a write to a debug register.
   */
  setHost(breakpoints: readonly bigint[], watchpoints: readonly HostWatchpoint[]): void {
    this.#hostBreakpoints = new Set(breakpoints);
    this.#hostPages = new Set(breakpoints.map((address) => address >> 12n));
    this.#hostWatchpoints = watchpoints;
    this.update();
  }

  /** Whether a debugger stops at the instruction at hi:lo. */
  stopsAt(lo: number, hi: number): boolean {
    return this.#hostBreakpoints.size > 0 && this.#hostBreakpoints.has(address(lo, hi));
  }

  /** Whether the access hits a host watchpoint; {@link hostHit} tells which. */
  hostWatched(lo: number, hi: number, bytes: number, write: boolean): boolean {
    if (this.#hostWatchpoints.length === 0) return false;
    const start = address(lo, hi);
    const access = write ? 2 : 1;
    const watchpoint = this.#hostWatchpoints.find(
      (w) => (w.accesses & access) !== 0 && start < w.address + BigInt(w.bytes) && w.address < start + BigInt(bytes),
    );
    if (watchpoint === undefined) return false;
    this.hostHit = { watchpoint, address: start };
    return true;
  }

  /** Value and control registers alternate: slots were assigned in that order. */
  #triggers(first: number, count: number, decode: (value: bigint, control: number) => Trigger | undefined): Trigger[] {
    const triggers: Trigger[] = [];
    for (let n = 0; n < count; n++) {
      const trigger = decode(this.#state.get64(first + n * 16), this.#state.get32(first + n * 16 + 8));
      if (trigger !== undefined) triggers.push(trigger);
    }
    return triggers;
  }

  /** Whether the 4 KiB page of hi:lo has a breakpoint: its code must be executed step by step. */
  hasBreakpoint(lo: number, hi: number): boolean {
    if (this.#hostPages.size > 0 && this.#hostPages.has(address(lo, hi) >> 12n)) return true;
    return this.#breakpoints.length > 0 && onPage(this.#breakpoints, lo, hi);
  }

  /** Whether the page of hi:lo is watched: it must not be entered into the TLB. */
  watches(lo: number, hi: number): boolean {
    if (this.#hostWatchpoints.length > 0) {
      const page = address(lo, hi) >> 12n;
      const last = (w: HostWatchpoint): bigint => (w.address + BigInt(w.bytes) - 1n) >> 12n;
      if (this.#hostWatchpoints.some((w) => w.address >> 12n <= page && page <= last(w))) return true;
    }
    return this.#watchpoints.length > 0 && onPage(this.#watchpoints, lo, hi);
  }

  /** Whether a breakpoint stops the instruction at hi:lo now. */
  breaksAt(lo: number, hi: number): boolean {
    if (this.#breakpoints.length === 0 || !this.enabled()) return false;
    const level = 1 << (1 - this.#state.get32(STATE.el));
    const pc = address(lo, hi);
    return this.#breakpoints.some((b) => (b.levels & level) !== 0 && b.address === pc);
  }

  /**
   * The first byte of the access to `bytes` bytes at hi:lo that a watchpoint watches, as an offset, or -1.
   * `user`: the access has EL0's rights (LDTR, STTR).
   */
  watched(lo: number, hi: number, bytes: number, write: boolean, user: boolean): number {
    if (this.#watchpoints.length === 0 || !this.enabled()) return -1;
    const level = user || this.#state.get32(STATE.el) === 0 ? 2 : 1;
    const start = address(lo, hi);
    const access = write ? 2 : 1;
    for (let i = 0; i < bytes; i++) {
      const at = start + BigInt(i);
      for (const w of this.#watchpoints) {
        if ((w.levels & level) === 0 || (w.accesses & access) === 0) continue;
        if (w.mask !== 0n ? (at & ~w.mask) === w.address : covers(w, at)) return i;
      }
    }
    return -1;
  }
}

function covers(w: Trigger, at: bigint): boolean {
  return (at & ~7n) === w.address && ((w.bytes >> Number(at & 7n)) & 1) === 1;
}

function address(lo: number, hi: number): bigint {
  return (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);
}

function onPage(triggers: readonly Trigger[], lo: number, hi: number): boolean {
  const page = address(lo, hi) >> 12n;
  return triggers.some(
    (t) => t.address >> 12n === page || (t.mask > 0xfffn && (address(lo, hi) & ~t.mask) === t.address),
  );
}

/** DBGBVR, DBGBCR of an unlinked instruction-address match (BT = 0); linked and context matches do not trigger. */
function breakpoint(value: bigint, control: number): Trigger | undefined {
  if ((control & 1) === 0 || ((control >> 20) & 15) !== 0) return undefined;
  const signed = BigInt.asUintN(64, BigInt.asIntN(49, value) & ~3n);
  return { address: signed, mask: 0n, bytes: 15, levels: (control >> 1) & 3, accesses: 0 };
}

/** DBGWVR, DBGWCR: a doubleword with byte select, or a naturally aligned range of 2^MASK bytes. */
function watchpoint(value: bigint, control: number): Trigger | undefined {
  if ((control & 1) === 0) return undefined;
  const bits = (control >> 24) & 31;
  const mask = bits >= 3 ? (1n << BigInt(bits)) - 1n : 0n;
  const signed = BigInt.asUintN(64, BigInt.asIntN(49, value));
  // A word-aligned address with the upper half of the doubleword: BAS counts from the word (Arm ARM D2.10.5).
  const upper = (value & 4n) !== 0n;
  return {
    address: mask !== 0n ? signed & ~mask : signed & ~7n,
    mask,
    bytes: upper ? ((control >> 5) & 15) << 4 : (control >> 5) & 0xff,
    levels: (control >> 1) & 3,
    accesses: (control >> 3) & 3,
  };
}

/** LDXR, LDAXR, LDXP, LDAXP: what the EX bit of a step syndrome reports. */
export function isLoadExclusive(word: number): boolean {
  return (word & 0x3fe00000) >>> 0 === 0x08400000 || (word & 0xbfe00000) >>> 0 === 0x88600000;
}
