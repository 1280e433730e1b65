/**
 * What is worth guessing about the addresses of an innermost loop. Which base registers keep the page of their last checked access in locals across iterations.
 * A remembered page is only a guess that proves itself at each access, so this decides speed, never correctness: it
 * pays where the base stays or moves in small steps, and costs where each iteration brings a new pointer.
 */
import { operandUse } from '../interpreter/operand-use.js';
import { variantIndex } from '../interpreter/record.js';
import type { Block, Region, RegionInstruction } from './region.js';

/** Loops with more instructions than this have too few registers left. */
const LOOP_INSTRUCTIONS_MAX = 64;
/** Base registers that remember in one loop: each costs two locals that live through it. */
const BASES_MAX = 4;

/** By general register number: for what accesses its page is remembered. A page good for writing is good for reading. */
export type RememberedBases = ReadonlyMap<number, 'read' | 'write'>;

/** The blocks of each loop that contains no other, by the loop's header. */
function innermostLoops(region: Region): Map<Block, Set<Block>> {
  const predecessors = new Map<Block, Block[]>();
  for (const block of region.blocks.values()) {
    for (const offset of block.successors) {
      const target = region.blocks.get(offset);
      if (target !== undefined) predecessors.set(target, [...(predecessors.get(target) ?? []), block]);
    }
  }
  const loops = new Map<Block, Set<Block>>();
  for (const header of region.blocks.values()) {
    if (!header.isLoop) continue;
    const body = new Set([header]);
    const pending = (predecessors.get(header) ?? []).filter((block) => block.order >= header.order);
    for (let block = pending.pop(); block !== undefined; block = pending.pop()) {
      if (body.has(block)) continue;
      body.add(block);
      pending.push(...(predecessors.get(block) ?? []));
    }
    loops.set(header, body);
  }
  for (const [header, body] of [...loops]) {
    if ([...body].some((block) => block !== header && block.isLoop)) loops.delete(header);
  }
  return loops;
}

const useOf = ({ entry, fields }: RegionInstruction) => operandUse(entry, variantIndex(entry, fields));

/** Whether `instruction` moves register `n` by a constant, or only uses it as an address. */
function keepsNear(instruction: RegionInstruction, n: number): boolean {
  const { entry, fields } = instruction;
  const use = useOf(instruction);
  const writes = entry.registers.some(({ kind, number }, i) => {
    const isOther = kind !== 'v' && number(fields) === n && ((use.written >> i) & 1) === 1;
    return isOther && i !== use.base;
  });
  if (!writes) return !(use.writesLink && n === 30);
  return /^(ADD|SUB)S? \(immediate\)$/.test(entry.name) && entry.registers.every(({ number }) => number(fields) === n);
}

/** The bases of one loop worth remembering. */
function basesOf(body: ReadonlySet<Block>): Map<number, 'read' | 'write'> {
  const instructions = [...body].flatMap((block) => block.instructions);
  const bases = new Map<number, 'read' | 'write'>();
  if (instructions.length > LOOP_INSTRUCTIONS_MAX) return bases;
  if (instructions.some((instruction) => useOf(instruction).alwaysHelps)) return bases;
  for (const instruction of instructions) {
    const use = useOf(instruction);
    const register = instruction.entry.registers[use.base];
    if (register === undefined) continue;
    const n = register.number(instruction.fields);
    if (!instructions.every((other) => keepsNear(other, n))) continue;
    if (bases.size === BASES_MAX && !bases.has(n)) continue;
    if (use.stores || !bases.has(n)) bases.set(n, use.stores ? 'write' : 'read');
  }
  return bases;
}

/** Base registers that the loop loads from memory: each round waits for the last one's load (bit n: register n). */
function chasedIn(body: ReadonlySet<Block>): number {
  let loaded = 0;
  let bases = 0;
  for (const block of body) {
    for (const instruction of block.instructions) {
      const use = useOf(instruction);
      if (use.base < 0) continue;
      instruction.entry.registers.forEach(({ kind, number }, i) => {
        if (i === use.base) bases |= 1 << number(instruction.fields);
        else if (kind === 'x' && !use.stores && ((use.written >> i) & 1) === 1)
          loaded |= 1 << number(instruction.fields);
      });
    }
  }
  return loaded & bases;
}

/** What a block of an innermost loop does about its addresses. */
export interface LoopGuesses {
  readonly remembered: RememberedBases;
  /** Bit n: register n is a pointer loaded in the loop, whose addend is guessed to be the one before. */
  readonly chased: number;
}

/** For each block of an innermost loop, what it guesses. */
export function loopGuesses(region: Region): ReadonlyMap<Block, LoopGuesses> {
  const result = new Map<Block, LoopGuesses>();
  for (const body of innermostLoops(region).values()) {
    const guesses = { remembered: basesOf(body), chased: chasedIn(body) };
    for (const block of body) result.set(block, guesses);
  }
  return result;
}
