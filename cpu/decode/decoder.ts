/**
 * Finds the instruction table entry of a word. Entries are bucketed by the word's top 11 bits; within a bucket the fixed
 * bits decide. No order matters: a test proves that no word matches two entries.
 */
import type { Instruction } from '../isa/instruction.js';
import { fieldsOf } from '../isa/instruction.js';

const BUCKET_SHIFT = 21;

/** Decodes words of one instruction table. */
export class Decoder {
  readonly #buckets: readonly (readonly Instruction[])[];

  constructor(table: readonly Instruction[]) {
    const buckets: Instruction[][] = [];
    for (let top = 0; top < 1 << (32 - BUCKET_SHIFT); top++) {
      const prefix = (top << BUCKET_SHIFT) >>> 0;
      const known = 0xffe00000;
      buckets.push(table.filter((entry) => (prefix & known & entry.mask) >>> 0 === (entry.value & known) >>> 0));
    }
    this.#buckets = buckets;
  }

  /** The entry that gives `word` its meaning, or undefined if the word is unallocated. */
  decode(word: number): Instruction | undefined {
    const bucket = this.#buckets[word >>> BUCKET_SHIFT];
    if (bucket === undefined) return undefined;
    for (const entry of bucket) {
      if ((word & entry.mask) >>> 0 !== entry.value) continue;
      if (entry.when === undefined || entry.when(fieldsOf(entry, word))) return entry;
    }
    return undefined;
  }

  /** All entries that match `word`: more than one is an error in the table. */
  matches(word: number): readonly Instruction[] {
    const bucket = this.#buckets[word >>> BUCKET_SHIFT] ?? [];
    return bucket.filter(
      (entry) =>
        (word & entry.mask) >>> 0 === entry.value && (entry.when === undefined || entry.when(fieldsOf(entry, word))),
    );
  }
}
