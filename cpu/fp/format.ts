/**
 * The three Arm floating-point formats as data, the FPCR and FPSR bits that arithmetic reads and sets, and the context
 * object every operation takes. Values are bit patterns in non-negative bigints, exactly as wide as their format.
 */

/** FPCR fields that change arithmetic (Arm ARM C5.2.7). Trap enables are RES0 here: exceptions are never trapped. */
export const FPCR = {
  /** FZ16: flush half-precision subnormals to zero (not in conversions to and from half precision). */
  fz16: 1 << 19,
  /** RMode, bits 23:22; the field's values are the first four of {@link ROUNDING}. */
  rmodeShift: 22,
  /** FZ: flush single- and double-precision subnormals to zero. */
  fz: 1 << 24,
  /** DN: every NaN result is the default NaN. */
  dn: 1 << 25,
  /** AHP: conversions read and write the alternative half-precision format. */
  ahp: 1 << 26,
} as const;

/** FPSR cumulative exception bits (Arm ARM C5.2.8). */
export const FPSR = {
  /** IOC: invalid operation. */
  ioc: 1 << 0,
  /** DZC: division by zero. */
  dzc: 1 << 1,
  /** OFC: overflow. */
  ofc: 1 << 2,
  /** UFC: underflow (tiny before rounding and inexact, or flushed result). */
  ufc: 1 << 3,
  /** IXC: inexact. */
  ixc: 1 << 4,
  /** IDC: a subnormal operand was flushed. */
  idc: 1 << 7,
} as const;

/** Rounding directions; the first four have the values of FPCR.RMode. */
export const ROUNDING = { tieEven: 0, plusInfinity: 1, minusInfinity: 2, zero: 3, tieAway: 4, odd: 5 } as const;
/** One of {@link ROUNDING}'s values. */
export type Rounding = (typeof ROUNDING)[keyof typeof ROUNDING];

/** What an operation reads (`fpcr`) and accumulates into (`fpsr`, bits are only ever set). Both are unsigned 32 bits. */
export interface FpContext {
  readonly fpcr: number;
  fpsr: number;
}

/** 0 for plus, 1 for minus. */
export type Sign = 0 | 1;

/** A format's layout and constants; all masks are bit patterns of that width. */
export interface FloatFormat {
  readonly width: 16 | 32 | 64;
  /** Stored fraction bits: 10, 23 or 52. */
  readonly fractionBits: number;
  readonly fractionBitsBig: bigint;
  readonly fractionMask: bigint;
  readonly signBit: bigint;
  /** Exponent of the smallest normal number: -14, -126 or -1022. */
  readonly exponentMin: number;
  /** Biased exponent that means infinity or NaN. */
  readonly exponentOnes: number;
  /** +infinity: exponent all ones, fraction zero. */
  readonly infinity: bigint;
  /** The fraction's top bit, which tells quiet NaNs from signalling ones. */
  readonly quietBit: bigint;
  readonly defaultNaN: bigint;
  readonly maxNormal: bigint;
  /** The FPCR bit that flushes this format's subnormals; 0 if none does. */
  readonly flushBit: number;
  /** The FPSR bit set when an operand is flushed: IDC, or 0 for half precision (Arm ARM A1.5.5). */
  readonly flushedInputFlag: number;
  /** False for alternative half precision, whose largest exponent holds ordinary numbers. */
  readonly hasSpecials: boolean;
}

function ieee(width: 16 | 32 | 64, exponentBits: number, flushBit: number, flushedInputFlag: number): FloatFormat {
  const fractionBits = width - 1 - exponentBits;
  const fractionBitsBig = BigInt(fractionBits);
  const exponentOnes = 2 ** exponentBits - 1;
  const infinity = BigInt(exponentOnes) << fractionBitsBig;
  const quietBit = 1n << (fractionBitsBig - 1n);
  return {
    width,
    fractionBits,
    fractionBitsBig,
    fractionMask: (1n << fractionBitsBig) - 1n,
    signBit: 1n << BigInt(width - 1),
    exponentMin: 2 - 2 ** (exponentBits - 1),
    exponentOnes,
    infinity,
    quietBit,
    defaultNaN: infinity | quietBit,
    maxNormal: infinity - 1n,
    flushBit,
    flushedInputFlag,
    hasSpecials: true,
  };
}

/** Double precision. */
export const F64: FloatFormat = ieee(64, 11, FPCR.fz, FPSR.idc);
/** Single precision. */
export const F32: FloatFormat = ieee(32, 8, FPCR.fz, FPSR.idc);
/** Half precision in arithmetic: FZ16 applies, and flushing an operand sets no flag. */
export const F16: FloatFormat = ieee(16, 5, FPCR.fz16, 0);
/** IEEE half precision in conversions between formats, which ignore FZ16 (FPUnpackCV, FPRoundCV). */
const F16_CONVERT: FloatFormat = { ...F16, flushBit: 0 };
/** Alternative half precision (Arm ARM A1.4.2): no infinities, no NaNs, one more binade. Only in conversions. */
const F16_ALTERNATIVE: FloatFormat = { ...F16_CONVERT, hasSpecials: false };

/** `format` as conversions between formats see it under `fpcr`: for half precision FZ16 is ignored and AHP applies. */
export function conversionFormat(format: FloatFormat, fpcr: number): FloatFormat {
  if (format !== F16) return format;
  return (fpcr & FPCR.ahp) !== 0 ? F16_ALTERNATIVE : F16_CONVERT;
}

const RMODES: readonly Rounding[] = [ROUNDING.tieEven, ROUNDING.plusInfinity, ROUNDING.minusInfinity, ROUNDING.zero];

/** The direction FPCR.RMode selects. */
export function roundingMode(fpcr: number): Rounding {
  return RMODES[(fpcr >>> FPCR.rmodeShift) & 3] ?? ROUNDING.tieEven;
}
