/**
 * How a compiled region knows the condition flags: not by their values but by what they came from, because most flags
 * are overwritten before anything reads them. A region's flag kind says at run time which of these holds.
 */
export const FLAGS = {
  /** The split flags in the state block are right. */
  memory: 0,
  /** The split flags in locals are right. */
  split: 1,
  /** Those of a - b. */
  sub32: 2,
  sub64: 3,
  /** Those of a + b. */
  add32: 4,
  add64: 5,
  /** N and Z of a; C and V clear. */
  logic32: 6,
  logic64: 7,
  /** NZCV in bits 31 to 28 of a. */
  packed: 8,
} as const;
/** A value of {@link FLAGS}. */
export type FlagSource = (typeof FLAGS)[keyof typeof FLAGS];
/** What flags may come from by arithmetic. */
export type FlagOperation = 'sub' | 'add' | 'logic';
/** The source that `operation` on operands of `type` is. */
export const flagSource = (operation: FlagOperation, type: string): FlagSource =>
  FLAGS[`${operation}${type === 'i64' ? '64' : '32'}`];
