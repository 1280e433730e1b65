/** Differences from QEMU that were looked at and are allowed, each with the Arm ARM section that allows both answers. */

import type { Instruction } from '../../cpu/isa/instruction.js';

/** One allowed kind of difference. */
interface Reviewed {
  /** Why, with the section. */
  readonly reason: string;
  /** Whether this explains the difference between the frames at byte `at`. */
  readonly explains: (entry: Instruction, word: number, ours: DataView, theirs: DataView, at: number) => boolean;
}

const REVIEWED: readonly Reviewed[] = [];

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
