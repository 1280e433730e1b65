/** Words that the bit patterns of two instruction table entries share: the only ones that can have two meanings. */
import { type Instruction, readFields } from '../../cpu/isa/instruction.js';

/** Two entries whose patterns share words. */
export interface Overlap {
  readonly a: Instruction;
  readonly b: Instruction;
  /** The shared words' fixed bits, and a mask of those that are free. */
  readonly value: number;
  readonly free: number;
}

/** Every pair of `table` whose fixed bits do not contradict each other. */
export function overlaps(table: readonly Instruction[]): Overlap[] {
  const found: Overlap[] = [];
  table.forEach((a, i) => {
    for (const b of table.slice(0, i)) {
      if (((a.value ^ b.value) & a.mask & b.mask) !== 0) continue;
      found.push({ a, b, value: (a.value | b.value) >>> 0, free: ~(a.mask | b.mask) >>> 0 });
    }
  });
  return found;
}

/** The shared word whose free bits are those of `bits`. */
export const sharedWord = ({ value, free }: Overlap, bits: number): number => (value | (bits & free)) >>> 0;

const accepts = (entry: Instruction, word: number): boolean =>
  entry.when === undefined || entry.when(readFields(entry, word));

/** Whether both entries accept `word`. */
export const bothMatch = ({ a, b }: Overlap, word: number): boolean => accepts(a, word) && accepts(b, word);

/** The first of all shared words that both entries accept. */
export function firstWithTwoMeanings(overlap: Overlap): number | undefined {
  const { free } = overlap;
  let bits = 0;
  do {
    const word = sharedWord(overlap, bits);
    if (bothMatch(overlap, word)) return word;
    bits = ((bits | ~free) + 1) & free; // counts in the free bits: the others carry on
  } while (bits !== 0);
  return undefined;
}
