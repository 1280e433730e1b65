/**
 * Pre-decoded records: what the interpreter executes. A page of guest code has 1,024 records of 16 bytes and a sentinel
 * behind the last, which holds besides where the page is. Records are private to one vCPU.
 *
 * | offset | width | content |
 * |---|---|---|
 * | 0 | u16 | handler; bit 15: a compiled region starts here |
 * | 2 | 4 x u8 | register slots (general: 0..30, 31 SP, 32 zero, 33 discard; vector: 0..31) |
 * | 6 | u16 | how often a backward or computed branch came here |
 * | 8 | i64 or 2 x i32 | immediates |
 */
import type { Instruction } from '../isa/instruction.js';

/** Size of a record in bytes; guest instructions are 4 bytes. */
export const RECORD_BYTES = 16;
/** Size of a page's records with the sentinel, in bytes, kept 16-byte aligned. */
export const RECORD_PAGE_BYTES = 1025 * RECORD_BYTES;
/** Offsets in a record. */
export const RECORD = { handler: 0, registers: 2, count: 6, immediate: 8 } as const;

const SENTINEL = 1024 * RECORD_BYTES;
/** In a page's records: i32 host address of the page, and u16, not 0 once a record was made or marked since all were forgotten. */
export const PAGE_HOST = SENTINEL + RECORD.immediate;
export const PAGE_IN_USE = SENTINEL + RECORD.count;

/** Where the slot number of register operand `i` is: a fifth and sixth take the place of the immediates. */
export function registerOffset(i: number): number {
  return i < 4 ? RECORD.registers + i : RECORD.immediate + i - 4;
}

/** Handler numbers with a fixed meaning. */
export const HANDLER = { decode: 0, endOfPage: 1, undefined: 2, first: 3 } as const;
/** Bit in the handler word: a compiled region starts here. */
export const REGION_BIT = 0x8000;

/** Where each variant combination of each instruction has its handler. */
export class HandlerNumbers {
  readonly #base = new Map<Instruction, number>();
  /** Number of handlers, fixed ones included. */
  readonly count: number;

  constructor(table: readonly Instruction[]) {
    let next: number = HANDLER.first;
    // Hot ones first: the interpreter's inner loop holds a prefix of the numbers.
    for (const entry of [...table.filter((e) => e.hot), ...table.filter((e) => !e.hot)]) {
      this.#base.set(entry, next);
      next += entry.variantCount;
    }
    this.count = next;
  }

  /** Handler of `entry` with these field values. */
  of(entry: Instruction, fields: Readonly<Record<string, number>>): number {
    return (this.#base.get(entry) ?? HANDLER.undefined) + variantIndex(entry, fields);
  }

  /** Handler of `entry`'s variant combination `index`. */
  at(entry: Instruction, index: number): number {
    return (this.#base.get(entry) ?? HANDLER.undefined) + index;
  }
}

/** Mixed-radix number of a variant combination. */
export function variantIndex(entry: Instruction, fields: Readonly<Record<string, number>>): number {
  let index = 0;
  for (const variant of entry.variants) index = index * (variant.mask + 1) + (fields[variant.name] ?? 0);
  return index;
}

/** Variant values of combination `index`: the inverse of {@link variantIndex}. */
export function variantValues(entry: Instruction, index: number): Record<string, number> {
  const values: Record<string, number> = {};
  let rest = index;
  for (const variant of [...entry.variants].reverse()) {
    const size = variant.mask + 1;
    values[variant.name] = rest % size;
    rest = Math.floor(rest / size);
  }
  return values;
}
