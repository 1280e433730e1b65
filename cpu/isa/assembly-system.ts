/** Assembly text of system instructions: names of registers and operations are those of the tables that execute them. */
import { sysregKey, sysregName } from '../sysreg/encoding.js';
import { operationName } from '../sysreg/operations.js';
import { REGISTER_BY_KEY } from '../sysreg/registers.js';
import { type ClassText, classOf, field, hexadecimal } from './assembly-words.js';

const general = (n: number): string => (n === 31 ? 'xzr' : `x${n}`);
/** Encoding of MSR, MRS and SYS as a key. */
const keyOf = (word: number, op0: number): number =>
  sysregKey(op0, field(word, 18, 16), field(word, 15, 12), field(word, 11, 8), field(word, 7, 5));
const registerOf = (word: number): string => {
  const key = keyOf(word, 2 + field(word, 19, 19));
  return (REGISTER_BY_KEY.get(key)?.name ?? sysregName(key)).toLowerCase();
};

const read: ClassText = (_name, word) => `mrs ${general(field(word, 4, 0))}, ${registerOf(word)}`;
/** One encoding has two names: received when read, transmitted when written. */
const write: ClassText = (_name, word) =>
  `msr ${registerOf(word).replace('dbgdtrrx_el0', 'dbgdtrtx_el0')}, ${general(field(word, 4, 0))}`;

/** PSTATE fields of MSR (immediate), by op1:op2. */
const PSTATE_FIELDS: Readonly<Record<number, string>> = {
  3: 'uao',
  4: 'pan',
  5: 'spsel',
  30: 'daifset',
  31: 'daifclr',
};
const writePstate: ClassText = (_name, word) => {
  const name = PSTATE_FIELDS[field(word, 18, 16) * 8 + field(word, 7, 5)] ?? '';
  return `msr ${name}, ${hexadecimal(field(word, 11, 8))}`;
};

/** Operations without an operand. */
const ALONE = /^(ic iallu|ic ialluis|tlbi vmalle1(is)?)$/;
const operation: ClassText = (_name, word) => {
  const rt = field(word, 4, 0);
  const known = operationName(keyOf(word, 1))?.toLowerCase();
  if (known !== undefined && ALONE.test(known) === (rt === 31)) return rt === 31 ? known : `${known}, ${general(rt)}`;
  if (known !== undefined && rt === 31) return `${known}, xzr`;
  const [op1, crn, crm, op2] = [field(word, 18, 16), field(word, 15, 12), field(word, 11, 8), field(word, 7, 5)];
  return `sys #${op1}, C${crn}, C${crm}, #${op2}${rt === 31 ? '' : `, ${general(rt)}`}`;
};

/** The rules. */
export const SYSTEM_CLASSES = [
  classOf('1101010100000xxx0100xxxxxxx11111', writePstate),
  classOf('1101010100001xxxxxxxxxxxxxxxxxxx', operation),
  classOf('110101010001xxxxxxxxxxxxxxxxxxxx', write),
  classOf('110101010011xxxxxxxxxxxxxxxxxxxx', read),
];
