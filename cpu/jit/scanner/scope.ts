/** What the scan keeps of each block, loop and arm of an if that is open. */
import { ZERO } from './values.js';

/** An open block, loop, or arm of an if. */
export interface Scope {
  /** Unique over the function, from 1. */
  id: number;
  isLoop: boolean;
  /** An if: the value of its condition; else ZERO. */
  condition: number;
  /** In the second arm: whether the first one could fall out of its end. */
  inElse: boolean;
  thenFallsOut: boolean;
  /** Whether a branch goes to its label. */
  targeted: boolean;
  /** The arm of an adoption: assignments in it, the local of the last, and what that held before. */
  assignments: number;
  adopter: number;
  before: number;
  /** Operand stack height and number of facts at its start. */
  height: number;
  facts: number;
  /** Time of the innermost open loop's start. */
  loopFloor: number;
}

/** A scope about which nothing is known yet. */
export function newScope(): Scope {
  return {
    id: 0,
    isLoop: false,
    condition: ZERO,
    inElse: false,
    thenFallsOut: false,
    targeted: false,
    assignments: 0,
    adopter: 0,
    before: ZERO,
    height: 0,
    facts: 0,
    loopFloor: 0,
  };
}
