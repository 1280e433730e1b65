/** Register operands as semantics see them. */

/** Where a register operand comes from; made by the interpreter or the JIT, opaque to semantics. */
export interface Reg {
  readonly kind: RegisterKind;
  /** JIT: the register number. Interpreter: the byte offset of the slot number in the pre-decoded record. */
  readonly at: number;
}
/** `x`: 31 reads as zero and ignores writes; `xsp`: 31 is the stack pointer; `v`: SIMD&FP register. */
export type RegisterKind = 'x' | 'xsp' | 'v';
