/** Assembly text of SIMD&FP loads and stores, as GNU objdump prints it (Arm ARM C4.1.94). */
import { type ClassText, classOf, field, list } from './assembly-words.js';

const base = (word: number): string => {
  const n = field(word, 9, 5);
  return n === 31 ? 'sp' : `x${n}`;
};
const signed = (value: number, width: number): number => (value << (32 - width)) >> (32 - width);
const offset = (bytes: number): string => (bytes === 0 ? '' : `, #${bytes}`);

/** log2 of the bytes of a SIMD&FP register access: size, and opc<1> for 128 bits. */
const scaleOf = (word: number): number => (field(word, 23, 23) === 1 ? 4 : field(word, 31, 30));
const register = (scale: number, n: number): string => `${'bhsdq'[scale]}${n}`;
const access = (word: number, infix: string): string =>
  `${field(word, 22, 22) === 1 ? 'ld' : 'st'}${infix} ${register(scaleOf(word), field(word, 4, 0))}, `;

const unsignedOffset: ClassText = (_name, word) =>
  `${access(word, 'r')}[${base(word)}${offset(field(word, 21, 10) << scaleOf(word))}]`;
const unscaled: ClassText = (_name, word) =>
  `${access(word, 'ur')}[${base(word)}${offset(signed(field(word, 20, 12), 9))}]`;
const postIndex: ClassText = (_name, word) => `${access(word, 'r')}[${base(word)}], #${signed(field(word, 20, 12), 9)}`;
const preIndex: ClassText = (_name, word) => `${access(word, 'r')}[${base(word)}, #${signed(field(word, 20, 12), 9)}]!`;

const EXTENDS: Readonly<Record<number, string>> = { 2: 'uxtw', 3: 'lsl', 6: 'sxtw', 7: 'sxtx' };
const registerOffset: ClassText = (_name, word) => {
  const option = field(word, 15, 13);
  const shifts = field(word, 12, 12) === 1;
  const m = field(word, 20, 16);
  const wide = (option & 1) === 1;
  const index = m === 31 ? (wide ? 'xzr' : 'wzr') : `${wide ? 'x' : 'w'}${m}`;
  const how = option === 3 && !shifts ? '' : `, ${EXTENDS[option] ?? ''}${shifts ? ` #${scaleOf(word)}` : ''}`;
  return `${access(word, 'r')}[${base(word)}, ${index}${how}]`;
};
const literal: ClassText = (_name, word, pc) => {
  const at = BigInt.asUintN(64, pc + BigInt(signed(field(word, 23, 5), 19) * 4));
  return `ldr ${register(2 + field(word, 31, 30), field(word, 4, 0))}, 0x${at.toString(16)}`;
};

const pair: ClassText = (_name, word) => {
  const mode = field(word, 24, 23);
  const scale = 2 + field(word, 31, 30);
  const bytes = signed(field(word, 21, 15), 7) * 2 ** scale;
  const name = `${field(word, 22, 22) === 1 ? 'ld' : 'st'}${mode === 0 ? 'np' : 'p'}`;
  const registers = `${register(scale, field(word, 4, 0))}, ${register(scale, field(word, 14, 10))}`;
  if (mode === 1) return `${name} ${registers}, [${base(word)}], #${bytes}`;
  return `${name} ${registers}, [${base(word)}${mode === 3 ? `, #${bytes}]!` : `${offset(bytes)}]`}`;
};

const ARRANGEMENTS = ['8b', '16b', '4h', '8h', '2s', '4s', '1d', '2d'];
/** Registers of LDn and STn (multiple structures), by opcode. */
const COUNTS: Readonly<Record<number, number>> = { 0: 4, 2: 4, 4: 3, 6: 3, 7: 1, 8: 2, 10: 2 };
/** What stands behind the base register: nothing, the bytes transferred, or a register. */
function writeBack(word: number, bytes: number): string {
  if (field(word, 23, 23) === 0) return '';
  const m = field(word, 20, 16);
  return m === 31 ? `, #${bytes}` : `, x${m}`;
}
const multiple: ClassText = (name, word) => {
  const count = COUNTS[field(word, 15, 12)] ?? 1;
  const q = field(word, 30, 30);
  const registers = list(field(word, 4, 0), count, ARRANGEMENTS[field(word, 11, 10) * 2 + q] ?? '');
  const mnemonic = `${field(word, 22, 22) === 1 ? 'ld' : 'st'}${name.slice(2, 3)}`;
  return `${mnemonic} ${registers}, [${base(word)}]${writeBack(word, count * (8 << q))}`;
};
const single: ClassText = (name, word) => {
  const count = 1 + field(word, 21, 21) + 2 * field(word, 13, 13);
  const scale = field(word, 15, 14);
  const low = field(word, 11, 10);
  const q = field(word, 30, 30);
  if (scale === 3) {
    const registers = list(field(word, 4, 0), count, ARRANGEMENTS[low * 2 + q] ?? '');
    return `${name} ${registers}, [${base(word)}]${writeBack(word, count << low)}`;
  }
  const position = q * 8 + field(word, 12, 12) * 4 + low;
  const lanes = scale === 2 && (low & 1) === 1 ? 3 : scale;
  const registers = list(field(word, 4, 0), count, 'bhsd'[lanes] ?? '');
  return `${name} ${registers}[${position >> lanes}], [${base(word)}]${writeBack(word, count << lanes)}`;
};

/** The rules. */
export const VECTOR_MEMORY_CLASSES = [
  classOf('xx111101xxxxxxxxxxxxxxxxxxxxxxxx', unsignedOffset),
  classOf('xx111100xx0xxxxxxxxx00xxxxxxxxxx', unscaled),
  classOf('xx111100xx0xxxxxxxxx01xxxxxxxxxx', postIndex),
  classOf('xx111100xx0xxxxxxxxx11xxxxxxxxxx', preIndex),
  classOf('xx111100xx1xxxxxxxxx10xxxxxxxxxx', registerOffset),
  classOf('xx011100xxxxxxxxxxxxxxxxxxxxxxxx', literal),
  classOf('xx10110xxxxxxxxxxxxxxxxxxxxxxxxx', pair),
  classOf('0x001100xxxxxxxxxxxxxxxxxxxxxxxx', multiple),
  classOf('0x001101xxxxxxxxxxxxxxxxxxxxxxxx', single),
];
