/**
 * Records already made, by instruction word: a record depends on nothing else but the interpreter's build. Most words that the interpreter meets have
 * been met before, in another place or before their page changed, and copying a record costs a hundredth of making it.
 */
import { RECORD, REGION_BIT } from './record.js';

const SLOTS_LOG2 = 17;
/** A slot: the word, then the record's four words without mark and count. A handler is never 0, so an empty slot shows. */
const SLOT_WORDS = 5;
const HANDLER_AND_REGISTERS = 1;

/** Bytes of the table of a memo. */
export const MEMO_BYTES = (SLOT_WORDS * 4) << SLOTS_LOG2;

let spare: Int32Array | undefined;

/** Makes the table of the next memo of this thread, and touches its memory: to be called while there is time. */
export function prepareMemo(): void {
  spare ??= new Int32Array(MEMO_BYTES >>> 2).fill(0);
}

/**
 * What another memo of the same interpreter has learnt: the next memo of this thread begins with it. `isOwn`: it goes on in that very
 * memory, in which nobody else writes.
 */
export function beginMemoWith(table: ArrayBufferLike, isOwn: boolean): void {
  if (table.byteLength !== MEMO_BYTES) return;
  const known = new Int32Array(table);
  if (isOwn) spare = known;
  else {
    prepareMemo();
    spare?.set(known);
  }
}

function takeTable(): Int32Array {
  const table = spare ?? new Int32Array(MEMO_BYTES >>> 2);
  spare = undefined;
  return table;
}

/** See the head of this file. */
export class DecodeMemo {
  readonly #memory: Int32Array;
  readonly #slots = takeTable();

  /** `memory`: where the records are, as little-endian words. */
  constructor(memory: Int32Array) {
    this.#memory = memory;
  }

  /** Writes the record of `word` at byte `record` if it is known; its mark and count stay as they are. */
  recall(word: number, record: number): boolean {
    const slots = this.#slots;
    const slot = slotOf(word);
    const first = slots[slot + HANDLER_AND_REGISTERS]!;
    if (slots[slot] !== (word | 0) || first === 0) return false;
    const memory = this.#memory;
    const at = record >>> 2;
    memory[at + 1] = (memory[at + 1]! & 0xffff0000) | slots[slot + 2]!;
    memory[at + 2] = slots[slot + 3]!;
    memory[at + 3] = slots[slot + 4]!;
    memory[at] = first | (memory[at]! & REGION_BIT);
    return true;
  }

  /** Remembers the record of `word` that is at byte `record`. */
  remember(word: number, record: number): void {
    const slots = this.#slots;
    const slot = slotOf(word);
    const at = record >>> 2;
    slots[slot] = word;
    slots[slot + HANDLER_AND_REGISTERS] = this.#memory[at]! & ~REGION_BIT;
    slots[slot + 2] = this.#memory[at + 1]! & ((1 << ((RECORD.count & 3) * 8)) - 1);
    slots[slot + 3] = this.#memory[at + 2]!;
    slots[slot + 4] = this.#memory[at + 3]!;
  }
}

function slotOf(word: number): number {
  return (Math.imul(word, 0x9e3779b1) >>> (32 - SLOTS_LOG2)) * SLOT_WORDS;
}
