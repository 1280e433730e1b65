/** Differences from QEMU that were looked at and are allowed, each with the Arm ARM section that allows both answers. */

import type { Instruction } from '../../cpu/isa/instruction.js';
import { FRAME, FRAME_BYTES } from '../drivers/case-frame.js';

/** One allowed kind of difference. */
interface Reviewed {
  /** Why, with the section. */
  readonly reason: string;
  /** Whether this explains the difference between the frames at byte `at`. */
  readonly explains: (entry: Instruction, word: number, ours: DataView, theirs: DataView, at: number) => boolean;
}

const FPCR_FZ = 1 << 24;
const Z = 1 << 30;

/** Whether the frames agree in everything but NZCV. */
function onlyFlagsDiffer(ours: DataView, theirs: DataView, at: number): boolean {
  for (let offset = 0; offset < FRAME_BYTES; offset += 4) {
    if (offset !== FRAME.nzcv && ours.getUint32(at + offset, true) !== theirs.getUint32(at + offset, true))
      return false;
  }
  return true;
}

const REVIEWED: readonly Reviewed[] = [
  {
    reason:
      'FJCVTZS of a positive subnormal flushed to zero: FPToFixedJS (Arm ARM J1.3, shared/functions/float/fptofixedjs) ' +
      'clears Z because the fraction is not zero; QEMU 7.2 sets it',
    explains: (entry, word, ours, theirs, at) => {
      if (entry.name !== 'FJCVTZS' || (ours.getUint32(at + FRAME.fpcr, true) & FPCR_FZ) === 0) return false;
      const value = ours.getBigUint64(at + FRAME.v + ((word >>> 5) & 31) * 16, true);
      const flags = ours.getInt32(at + FRAME.nzcv, true) ^ theirs.getInt32(at + FRAME.nzcv, true);
      return value > 0n && value < 1n << 52n && flags === Z && onlyFlagsDiffer(ours, theirs, at);
    },
  },
];

/** The reason why a difference is allowed, or undefined. */
export function reviewedDifference(
  entry: Instruction,
  word: number,
  ours: DataView,
  theirs: DataView,
  at: number,
): string | undefined {
  return REVIEWED.find(({ explains }) => explains(entry, word, ours, theirs, at))?.reason;
}
