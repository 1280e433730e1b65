/** Turns a word of guest code into the record that the interpreter executes. */
import { fieldsOf, type Instruction } from '../isa/instruction.js';
import { SLOT_DISCARD, SLOT_ZERO } from '../state.js';
import { operandUse } from './operand-use.js';
import { HANDLER, type HandlerNumbers, RECORD, REGION_BIT, registerOffset, variantIndex } from './record.js';

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
    memory.setUint8(at + registerOffset(i), slot);
  });
  const [first, second] = entry.immediates;
  if (second !== undefined && first !== undefined) {
    memory.setInt32(at + RECORD.immediate, Number(first.compute(fields)), true);
    memory.setInt32(at + RECORD.immediate + 4, Number(second.compute(fields)), true);
  } else if (first !== undefined) {
    memory.setBigInt64(at + RECORD.immediate, BigInt.asIntN(64, BigInt(first.compute(fields))), true);
  }
  // A region may start at an instruction that was never interpreted: its mark stays.
  const mark = memory.getUint16(at + RECORD.handler, true) & REGION_BIT;
  memory.setUint16(at + RECORD.handler, numbers.of(entry, fields) | mark, true);
}
