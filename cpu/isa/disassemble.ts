/**
 * Text of instruction words, for traces and reports, from the same table that executes them, as GNU objdump prints it.
 * Integer instructions have a text each (assembly.ts); the others go by encoding class, with the table entry's name as the
 * mnemonic.
 */
import type { Decoder } from '../decode/decoder.js';
import { ASSEMBLY } from './assembly.js';
import { FP_CLASSES } from './assembly-fp.js';
import { SYSTEM_CLASSES } from './assembly-system.js';
import { VECTOR_CLASSES } from './assembly-vector.js';
import { VECTOR_MEMORY_CLASSES } from './assembly-vector-memory.js';
import { fieldsOf } from './instruction.js';

const CLASSES = [...VECTOR_CLASSES, ...VECTOR_MEMORY_CLASSES, ...FP_CLASSES, ...SYSTEM_CLASSES];

/** The mnemonic that an entry's name starts with: `FMLA (by element)` is `fmla`. */
const mnemonicOf = (name: string): string => (/^[A-Z0-9]+/.exec(name)?.[0] ?? name).toLowerCase();

/** The assembly text of `word` at virtual address `pc`; unallocated words are `.inst 0x....`. */
export function disassemble(decoder: Decoder, word: number, pc: bigint): string {
  const entry = decoder.decode(word);
  if (entry === undefined) return `.inst 0x${(word >>> 0).toString(16).padStart(8, '0')}`;
  const text = ASSEMBLY[entry.name];
  if (text !== undefined) return text(fieldsOf(entry, word), pc);
  const found = CLASSES.find(({ mask, value }) => (word & mask) >>> 0 === value);
  return found === undefined ? mnemonicOf(entry.name) : found.text(mnemonicOf(entry.name), word, pc);
}
