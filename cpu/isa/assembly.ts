/** Assembly text of the integer instructions, as GNU objdump prints it (aliases included), by the entry's name. */
import { logicalImmediate } from './bitmask.js';
import type { RawFields } from './instruction.js';

/** Text of a word with fields `f` at address `pc`. */
export type AssemblyText = (f: RawFields, pc: bigint) => string;

const CONDITIONS = ['eq', 'ne', 'cs', 'cc', 'mi', 'pl', 'vs', 'vc', 'hi', 'ls', 'ge', 'lt', 'gt', 'le', 'al', 'nv'];
const SHIFTS = ['lsl', 'lsr', 'asr', 'ror'];
const EXTENDS = ['uxtb', 'uxth', 'uxtw', 'uxtx', 'sxtb', 'sxth', 'sxtw', 'sxtx'];

const x = (n: number): string => (n === 31 ? 'xzr' : `x${n}`);
const w = (n: number): string => (n === 31 ? 'wzr' : `w${n}`);
const r = (sf: number, n: number): string => (sf === 1 ? x(n) : w(n));
const sp = (sf: number, n: number): string => (n === 31 ? (sf === 1 ? 'sp' : 'wsp') : r(sf, n));
const condition = (code: number): string => CONDITIONS[code & 15] ?? '';
const hex = (value: bigint | number): string => `#0x${value.toString(16)}`;
const signed = (value: number, width: number): number => (value << (32 - width)) >> (32 - width);
const target = (pc: bigint, offset: number): string => `0x${BigInt.asUintN(64, pc + BigInt(offset)).toString(16)}`;
/** A memory operand; `offset` in bytes, left out when zero. */
const memory = (base: number, offset = 0): string => `[${sp(1, base)}${offset === 0 ? '' : `, #${offset}`}]`;

const movWide = (sf: number, rd: number, value: bigint): string =>
  `mov ${r(sf, rd)}, ${hex(BigInt.asUintN(sf === 1 ? 64 : 32, value))}`;
/** Whether MOVZ or MOVN can make the value, in which case ORR does not print as MOV (Arm ARM: MoveWidePreferred). */
function moveWide(value: bigint, bits: number): boolean {
  const chunks = (v: bigint): number => {
    let count = 0;
    for (let at = 0n; at < BigInt(bits); at += 16n) if (((v >> at) & 0xffffn) !== 0n) count++;
    return count;
  };
  return chunks(value) <= 1 || chunks(BigInt.asUintN(bits, ~value)) <= 1;
}

const addSubImmediate =
  (name: string, alias?: string): AssemblyText =>
  ({ sf, sh, imm12, rn_sp, rd_sp, rd }) => {
    const amount = `${hex(imm12 ?? 0)}${sh === 1 ? ', lsl #12' : ''}`;
    if (alias !== undefined && rd === 31) return `${alias} ${sp(sf, rn_sp)}, ${amount}`;
    if (name === 'add' && imm12 === 0 && sh === 0 && (rn_sp === 31 || rd_sp === 31)) {
      return `mov ${sp(sf, rd_sp)}, ${sp(sf, rn_sp)}`;
    }
    return `${name} ${rd === undefined ? sp(sf, rd_sp) : r(sf, rd)}, ${sp(sf, rn_sp)}, ${amount}`;
  };

const logicalImmediates =
  (name: string): AssemblyText =>
  ({ sf, n, immr, imms, rn, rd_sp, rd }) => {
    const value = logicalImmediate(n, imms, immr, sf === 1 ? 64 : 32) ?? 0n;
    if (name === 'ands' && rd === 31) return `tst ${r(sf, rn)}, ${hex(value)}`;
    if (name === 'orr' && rn === 31 && (rd_sp === 31 || !moveWide(value, sf === 1 ? 64 : 32)))
      return `mov ${sp(sf, rd_sp)}, ${hex(value)}`;
    return `${name} ${rd === undefined ? sp(sf, rd_sp) : r(sf, rd)}, ${r(sf, rn)}, ${hex(value)}`;
  };

/** SBFM and UBFM with their aliases. */
const bitfield =
  (s: 's' | 'u'): AssemblyText =>
  ({ sf, immr, imms, rn, rd }) => {
    const top = sf === 1 ? 63 : 31;
    const to = r(sf, rd);
    const from = r(sf, rn);
    if (s === 'u' && imms !== top && imms + 1 === immr) return `lsl ${to}, ${from}, #${top - imms}`;
    if (imms === top) return `${s === 'u' ? 'lsr' : 'asr'} ${to}, ${from}, #${immr}`;
    if (imms < immr) return `${s}bfiz ${to}, ${from}, #${top + 1 - immr}, #${imms + 1}`;
    const extension = { 7: 'xtb', 15: 'xth', 31: 'xtw' }[imms];
    if (immr === 0 && extension !== undefined && (s === 's' || (sf === 0 && imms < 31))) {
      return `${s}${extension} ${to}, ${w(rn)}`;
    }
    return `${s}bfx ${to}, ${from}, #${immr}, #${imms - immr + 1}`;
  };

const shift = (type: number, amount: number): string =>
  type === 0 && amount === 0 ? '' : `, ${SHIFTS[type]} #${amount}`;
const addSubShifted =
  (name: string, forDiscard?: string, forZero?: string): AssemblyText =>
  ({ sf, shift: type, imm6, rm, rn, rd }) => {
    const last = `${r(sf, rm)}${shift(type ?? 0, imm6)}`;
    if (forDiscard !== undefined && rd === 31) return `${forDiscard} ${r(sf, rn)}, ${last}`;
    if (forZero !== undefined && rn === 31) return `${forZero} ${r(sf, rd)}, ${last}`;
    return `${name} ${r(sf, rd)}, ${r(sf, rn)}, ${last}`;
  };
const logicalShifted =
  (name: string, inverted: string): AssemblyText =>
  ({ sf, n, shift: type, imm6, rm, rn, rd }) => {
    const last = `${r(sf, rm)}${shift(type ?? 0, imm6)}`;
    if (name === 'ands' && n === 0 && rd === 31) return `tst ${r(sf, rn)}, ${last}`;
    if (name === 'orr' && rn === 31 && n === 1) return `mvn ${r(sf, rd)}, ${last}`;
    if (name === 'orr' && rn === 31 && (type ?? 0) === 0 && imm6 === 0) return `mov ${r(sf, rd)}, ${last}`;
    return `${n === 1 ? inverted : name} ${r(sf, rd)}, ${r(sf, rn)}, ${last}`;
  };

/** The extended register of ADD, SUB and their flag-setting forms. */
function extended({ sf, signed: s, size, imm3, rm, rn_sp, rd_sp }: RawFields): string {
  const option = (s ?? 0) * 4 + (size ?? 0);
  const register = r(sf === 1 && (option & 3) === 3 ? 1 : 0, rm ?? 0);
  const plain = option === (sf === 1 ? 3 : 2) && (rn_sp === 31 || rd_sp === 31);
  if (plain) return `${register}${imm3 === 0 ? '' : `, lsl #${imm3}`}`;
  return `${register}, ${EXTENDS[option]}${imm3 === 0 ? '' : ` #${imm3}`}`;
}

const conditionalSelect: AssemblyText = ({ sf, op, o2, rm, rn, cond, rd }) => {
  const name = ['csel', 'csinc', 'csinv', 'csneg'][(op ?? 0) * 2 + (o2 ?? 0)] ?? '';
  const inverse = condition(cond ^ 1);
  if (cond < 14 && rn === rm && name !== 'csel') {
    if (rn === 31 && name !== 'csneg') return `${name === 'csinc' ? 'cset' : 'csetm'} ${r(sf, rd)}, ${inverse}`;
    const short = { csinc: 'cinc', csinv: 'cinv', csneg: 'cneg' }[name] ?? name;
    if (rn !== 31 || name === 'csneg') return `${short} ${r(sf, rd)}, ${r(sf, rn)}, ${inverse}`;
  }
  return `${name} ${r(sf, rd)}, ${r(sf, rn)}, ${r(sf, rm)}, ${condition(cond)}`;
};
const conditionalCompare =
  (immediate: boolean): AssemblyText =>
  ({ sf, op, rm, imm5, rn, nzcv, cond }) =>
    `${op === 1 ? 'ccmp' : 'ccmn'} ${r(sf, rn)}, ${immediate ? hex(imm5) : r(sf, rm)}, ${hex(nzcv)}, ${condition(cond)}`;

const oneSource =
  (name: string): AssemblyText =>
  ({ sf, rn, rd }) =>
    `${name} ${r(sf, rd)}, ${r(sf, rn)}`;
const twoSources =
  (name: string): AssemblyText =>
  ({ sf, rm, rn, rd }) =>
    `${name} ${r(sf, rd)}, ${r(sf, rn)}, ${r(sf, rm)}`;
const multiplyAdd: AssemblyText = ({ sf, o0, rm, ra, rn, rd }) => {
  const factors = `${r(sf, rd)}, ${r(sf, rn)}, ${r(sf, rm)}`;
  if (ra === 31) return `${o0 === 1 ? 'mneg' : 'mul'} ${factors}`;
  return `${o0 === 1 ? 'msub' : 'madd'} ${factors}, ${r(sf, ra)}`;
};
const multiplyLong: AssemblyText = ({ u, o0, rm, ra, rn, rd }) => {
  const factors = `${x(rd)}, ${w(rn)}, ${w(rm)}`;
  const s = u === 1 ? 'u' : 's';
  if (ra === 31) return `${s}${o0 === 1 ? 'mnegl' : 'mull'} ${factors}`;
  return `${s}${o0 === 1 ? 'msubl' : 'maddl'} ${factors}, ${x(ra)}`;
};

/** Mnemonic suffix, prefix and register width of a general-register access. */
function accessText(size: number, opc: number, infix: string, rt: number): string {
  const name = `${opc === 0 ? 'st' : 'ld'}${infix}${opc >= 2 ? 's' : ''}${['b', 'h', opc >= 2 ? 'w' : '', ''][size]}`;
  return `${name} ${r(size === 3 || opc === 2 ? 1 : 0, rt)}`;
}
const accessAt =
  (infix: string, operand: (f: RawFields) => string): AssemblyText =>
  (f) =>
    `${accessText(f['size'] ?? 0, f['opc'] ?? 0, infix, f['rt'] ?? 0)}, ${operand(f)}`;
const registerOffset = ({ size, sign, wide, s, rm, rn_sp }: RawFields): string => {
  const option = sign === undefined ? 3 : sign * 4 + 2 + (wide ?? 0);
  const shiftBy = s === 1 ? ` #${size}` : '';
  const how = option === 3 ? (s === 1 ? `, lsl${shiftBy}` : '') : `, ${EXTENDS[option]}${shiftBy}`;
  return `[${sp(1, rn_sp)}, ${r(option & 1, rm)}${how}]`;
};
const pairAt =
  (infix: string, mode: 'offset' | 'post' | 'pre'): AssemblyText =>
  ({ opc, load, imm7, rt2, rn_sp, rt }) => {
    const offset = signed(imm7, 7) * (opc === 2 ? 8 : 4);
    const name = `${load === 1 ? 'ld' : 'st'}${infix}${opc === 1 ? 'sw' : ''}`;
    const wide = opc === 0 ? 0 : 1;
    const at =
      mode === 'offset'
        ? memory(rn_sp, offset)
        : mode === 'pre'
          ? `[${sp(1, rn_sp)}, #${offset}]!`
          : `${memory(rn_sp)}, #${offset}`;
    return `${name} ${r(wide, rt)}, ${r(wide, rt2)}, ${at}`;
  };

const ofSize = (size: number): string => ['b', 'h', '', ''][size] ?? '';
/** Ordered and exclusive accesses of one register; `names`: without and with o0. */
const ordered =
  (names: readonly [string, string], status: boolean): AssemblyText =>
  ({ size, o0, rs, rn_sp, rt }) =>
    `${names[o0 ?? 0]}${ofSize(size)} ${status ? `${w(rs)}, ` : ''}${r(size === 3 ? 1 : 0, rt)}, ${memory(rn_sp)}`;
const exclusivePair =
  (names: readonly [string, string], status: boolean): AssemblyText =>
  ({ sz, o0, rs, rt2, rn_sp, rt }) =>
    `${names[o0]} ${status ? `${w(rs)}, ` : ''}${r(sz, rt)}, ${r(sz, rt2)}, ${memory(rn_sp)}`;
const ORDER = ['', 'l', 'a', 'al'];
const atomic =
  (name: string): AssemblyText =>
  ({ size, ar, rs, rn_sp, rt }) => {
    const wide = size === 3 ? 1 : 0;
    if (rt === 31 && ar < 2 && name !== 'swp') {
      return `st${name.slice(2)}${ORDER[ar]}${ofSize(size)} ${r(wide, rs)}, ${memory(rn_sp)}`;
    }
    return `${name}${ORDER[ar]}${ofSize(size)} ${r(wide, rs)}, ${r(wide, rt)}, ${memory(rn_sp)}`;
  };

const PREFETCH_TYPES = ['pld', 'pli', 'pst'];
function prefetch(operation: number): string {
  const type = PREFETCH_TYPES[operation >> 3];
  const level = (operation >> 1) & 3;
  if (type === undefined || level === 3) return `#0x${operation.toString(16).padStart(2, '0')}`;
  return `${type}l${level + 1}${(operation & 1) === 1 ? 'strm' : 'keep'}`;
}

const HINT_NAMES: Readonly<Record<number, string>> = {
  0: 'nop',
  1: 'yield',
  2: 'wfe',
  3: 'wfi',
  4: 'sev',
  5: 'sevl',
  7: 'xpaclri',
  8: 'pacia1716',
  10: 'pacib1716',
  12: 'autia1716',
  14: 'autib1716',
  16: 'esb',
  17: 'psb csync',
  18: 'tsb csync',
  20: 'csdb',
  22: 'clearbhb',
  24: 'paciaz',
  25: 'paciasp',
  26: 'pacibz',
  27: 'pacibsp',
  28: 'autiaz',
  29: 'autiasp',
  30: 'autibz',
  31: 'autibsp',
  32: 'bti',
  34: 'bti c',
  36: 'bti j',
  38: 'bti jc',
};
const BARRIERS: Readonly<Record<number, string>> = {
  1: 'oshld',
  2: 'oshst',
  3: 'osh',
  5: 'nshld',
  6: 'nshst',
  7: 'nsh',
  9: 'ishld',
  10: 'ishst',
  11: 'ish',
  13: 'ld',
  14: 'st',
  15: 'sy',
};
const barrier = (crm: number): string => BARRIERS[crm] ?? hex(crm).replace(/0x(.)$/, '0x0$1');
const exception =
  (name: string): AssemblyText =>
  ({ imm16 }) =>
    `${name} ${hex(imm16)}`;
const fixed =
  (text: string): AssemblyText =>
  () =>
    text;

/** All texts. */
export const ASSEMBLY: Readonly<Record<string, AssemblyText>> = {
  ADR: ({ immlo, immhi, rd }, pc) => `adr ${x(rd)}, ${target(pc, signed((immhi << 2) | immlo, 21))}`,
  ADRP: ({ immlo, immhi, rd }, pc) => {
    const page = (pc & ~0xfffn) + (BigInt(signed((immhi << 2) | immlo, 21)) << 12n);
    return `adrp ${x(rd)}, ${target(page, 0)}`;
  },
  'ADD (immediate)': addSubImmediate('add'),
  'ADDS (immediate)': addSubImmediate('adds', 'cmn'),
  'SUB (immediate)': addSubImmediate('sub'),
  'SUBS (immediate)': addSubImmediate('subs', 'cmp'),
  MOVZ: ({ sf, hw, imm16, rd }) =>
    imm16 === 0 && hw !== 0
      ? `movz ${r(sf, rd)}, #0x0, lsl #${hw * 16}`
      : movWide(sf, rd, BigInt(imm16) << BigInt(hw * 16)),
  MOVN: ({ sf, hw, imm16, rd }) =>
    (imm16 === 0 && hw !== 0) || (sf === 0 && imm16 === 0xffff)
      ? `movn ${r(sf, rd)}, ${hex(imm16)}${hw === 0 ? '' : `, lsl #${hw * 16}`}`
      : movWide(sf, rd, ~(BigInt(imm16) << BigInt(hw * 16))),
  MOVK: ({ sf, hw, imm16, rd }) => `movk ${r(sf, rd)}, ${hex(imm16)}${hw === 0 ? '' : `, lsl #${hw * 16}`}`,
  'AND (immediate)': logicalImmediates('and'),
  'ORR (immediate)': logicalImmediates('orr'),
  'EOR (immediate)': logicalImmediates('eor'),
  'ANDS (immediate)': logicalImmediates('ands'),
  SBFM: bitfield('s'),
  UBFM: bitfield('u'),
  BFM: ({ sf, immr, imms, rn, rd }) => {
    if (imms >= immr) return `bfxil ${r(sf, rd)}, ${r(sf, rn)}, #${immr}, #${imms - immr + 1}`;
    const at = `#${(sf === 1 ? 64 : 32) - immr}, #${imms + 1}`;
    return rn === 31 ? `bfc ${r(sf, rd)}, ${at}` : `bfi ${r(sf, rd)}, ${r(sf, rn)}, ${at}`;
  },
  EXTR: ({ sf, rm, imms, rn, rd }) =>
    rm === rn ? `ror ${r(sf, rd)}, ${r(sf, rn)}, #${imms}` : `extr ${r(sf, rd)}, ${r(sf, rn)}, ${r(sf, rm)}, #${imms}`,
  'ADD (shifted register)': addSubShifted('add'),
  'ADD (shifted register, LSR or ASR)': addSubShifted('add'),
  'ADDS (shifted register)': addSubShifted('adds', 'cmn'),
  'ADDS (shifted register, LSR or ASR)': addSubShifted('adds', 'cmn'),
  'SUB (shifted register)': addSubShifted('sub', undefined, 'neg'),
  'SUB (shifted register, LSR or ASR)': addSubShifted('sub', undefined, 'neg'),
  'SUBS (shifted register)': addSubShifted('subs', 'cmp', 'negs'),
  'SUBS (shifted register, LSR or ASR)': addSubShifted('subs', 'cmp', 'negs'),
  'AND, BIC (shifted register)': logicalShifted('and', 'bic'),
  'AND, BIC (shifted register, LSR, ASR or ROR)': logicalShifted('and', 'bic'),
  'ORR, ORN (shifted register)': logicalShifted('orr', 'orn'),
  'ORR, ORN (shifted register, LSR, ASR or ROR)': logicalShifted('orr', 'orn'),
  'EOR, EON (shifted register)': logicalShifted('eor', 'eon'),
  'EOR, EON (shifted register, LSR, ASR or ROR)': logicalShifted('eor', 'eon'),
  'ANDS, BICS (shifted register)': logicalShifted('ands', 'bics'),
  'ANDS, BICS (shifted register, LSR, ASR or ROR)': logicalShifted('ands', 'bics'),
  'ADD, SUB (extended register)': (f) =>
    `${f['op'] === 1 ? 'sub' : 'add'} ${sp(f['sf'] ?? 0, f['rd_sp'] ?? 0)}, ${sp(f['sf'] ?? 0, f['rn_sp'] ?? 0)}, ${extended(f)}`,
  'ADDS, SUBS (extended register)': (f) => {
    const { sf, op, rn_sp, rd } = f;
    if (rd === 31) return `${op === 1 ? 'cmp' : 'cmn'} ${sp(sf, rn_sp)}, ${extended(f)}`;
    return `${op === 1 ? 'subs' : 'adds'} ${r(sf, rd)}, ${sp(sf, rn_sp)}, ${extended(f)}`;
  },
  'ADC, ADCS, SBC, SBCS': ({ sf, op, set, rm, rn, rd }) => {
    const s = set === 1 ? 's' : '';
    if (op === 1 && rn === 31) return `ngc${s} ${r(sf, rd)}, ${r(sf, rm)}`;
    return `${op === 1 ? 'sbc' : 'adc'}${s} ${r(sf, rd)}, ${r(sf, rn)}, ${r(sf, rm)}`;
  },
  'CCMN, CCMP (register)': conditionalCompare(false),
  'CCMN, CCMP (immediate)': conditionalCompare(true),
  'CSEL, CSINC, CSINV, CSNEG': conditionalSelect,
  RBIT: oneSource('rbit'),
  'REV16 (general)': oneSource('rev16'),
  'REV32, REV (32-bit)': ({ sf, rn, rd }) => `${sf === 1 ? 'rev32' : 'rev'} ${r(sf, rd)}, ${r(sf, rn)}`,
  REV: ({ rn, rd }) => `rev ${x(rd)}, ${x(rn)}`,
  'CLZ (general)': oneSource('clz'),
  'CLS (general)': oneSource('cls'),
  UDIV: twoSources('udiv'),
  SDIV: twoSources('sdiv'),
  'LSLV, LSRV, ASRV, RORV': (f, pc) => twoSources(SHIFTS[f['op'] ?? 0] ?? '')(f, pc),
  'CRC32B, CRC32H, CRC32W, CRC32X, CRC32CB, CRC32CH, CRC32CW, CRC32CX': ({ sf, c, sz, rm, rn, rd }) =>
    `crc32${c === 1 ? 'c' : ''}${'bhwx'[sz]} ${w(rd)}, ${w(rn)}, ${r(sf, rm)}`,
  'MADD, MSUB': multiplyAdd,
  'SMADDL, SMSUBL, UMADDL, UMSUBL': multiplyLong,
  'SMULH, UMULH': ({ u, rm, rn, rd }) => `${u === 1 ? 'umulh' : 'smulh'} ${x(rd)}, ${x(rn)}, ${x(rm)}`,
  B: ({ imm26 }, pc) => `b ${target(pc, signed(imm26, 26) * 4)}`,
  BL: ({ imm26 }, pc) => `bl ${target(pc, signed(imm26, 26) * 4)}`,
  'B.cond': ({ imm19, cond }, pc) => `b.${condition(cond)} ${target(pc, signed(imm19, 19) * 4)}`,
  'CBZ, CBNZ': ({ sf, op, imm19, rt }, pc) =>
    `${op === 1 ? 'cbnz' : 'cbz'} ${r(sf, rt)}, ${target(pc, signed(imm19, 19) * 4)}`,
  'TBZ, TBNZ': ({ b5, op, b40, imm14, rt }, pc) =>
    `${op === 1 ? 'tbnz' : 'tbz'} ${r(b5, rt)}, #${b5 * 32 + b40}, ${target(pc, signed(imm14, 14) * 4)}`,
  BR: ({ rn }) => `br ${x(rn)}`,
  BLR: ({ rn }) => `blr ${x(rn)}`,
  RET: ({ rn }) => (rn === 30 ? 'ret' : `ret ${x(rn)}`),
  SVC: exception('svc'),
  HVC: exception('hvc'),
  SMC: exception('smc'),
  BRK: exception('brk'),
  HLT: exception('hlt'),
  ERET: fixed('eret'),
  'LDR/STR (unsigned offset)': accessAt('r', ({ imm12, size, rn_sp }) => memory(rn_sp, imm12 << size)),
  'LDUR/STUR': accessAt('ur', ({ imm9, rn_sp }) => memory(rn_sp, signed(imm9, 9))),
  'LDTR/STTR': accessAt('tr', ({ imm9, rn_sp }) => memory(rn_sp, signed(imm9, 9))),
  'LDR/STR (post-index)': accessAt('r', ({ imm9, rn_sp }) => `${memory(rn_sp)}, #${signed(imm9, 9)}`),
  'LDR/STR (pre-index)': accessAt('r', ({ imm9, rn_sp }) => `[${sp(1, rn_sp)}, #${signed(imm9, 9)}]!`),
  'LDR/STR (register, LSL)': accessAt('r', registerOffset),
  'LDR/STR (register, extended)': accessAt('r', registerOffset),
  'LDR (literal)': ({ opc, imm19, rt }, pc) =>
    `${opc === 2 ? 'ldrsw' : 'ldr'} ${r(opc === 0 ? 0 : 1, rt)}, ${target(pc, signed(imm19, 19) * 4)}`,
  'PRFM (literal)': ({ imm19, prfop }, pc) => `prfm ${prefetch(prfop)}, ${target(pc, signed(imm19, 19) * 4)}`,
  'PRFM (unsigned offset)': ({ imm12, n, prfop }) => `prfm ${prefetch(prfop)}, ${memory(n, imm12 * 8)}`,
  PRFUM: ({ imm9, n, prfop }) => `prfum ${prefetch(prfop)}, ${memory(n, signed(imm9, 9))}`,
  'PRFM (register)': ({ option, s, m, n, prfop }) => {
    const index = { size: 3, s, rm: m, rn_sp: n };
    const extend = option === 3 ? index : { ...index, sign: option >> 2, wide: option & 1 };
    return `prfm ${prefetch(prfop)}, ${registerOffset(extend)}`;
  },
  'LDP/STP (offset)': pairAt('p', 'offset'),
  'LDP/STP (post-index)': pairAt('p', 'post'),
  'LDP/STP (pre-index)': pairAt('p', 'pre'),
  'LDNP/STNP': pairAt('np', 'offset'),
  'LDXR/LDAXR': ordered(['ldxr', 'ldaxr'], false),
  'STXR/STLXR': ordered(['stxr', 'stlxr'], true),
  'LDXP/LDAXP': exclusivePair(['ldxp', 'ldaxp'], false),
  'STXP/STLXP': exclusivePair(['stxp', 'stlxp'], true),
  'LDAR/LDLAR': ordered(['ldlar', 'ldar'], false),
  'STLR/STLLR': ordered(['stllr', 'stlr'], false),
  LDAPR: ordered(['ldapr', 'ldapr'], false),
  LDADD: atomic('ldadd'),
  LDCLR: atomic('ldclr'),
  LDEOR: atomic('ldeor'),
  LDSET: atomic('ldset'),
  LDSMAX: atomic('ldsmax'),
  LDSMIN: atomic('ldsmin'),
  LDUMAX: atomic('ldumax'),
  LDUMIN: atomic('ldumin'),
  SWP: atomic('swp'),
  CAS: ({ size, l, rs, o0, rn_sp, rt }) => {
    const wide = size === 3 ? 1 : 0;
    return `cas${ORDER[l * 2 + o0]}${ofSize(size)} ${r(wide, rs)}, ${r(wide, rt)}, ${memory(rn_sp)}`;
  },
  CASP: ({ sz, l, rs, o0, rn_sp, rt }) =>
    `casp${ORDER[l * 2 + o0]} ${r(sz, rs)}, ${r(sz, rs + 1)}, ${r(sz, rt)}, ${r(sz, rt + 1)}, ${memory(rn_sp)}`,
  HINT: ({ crm, op2 }) => HINT_NAMES[crm * 8 + op2] ?? `hint ${hex(crm * 8 + op2)}`,
  WFE: fixed('wfe'),
  WFI: fixed('wfi'),
  SEV: fixed('sev'),
  SEVL: fixed('sevl'),
  CLREX: ({ crm }) => (crm === 15 ? 'clrex' : `clrex ${hex(crm)}`),
  DSB: ({ crm }) => `dsb ${barrier(crm)}`,
  'SSBB/PSSBB': ({ pssbb }) => (pssbb === 1 ? 'pssbb' : 'ssbb'),
  DMB: ({ crm }) => `dmb ${barrier(crm)}`,
  ISB: ({ crm }) => (crm === 15 ? 'isb' : `isb ${hex(crm)}`),
  SB: fixed('sb'),
};
