/** All SIMD&FP instructions of AArch64: one array per chapter. */
import { FP_COMPARE } from '../fp/compare.js';
import { FP_CONVERT } from '../fp/convert.js';
import { FP_DATA_PROCESSING } from '../fp/data-processing.js';
import type { Instruction } from '../instruction.js';
import { SIMD_ACROSS } from './across.js';
import { SIMD_BY_ELEMENT } from './by-element.js';
import { SIMD_FLOATING_THREE_SAME } from './floating-three-same.js';
import { SIMD_FLOATING_TWO_REGISTER } from './floating-two-register.js';
import { SIMD_LOADS_STORES } from './loads-stores.js';
import { SIMD_STRUCTURES } from './loads-stores-structures.js';
import { SIMD_PERMUTE } from './permute.js';
import { SIMD_SHIFT_IMMEDIATE } from './shift-immediate.js';
import { SIMD_THREE_DIFFERENT } from './three-different.js';
import { SIMD_THREE_SAME } from './three-same.js';
import { SIMD_TWO_REGISTER } from './two-register.js';

/** See the head of this file. */
export const SIMD: readonly Instruction[] = [
  ...SIMD_THREE_SAME,
  ...SIMD_THREE_DIFFERENT,
  ...SIMD_BY_ELEMENT,
  ...SIMD_SHIFT_IMMEDIATE,
  ...SIMD_TWO_REGISTER,
  ...SIMD_PERMUTE,
  ...SIMD_ACROSS,
  ...SIMD_LOADS_STORES,
  ...SIMD_STRUCTURES,
  ...SIMD_FLOATING_THREE_SAME,
  ...SIMD_FLOATING_TWO_REGISTER,
  ...FP_DATA_PROCESSING,
  ...FP_COMPARE,
  ...FP_CONVERT,
];
