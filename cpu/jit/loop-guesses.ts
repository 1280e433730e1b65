/**
 * What is worth guessing about the addresses of an innermost loop. Which base registers keep the page of their last checked access in locals across iterations.
 * A remembered page is only a guess that proves itself at each access, so this decides speed, never correctness: it
 * pays where the base stays or moves in small steps, and costs where each iteration brings a new pointer.
 */
import { operandUse } from '../interpreter/operand-use.js';
import { variantIndex } from '../interpreter/record.js';
import { WORK } from '../state.js';
import type { Block, Region, RegionInstruction } from './region.js';

/** Loops with more instructions than this have too few registers left. */
const LOOP_INSTRUCTIONS_MAX = 64;
/** Base registers that remember in one loop: each costs two locals that live through it. */
const BASES_MAX = 4;

/** By general register number: for what accesses its page is remembered. A page good for writing is good for reading. */
export type RememberedBases = ReadonlyMap<number, 'read' | 'write'>;

type Predecessors = ReadonlyMap<Block, readonly Block[]>;

function predecessorsIn(region: Region): Predecessors {
  const predecessors = new Map<Block, Block[]>();
  for (const block of region.blocks.values()) {
    for (const offset of block.successors) {
      const target = region.blocks.get(offset);
      if (target !== undefined) predecessors.set(target, [...(predecessors.get(target) ?? []), block]);
    }
  }
  return predecessors;
}

/** Blocks that branch back to `header`. */
function latchesOf(header: Block, predecessors: Predecessors): Block[] {
  return (predecessors.get(header) ?? []).filter((block) => block.order >= header.order);
}

/** The blocks from which one of `latches` is reached without passing `header`, and that. */
function loopFrom(header: Block, latches: readonly Block[], predecessors: Predecessors): Set<Block> {
  const body = new Set([header]);
  const pending = [...latches];
  for (let block = pending.pop(); block !== undefined; block = pending.pop()) {
    if (body.has(block)) continue;
    body.add(block);
    pending.push(...(predecessors.get(block) ?? []));
  }
  return body;
}

/** The blocks of each loop, by the loop's header. */
export function loopsOf(region: Region): Map<Block, Set<Block>> {
  const predecessors = predecessorsIn(region);
  const loops = new Map<Block, Set<Block>>();
  for (const header of region.blocks.values()) {
    if (header.isLoop) loops.set(header, loopFrom(header, latchesOf(header, predecessors), predecessors));
  }
  return loops;
}

/**
 * The bodies of innermost loops. A region that was entered at an inner loop's head has the outer loops there too, as all of them lead back to
 * it: of such a head each way back is looked at alone.
 */
function* innermostLoops(region: Region): Generator<ReadonlySet<Block>> {
  const predecessors = predecessorsIn(region);
  for (const header of region.blocks.values()) {
    if (!header.isLoop) continue;
    const isInnermost = (body: ReadonlySet<Block>): boolean =>
      ![...body].some((block) => block !== header && block.isLoop);
    const latches = latchesOf(header, predecessors);
    const whole = loopFrom(header, latches, predecessors);
    if (isInnermost(whole)) yield whole;
    else yield* latches.map((latch) => loopFrom(header, [latch], predecessors)).filter(isInnermost);
  }
}

const useOf = ({ entry, fields }: RegionInstruction) => operandUse(entry, variantIndex(entry, fields));

/** Number of the register that is the base of the instruction's access; 32 if it has none. */
export function baseRegisterOf(instruction: RegionInstruction): number {
  return instruction.entry.registers[useOf(instruction).base]?.number(instruction.fields) ?? 32;
}

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

/** The bases of one loop worth remembering. An address with an index in a register is looked up sooner than its page is compared. */
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

/** Loops with more instructions than this are not searched for chains of loads. */
const CHAIN_INSTRUCTIONS_MAX = 160;

/** What one instruction of a loop does to general registers (bit n: register n). */
interface Flow {
  readonly instruction: RegionInstruction;
  /** Registers whose values go into its results, and the results; a base written back is not one. */
  readonly from: number;
  readonly to: number;
  /** Of the results, those that are written in any case. */
  readonly killed: number;
  /** Registers that make the address of its access, as far as they can be told from data; 0 if it makes none. */
  readonly address: number;
  readonly base: number;
  readonly isLoad: boolean;
}

function flowOf(instruction: RegionInstruction): Flow {
  const { entry, fields } = instruction;
  const use = useOf(instruction);
  let from = 0;
  let to = 0;
  let killed = 0;
  let base = 0;
  entry.registers.forEach(({ kind, number }, i) => {
    const bit = 1 << number(fields);
    if (kind === 'v' || (kind === 'x' && number(fields) === 31)) return;
    if (i === use.base) base = bit;
    if (((use.read >> i) & 1) === 1) from |= bit;
    if (i !== use.base && ((use.written >> i) & 1) === 1) to |= bit;
    if (i !== use.base && ((use.killed >> i) & 1) === 1) killed |= bit;
  });
  const isLoad = use.base >= 0 && !use.stores;
  return { instruction, from, to, killed, address: isLoad ? from | base : base, base, isLoad };
}

/** The registers that depend on some load behind an instruction, where those in `before` do in front of it. */
function dependentBehind({ from, to, killed, base, isLoad }: Flow, before: number): number {
  const depends = ((isLoad ? from | base : from) & before) !== 0;
  return depends ? before | to : before & ~killed;
}

/**
 * Follows what load `seed` loads through the rounds of a loop. Calls `atBase` for each access off a base that depends on it, and answers whether
 * its own address does: whether the load waits for itself of the round before.
 */
function waitsForItself(
  blocks: ReadonlyMap<Block, readonly Flow[]>,
  byOffset: ReadonlyMap<number, Block>,
  seed: Flow,
  atBase: (instruction: RegionInstruction) => void,
): boolean {
  /** Registers that depend on it at the start of each block. */
  const dependent = new Map<Block, number>();
  let waits = false;
  const pending = [...blocks.keys()];
  for (let block = pending.pop(); block !== undefined; block = pending.pop()) {
    let registers = dependent.get(block) ?? 0;
    for (const flow of blocks.get(block) ?? []) {
      if (flow === seed && (flow.address & registers) !== 0) waits = true;
      if ((flow.base & registers) !== 0) atBase(flow.instruction);
      registers = dependentBehind(flow, registers);
      if (flow === seed) registers |= flow.to;
    }
    for (const offset of block.successors) {
      const target = byOffset.get(offset);
      if (target === undefined) continue;
      const known = dependent.get(target) ?? 0;
      if ((registers | known) === known) continue;
      dependent.set(target, registers | known);
      pending.push(target);
    }
  }
  return waits;
}

/**
 * The accesses of a loop that wait for a load of the round before: loads whose address depends on what they load
 * themselves (the next node of a list, a table looked up with what was looked up), and what is accessed off such pointers. A register
 * that is written anew in each round, as a compiler's registers mostly are, leads nothing into the next.
 */
function chainIn(body: ReadonlySet<Block>): ReadonlySet<RegionInstruction> {
  const blocks = new Map([...body].map((block) => [block, block.instructions.map(flowOf)]));
  const flows = [...blocks.values()].flat();
  const chain = new Set<RegionInstruction>();
  if (flows.length > CHAIN_INSTRUCTIONS_MAX) return chain;
  const byOffset = new Map([...body].map((block) => [block.offset, block]));
  for (const flow of flows) {
    if (!flow.isLoad || flow.to === 0) continue;
    const offPointers = new Set<RegionInstruction>();
    if (!waitsForItself(blocks, byOffset, flow, (instruction) => offPointers.add(instruction))) continue;
    chain.add(flow.instruction);
    for (const instruction of offPointers) chain.add(instruction);
  }
  return chain;
}

/** What a block of an innermost loop does about its addresses. */
export interface LoopGuesses {
  readonly remembered: RememberedBases;
  /** Accesses that wait for loads of the round before: their addend is guessed to be the one before. */
  readonly chain: ReadonlySet<RegionInstruction>;
}

/** For each block of an innermost loop, what it guesses. */
export function loopGuesses(region: Region): ReadonlyMap<Block, LoopGuesses> {
  const result = new Map<Block, LoopGuesses>();
  for (const body of innermostLoops(region)) {
    const guesses = { remembered: basesOf(body), chain: chainIn(body) };
    for (const block of body) result.set(block, guesses);
  }
  return result;
}

/** Part that optional blocks of a loop count for, the other way round: a switch in a loop has many and runs few. */
const OPTIONAL_SHARE = 8;

/** What `block` takes off the budget (see STATE.budget). */
function blockWork({ instructions }: Block): number {
  let work = 0;
  for (const instruction of instructions) work += useOf(instruction).alwaysHelps ? WORK.handler : 1;
  return work;
}

/** What all blocks of each loop take off the budget, by the loop's header. */
export function loopWork(region: Region): ReadonlyMap<Block, number> {
  const result = new Map<Block, number>();
  for (const [header, body] of loopsOf(region)) {
    let work = 0;
    for (const block of body) work += blockWork(block);
    result.set(header, work);
  }
  return result;
}

/**
 * What a round of the loop at `header` that ends in `last` takes off the budget: the blocks that it has surely run, and a
 * part of the others (`all`: the whole loop's).
 */
export function roundWork(header: Block, last: Block, all: number): number {
  let sure = blockWork(header);
  for (let block = last; block !== header; block = block.dominator) sure += blockWork(block);
  return Math.max(1, sure + Math.floor((all - sure) / OPTIONAL_SHARE));
}
