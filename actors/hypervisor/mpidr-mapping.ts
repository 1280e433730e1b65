/** How processor numbers become affinities (gunyah.md 2.6, vgic_set_mpidr_mapping). */
import { err, ok, type Result } from '../../bus/result.js';

/** By affinity level 0 to 3: which bits of it count, and where they lie in the processor's number. */
export interface MpidrMapping {
  readonly masks: readonly number[];
  readonly shifts: readonly number[];
  readonly multiThread: boolean;
}

/** Where the levels lie in MPIDR_EL1. */
const LEVEL_SHIFTS = [0n, 8n, 16n, 32n] as const;
/** Shifts beyond 32 significant bits mean nothing. */
const SHIFT_MAX = 31;
/** Processor numbers are 16 bits, and the last one is none. */
const NUMBER_MAX = 0x7fff;

/** What the resource manager gives its VMs: 15 bits, in order. */
export const MPIDR_DEFAULT: MpidrMapping = { masks: [0xff, 0x7f, 0, 0], shifts: [0, 8, 16, 24], multiThread: false };

/** A mapping, if no two levels claim the same bit of a number and the bits claimed are the lowest. */
export function mpidrMapping(
  mask: bigint,
  shifts: readonly number[],
  multiThread: boolean,
): Result<MpidrMapping, 'badArgument'> {
  const masks = LEVEL_SHIFTS.map((shift) => Number((mask >> shift) & 0xffn));
  let claimed = 0n;
  for (const [level, shift] of shifts.entries()) {
    const bits = BigInt(masks[level] ?? 0) << BigInt(Math.min(shift, SHIFT_MAX));
    if (shift > SHIFT_MAX || (claimed & bits) !== 0n) return err('badArgument');
    claimed |= bits;
  }
  const isContiguous = (claimed & (claimed + 1n)) === 0n;
  return isContiguous && claimed <= BigInt(NUMBER_MAX) ? ok({ masks, shifts, multiThread }) : err('badArgument');
}

/** The affinity of processor `cpu`, packed as in GICR_TYPER: Aff3 to Aff0, a byte each. */
export function affinityOf({ masks, shifts }: MpidrMapping, cpu: number): number {
  return masks.reduce((all, mask, level) => all | (((cpu >>> (shifts[level] ?? 0)) & mask) << (level * 8)), 0);
}
