/** What the assembly texts that work on whole words share: fields, operand names, classes of encodings. */

/** Text of `word`, whose table entry's mnemonic is `name`, at address `pc`. */
export type ClassText = (name: string, word: number, pc: bigint) => string;

/** A class of encodings with one text rule. */
export interface EncodingClass {
  readonly mask: number;
  readonly value: number;
  readonly text: ClassText;
}

/** A class from its 32 bits, `x` where they do not matter. */
export function classOf(pattern: string, text: ClassText): EncodingClass {
  const bitsOf = (of: (bit: string) => boolean): number =>
    [...pattern].reduce((sum, bit) => (sum * 2 + (of(bit) ? 1 : 0)) >>> 0, 0);
  return { mask: bitsOf((bit) => bit !== 'x'), value: bitsOf((bit) => bit === '1'), text };
}

/** Bits `hi` down to `lo` of a word. */
export const field = (word: number, hi: number, lo: number): number => (word >>> lo) & (2 ** (hi - lo + 1) - 1);

const ARRANGEMENTS = ['8b', '16b', '4h', '8h', '2s', '4s', '1d', '2d'];
const LANES = 'bhsdq';

/** Name of a vector register with lanes of 2^size bytes; `q`: all 128 bits. */
export const vector =
  (size: number, q: number): ((n: number) => string) =>
  (n) =>
    `v${n}.${ARRANGEMENTS[size * 2 + q] ?? ''}`;
/** Name of a scalar register of 2^size bytes. */
export const scalar =
  (size: number): ((n: number) => string) =>
  (n) =>
    `${LANES[size] ?? ''}${n}`;
/** A vector register whose lanes an index follows. */
export const lane = (n: number, size: number): string => `v${n}.${LANES[size] ?? ''}`;

/** A list of `count` registers from `first` on. */
export function list(first: number, count: number, arrangement: string): string {
  const names = Array.from({ length: count }, (_, n) => `v${(first + n) & 31}.${arrangement}`);
  // Three or more are a range, unless the numbers wrap around.
  const isRange = count > 2 && first + count <= 32;
  return `{${isRange ? `${names[0]}-${names.at(-1)}` : names.join(', ')}}`;
}

/** A number as objdump's immediates. */
export const hexadecimal = (value: number | bigint): string => `#0x${value.toString(16)}`;

/** The number an 8-bit floating-point immediate means (Arm ARM VFPExpandImm), as objdump prints it. */
export function fpImmediate(imm8: number): string {
  const exponent = ((imm8 & 0x40) === 0 ? 1 : -3) + ((imm8 >> 4) & 3);
  const value = (1 + (imm8 & 15) / 16) * 2 ** exponent * ((imm8 & 0x80) === 0 ? 1 : -1);
  return `#${value.toExponential(18).replace(/e([+-])(\d)$/, 'e$10$2')}`;
}
