/**
 * Which guest registers a region has to load where it is entered, and which it has to store where it is left: at each place those that it
 * may have written on the way there, and at the entry those that are read, or stored, before they are surely written. Code that calls much runs
 * twenty instructions between entering and leaving a region, and its function uses most registers somewhere.
 */
import { operandUse } from '../interpreter/operand-use.js';
import { variantIndex } from '../interpreter/record.js';
import type { Block, Region, RegionInstruction } from './region.js';

/** Bit n of x: general register n (31: the stack pointer); of v: SIMD&FP register n. */
export interface RegisterSet {
  readonly x: number;
  readonly v: number;
}

/** No register. */
export const NO_REGISTERS: RegisterSet = { x: 0, v: 0 };

const join = (a: RegisterSet, b: RegisterSet): RegisterSet => ({ x: a.x | b.x, v: a.v | b.v });
const without = (a: RegisterSet, b: RegisterSet): RegisterSet => ({ x: a.x & ~b.x, v: a.v & ~b.v });
const isSame = (a: RegisterSet, b: RegisterSet): boolean => a.x === b.x && a.v === b.v;

/** What one instruction does to registers that the region holds. */
interface Effect {
  readonly reads: RegisterSet;
  /** What it may write. */
  readonly writes: RegisterSet;
  /** What it writes whenever it completes, whole, and without its old value. */
  readonly kills: RegisterSet;
  /** A handler does it, on the state block: all is stored before and loaded anew behind it. */
  readonly isByHandler: boolean;
}

const BY_HANDLER: Effect = { reads: NO_REGISTERS, writes: NO_REGISTERS, kills: NO_REGISTERS, isByHandler: true };

function effectOf({ entry, fields }: RegionInstruction): Effect {
  const use = operandUse(entry, variantIndex(entry, fields));
  if (use.alwaysHelps) return BY_HANDLER;
  const reads = { x: 0, v: 0 };
  const writes = { x: 0, v: 0 };
  const kills = { x: 0, v: 0 };
  entry.registers.forEach(({ kind, number }, i) => {
    const n = number(fields);
    if (kind === 'x' && n === 31) return;
    const file = kind === 'v' ? 'v' : 'x';
    const isWritten = ((use.written >> i) & 1) === 1;
    const isRead = ((use.read >> i) & 1) === 1 || !isWritten;
    const isKilled = ((use.killed >> i) & 1) === 1 && !isRead;
    for (let plus = 0; plus <= (kind === 'v' ? use.vectorPlus : 0); plus++) {
      const bit = 1 << ((n + plus) & 31);
      if (isWritten) writes[file] |= bit;
      if (isKilled && use.vectorPlus === 0) kills[file] |= bit;
      else reads[file] |= bit;
    }
  });
  if (use.writesLink) {
    writes.x |= 1 << 30;
    kills.x |= 1 << 30;
  }
  return { reads, writes, kills, isByHandler: false };
}

/** See the head of this file. */
export class RegisterFlow {
  readonly #region: Region;
  readonly #effects = new Map<RegionInstruction, Effect>();
  /** What may have been written where a block begins. */
  readonly #writtenAt = new Map<Block, RegisterSet>();
  /** What a block needs where it begins. */
  readonly #neededAt = new Map<Block, RegisterSet>();
  readonly #blocks: readonly Block[];

  constructor(region: Region) {
    this.#region = region;
    this.#blocks = [...region.blocks.values()].sort((a, b) => a.order - b.order);
    for (const { instructions } of this.#blocks) {
      for (const instruction of instructions) this.#effects.set(instruction, effectOf(instruction));
    }
    this.#findWritten();
    this.#findNeeded();
  }

  /** What may have been written where `block` begins. */
  writtenAt(block: Block): RegisterSet {
    return this.#writtenAt.get(block) ?? NO_REGISTERS;
  }

  /** What `block` needs where it begins. */
  neededAt(block: Block): RegisterSet {
    return this.#neededAt.get(block) ?? NO_REGISTERS;
  }

  /** What may have been written behind `instruction`, when before it `written` was. */
  writtenBehind(instruction: RegionInstruction, written: RegisterSet): RegisterSet {
    const effect = this.#effectOf(instruction);
    return effect.isByHandler ? NO_REGISTERS : join(written, effect.writes);
  }

  /** What is needed behind the instruction at `index` of `block`. */
  neededBehind(block: Block, index: number): RegisterSet {
    return this.#needed(block, index + 1);
  }

  #effectOf(instruction: RegionInstruction): Effect {
    return this.#effects.get(instruction) ?? effectOf(instruction);
  }

  #successors(block: Block): Block[] {
    return block.successors.map((offset) => this.#region.blocks.get(offset)).filter((next) => next !== undefined);
  }

  #writtenBefore(block: Block, index: number): RegisterSet {
    let written = this.writtenAt(block);
    for (const instruction of block.instructions.slice(0, index)) written = this.writtenBehind(instruction, written);
    return written;
  }

  #findWritten(): void {
    for (let changed = true; changed; ) {
      changed = false;
      for (const block of this.#blocks) {
        const behind = this.#writtenBefore(block, block.instructions.length);
        for (const next of this.#successors(block)) {
          const known = this.writtenAt(next);
          const more = join(known, behind);
          if (isSame(known, more)) continue;
          this.#writtenAt.set(next, more);
          changed = true;
        }
      }
    }
  }

  #findNeeded(): void {
    const backwards = [...this.#blocks].reverse();
    for (let changed = true; changed; ) {
      changed = false;
      for (const block of backwards) {
        const needed = this.#needed(block, 0);
        if (isSame(needed, this.neededAt(block))) continue;
        this.#neededAt.set(block, needed);
        changed = true;
      }
    }
  }

  /** What is needed where the instruction at `from` of `block` begins; the region may be left before every instruction. */
  #needed(block: Block, from: number): RegisterSet {
    const written = [this.#writtenBefore(block, from)];
    for (let n = from; n < block.instructions.length; n++) {
      written.push(this.writtenBehind(block.instructions[n]!, written[n - from]!));
    }
    let needed = written[written.length - 1]!;
    for (const next of this.#successors(block)) needed = join(needed, this.neededAt(next));
    for (let n = block.instructions.length - 1; n >= from; n--) {
      const { reads, kills, isByHandler } = this.#effectOf(block.instructions[n]!);
      const before = written[n - from]!;
      needed = isByHandler ? before : join(join(without(needed, kills), reads), before);
    }
    return needed;
  }
}
