/**
 * Which register operands an instruction reads, found by running its semantics once against a throw-away body. The
 * pre-decoder needs it to tell the zero register as a source from the zero register as a destination.
 */
import type { Instruction } from '../isa/instruction.js';
import { FunctionBody } from '../wasm/body.js';
import { HandlerOps } from './handler-ops.js';
import { RECORD, variantValues } from './record.js';

const known = new WeakMap<Instruction, Int8Array>();

/** Bit i is set if register operand i of `entry` (variant combination `variant`) is read. */
export function operandsRead(entry: Instruction, variant: number): number {
  let uses = known.get(entry);
  if (uses === undefined) {
    uses = new Int8Array(entry.variantCount).fill(-1);
    known.set(entry, uses);
  }
  const seen = uses[variant] ?? -1;
  if (seen >= 0) return seen;
  const ops = new HandlerOps(new FunctionBody(['i32', 'i32', 'i64']), () => 0);
  ops.runInstruction(entry, variantValues(entry, variant));
  let bits = 0;
  entry.registers.forEach((_, i) => {
    if (ops.readRegisters.has(RECORD.registers + i)) bits |= 1 << i;
  });
  uses[variant] = bits;
  return bits;
}
