/**
 * The context key: what, besides its virtual address, decides which code an address leads to and how it executes. It
 * tags the page cache, the jump cache and compiled regions, and has at most 10 bits, never all of them set.
 *
 * | bits | content |
 * |---|---|
 * | 0 | exception level (execute permission differs between EL0 and EL1) |
 * | 3..1 | address-space slot (see mmu/tlb.ts): stands for the current ASID |
 *
 * Everything else that could matter is handled otherwise: a change of SCTLR, TCR or MAIR drops every translation, traps
 * of SIMD&FP instructions are tested when a region is entered (STATE.fpTrap), and PAN, UAO and LDTR choose TLB banks.
 */

/** The context key of exception level `el` in address-space slot `slot`. */
export function contextKey(el: number, slot: number): number {
  return el | (slot << 1);
}
