/** What generated code and the `fp` helper agree on: operation codes, and how a call describes its lanes. */

/**
 * Operations on lanes of one format. Operands n, m and d lie at STATE.operands, 16 bytes apart; the result replaces n.
 * The order is that of {@link FP_OPERATIONS} in helpers.ts.
 */
export const FP_CODE = {
  add: 0,
  sub: 1,
  mul: 2,
  div: 3,
  nmul: 4,
  mulx: 5,
  abd: 6,
  max: 7,
  min: 8,
  maxnm: 9,
  minnm: 10,
  recps: 11,
  rsqrts: 12,
  cmeq: 13,
  cmge: 14,
  cmgt: 15,
  acge: 16,
  acgt: 17,
  /** d + n * m, and with the factor, the addend, or both negated. */
  madd: 18,
  msub: 19,
  nmadd: 20,
  nmsub: 21,
  sqrt: 22,
  recpe: 23,
  rsqrte: 24,
  recpx: 25,
  /** `extra`: how, see {@link fpExtra}. */
  roundInt: 26,
  toInt: 27,
  fromInt: 28,
  /** `extra`: rounding, and the target format's size. */
  convert: 29,
  urecpe: 30,
  ursqrte: 31,
  /** Returns NZCV in bits 3..0; `extra` 1 signals quiet NaNs. */
  compare: 32,
  /** FJCVTZS: the integer replaces n; returns PSTATE.Z. */
  toIntJs: 33,
} as const;

/** Rounding in {@link fpExtra}: FPCR.RMode's values, ties away, to odd, or as FPCR says. */
export const FP_ROUNDING = { tieEven: 0, up: 1, down: 2, zero: 3, tieAway: 4, odd: 5, fpcr: 7 } as const;

/** Packs the `shape` argument: exponent of the operand's bytes, and the number of lanes. */
export const fpShape = (bytesLog2: number, lanes: number): number => bytesLog2 | (lanes << 4);

/** Bit position of the number of fraction bits in `extra`. */
export const FP_FRACTION_BITS_SHIFT = 8;

/** Packs the `extra` argument; fraction bits are added at {@link FP_FRACTION_BITS_SHIFT}. */
export const fpExtra = (options: {
  readonly rounding: number;
  readonly unsigned?: boolean;
  /** Exponent of the result's bytes (conversions), or of the integer's. */
  readonly bytesLog2?: number;
  /** FRINTX: report inexactness. */
  readonly exact?: boolean;
}): number =>
  options.rounding |
  (options.unsigned === true ? 8 : 0) |
  ((options.bytesLog2 ?? 0) << 4) |
  (options.exact === true ? 64 : 0);
