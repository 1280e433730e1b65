/**
 * A device's registers as a table: offset, width and what reading and writing do. The one place where offset and width
 * of a guest's access are checked; what is not in the table reads as zero and ignores writes, as PrimeCell reserved
 * locations do.
 */
import { assert } from '../../bus/assert.js';

/** One 32-bit register. A missing `read` reads as zero; a missing `write` ignores. */
export interface Register<State> {
  /** Offset from the start of the device's window, in bytes; a multiple of 4. */
  readonly at: number;
  readonly read?: (state: State) => number;
  /** `value` is unsigned and already masked to the access's width. */
  readonly write?: (state: State, value: number) => void;
}

/** Width of an access in bytes. */
export type AccessBytes = 1 | 2 | 4 | 8;

/** A table made ready for lookup. Reads and writes never fail: a guest cannot make a device throw. */
export interface RegisterFile<State> {
  /** Value of an access of `bytes` at `offset`, unsigned; for 8 bytes the upper half is zero. */
  read(state: State, offset: number, bytes: AccessBytes): number;
  /** A write of the low `bytes` of `value`. */
  write(state: State, offset: number, bytes: AccessBytes, value: number): void;
}

/** Masks `value` to an access's width; registers have 32 bits, so 8 bytes count as 4. */
function narrow(value: number, bytes: AccessBytes): number {
  if (bytes === 1) return value & 0xff;
  return bytes === 2 ? value & 0xffff : value >>> 0;
}

/** Component identification: eight bytes at offsets 0xFE0 to 0xFFC, one per word, that drivers recognise a PrimeCell by. */
function identification<State>(peripheral: readonly number[]): Record<string, Register<State>> {
  const bytes = [...peripheral, 0x0d, 0xf0, 0x05, 0xb1];
  assert(bytes.length === 8, 'a PrimeCell has four peripheral and four component identification bytes');
  return Object.fromEntries(bytes.map((byte, index) => [`id${index}`, { at: 0xfe0 + index * 4, read: () => byte }]));
}

/**
 * Builds the register file of a PrimeCell. Accesses must start at a register's own offset; an access inside one, or
 * outside the table, is a reserved location. `peripheral` are PeriphID0 to PeriphID3.
 */
export function primeCellRegisters<State>(
  registers: Readonly<Record<string, Register<State>>>,
  peripheral: readonly number[],
): RegisterFile<State> {
  const byOffset = new Map<number, Register<State>>();
  for (const [name, register] of Object.entries({ ...registers, ...identification<State>(peripheral) })) {
    assert(register.at % 4 === 0 && register.at >= 0 && register.at < 0x1000, `register ${name} is in the window`);
    assert(!byOffset.has(register.at), `register ${name} has its offset alone`);
    byOffset.set(register.at, register);
  }
  return {
    read: (state, offset, bytes) => narrow(byOffset.get(offset)?.read?.(state) ?? 0, bytes),
    write: (state, offset, bytes, value) => byOffset.get(offset)?.write?.(state, narrow(value, bytes)),
  };
}
