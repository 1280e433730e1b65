/** Assembly text of scalar floating-point instructions, as GNU objdump prints it (Arm ARM C4.1.97). */
import { type ClassText, classOf, field, fpImmediate, hexadecimal } from './assembly-words.js';

const CONDITIONS = ['eq', 'ne', 'cs', 'cc', 'mi', 'pl', 'vs', 'vc', 'hi', 'ls', 'ge', 'lt', 'gt', 'le', 'al', 'nv'];
/** Register prefixes by ptype. */
const TYPES = ['s', 'd', '', 'h'];
const rd = (word: number): number => field(word, 4, 0);
const rn = (word: number): number => field(word, 9, 5);
const rm = (word: number): number => field(word, 20, 16);
const type = (word: number): string => TYPES[field(word, 23, 22)] ?? '';
const general = (word: number, n: number): string => {
  const prefix = field(word, 31, 31) === 1 ? 'x' : 'w';
  return n === 31 ? `${prefix}zr` : `${prefix}${n}`;
};
const condition = (word: number): string => CONDITIONS[field(word, 15, 12)] ?? '';

const oneSource: ClassText = (name, word) => {
  const t = type(word);
  const to = name === 'fcvt' ? (TYPES[field(word, 16, 15)] ?? '') : t;
  return `${name} ${to}${rd(word)}, ${t}${rn(word)}`;
};
const twoSources: ClassText = (name, word) => {
  const t = type(word);
  return `${name} ${t}${rd(word)}, ${t}${rn(word)}, ${t}${rm(word)}`;
};
const threeSources: ClassText = (name, word) => {
  const t = type(word);
  return `${name} ${t}${rd(word)}, ${t}${rn(word)}, ${t}${rm(word)}, ${t}${field(word, 14, 10)}`;
};
const compare: ClassText = (name, word) => {
  const t = type(word);
  return `${name} ${t}${rn(word)}, ${field(word, 3, 3) === 1 ? '#0.0' : `${t}${rm(word)}`}`;
};
const conditionalCompare: ClassText = (name, word) => {
  const t = type(word);
  return `${name} ${t}${rn(word)}, ${t}${rm(word)}, ${hexadecimal(field(word, 3, 0))}, ${condition(word)}`;
};
const select: ClassText = (name, word) => `${twoSources(name, word, 0n)}, ${condition(word)}`;
const immediate: ClassText = (_name, word) => `fmov ${type(word)}${rd(word)}, ${fpImmediate(field(word, 20, 13))}`;

/** Conversions between general and FP registers, and FMOV between them. */
const integer: ClassText = (name, word) => {
  const opcode = field(word, 18, 16);
  const upper = field(word, 23, 22) === 2;
  const fp = (n: number): string => (upper ? `v${n}.d[1]` : `${type(word)}${n}`);
  const toFp = opcode === 2 || opcode === 3 || opcode === 7;
  if (toFp) return `${name} ${fp(rd(word))}, ${general(word, rn(word))}`;
  return `${name} ${general(word, rd(word))}, ${fp(rn(word))}`;
};
const fixedPoint: ClassText = (name, word) => {
  const bits = `#${64 - field(word, 15, 10)}`;
  const toFp = field(word, 18, 16) <= 3 && field(word, 18, 17) === 1;
  if (toFp) return `${name} ${type(word)}${rd(word)}, ${general(word, rn(word))}, ${bits}`;
  return `${name} ${general(word, rd(word))}, ${type(word)}${rn(word)}, ${bits}`;
};

/** The rules, most special first. */
export const FP_CLASSES = [
  classOf('00011111xxxxxxxxxxxxxxxxxxxxxxxx', threeSources),
  classOf('x0011110xx0xxxxxxxxxxxxxxxxxxxxx', fixedPoint),
  classOf('x0011110xx1xxxxx000000xxxxxxxxxx', integer),
  classOf('00011110xx1xxxxxx10000xxxxxxxxxx', oneSource),
  classOf('00011110xx1xxxxxxx1000xxxxxxxxxx', compare),
  classOf('00011110xx1xxxxxxxx100xxxxxxxxxx', immediate),
  classOf('00011110xx1xxxxxxxxx01xxxxxxxxxx', conditionalCompare),
  classOf('00011110xx1xxxxxxxxx10xxxxxxxxxx', twoSources),
  classOf('00011110xx1xxxxxxxxx11xxxxxxxxxx', select),
];
