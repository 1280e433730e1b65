/**
 * Finds what one compiled region covers: the blocks reachable from an entry point inside one 4 KiB page of guest code,
 * their successors, and the order and dominators that structured code generation needs. Edges that would make the graph
 * irreducible, and edges beyond the size limit, leave the region instead.
 */
import type { Decoder } from '../decode/decoder.js';
import { fieldsOf, type Instruction, type RawFields } from '../isa/instruction.js';

/** Instructions one region may cover; V8's optimiser is superlinear in function size (cpu-measurements 2). */
const REGION_INSTRUCTIONS_MAX = 600;
const PAGE_BYTES = 4096;

/** A decoded instruction of a region. */
export interface RegionInstruction {
  /** Byte offset in the page. */
  readonly offset: number;
  readonly word: number;
  readonly entry: Instruction;
  readonly fields: RawFields;
}

/** A basic block. Blocks are known by the offset of their first instruction. */
export interface Block {
  readonly offset: number;
  readonly instructions: readonly RegionInstruction[];
  /** Offset where control goes when the last instruction falls through. */
  readonly end: number;
  /** Offsets of successor blocks inside the region, without duplicates. */
  readonly successors: number[];
  /** Position in reverse post-order. */
  order: number;
  /** Immediate dominator; the entry block is its own. */
  dominator: Block;
  /** Number of edges from blocks earlier in the order. */
  forwardEdges: number;
  /** Whether a later block branches back here. */
  isLoop: boolean;
  /** Blocks this one immediately dominates. */
  readonly dominated: Block[];
}

/** A region ready for code generation. */
export interface Region {
  readonly entry: number;
  readonly blocks: ReadonlyMap<number, Block>;
  /** Offsets to which a call inside the region returns. */
  readonly returnSites: readonly number[];
}

/** Branch target offset of a direct branch (its `offset` immediate), relative to the page. */
export function directTarget(instruction: RegionInstruction): number {
  const immediate = instruction.entry.immediates.find((imm) => imm.name === 'offset');
  return instruction.offset + Number(immediate?.compute(instruction.fields) ?? 0);
}

const inPage = (offset: number): boolean => offset >= 0 && offset < PAGE_BYTES;

/** Explores the page from `entry`; undefined when the first instruction is not allocated. */
export function discoverRegion(
  entry: number,
  readWord: (offset: number) => number,
  decoder: Decoder,
): Region | undefined {
  const instructions = new Map<number, RegionInstruction>();
  const leaders = new Set([entry]);
  const returnSites = new Set<number>();
  const pending = [entry];
  for (let start = pending.shift(); start !== undefined; start = pending.shift()) {
    for (let offset = start; inPage(offset); offset += 4) {
      if (instructions.has(offset)) {
        leaders.add(offset); // runs into a block found earlier
        break;
      }
      if (instructions.size >= REGION_INSTRUCTIONS_MAX) break;
      const word = readWord(offset);
      const found = decoder.decode(word);
      if (found === undefined) break;
      const instruction = { offset, word, entry: found, fields: fieldsOf(found, word) };
      instructions.set(offset, instruction);
      const { flow } = found;
      if (flow === 'next') continue;
      if (flow === 'branch' || flow === 'jump' || flow === 'call') {
        const target = directTarget(instruction);
        if (inPage(target)) {
          leaders.add(target);
          pending.push(target);
          if (flow === 'call' && inPage(offset + 4)) {
            returnSites.add(offset + 4);
            leaders.add(offset + 4);
            pending.push(offset + 4);
          }
        }
      }
      if (flow !== 'branch') break;
      leaders.add(offset + 4);
    }
  }
  if (!instructions.has(entry)) return undefined;
  const sites = [...returnSites].filter((site) => instructions.has(site));
  const blocks = makeBlocks(instructions, leaders, sites);
  return { entry, blocks: arrange(entry, blocks), returnSites: sites };
}

/** Cuts the instructions into blocks and finds their successors. */
function makeBlocks(
  instructions: ReadonlyMap<number, RegionInstruction>,
  leaders: ReadonlySet<number>,
  returnSites: readonly number[],
): Map<number, Block> {
  const blocks = new Map<number, Block>();
  for (const leader of leaders) {
    if (!instructions.has(leader)) continue;
    const body: RegionInstruction[] = [];
    let offset = leader;
    for (;;) {
      const instruction = instructions.get(offset);
      if (instruction === undefined) break;
      body.push(instruction);
      offset += 4;
      if (instruction.entry.flow !== 'next' || leaders.has(offset)) break;
    }
    const last = body[body.length - 1];
    if (last === undefined) continue;
    const targets: number[] = [];
    const { flow } = last.entry;
    if (flow === 'branch' || flow === 'jump' || flow === 'call') targets.push(directTarget(last));
    if (flow === 'next' || flow === 'branch') targets.push(offset);
    if (flow === 'indirect') targets.push(...returnSites);
    const successors = [...new Set(targets.filter((target) => instructions.has(target)))];
    const block = {
      offset: leader,
      instructions: body,
      end: offset,
      successors,
      order: -1,
      forwardEdges: 0,
      isLoop: false,
    };
    const made: Block = Object.assign(block, { dominator: undefined as unknown as Block, dominated: [] }); // WHY: set by arrange()
    blocks.set(leader, made);
  }
  return blocks;
}

/** Numbers the reachable blocks, finds dominators, and cuts irreducible edges. Returns the reachable blocks in order. */
function arrange(entry: number, blocks: ReadonlyMap<number, Block>): Map<number, Block> {
  const order = reversePostOrder(entry, blocks);
  order.forEach((block, i) => {
    block.order = i;
  });
  const predecessors = new Map<Block, Block[]>(order.map((block) => [block, []]));
  for (const block of order) {
    for (const target of block.successors) predecessors.get(blocks.get(target)!)?.push(block);
  }
  findDominators(order, predecessors);
  for (const block of order) {
    const kept = block.successors.filter((offset) => {
      const target = blocks.get(offset)!;
      return target.order > block.order || dominates(target, block);
    });
    block.successors.splice(0, block.successors.length, ...kept);
    for (const offset of kept) {
      const target = blocks.get(offset)!;
      if (target.order > block.order) target.forwardEdges++;
      else target.isLoop = true;
    }
    if (block.dominator !== block) block.dominator.dominated.push(block);
  }
  return new Map(order.map((block) => [block.offset, block]));
}

/** Blocks reachable from `entry`, each after all its forward predecessors. */
function reversePostOrder(entry: number, blocks: ReadonlyMap<number, Block>): Block[] {
  const post: Block[] = [];
  const seen = new Set<number>([entry]);
  const stack: { block: Block; next: number }[] = [{ block: blocks.get(entry)!, next: 0 }];
  while (stack.length > 0) {
    const top = stack[stack.length - 1]!;
    const target = top.block.successors[top.next++];
    if (target === undefined) {
      post.push(top.block);
      stack.pop();
    } else if (!seen.has(target)) {
      seen.add(target);
      stack.push({ block: blocks.get(target)!, next: 0 });
    }
  }
  return post.reverse();
}

/** Immediate dominators by iteration (Cooper, Harvey and Kennedy, 2001). */
function findDominators(order: readonly Block[], predecessors: ReadonlyMap<Block, readonly Block[]>): void {
  const root = order[0]!;
  root.dominator = root;
  const known = new Set([root]);
  for (let changed = true; changed; ) {
    changed = false;
    for (const block of order) {
      if (block === root) continue;
      let dominator: Block | undefined;
      for (const predecessor of predecessors.get(block) ?? []) {
        if (!known.has(predecessor)) continue;
        dominator = dominator === undefined ? predecessor : intersect(dominator, predecessor);
      }
      if (dominator !== undefined && (!known.has(block) || block.dominator !== dominator)) {
        block.dominator = dominator;
        known.add(block);
        changed = true;
      }
    }
  }
}

function intersect(a: Block, b: Block): Block {
  let left = a;
  let right = b;
  while (left !== right) {
    while (left.order > right.order) left = left.dominator;
    while (right.order > left.order) right = right.dominator;
  }
  return left;
}

/** Whether every path from the entry to `b` passes through `a`. */
function dominates(a: Block, b: Block): boolean {
  let block = b;
  while (block.order > a.order) block = block.dominator;
  return block === a;
}
