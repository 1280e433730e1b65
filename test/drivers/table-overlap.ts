/** Words that the bit patterns of two instruction table entries share: the only ones that can have two meanings. */
import { fieldsOf, type Instruction } from '../../cpu/isa/instruction.js';

/** Two entries whose patterns share words. */
export interface Overlap {
  readonly a: Instruction;
  readonly b: Instruction;
  /** Bits fixed in the shared words, and the bits that are free. */
  readonly value: number;
  readonly free: readonly number[];
}

/** Every pair of `table` whose fixed bits do not contradict each other. */
export function overlaps(table: readonly Instruction[]): Overlap[] {
  const found: Overlap[] = [];
  table.forEach((a, i) => {
    for (const b of table.slice(0, i)) {
      if (((a.value ^ b.value) & a.mask & b.mask) !== 0) continue;
      const fixed = a.mask | b.mask;
      const free = Array.from({ length: 32 }, (_, bit) => bit).filter((bit) => ((fixed >>> bit) & 1) === 0);
      found.push({ a, b, value: (a.value | b.value) >>> 0, free });
    }
  });
  return found;
}

/** Word number `index` of an overlap: its bits are spread over the free ones. */
export function sharedWord({ value, free }: Overlap, index: number): number {
  let word = value;
  free.forEach((bit, i) => {
    if (((index >>> i) & 1) === 1) word |= 1 << bit;
  });
  return word >>> 0;
}

/** Whether both entries accept `word`. */
export function bothMatch({ a, b }: Overlap, word: number): boolean {
  return [a, b].every((entry) => entry.when === undefined || entry.when(fieldsOf(entry, word)));
}
