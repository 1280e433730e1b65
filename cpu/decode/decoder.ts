/**
 * Finds the instruction table entry of a word. Entries are bucketed by the word's top 11 bits, each bucket when it is first
 * needed; within a bucket the fixed bits decide. No order matters: a test proves that no word matches two entries.
 */
import type { Instruction } from '../isa/instruction.js';
import { readFields } from '../isa/instruction.js';

const BUCKET_SHIFT = 21;
const BUCKET_MASK = (-1 << BUCKET_SHIFT) >>> 0;
/** The manual's main groups, by bits 28 to 25: buckets are found among those of one group. */
const GROUP = { shift: 25, count: 16, mask: 0xf << 25 } as const;

/** Decodes words of one instruction table. */
export class Decoder {
  readonly #table: readonly Instruction[];
  readonly #groups: (readonly Instruction[] | undefined)[] = new Array(GROUP.count).fill(undefined);
  readonly #buckets: (readonly Instruction[] | undefined)[] = new Array(1 << (32 - BUCKET_SHIFT)).fill(undefined);

  constructor(table: readonly Instruction[]) {
    this.#table = table;
  }

  #bucket(word: number): readonly Instruction[] {
    const top = word >>> BUCKET_SHIFT;
    const known = this.#buckets[top];
    if (known !== undefined) return known;
    const bucket = this.#group(word).filter(({ mask, value }) => ((word ^ value) & mask & BUCKET_MASK) === 0);
    this.#buckets[top] = bucket;
    return bucket;
  }

  #group(word: number): readonly Instruction[] {
    const at = (word >>> GROUP.shift) & (GROUP.count - 1);
    const known = this.#groups[at];
    if (known !== undefined) return known;
    const group = this.#table.filter(({ mask, value }) => ((word ^ value) & mask & GROUP.mask) === 0);
    this.#groups[at] = group;
    return group;
  }

  /** The entry that gives `word` its meaning, or undefined if the word is unallocated. */
  decode(word: number): Instruction | undefined {
    const bucket = this.#bucket(word);
    for (let i = 0; i < bucket.length; i++) {
      const entry = bucket[i]!;
      if (((word ^ entry.value) & entry.mask) !== 0) continue;
      if (entry.when === undefined || entry.when(readFields(entry, word))) return entry;
    }
    return undefined;
  }

  /** All entries that match `word`: more than one is an error in the table. */
  matches(word: number): readonly Instruction[] {
    return this.#bucket(word).filter(
      (entry) =>
        ((word ^ entry.value) & entry.mask) === 0 && (entry.when === undefined || entry.when(readFields(entry, word))),
    );
  }
}
