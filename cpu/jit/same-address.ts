/**
 * Accesses of a block that go to the same address by an index in a register, `[Xn, Xm, LSL #s]` with neither register written in between: `a[i] += x`.
 * The first of them is looked up in the TLB, for writing if one of the others writes, and the others take its host address.
 */
import { operandUse } from '../interpreter/operand-use.js';
import { variantIndex } from '../interpreter/record.js';
import type { Val } from '../wasm/body.js';
import type { Block, RegionInstruction } from './region.js';

/** What an access has to do with others to the same address. */
export interface SharedAddress {
  /** The access that is looked up. */
  readonly first: RegionInstruction;
  /** Whether any of them writes. */
  writes: boolean;
  /** Accesses besides the first. */
  others: number;
  /** The local of the host address, when the first has been emitted. */
  host: Val | undefined;
}

const INDEXED = 'LDR/STR (register, LSL)';

/** For each access of `block` that has its address in common with another one, what they share. */
export function sharedAddresses(block: Block): ReadonlyMap<RegionInstruction, SharedAddress> {
  const all = new Map<RegionInstruction, SharedAddress>();
  /** Those whose registers are as they were, by registers, shift and size. */
  const known = new Map<string, SharedAddress>();
  for (const instruction of block.instructions) {
    const { entry, fields } = instruction;
    const use = operandUse(entry, variantIndex(entry, fields));
    if (use.alwaysHelps) known.clear();
    if (entry.name === INDEXED) {
      const key = [fields['rn_sp'], fields['rm'], fields['s'], fields['size']].join();
      const shared = known.get(key) ?? { first: instruction, writes: false, others: -1, host: undefined };
      known.set(key, shared);
      shared.writes ||= use.stores;
      shared.others++;
      all.set(instruction, shared);
    }
    entry.registers.forEach(({ kind, number }, i) => {
      if (kind !== 'v' && ((use.written >> i) & 1) === 1) forget(known, number(fields));
    });
    if (use.writesLink) forget(known, 30);
  }
  for (const [instruction, { others }] of all) if (others === 0) all.delete(instruction);
  return all;
}

function forget(known: Map<string, SharedAddress>, register: number): void {
  for (const [key, { first }] of known) {
    if (first.fields['rn_sp'] === register || first.fields['rm'] === register) known.delete(key);
  }
}
