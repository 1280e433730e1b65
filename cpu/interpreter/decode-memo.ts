/**
 * Records already made, by instruction word: a record depends on nothing else but the interpreter's build. Most words that the interpreter meets have
 * been met before, in another place or before their page changed, and copying a record costs a hundredth of making it.
 *
 * The table lies in the vCPU's area (MEMO of state.ts), where generated code looks records up itself (recall.ts).
 */
import { MEMO, MEMO_BYTES } from '../state.js';
import { RECORD, REGION_BIT } from './record.js';

const SLOT_WORDS = MEMO.slotBytes >>> 2;
const HANDLER_AND_REGISTERS = 1;
const PLACES = 4;
/** A word may be in a pair of neighbours by each of these hashes, four places. The first is 2^32 divided by the golden ratio. */
export const WORD_MULTIPLIERS = [0x9e3779b1 | 0, 0x85ebca6b | 0] as const;

/** See the head of this file. */
export class DecodeMemo {
  readonly #memory: Int32Array;
  readonly #slots: Int32Array;

  /**
   * `memory`: where the records are and the table is, as little-endian words; `state`: address of the vCPU's state block; `known`: what another
   * memo of the same interpreter has learnt.
   */
  constructor(memory: Int32Array, state: number, known?: ArrayBufferLike) {
    this.#memory = memory;
    this.#slots = memory.subarray((state + MEMO.at) >>> 2, (state + MEMO.at + MEMO_BYTES) >>> 2);
    if (known?.byteLength === MEMO_BYTES) this.#slots.set(new Int32Array(known));
    else this.#slots.fill(0);
  }

  /** Copies what is known to `table`, MEMO_BYTES long. */
  copyTo(table: ArrayBufferLike): void {
    new Int32Array(table).set(this.#slots);
  }

  /**
   * Makes all that is known here known to the vCPU of the same interpreter whose state block is at `state`, and nothing else. Neither
   * may be executing.
   */
  lendTo(state: number): void {
    const from = this.#slots.byteOffset >>> 2;
    this.#memory.copyWithin((state + MEMO.at) >>> 2, from, from + this.#slots.length);
  }

  /** Writes the record of `word` at byte `record` if it is known; its mark and count stay as they are. */
  recall(word: number, record: number): boolean {
    const slots = this.#slots;
    const slot = this.#find(word);
    if (slot < 0) return false;
    const memory = this.#memory;
    const at = record >>> 2;
    memory[at + 1] = (memory[at + 1]! & 0xffff0000) | slots[slot + 2]!;
    memory[at + 2] = slots[slot + 3]!;
    memory[at + 3] = slots[slot + 4]!;
    memory[at] = slots[slot + HANDLER_AND_REGISTERS]! | (memory[at]! & REGION_BIT);
    return true;
  }

  /** Remembers the record of `word` that is at byte `record`. */
  remember(word: number, record: number): void {
    const slots = this.#slots;
    const into = this.#placeFor(word);
    const at = record >>> 2;
    slots[into] = word;
    slots[into + HANDLER_AND_REGISTERS] = this.#memory[at]! & ~REGION_BIT;
    slots[into + 2] = this.#memory[at + 1]! & ((1 << ((RECORD.count & 3) * 8)) - 1);
    slots[into + 3] = this.#memory[at + 2]!;
    slots[into + 4] = this.#memory[at + 3]!;
  }

  /** Where in the table `word` is, or -1. */
  #find(word: number): number {
    const slots = this.#slots;
    for (let n = 0; n < PLACES; n++) {
      const slot = placeOf(word, n);
      if (slots[slot] === (word | 0) && slots[slot + HANDLER_AND_REGISTERS] !== 0) return slot;
    }
    return -1;
  }

  /**
   * Where it is or goes: to a free place, or to one from which what is there can go to another of its own places; or else to the first, from which what is
   * there goes to the place beside it, and what is there is forgotten.
   */
  #placeFor(word: number): number {
    const slots = this.#slots;
    const known = this.#find(word);
    if (known >= 0) return known;
    const free = this.#freePlaceOf(word);
    if (free >= 0) return free;
    for (let n = 0; n < PLACES; n++) {
      const slot = placeOf(word, n);
      const to = this.#freePlaceOf(slots[slot]!);
      if (to < 0) continue;
      slots.copyWithin(to, slot, slot + SLOT_WORDS);
      return slot;
    }
    const first = placeOf(word, 0);
    slots.copyWithin(placeOf(word, 1), first, first + SLOT_WORDS);
    return first;
  }

  /** A free place for `word`, or -1. */
  #freePlaceOf(word: number): number {
    for (let n = 0; n < PLACES; n++) {
      const slot = placeOf(word, n);
      if (this.#slots[slot + HANDLER_AND_REGISTERS] === 0) return slot;
    }
    return -1;
  }
}

/** Place `n` of those where `word` may be, in the order in which they are looked at. */
function placeOf(word: number, n: number): number {
  const number = Math.imul(word, WORD_MULTIPLIERS[n >> 1]!) >>> (32 - MEMO.slotsLog2);
  return (number ^ (n & 1)) * SLOT_WORDS;
}
