/**
 * Text of instruction words, for traces and reports, from the same table that executes them. Integer instructions read as
 * GNU objdump prints them (assembly.ts); other entries show their name and operands, unless they declare `asm`.
 */
import type { Decoder } from '../decode/decoder.js';
import { ASSEMBLY } from './assembly.js';
import { fieldsOf, type Instruction } from './instruction.js';

const REGISTER_NAMES = { x: 'x', xsp: 'x', v: 'v' } as const;

/** Name in small letters and operands, for entries without a text of their own. */
function plainText(entry: Instruction, word: number): string {
  const fields = fieldsOf(entry, word);
  const registers = [...entry.registers].reverse().map(({ kind, number }) => {
    const n = number(fields);
    if (n === 31 && kind !== 'v') return kind === 'xsp' ? 'sp' : 'xzr';
    return `${REGISTER_NAMES[kind]}${n}`;
  });
  const immediates = entry.immediates.map(
    ({ compute }) => `#0x${BigInt.asUintN(64, BigInt(compute(fields))).toString(16)}`,
  );
  const operands = [...registers, ...immediates].join(', ');
  return operands === '' ? entry.name.toLowerCase() : `${entry.name.toLowerCase()} ${operands}`;
}

/** The assembly text of `word` at virtual address `pc`; unallocated words are `.inst 0x....`. */
export function disassemble(decoder: Decoder, word: number, pc: bigint): string {
  const entry = decoder.decode(word);
  if (entry === undefined) return `.inst 0x${(word >>> 0).toString(16).padStart(8, '0')}`;
  const { asm } = entry;
  if (typeof asm === 'string') return asm;
  if (asm !== undefined) return asm(fieldsOf(entry, word));
  const text = ASSEMBLY[entry.name];
  return text === undefined ? plainText(entry, word) : text(fieldsOf(entry, word), pc);
}
