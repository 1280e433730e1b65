/**
 * Pre-decoded records: what the interpreter executes. A page of guest code has 1,024 records of 16 bytes and a sentinel
 * behind the last. Records are private to one vCPU.
 *
 * | offset | width | content |
 * |---|---|---|
 * | 0 | u16 | handler; bit 15: a compiled region starts here |
 * | 2 | 4 x u8 | register slots (general: 0..30, 31 SP, 32 zero, 33 discard; vector: 0..31) |
 * | 6 | u16 | how often a backward or computed branch came here |
 * | 8 | i64 or 2 x i32 | immediates |
 */
import { fieldsOf, type Instruction } from '../isa/instruction.js';
import { SLOT_DISCARD, SLOT_ZERO } from '../state.js';
import { operandUse } from './operand-use.js';

/** Size of a record in bytes; guest instructions are 4 bytes. */
export const RECORD_BYTES = 16;
/** Size of a page's records with the sentinel, in bytes, kept 16-byte aligned. */
export const RECORD_PAGE_BYTES = 1025 * RECORD_BYTES;
/** Offsets in a record. */
export const RECORD = { handler: 0, registers: 2, count: 6, immediate: 8 } as const;

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

/** Writes the record of `word` (an instruction `entry`, or undefined when unallocated) at byte `at` of `memory`. */
export function writeRecord(
  memory: DataView,
  at: number,
  word: number,
  entry: Instruction | undefined,
  numbers: HandlerNumbers,
): void {
  if (entry === undefined) {
    memory.setBigInt64(at + RECORD.immediate, BigInt(word), true);
    memory.setUint16(at + RECORD.handler, HANDLER.undefined, true);
    return;
  }
  const fields = fieldsOf(entry, word);
  entry.registers.forEach((register, i) => {
    let slot = register.number(fields);
    if (register.kind === 'x' && slot === 31) {
      const { read } = operandUse(entry, variantIndex(entry, fields));
      slot = ((read >> i) & 1) === 1 ? SLOT_ZERO : SLOT_DISCARD;
    }
    memory.setUint8(at + RECORD.registers + i, slot);
  });
  const [first, second] = entry.immediates;
  if (second !== undefined && first !== undefined) {
    memory.setInt32(at + RECORD.immediate, Number(first.compute(fields)), true);
    memory.setInt32(at + RECORD.immediate + 4, Number(second.compute(fields)), true);
  } else if (first !== undefined) {
    memory.setBigInt64(at + RECORD.immediate, BigInt.asIntN(64, BigInt(first.compute(fields))), true);
  }
  // The handler goes last: another thread never sees a half-written record (records are per vCPU; this keeps it so).
  memory.setUint16(at + RECORD.handler, numbers.of(entry, fields), true);
}
