/** Turns words of guest code into the records that the interpreter executes. */
import { type Instruction, type PatternField, type RawFields, readFields } from '../isa/instruction.js';
import { SLOT_DISCARD, SLOT_ZERO } from '../state.js';
import { HANDLER, type HandlerNumbers, RECORD, REGION_BIT, registerOffset } from './record.js';

/**
 * Name of the section of the interpreter's module with a byte for each handler: bit i says that register operand i is read.
 * It tells the zero register as a source from the zero register as a destination, which only running the semantics shows.
 */
export const READS_SECTION = 'reads';

/** What does not depend on the word, of one instruction. */
interface Plan {
  /** Handler of its first variant combination. */
  readonly handler: number;
  readonly variants: readonly PatternField[];
  readonly registers: readonly {
    /** The field that is its number; where there is none, what it is by all fields. */
    readonly field: PatternField | undefined;
    readonly number: (fields: RawFields) => number;
    readonly offset: number;
    /** Whether number 31 is the zero register. */
    readonly hasZero: boolean;
  }[];
  readonly immediates: readonly ((fields: RawFields) => bigint | number)[];
}

/** See the head of this file. */
export class RecordWriter {
  readonly #memory: DataView;
  readonly #numbers: HandlerNumbers;
  readonly #reads: Uint8Array;
  readonly #plans = new Map<Instruction, Plan>();

  /** `memory`: where the records are; `reads`: of the interpreter that will execute them, see {@link READS_SECTION}. */
  constructor(memory: DataView, numbers: HandlerNumbers, reads: Uint8Array) {
    this.#memory = memory;
    this.#numbers = numbers;
    this.#reads = reads;
  }

  /** Writes the record of `word` (an instruction `entry`, or undefined when unallocated) at byte `at`. */
  write(at: number, word: number, entry: Instruction | undefined): void {
    const memory = this.#memory;
    if (entry === undefined) {
      memory.setBigInt64(at + RECORD.immediate, BigInt(word), true);
      memory.setUint16(at + RECORD.handler, HANDLER.undefined, true);
      return;
    }
    const { handler: first, variants, registers, immediates } = this.#planOf(entry);
    // As variantIndex has it.
    let variant = 0;
    for (let i = 0; i < variants.length; i++) {
      const { shift, mask } = variants[i]!;
      variant = variant * (mask + 1) + ((word >>> shift) & mask);
    }
    const handler = first + variant;
    for (let i = 0; i < registers.length; i++) {
      const { field, number, offset, hasZero } = registers[i]!;
      let slot = field === undefined ? number(readFields(entry, word)) : (word >>> field.shift) & field.mask;
      if (hasZero && slot === 31) slot = ((this.#reads[handler]! >> i) & 1) === 1 ? SLOT_ZERO : SLOT_DISCARD;
      memory.setUint8(at + offset, slot);
    }
    const immediateAt = at + RECORD.immediate;
    if (immediates.length === 2) {
      const fields = readFields(entry, word);
      memory.setInt32(immediateAt, Number(immediates[0]!(fields)), true);
      memory.setInt32(immediateAt + 4, Number(immediates[1]!(fields)), true);
    } else if (immediates.length === 1) {
      const value = immediates[0]!(readFields(entry, word));
      if (typeof value === 'number' && (value | 0) === value) {
        memory.setInt32(immediateAt, value, true);
        memory.setInt32(immediateAt + 4, value >> 31, true);
      } else memory.setBigInt64(immediateAt, BigInt.asIntN(64, BigInt(value)), true);
    }
    // A region may start at an instruction that was never interpreted: its mark stays.
    const mark = memory.getUint16(at + RECORD.handler, true) & REGION_BIT;
    memory.setUint16(at + RECORD.handler, handler | mark, true);
  }

  #planOf(entry: Instruction): Plan {
    const known = this.#plans.get(entry);
    if (known !== undefined) return known;
    const plan = {
      handler: this.#numbers.at(entry, 0),
      variants: entry.variants,
      registers: entry.registers.map(({ name, number, kind }, i) => {
        const field = entry.fields.find((one) => one.name === name);
        return { field, number, offset: registerOffset(i), hasZero: kind === 'x' };
      }),
      immediates: entry.immediates.map(({ compute }) => compute),
    };
    this.#plans.set(entry, plan);
    return plan;
  }
}
