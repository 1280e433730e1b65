/** Differences from QEMU that were looked at and are allowed, each with the Arm ARM section that allows both answers. */

import type { Instruction } from '../../cpu/isa/instruction.js';
import { FRAME, FRAME_BYTES, OUTCOME } from '../drivers/case-frame.js';

/** One allowed kind of difference. */
interface Reviewed {
  /** Why, with the section. */
  readonly reason: string;
  /** Whether this explains the difference between the frames at byte `at`. */
  readonly explains: (entry: Instruction, word: number, ours: DataView, theirs: DataView, at: number) => boolean;
}

const FPCR_FZ = 1 << 24;
const Z = 1 << 30;

/** FPCR: Stride, FZ16, Len. */
const FPCR_ABSENT = 0x003f_0000;
/** FPSR: the AArch32 condition flags. */
const FPSR_ABSENT = 0xf000_0000;

/** Whether the frames agree in everything but the 32-bit word at `except`. */
function restAgrees(ours: DataView, theirs: DataView, at: number, except: number): boolean {
  for (let offset = 0; offset < FRAME_BYTES; offset += 4) {
    if (offset !== except && ours.getUint32(at + offset, true) !== theirs.getUint32(at + offset, true)) return false;
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
      return value > 0n && value < 1n << 52n && flags === Z && restAgrees(ours, theirs, at, FRAME.nzcv);
    },
  },
  {
    reason:
      'MSR FPCR: Len and Stride have no function in AArch64 and are RES0 without AArch32, FZ16 is RES0 without FEAT_FP16 ' +
      '(Arm ARM C5.2.8); QEMU has both',
    explains: (entry, _word, ours, theirs, at) => {
      const changed = ours.getUint32(at + FRAME.fpcr, true) ^ theirs.getUint32(at + FRAME.fpcr, true);
      return entry.name === 'MSR FPCR' && (changed & ~FPCR_ABSENT) === 0 && restAgrees(ours, theirs, at, FRAME.fpcr);
    },
  },
  {
    reason: 'MSR FPSR: the flags in bits 31:28 are RES0 without AArch32 (Arm ARM C5.2.10); QEMU keeps them',
    explains: (entry, _word, ours, theirs, at) => {
      const changed = ours.getUint32(at + FRAME.fpsr, true) ^ theirs.getUint32(at + FRAME.fpsr, true);
      return entry.name === 'MSR FPSR' && (changed & ~FPSR_ABSENT) === 0 && restAgrees(ours, theirs, at, FRAME.fpsr);
    },
  },
  {
    reason:
      'STXR and STXP at address -1 without a reservation: they fail (Arm ARM B2.12.5); QEMU 7.2 marks its open monitor by ' +
      'that very address, so it goes on to the access',
    explains: (entry, word, _ours, theirs, at) => {
      const stopped = theirs.getUint32(at + FRAME.outcome, true) === OUTCOME.memoryFault;
      const base = theirs.getBigUint64(at + FRAME.x + ((word >>> 5) & 31) * 8, true);
      return /^STX[RP]/.test(entry.name) && base === 0xffff_ffff_ffff_ffffn && stopped;
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
