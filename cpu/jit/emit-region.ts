/**
 * Emits a region as one structured WebAssembly function, following the dominator tree (Ramsey, "Beyond Relooper", 2022):
 * a block is emitted inside its dominator; one with several forward edges gets a WebAssembly block that ends before it,
 * one with backward edges a loop.
 */
import { operandUse } from '../interpreter/operand-use.js';
import { variantIndex } from '../interpreter/record.js';
import { FunctionBody, i32, i64, type Val } from '../wasm/body.js';
import { type LoopGuesses, loopGuesses, loopWork, roundWork } from './loop-guesses.js';
import type { Block, Region } from './region.js';
import type { KnownFlags } from './region-flags.js';
import { RegionOps, type RegionRegisters, type Terminator } from './region-ops.js';
import { RegisterFlow } from './register-flow.js';
import { sharedAddresses } from './same-address.js';

/** Part of its instructions that a region is taken to run without a loop, the other way round. */
const ENTRY_SHARE = 8;

/** Which registers the region's instructions touch. */
function registersOf(region: Region): { readonly registers: RegionRegisters; readonly usesFp: boolean } {
  const registers: RegionRegisters = { x: 0, xWritten: 0, v: 0, vWritten: 0, flagSources: 0 };
  let usesFp = false;
  for (const block of region.blocks.values()) {
    for (const { entry, fields } of block.instructions) {
      usesFp ||= entry.fp;
      const use = operandUse(entry, variantIndex(entry, fields));
      // An instruction done by its handler touches memory only; what the region holds in locals is reloaded behind it.
      entry.registers.forEach(({ kind, number }, i) => {
        const n = number(fields);
        const written = ((use.written >> i) & 1) === 1 && !use.alwaysHelps;
        if (use.alwaysHelps) return;
        if (kind === 'v') {
          for (let plus = 0; plus <= use.vectorPlus; plus++) {
            registers.v |= 1 << ((n + plus) & 31);
            if (written) registers.vWritten |= 1 << ((n + plus) & 31);
          }
        } else if (kind === 'xsp' || n !== 31) {
          registers.x |= 1 << n;
          if (written) registers.xWritten |= 1 << n;
        }
      });
      if (!use.alwaysHelps) registers.flagSources |= use.flagSources;
      if (use.writesLink) {
        registers.x |= 1 << 30;
        registers.xWritten |= 1 << 30;
      }
    }
  }
  return { registers, usesFp };
}

/** The body of the function for `region`: `(state) -> exit reason`. */
export function emitRegion(region: Region): Uint8Array {
  const body = new FunctionBody(['i32']);
  const { registers, usesFp } = registersOf(region);
  const emitter = new RegionEmitter(region, new RegionOps(body, registers));
  emitter.emit(usesFp);
  return body.finish();
}

class RegionEmitter {
  readonly #region: Region;
  readonly #guesses: ReadonlyMap<Block, LoopGuesses>;
  readonly #work: ReadonlyMap<Block, number>;
  readonly #flow: RegisterFlow;
  readonly #k: RegionOps;
  /** Label (block depth) that continues at a block: of its loop for backward edges, of the block before it otherwise. */
  readonly #loopLabel = new Map<Block, number>();
  readonly #blockLabel = new Map<Block, number>();

  constructor(region: Region, k: RegionOps) {
    this.#region = region;
    this.#guesses = loopGuesses(region);
    this.#work = loopWork(region);
    this.#flow = new RegisterFlow(region);
    this.#k = k;
  }

  emit(usesFp: boolean): void {
    const { root, size, entries } = this.#region;
    this.#k.emitEntry(usesFp, this.#guesses.values(), Math.ceil(size / ENTRY_SHARE / entries.length));
    if (entries.length === 1) this.#k.loadRegisters(this.#flow.neededAt(root));
    this.#tree(root, this.#k.knownFlags);
    this.#k.emitExit();
  }

  /** Emits `block` and everything it dominates; `flags`: what is known of the condition flags on every way to it. */
  #tree(block: Block, flags: KnownFlags | undefined): void {
    const { body } = this.#k;
    if (block.isLoop) this.#loopLabel.set(block, body.loop());
    const joins = block.dominated.filter((child) => child.forwardEdges > 1).sort((a, b) => b.order - a.order);
    this.#within(block, joins, 0, block.isLoop ? undefined : flags);
    if (block.isLoop) {
      this.#loopLabel.delete(block);
      body.unreachable(); // every path inside has branched away
      body.end();
    }
  }

  /** Emits the code of `block` inside WebAssembly blocks that end before each of `joins[from..]`, then those. */
  #within(block: Block, joins: readonly Block[], from: number, flags: KnownFlags | undefined): void {
    const join = joins[from];
    if (join === undefined) {
      this.#code(block, flags);
      return;
    }
    const { body } = this.#k;
    this.#blockLabel.set(join, body.block());
    this.#within(block, joins, from + 1, flags);
    body.end();
    this.#blockLabel.delete(join);
    this.#tree(join, undefined);
  }

  #code(block: Block, flags: KnownFlags | undefined): void {
    const k = this.#k;
    if (block === this.#region.root && this.#region.entries.length > 1) {
      this.#dispatch(
        block,
        k.entryOffset(),
        [...block.successors].sort((a, b) => a - b),
        flags,
      );
      return;
    }
    const flow = this.#flow;
    k.startBlock(this.#guesses.get(block), flags, flow.writtenAt(block), sharedAddresses(block));
    let terminator: Terminator = { kind: 'next' };
    for (const [n, instruction] of block.instructions.entries()) {
      k.body.resetTemporaries();
      if (operandUse(instruction.entry, variantIndex(instruction.entry, instruction.fields)).alwaysHelps) {
        k.emitByHandler(instruction.offset, flow.neededBehind(block, n));
        terminator = { kind: 'next' };
      } else terminator = k.runInstruction(instruction, flow.writtenBehind(instruction, k.written));
      if (terminator.kind === 'left') return;
    }
    switch (terminator.kind) {
      case 'next':
        this.#goto(block, block.end, k.knownFlags);
        return;
      case 'jump':
        this.#goto(block, terminator.target, k.knownFlags);
        return;
      case 'branch': {
        const { target } = terminator;
        const known = k.knownFlags;
        const { written } = k;
        k.body.openIf(terminator.condition);
        this.#goto(block, target, known);
        k.body.openElse();
        k.written = written;
        this.#goto(block, block.end, known);
        k.body.end();
        k.body.unreachable();
        return;
      }
      default:
        this.#indirect(block, terminator);
    }
  }

  /** Goes from the region's start to the one of `entries` (in ascending order) at `offset`, which is one of them. */
  #dispatch(root: Block, offset: Val, entries: readonly number[], flags: KnownFlags | undefined): void {
    const [first] = entries;
    if (entries.length === 1 && first !== undefined) {
      const entry = this.#region.blocks.get(first);
      if (entry !== undefined) this.#k.loadRegisters(this.#flow.neededAt(entry));
      this.#goto(root, first, flags);
      return;
    }
    const { body } = this.#k;
    const half = entries.length >> 1;
    body.openIf(this.#k.ltU(offset, i32(entries[half] ?? 0)));
    this.#dispatch(root, offset, entries.slice(0, half), flags);
    body.openElse();
    this.#dispatch(root, offset, entries.slice(half), flags);
    body.end();
    body.unreachable();
  }

  /** A computed branch: to a return site of a call inside the region if it matches, else out of the region. */
  #indirect(block: Block, terminator: Terminator & { readonly kind: 'indirect' }): void {
    const k = this.#k;
    // Not a temporary: emitting a return site's blocks in between reuses those.
    const target = k.body.local('i64');
    k.assign(target, terminator.target);
    const known = k.knownFlags;
    const { written } = k;
    for (const site of block.successors) {
      k.body.openIf(k.eq(target, k.add(k.page, i64(site))));
      this.#goto(block, site, known);
      k.body.end();
      k.written = written;
    }
    k.leaveIndirect(target);
  }

  /** Continues at page offset `offset`, inside the region if the edge was kept. */
  #goto(from: Block, offset: number, flags: KnownFlags | undefined): void {
    const k = this.#k;
    const target = from.successors.includes(offset) ? this.#region.blocks.get(offset) : undefined;
    if (target === undefined) {
      k.leaveFor(offset);
      return;
    }
    const loop = target.order <= from.order ? this.#loopLabel.get(target) : undefined;
    if (loop !== undefined) {
      k.emitBudget(offset, roundWork(target, from, this.#work.get(target) ?? 0));
      k.body.branch(loop);
      return;
    }
    const join = this.#blockLabel.get(target);
    if (join !== undefined) k.body.branch(join);
    else this.#tree(target, flags);
  }
}
