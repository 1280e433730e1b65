/**
 * Typed access to one vCPU's state block from outside generated code. 64-bit values are offered as bigint for the edges
 * and as two 32-bit words for paths that must not allocate.
 */
import { STATE } from './state.js';

/** PSTATE bits as SPSR_EL1 has them (Arm ARM C5.2.18). */
export const PSTATE = {
  spsel: 1,
  ss: 1 << 21,
  il: 1 << 20,
  pan: 1 << 22,
  uao: 1 << 23,
  daif: 0x3c0,
  d: 1 << 9,
  a: 1 << 8,
  i: 1 << 7,
  f: 1 << 6,
} as const;

/** See the head of this file. Views cover the whole shared memory, so guest frames are reached through them too. */
export class CpuState {
  /** Address of the state block. */
  readonly at: number;
  readonly bytes: Uint8Array;
  readonly halves: Uint16Array;
  readonly words: Int32Array;
  readonly wide: BigInt64Array;
  readonly view: DataView;

  constructor(memory: ArrayBufferLike, at: number) {
    this.at = at;
    this.bytes = new Uint8Array(memory);
    this.halves = new Uint16Array(memory);
    this.words = new Int32Array(memory);
    this.wide = new BigInt64Array(memory);
    this.view = new DataView(memory);
  }

  /** Reads the 32-bit field at `offset`. */
  get32(offset: number): number {
    return this.words[(this.at + offset) >>> 2]!;
  }
  /** Writes the 32-bit field at `offset`. */
  set32(offset: number, value: number): void {
    this.words[(this.at + offset) >>> 2] = value;
  }
  /** Reads the 64-bit field at `offset`, unsigned. */
  get64(offset: number): bigint {
    return this.view.getBigUint64(this.at + offset, true);
  }
  /** Writes the 64-bit field at `offset` (modulo 2^64). */
  set64(offset: number, value: bigint): void {
    this.view.setBigUint64(this.at + offset, value, true);
  }
  /** Writes the 64-bit field at `offset` from two halves. */
  setHalves(offset: number, lo: number, hi: number): void {
    const index = (this.at + offset) >>> 2;
    this.words[index] = lo;
    this.words[index + 1] = hi;
  }
  /** Copies the 64-bit field at `from` to `to`. */
  copy64(from: number, to: number): void {
    this.setHalves(to, this.get32(from), this.get32(from + 4));
  }

  /** Condition flags packed in bits 31..28. */
  getNzcv(): number {
    const n = this.get32(STATE.flagN + 4) & 0x80000000;
    const z = (this.get32(STATE.flagZ) | this.get32(STATE.flagZ + 4)) === 0 ? 0x40000000 : 0;
    const c = this.get32(STATE.flagC) !== 0 ? 0x20000000 : 0;
    const v = (this.get32(STATE.flagV + 4) & 0x80000000) !== 0 ? 0x10000000 : 0;
    return n | z | c | v;
  }
  /** Sets the condition flags from bits 31..28. */
  setNzcv(packed: number): void {
    this.setHalves(STATE.flagN, 0, packed & 0x80000000);
    this.setHalves(STATE.flagZ, (packed & 0x40000000) !== 0 ? 0 : 1, 0);
    this.set32(STATE.flagC, (packed >>> 29) & 1);
    this.setHalves(STATE.flagV, 0, (packed << 3) & 0x80000000);
  }

  /** PSTATE in the form SPSR_EL1 has it. */
  getPstate(): number {
    const pstate = this.get32(STATE.pstate);
    const mode = this.get32(STATE.el) === 0 ? 0 : 4 | (pstate & PSTATE.spsel);
    return this.getNzcv() | (pstate & ~PSTATE.spsel) | this.get32(STATE.daif) | mode;
  }
}
