/** The instruction table: every instruction the CPU has, chapter by chapter of the Arm ARM. */
import { ATOMICS } from './atomics.js';
import { BRANCHES } from './branches.js';
import { DATA_PROCESSING_IMMEDIATE } from './data-processing-immediate.js';
import { DATA_PROCESSING_REGISTER } from './data-processing-register.js';
import { DATA_PROCESSING_SOURCE } from './data-processing-source.js';
import { EXCLUSIVES } from './exclusives.js';
import { HINTS } from './hints.js';
import type { Instruction } from './instruction.js';
import { LOADS_STORES } from './loads-stores.js';
import { LOADS_STORES_PAIR } from './loads-stores-pair.js';
import { SIMD } from './simd/table.js';
import { SYSTEM } from './system.js';

/** All entries. Order does not matter: a word matches at most one. */
export const INSTRUCTIONS: readonly Instruction[] = [
  ...DATA_PROCESSING_IMMEDIATE,
  ...DATA_PROCESSING_REGISTER,
  ...DATA_PROCESSING_SOURCE,
  ...BRANCHES,
  ...HINTS,
  ...LOADS_STORES,
  ...LOADS_STORES_PAIR,
  ...EXCLUSIVES,
  ...ATOMICS,
  ...SIMD,
  ...SYSTEM,
];
