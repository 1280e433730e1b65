/**
 * Finds what one compiled region covers: the blocks reachable from its entry points inside one 4 KiB page of guest code,
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
  /** Offsets at which it may be entered, the one it was made for first. */
  readonly entries: readonly number[];
  /** The block of its only entry; or, where there are several, a block without instructions that leads to each of them. */
  readonly root: Block;
  readonly blocks: ReadonlyMap<number, Block>;
  /** Instructions in all blocks. */
  readonly size: number;
  /** Whether there would have been more, had the region not been full. */
  readonly isFull: boolean;
  /** Edges that leave the region because the graph would be irreducible: offset of the branch and of the target. */
  readonly cut: ReadonlySet<string>;
}

/** Branch target offset of a direct branch (its `offset` immediate), relative to the page. */
export function directTarget(instruction: RegionInstruction): number {
  const immediate = instruction.entry.immediates.find((imm) => imm.name === 'offset');
  return instruction.offset + Number(immediate?.compute(instruction.fields) ?? 0);
}

const inPage = (offset: number): boolean => offset >= 0 && offset < PAGE_BYTES;

/** Gives the instruction at a byte offset of the page; undefined where none is allocated. */
export type ReadInstruction = (offset: number) => RegionInstruction | undefined;

/** Reads and decodes instructions of a page, each once: what is decoded and what was read stay the same, whoever writes meanwhile. */
export function pageReader(readWord: (offset: number) => number, decoder: Decoder): ReadInstruction {
  const known = new Map<number, RegionInstruction | undefined>();
  return (offset) => {
    if (known.has(offset)) return known.get(offset);
    const word = readWord(offset);
    const entry = decoder.decode(word);
    const instruction = entry === undefined ? undefined : { offset, word, entry, fields: fieldsOf(entry, word) };
    known.set(offset, instruction);
    return instruction;
  };
}

/** What is reached from some entry points. */
interface Explored {
  readonly instructions: ReadonlyMap<number, RegionInstruction>;
  /** Offsets where blocks begin. */
  readonly leaders: ReadonlySet<number>;
  /** Offsets to which a call inside the region returns. */
  readonly returnSites: ReadonlySet<number>;
  /** Of the offsets where exploring had to stop, those that were reached. */
  readonly stops: ReadonlySet<number>;
  readonly isFull: boolean;
}

const NOWHERE: ReadonlyMap<number, unknown> = new Map();

/** Explores the page from `entries`, as far as there are instructions, to the keys of `stopAt`, up to `max` instructions. */
export function explore(
  entries: readonly number[],
  read: ReadInstruction,
  stopAt = NOWHERE,
  max = REGION_INSTRUCTIONS_MAX,
): Explored {
  const instructions = new Map<number, RegionInstruction>();
  const leaders = new Set(entries);
  const returnSites = new Set<number>();
  const stops = new Set<number>();
  const pending = [...entries];
  let isFull = false;
  for (let next = 0; next < pending.length; next++) {
    for (let offset = pending[next]!; inPage(offset); offset += 4) {
      if (instructions.has(offset)) {
        leaders.add(offset); // runs into a block found earlier
        break;
      }
      if (stopAt.has(offset)) {
        stops.add(offset);
        break;
      }
      if (instructions.size >= max) {
        isFull = true;
        break;
      }
      const instruction = read(offset);
      if (instruction === undefined) break;
      instructions.set(offset, instruction);
      const { flow } = instruction.entry;
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
  return { instructions, leaders, returnSites, stops, isFull };
}

/** The region that is entered at `entries`; undefined when one of them is not an allocated instruction. */
export function discoverRegion(entries: readonly number[], read: ReadInstruction): Region | undefined {
  const { instructions, leaders, returnSites, isFull } = explore(entries, read);
  if (!entries.every((entry) => instructions.has(entry))) return undefined;
  const sites = [...returnSites].filter((site) => instructions.has(site));
  const found = makeBlocks(instructions, leaders, sites);
  const [only] = entries;
  const root = entries.length === 1 && only !== undefined ? found.get(only)! : newBlock(-1, [], -1, [...entries]);
  const { blocks, cut } = arrange(root, found);
  let size = 0;
  for (const block of blocks.values()) size += block.instructions.length;
  return { entries, root, blocks, size, isFull, cut };
}

function newBlock(offset: number, instructions: RegionInstruction[], end: number, successors: number[]): Block {
  const block = { offset, instructions, end, successors, order: -1, forwardEdges: 0, isLoop: false };
  return Object.assign(block, { dominator: undefined as unknown as Block, dominated: [] }); // WHY: set by arrange()
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
    blocks.set(leader, newBlock(leader, body, offset, successors));
  }
  return blocks;
}

/**
 * Numbers the reachable blocks, finds dominators, and cuts irreducible edges. Returns the reachable blocks in order, and what
 * was cut.
 */
function arrange(
  root: Block,
  blocks: ReadonlyMap<number, Block>,
): { readonly blocks: Map<number, Block>; readonly cut: ReadonlySet<string> } {
  const order = reversePostOrder(root, blocks);
  const cut = new Set<string>();
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
      const isKept = target.order > block.order || dominates(target, block);
      if (!isKept) cut.add(`${block.end}:${offset}`);
      return isKept;
    });
    block.successors.splice(0, block.successors.length, ...kept);
    for (const offset of kept) {
      const target = blocks.get(offset)!;
      if (target.order > block.order) target.forwardEdges++;
      else target.isLoop = true;
    }
    if (block.dominator !== block) block.dominator.dominated.push(block);
  }
  const own = order.filter(({ offset }) => offset >= 0);
  return { blocks: new Map(own.map((block) => [block.offset, block])), cut };
}

/** Blocks reachable from `root`, each after all its forward predecessors. */
function reversePostOrder(root: Block, blocks: ReadonlyMap<number, Block>): Block[] {
  const post: Block[] = [];
  const seen = new Set<Block>([root]);
  const stack: { block: Block; next: number }[] = [{ block: root, next: 0 }];
  while (stack.length > 0) {
    const top = stack[stack.length - 1]!;
    const offset = top.block.successors[top.next++];
    if (offset === undefined) {
      post.push(top.block);
      stack.pop();
      continue;
    }
    const target = blocks.get(offset)!;
    if (seen.has(target)) continue;
    seen.add(target);
    stack.push({ block: target, next: 0 });
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
