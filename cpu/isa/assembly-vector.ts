/**
 * Assembly text of Advanced SIMD instructions, as GNU objdump prints it. The architecture encodes operands of one class of
 * instructions alike (Arm ARM C4.1.96), so there is one rule for each class; the mnemonic is the table entry's name.
 */
import {
  type ClassText,
  classOf,
  field,
  fpImmediate,
  hexadecimal,
  lane,
  list,
  scalar,
  vector,
} from './assembly-words.js';

const isFloatOpcode = (opcode: number): boolean => opcode >= 0b11000;
const wide = (word: number): string => (field(word, 30, 30) === 1 ? '2' : '');
const q = (word: number): number => field(word, 30, 30);
const size = (word: number): number => field(word, 23, 22);
const rd = (word: number): number => field(word, 4, 0);
const rn = (word: number): number => field(word, 9, 5);
const rm = (word: number): number => field(word, 20, 16);
const general = (is64: boolean, n: number): string => (n === 31 ? (is64 ? 'xzr' : 'wzr') : `${is64 ? 'x' : 'w'}${n}`);

const AND_TO_BIF = 0b00011;
const threeSame: ClassText = (name, word) => {
  const opcode = field(word, 15, 11);
  const lanes = opcode === AND_TO_BIF ? 0 : isFloatOpcode(opcode) ? 2 + field(word, 22, 22) : size(word);
  const v = vector(lanes, q(word));
  if (name === 'orr' && rn(word) === rm(word)) return `mov ${v(rd(word))}, ${v(rn(word))}`;
  return `${name} ${v(rd(word))}, ${v(rn(word))}, ${v(rm(word))}`;
};
const threeSameScalar: ClassText = (name, word) => {
  const s = scalar(isFloatOpcode(field(word, 15, 11)) ? 2 + field(word, 22, 22) : size(word));
  return `${name} ${s(rd(word))}, ${s(rn(word))}, ${s(rm(word))}`;
};
const threeSameExtra: ClassText = (name, word) => {
  const v = vector(size(word), q(word));
  const source = name.endsWith('dot') ? vector(0, q(word)) : v;
  return `${name} ${v(rd(word))}, ${source(rn(word))}, ${source(rm(word))}`;
};

/** SADDL, SADDW, ADDHN and relatives: which operands are twice as wide. */
const threeDifferent: ClassText = (name, word) => {
  const opcode = field(word, 15, 12);
  const narrow = vector(size(word), q(word));
  const long = size(word) === 3 ? (n: number): string => `v${n}.1q` : vector(size(word) + 1, 1);
  const narrows = opcode === 0b0100 || opcode === 0b0110;
  const widens = opcode === 0b0001 || opcode === 0b0011;
  const to = narrows ? narrow : long;
  const first = narrows || widens ? long : narrow;
  const second = narrows ? long : narrow;
  return `${name}${wide(word)} ${to(rd(word))}, ${first(rn(word))}, ${second(rm(word))}`;
};
const threeDifferentScalar: ClassText = (name, word) => {
  const from = scalar(size(word));
  return `${name} ${scalar(size(word) + 1)(rd(word))}, ${from(rn(word))}, ${from(rm(word))}`;
};

/** The element operand: its register, and the index that H, L and M encode. */
function element(word: number, lanes: number): string {
  const [h, l, m] = [field(word, 11, 11), field(word, 21, 21), field(word, 20, 20)];
  if (lanes === 1) return `${lane(rm(word) & 15, 1)}[${h * 4 + l * 2 + m}]`;
  return `${lane(rm(word), lanes)}[${lanes === 2 ? h * 2 + l : h}]`;
}
const isLong = (name: string): boolean => /^(s|u)(mull|mlal|mlsl)$|^sqdm(ull|lal|lsl)$/.test(name);
const byElement: ClassText = (name, word) => {
  if (name.endsWith('dot')) {
    const index = field(word, 11, 11) * 2 + field(word, 21, 21);
    return `${name} ${vector(2, q(word))(rd(word))}, ${vector(0, q(word))(rn(word))}, v${rm(word)}.4b[${index}]`;
  }
  const lanes = name.startsWith('f') ? 2 + field(word, 22, 22) : size(word);
  const v = vector(lanes, q(word));
  if (!isLong(name)) return `${name} ${v(rd(word))}, ${v(rn(word))}, ${element(word, lanes)}`;
  return `${name}${wide(word)} ${vector(lanes + 1, 1)(rd(word))}, ${v(rn(word))}, ${element(word, lanes)}`;
};
const byElementScalar: ClassText = (name, word) => {
  const lanes = name.startsWith('f') ? 2 + field(word, 22, 22) : size(word);
  const to = scalar(isLong(name) ? lanes + 1 : lanes);
  return `${name} ${to(rd(word))}, ${scalar(lanes)(rn(word))}, ${element(word, lanes)}`;
};

/** Lane size and shift amount of immh:immb (Arm ARM C4.1.96.20). */
function shiftOf(word: number, left: boolean): { readonly lanes: number; readonly amount: number } {
  const immediate = field(word, 22, 16);
  const lanes = 31 - Math.clz32(immediate >> 3);
  const width = 8 << lanes;
  return { lanes, amount: left ? immediate - width : 2 * width - immediate };
}
const shiftsLeft = (name: string): boolean => /^(shl|sli|[su]shll|[su]qshlu?)$/.test(name);
const shiftImmediate: ClassText = (name, word) => {
  const { lanes, amount } = shiftOf(word, shiftsLeft(name));
  const v = vector(lanes, q(word));
  const long = vector(lanes + 1, 1);
  if (/^[su]shll$/.test(name)) {
    const operands = `${long(rd(word))}, ${v(rn(word))}`;
    return amount === 0 ? `${name[0]}xtl${wide(word)} ${operands}` : `${name}${wide(word)} ${operands}, #${amount}`;
  }
  if (/n$/.test(name)) return `${name}${wide(word)} ${v(rd(word))}, ${long(rn(word))}, #${amount}`;
  return `${name} ${v(rd(word))}, ${v(rn(word))}, #${amount}`;
};
const shiftImmediateScalar: ClassText = (name, word) => {
  const { lanes, amount } = shiftOf(word, shiftsLeft(name));
  const from = scalar(/n$/.test(name) ? lanes + 1 : lanes);
  return `${name} ${scalar(lanes)(rd(word))}, ${from(rn(word))}, #${amount}`;
};

/** How the operands of a two-register instruction relate to its size field, by mnemonic. */
const NARROWING = /^(xtn|sqxtun|[su]qxtn)$/;
const isFloatMisc = (word: number): boolean => {
  const opcode = field(word, 16, 12);
  return opcode >= 0b11000 || (opcode >= 0b01100 && opcode <= 0b01111 && field(word, 23, 23) === 1);
};
function zeroOperand(name: string): string {
  if (/^cm(gt|ge|eq|le|lt)$/.test(name)) return ', #0';
  return /^fcm(gt|ge|eq|le|lt)$/.test(name) ? ', #0.0' : '';
}
const twoRegister: ClassText = (name, word) => {
  const lanes = isFloatMisc(word) ? 2 + field(word, 22, 22) : size(word);
  const v = vector(lanes, q(word));
  const long = vector(lanes + 1, 1);
  const [to, from] = [rd(word), rn(word)];
  if (NARROWING.test(name)) return `${name}${wide(word)} ${v(to)}, ${long(from)}`;
  if (name === 'shll') return `shll${wide(word)} ${long(to)}, ${v(from)}, #${8 << lanes}`;
  if (/^[su]ad(dlp|alp)$/.test(name)) return `${name} ${vector(lanes + 1, q(word))(to)}, ${v(from)}`;
  const half = 1 + field(word, 22, 22);
  if (name === 'fcvtl') return `fcvtl${wide(word)} ${vector(half + 1, 1)(to)}, ${vector(half, q(word))(from)}`;
  if (name === 'fcvtn' || name === 'fcvtxn') {
    return `${name}${wide(word)} ${vector(half, q(word))(to)}, ${vector(half + 1, 1)(from)}`;
  }
  if (name === 'not' || name === 'rbit') {
    const bytes = vector(0, q(word));
    return `${name === 'not' ? 'mvn' : name} ${bytes(to)}, ${bytes(from)}`;
  }
  return `${name} ${v(to)}, ${v(from)}${zeroOperand(name)}`;
};
const twoRegisterScalar: ClassText = (name, word) => {
  if (name === 'fcvtxn') return `fcvtxn s${rd(word)}, d${rn(word)}`;
  const lanes = isFloatMisc(word) ? 2 + field(word, 22, 22) : size(word);
  const from = scalar(NARROWING.test(name) ? lanes + 1 : lanes);
  return `${name} ${scalar(lanes)(rd(word))}, ${from(rn(word))}${zeroOperand(name)}`;
};

const acrossLanes: ClassText = (name, word) => {
  const float = name.startsWith('f');
  const lanes = float ? 2 : size(word);
  const to = scalar(/^[su]addlv$/.test(name) ? lanes + 1 : lanes);
  return `${name} ${to(rd(word))}, ${vector(lanes, q(word))(rn(word))}`;
};
const pairwiseScalar: ClassText = (name, word) => {
  const lanes = name === 'addp' ? 3 : 2 + field(word, 22, 22);
  return `${name} ${scalar(lanes)(rd(word))}, ${vector(lanes, lanes === 2 ? 0 : 1)(rn(word))}`;
};

const extract: ClassText = (_name, word) => {
  const v = vector(0, q(word));
  return `ext ${v(rd(word))}, ${v(rn(word))}, ${v(rm(word))}, #${field(word, 14, 11)}`;
};
const tableLookup: ClassText = (name, word) => {
  const v = vector(0, q(word));
  return `${name} ${v(rd(word))}, ${list(rn(word), field(word, 14, 13) + 1, '16b')}, ${v(rm(word))}`;
};
const permute: ClassText = (name, word) => {
  const v = vector(size(word), q(word));
  return `${name} ${v(rd(word))}, ${v(rn(word))}, ${v(rm(word))}`;
};
/** DUP, INS, UMOV, SMOV: imm5's lowest one gives the lane size, what is above it the index. */
const copy: ClassText = (name, word) => {
  const imm5 = field(word, 20, 16);
  const lanes = 31 - Math.clz32(imm5 & -imm5);
  const index = imm5 >> (lanes + 1);
  const at = (n: number, i: number): string => `${lane(n, lanes)}[${i}]`;
  if (name === 'dup') {
    const fromGeneral = field(word, 14, 11) === 1;
    const from = fromGeneral ? general(lanes === 3, rn(word)) : at(rn(word), index);
    return `dup ${vector(lanes, q(word))(rd(word))}, ${from}`;
  }
  if (name === 'ins') {
    const from =
      field(word, 29, 29) === 1 ? at(rn(word), field(word, 14, 11) >> lanes) : general(lanes === 3, rn(word));
    return `mov ${at(rd(word), index)}, ${from}`;
  }
  const mnemonic = name === 'umov' && lanes >= 2 ? 'mov' : name;
  return `${mnemonic} ${general(q(word) === 1, rd(word))}, ${at(rn(word), index)}`;
};
const copyScalar: ClassText = (_name, word) => {
  const imm5 = field(word, 20, 16);
  const lanes = 31 - Math.clz32(imm5 & -imm5);
  return `mov ${scalar(lanes)(rd(word))}, ${lane(rn(word), lanes)}[${imm5 >> (lanes + 1)}]`;
};

/** MOVI, MVNI, ORR, BIC and FMOV with an immediate (Arm ARM C4.1.96.19). */
const modifiedImmediate: ClassText = (_name, word) => {
  const cmode = field(word, 15, 12);
  const inverted = field(word, 29, 29) === 1;
  const imm8 = field(word, 18, 16) * 32 + field(word, 9, 5);
  if (cmode === 15) return `fmov ${vector(inverted ? 3 : 2, q(word))(rd(word))}, ${fpImmediate(imm8)}`;
  if (cmode === 14) {
    if (!inverted) return `movi ${vector(0, q(word))(rd(word))}, ${hexadecimal(imm8)}`;
    let value = 0n;
    for (let n = 0; n < 8; n++) if (((imm8 >> n) & 1) === 1) value |= 0xffn << BigInt(8 * n);
    return `movi ${q(word) === 1 ? `v${rd(word)}.2d` : `d${rd(word)}`}, ${hexadecimal(value)}`;
  }
  if (cmode >= 12) {
    const to = vector(2, q(word))(rd(word));
    return `${inverted ? 'mvni' : 'movi'} ${to}, ${hexadecimal(imm8)}, msl #${cmode === 12 ? 8 : 16}`;
  }
  const name = (cmode & 1) === 1 ? (inverted ? 'bic' : 'orr') : inverted ? 'mvni' : 'movi';
  const lanes = cmode >= 8 ? 1 : 2;
  const amount = ((cmode >> 1) & (lanes === 1 ? 1 : 3)) * 8;
  return `${name} ${vector(lanes, q(word))(rd(word))}, ${hexadecimal(imm8)}${amount === 0 ? '' : `, lsl #${amount}`}`;
};

/** The rules, most special first where masks overlap. */
export const VECTOR_CLASSES = [
  classOf('0x101110000xxxxx0xxxx0xxxxxxxxxx', extract),
  classOf('0x001110000xxxxx0xxx00xxxxxxxxxx', tableLookup),
  classOf('0x001110xx0xxxxx0xxx10xxxxxxxxxx', permute),
  classOf('0xx01110000xxxxx0xxxx1xxxxxxxxxx', copy),
  classOf('0xx01110xx0xxxxx1xxxx1xxxxxxxxxx', threeSameExtra),
  classOf('0xx01110xx1xxxxxxxxxx1xxxxxxxxxx', threeSame),
  classOf('0xx01110xx1xxxxxxxxx00xxxxxxxxxx', threeDifferent),
  classOf('0xx01110xx10000xxxxx10xxxxxxxxxx', twoRegister),
  classOf('0xx01110xx11000xxxxx10xxxxxxxxxx', acrossLanes),
  classOf('0xx01111xxxxxxxxxxxxx0xxxxxxxxxx', byElement),
  classOf('0xx0111100000xxxxxxxx1xxxxxxxxxx', modifiedImmediate),
  classOf('0xx011110xxxxxxxxxxxx1xxxxxxxxxx', shiftImmediate),
  classOf('01011110000xxxxx000001xxxxxxxxxx', copyScalar),
  classOf('01x11110xx0xxxxx1xxxx1xxxxxxxxxx', threeSameScalar),
  classOf('01x11110xx1xxxxxxxxxx1xxxxxxxxxx', threeSameScalar),
  classOf('01x11110xx1xxxxxxxxx00xxxxxxxxxx', threeDifferentScalar),
  classOf('01x11110xx10000xxxxx10xxxxxxxxxx', twoRegisterScalar),
  classOf('01x11110xx11000xxxxx10xxxxxxxxxx', pairwiseScalar),
  classOf('01x11111xxxxxxxxxxxxx0xxxxxxxxxx', byElementScalar),
  classOf('01x111110xxxxxxxxxxxx1xxxxxxxxxx', shiftImmediateScalar),
];
