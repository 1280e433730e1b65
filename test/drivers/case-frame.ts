/**
 * The state of one test case, before and after: the same bytes for the program that runs under qemu-aarch64 and for our
 * drivers, so that results compare with one memcmp. Little-endian; offsets in bytes.
 */

/** Offsets in a frame. */
export const FRAME = {
  /** x0 to x30, then SP (the order of a Linux signal frame). */
  x: 0,
  sp: 248,
  /** Before: address of the block's slot. After: 0 if the block ran to its end, else where it stopped or went. */
  pc: 256,
  nzcv: 264,
  fpcr: 268,
  fpsr: 272,
  /** After: a value of {@link OUTCOME} (the program under QEMU leaves the signal number here). */
  outcome: 276,
  /** Before: instructions in the block. */
  words: 280,
  v: 288,
  /** The bytes at {@link WINDOW_AT}. */
  window: 800,
} as const;
/** Bytes of the memory window. */
export const WINDOW_BYTES = 256;
/** Bytes of a frame. */
export const FRAME_BYTES = FRAME.window + WINDOW_BYTES;

/** How a block ended: at its end or by a jump, in a synchronous exception at `pc`, or not at all. */
export const OUTCOME = { done: 0, undefined: 1, memoryFault: 2, other: 3, endless: 4 } as const;

/** Fixed addresses, the same under QEMU and in our core. */
export const TEXT_AT = 0x12_3000_0000;
/** Where blocks go at their end, from where the program under QEMU saves the state. */
export const EXIT_AT = TEXT_AT + 0x10;
/** Blocks, one in each slot. */
export const ARENA_AT = 0x12_3100_0000;
export const ARENA_BYTES = 1 << 20;
/** Two data pages; the window lies across their border. */
export const DATA_AT = 0x12_3456_7000;
export const DATA_BYTES = 0x2000;
export const WINDOW_AT = DATA_AT + 0x1000 - WINDOW_BYTES / 2;

/** A slot: an instruction that restores x30, the block, the way out, and permanently undefined words. */
export const SLOT_WORDS = 32;
export const SLOT_BYTES = SLOT_WORDS * 4;
export const SLOTS = ARENA_BYTES / SLOT_BYTES;

/** Writes the slot for `words` at index `slot` of the arena's image. */
export function writeSlot(image: Uint32Array, slot: number, words: readonly number[]): void {
  const at = slot * SLOT_WORDS;
  image.fill(0, at, at + SLOT_WORDS);
  image[at] = 0xd53bd05e; // mrs x30, tpidr_el0
  image.set(words, at + 1);
  const end = at + 1 + words.length;
  const away = (EXIT_AT - (ARENA_AT + end * 4)) / 4;
  image[end] = 0x14000000 | (away & 0x3ffffff);
}

/**
 * Replaces the stop address of an answer by 0 where the block ended, and keeps an exception only if it came from the
 * block: one at an address the block jumped to is not the block's. Addresses are compared without their top byte, which
 * Linux has the processor ignore at EL0 (Arm ARM D8.8.1: TCR_EL1.TBI0).
 */
export function normalise(answer: DataView, at: number, slotAt: number, words: number, outcome: number): void {
  answer.setUint8(at + FRAME.pc + 7, 0);
  const pc = Number(answer.getBigUint64(at + FRAME.pc, true));
  const first = slotAt + 4;
  const end = first + words * 4;
  const inside = pc >= first && pc < end;
  answer.setUint32(at + FRAME.outcome, inside ? outcome : OUTCOME.done, true);
  if (pc === end || pc === EXIT_AT) answer.setBigUint64(at + FRAME.pc, 0n, true);
  answer.setBigUint64(at + FRAME.words, 0n, true);
}
