/**
 * What an instruction does with its operands, found by running its semantics once against a throw-away body rather than
 * declared by hand: the JIT needs it to know which registers a region reads and writes.
 */
import type { Instruction } from '../isa/instruction.js';
import { FunctionBody } from '../wasm/body.js';
import { HandlerOps } from './handler-ops.js';
import { registerOffset, variantValues } from './record.js';

/** Effects of one variant combination of an instruction. */
export interface OperandUse {
  /** Bit i: register operand i is read. */
  readonly read: number;
  /** Bit i: register operand i is written. */
  readonly written: number;
  /** Bit i: register operand i is written whenever the instruction completes. */
  readonly killed: number;
  /** Vector operands reach up to this many registers beyond the named one. */
  readonly vectorPlus: number;
  /** X30 is written as the link register. */
  readonly writesLink: boolean;
  /** A helper is called on every path, so compiled code gains nothing over the handler; or what it writes only handlers may. */
  readonly alwaysHelps: boolean;
  /** Register operand that is the base of the address accessed, or -1. */
  readonly base: number;
  /** Guest memory is written. */
  readonly stores: boolean;
  /** Bit n: the condition flags are set to kind n of flag-sources.ts. */
  readonly flagSources: number;
  /** The condition flags are read. */
  readonly readsFlags: boolean;
}

const known = new WeakMap<Instruction, (OperandUse | undefined)[]>();

/** The effects of `entry` with variant combination `variant`. */
export function operandUse(entry: Instruction, variant: number): OperandUse {
  let uses = known.get(entry);
  if (uses === undefined) {
    uses = new Array<OperandUse | undefined>(entry.variantCount).fill(undefined);
    known.set(entry, uses);
  }
  const seen = uses[variant];
  if (seen !== undefined) return seen;
  const ops = new HandlerOps(new FunctionBody(['i32', 'i32', 'i64']), () => 0);
  ops.runInstruction(entry, variantValues(entry, variant));
  const use: OperandUse = {
    read: operandBits(entry, ops.readRegisters),
    written: operandBits(entry, ops.writtenRegisters),
    killed: ops.exitsAfter
      ? 0
      : operandBits(entry, ops.writtenRegisters) & ~operandBits(entry, ops.conditionalRegisters),
    vectorPlus: ops.vectorPlus,
    writesLink: ops.writesLink,
    alwaysHelps: ops.alwaysHelps,
    base: entry.registers.findIndex((_, i) => registerOffset(i) === ops.baseRegister),
    stores: ops.storesMemory,
    flagSources: ops.flagSources,
    readsFlags: ops.readsFlags,
  };
  uses[variant] = use;
  return use;
}

/** Bit i: the slot number of register operand i is at one of these offsets of a record. */
export function operandBits(entry: Instruction, offsets: ReadonlySet<number>): number {
  return entry.registers.reduce((mask, _, i) => (offsets.has(registerOffset(i)) ? mask | (1 << i) : mask), 0);
}
