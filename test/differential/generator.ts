/** Draws random cases from the instruction table: words of one entry, and operands that look for trouble. */

import { Decoder } from '../../cpu/decode/decoder.js';
import { F16, F32, F64 } from '../../cpu/fp/format.js';
import { ASSEMBLY } from '../../cpu/isa/assembly.js';
import type { Instruction } from '../../cpu/isa/instruction.js';
import { INSTRUCTIONS } from '../../cpu/isa/table.js';
import {
  ARENA_AT,
  ARENA_BYTES,
  FRAME,
  FRAME_BYTES,
  OUTCOME,
  SLOT_BYTES,
  TEXT_AT,
  WINDOW_AT,
  WINDOW_BYTES,
} from '../drivers/case-frame.js';
import { anyFpcr, nastyInteger, nastyOperand, type TestRandom } from '../drivers/fp-operands.js';
import type { InterpreterDriver } from '../drivers/interpreter-driver.js';

const decoder = new Decoder(INSTRUCTIONS);
const POOL_WORDS = 8192;

/** Offsets of direct branches and literals: small ones half of the time, so that they stay in the slot. */
const OFFSET_FIELDS: ReadonlySet<string> = new Set(['imm26', 'imm19', 'imm14']);
const DRAWS_MAX = 2000;

/** Values that fill registers and memory, as pairs of 32-bit halves. */
export class OperandPool {
  readonly #integers = new Uint32Array(POOL_WORDS * 2);
  readonly #vectors = new Uint32Array(POOL_WORDS * 2);
  readonly #random: TestRandom;

  constructor(random: TestRandom) {
    this.#random = random;
    const put = (pool: Uint32Array, i: number, value: bigint): void => {
      pool[2 * i] = Number(value & 0xffff_ffffn);
      pool[2 * i + 1] = Number(value >> 32n);
    };
    const packed = (width: number, lane: () => bigint): bigint => {
      let value = 0n;
      for (let at = 0; at < 64; at += width) value |= BigInt.asUintN(width, lane()) << BigInt(at);
      return value;
    };
    const formats = [F16, F32, F64];
    for (let i = 0; i < POOL_WORDS; i++) {
      put(this.#integers, i, nastyInteger(random));
      const kind = i % 8;
      const format = formats[kind];
      if (format !== undefined)
        put(
          this.#vectors,
          i,
          packed(format.width, () => nastyOperand(format, random)),
        );
      else
        put(
          this.#vectors,
          i,
          packed([8, 16, 32, 64, 64][kind - 3] ?? 64, () => nastyInteger(random)),
        );
    }
  }

  /** Fills `count` 64-bit words from index `from` (of 64-bit words) of `target`. */
  fill(target: Uint32Array, from: number, count: number, vectors: boolean): void {
    const pool = vectors ? this.#vectors : this.#integers;
    for (let i = 0; i < count; i++) {
      const pick = this.#random.u32() % POOL_WORDS;
      target[2 * (from + i)] = pool[2 * pick] ?? 0;
      target[2 * (from + i) + 1] = pool[2 * pick + 1] ?? 0;
    }
  }
}

/** A random word that decodes to `entry`, or undefined if none was found. */
export function drawWord(entry: Instruction, random: TestRandom): number | undefined {
  for (let draw = 0; draw < DRAWS_MAX; draw++) {
    let word = ((random.u32() & ~entry.mask) | entry.value) >>> 0;
    for (const field of entry.fields) {
      const choice = random.below(16);
      let value: number | undefined;
      if (OFFSET_FIELDS.has(field.name) && choice < 10) value = (random.below(40) - 12) & field.mask;
      else if (field.width === 5 && choice === 0) value = 31;
      else if (field.width === 5 && choice === 1) value = random.below(4);
      else if (field.width > 5 && choice === 0) value = 0;
      else if (field.width > 5 && choice === 1) value = field.mask;
      if (value !== undefined) word = ((word & ~(field.mask << field.shift)) | (value << field.shift)) >>> 0;
    }
    if (decoder.decode(word) === entry) return word;
  }
  return undefined;
}

/** A block of instructions that runs as one case. */
export interface Block {
  readonly entries: readonly Instruction[];
  readonly words: readonly number[];
}

const isInteger = ({ name }: Instruction): boolean => ASSEMBLY[name] !== undefined;
/**
 * Whether `entry` may stand anywhere in a block. FJCVTZS has a reviewed difference that others would spread; exclusives come
 * in matching pairs only, because one of another size is CONSTRAINED UNPREDICTABLE (Arm ARM B2.12.5: ours fails, QEMU's
 * succeeds).
 */
const isStraight = ({ flow, name }: Instruction): boolean =>
  flow === 'next' && name !== 'FJCVTZS' && !/^(LDX|STX)[RP]/.test(name);
const BRANCHES_AT_END: ReadonlySet<string> = new Set(['branch', 'jump', 'call']);
/** Registers of blocks: few, so that instructions depend on each other. */
const BLOCK_REGISTERS = 6;

/** `word` with its register fields drawn from few registers, if it still decodes to `entry`. */
function concentrate(entry: Instruction, word: number, random: TestRandom): number {
  let changed = word;
  for (const { name, shift, width } of entry.fields) {
    if (width !== 5 || !/^[rv]/.test(name)) continue;
    const register = random.below(12) === 0 ? 31 : random.below(BLOCK_REGISTERS);
    changed = ((changed & ~(31 << shift)) | (register << shift)) >>> 0;
  }
  return decoder.decode(changed) === entry ? changed : word;
}

/** A load-exclusive and the store-exclusive that belongs to it, or undefined. */
function exclusivePair(random: TestRandom): Block | undefined {
  const [load, store] = random.below(2) === 0 ? ['LDXR/LDAXR', 'STXR/STLXR'] : ['LDXP/LDAXP', 'STXP/STLXP'];
  const entries = [load, store].map((name) => INSTRUCTIONS.find((entry) => entry.name === name));
  const [first, second] = entries;
  if (first === undefined || second === undefined) return undefined;
  const loadWord = drawWord(first, random) ?? first.value;
  // Size and base are the load's, status and data registers the store's own.
  const sameBits = (0xc000_0000 | (31 << 5)) >>> 0;
  const storeWord = (((drawWord(second, random) ?? second.value) & ~sameBits) | (loadWord & sameBits)) >>> 0;
  return { entries: [first, second], words: [loadWord, storeWord] };
}

/** A random block of 2 to `wordsMax` instructions, more than half of them integer ones, perhaps ended by a branch. */
export function drawBlock(entries: readonly Instruction[], wordsMax: number, random: TestRandom): Block {
  if (random.below(10) === 0) {
    const pair = exclusivePair(random);
    if (pair !== undefined) return pair;
  }
  const straight = entries.filter(isStraight);
  const integer = straight.filter(isInteger);
  const branches = entries.filter(({ flow }) => BRANCHES_AT_END.has(flow));
  const block: { entries: Instruction[]; words: number[] } = { entries: [], words: [] };
  const length = 2 + random.below(wordsMax - 1);
  for (let i = 0; i < length; i++) {
    const last = i === length - 1 && random.below(2) === 0 && branches.length > 0;
    const pool = last ? branches : integer.length > 0 && random.below(5) < 3 ? integer : straight;
    const entry = pool[random.below(pool.length)];
    const word = entry === undefined ? undefined : drawWord(entry, random);
    if (entry === undefined || word === undefined) continue;
    block.entries.push(entry);
    block.words.push(concentrate(entry, word, random));
  }
  return block;
}

/** Whether `word` is of the encoding group of loads and stores (Arm ARM C4.1, op0): no other instruction reads memory. */
const mayLoad = (word: number): boolean => ((word >>> 25) & 0b101) === 0b100;

/** The register an access through memory starts from, or undefined. */
function baseRegister(entry: Instruction, word: number): number | undefined {
  const field = entry.fields.find(({ name }) => name === 'rn_sp');
  return field === undefined ? undefined : (word >>> field.shift) & 31;
}

/** Frames of one batch, filled case by case. */
export class CaseWriter {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly #words: Uint32Array;
  readonly #scratch: DataView;
  readonly #otherScratch: DataView;
  readonly #random: TestRandom;
  readonly #pool: OperandPool;
  readonly #probe: InterpreterDriver;

  /** @param probe used to find out where a random access goes, so that it can be moved into the window */
  constructor(frames: number, random: TestRandom, probe: InterpreterDriver) {
    this.bytes = new Uint8Array(frames * FRAME_BYTES);
    this.view = new DataView(this.bytes.buffer);
    this.#words = new Uint32Array(this.bytes.buffer);
    this.#scratch = new DataView(new ArrayBuffer(frames * FRAME_BYTES));
    this.#otherScratch = new DataView(new ArrayBuffer(frames * FRAME_BYTES));
    this.#random = random;
    this.#pool = new OperandPool(random);
    this.#probe = probe;
  }

  /** Fills frame `index` with random operands for the block of `words` in `slot`. */
  #fill(index: number, slot: number, words: number, fp: boolean): void {
    const at = index * FRAME_BYTES;
    const random = this.#random;
    this.#pool.fill(this.#words, at / 8, FRAME.pc / 8, false);
    this.#pool.fill(this.#words, (at + FRAME.v) / 8, (FRAME.window - FRAME.v) / 8, true);
    this.#pool.fill(this.#words, (at + FRAME.window) / 8, WINDOW_BYTES / 8, random.below(2) === 0);
    const { view } = this;
    const sp = view.getUint32(at + FRAME.sp, true);
    view.setUint32(at + FRAME.sp, (sp & ~15) >>> 0, true);
    view.setBigUint64(at + FRAME.pc, BigInt(ARENA_AT + slot * SLOT_BYTES), true);
    view.setUint32(at + FRAME.nzcv, (random.u32() & 0xf000_0000) >>> 0, true);
    view.setUint32(at + FRAME.fpcr, fp ? anyFpcr(random) : 0, true);
    view.setUint32(at + FRAME.fpsr, fp ? ([0, 0x10, 0x10, 0x0800_009f][random.below(4)] ?? 0) : 0, true);
    view.setBigUint64(at + FRAME.words, BigInt(words), true);
  }

  /**
   * Fills frame `index` with a case of `block` that is worth running: accesses lie in the window nearly always, branches
   * do not end in another case's slot, and what earlier cases left in memory decides nothing. Returns false if no such operands were found.
   */
  writeCase(index: number, slot: number, block: Block): boolean {
    const at = index * FRAME_BYTES;
    const { entries, words } = block;
    const fp = entries.some((entry) => entry.fp);
    for (let attempt = 0; attempt < 4; attempt++) {
      this.#fill(index, slot, words.length, fp);
      const keepFault = this.#random.below(24) === 0;
      let outcome = this.#try(at);
      for (let moves = 0; outcome === OUTCOME.memoryFault && !keepFault && moves < 2 * words.length; moves++) {
        if (!this.#moveBase(at, slot, block)) break;
        outcome = this.#try(at);
      }
      if ((outcome === OUTCOME.memoryFault && !keepFault) || this.#probe.wroteCode) continue;
      if (outcome === OUTCOME.memoryFault && this.#isUnalignedLdapr(at, slot, block)) continue;
      if (this.#staysAway(at, slot, words.length) && (!words.some(mayLoad) || this.#isAlone(at))) return true;
    }
    return false;
  }

  /** Whether the case comes to the same end with other data outside of its window: a branch may depend on that. */
  #isAlone(at: number): boolean {
    this.#probe.invertOutside();
    this.#probe.run(this.view, this.#otherScratch, at);
    const frame = (from: DataView): Uint8Array => new Uint8Array(from.buffer, at, FRAME_BYTES);
    return Buffer.compare(frame(this.#scratch), frame(this.#otherScratch)) === 0;
  }

  #try(at: number): number {
    this.#probe.run(this.view, this.#scratch, at);
    return this.#scratch.getUint32(at + FRAME.outcome, true);
  }

  /** Where in the block the case stopped. */
  #stopPosition(at: number, slot: number): number {
    const stopped = Number(this.#scratch.getBigUint64(at + FRAME.pc, true));
    return (stopped - (ARENA_AT + slot * SLOT_BYTES + 4)) / 4;
  }

  /** Whether the case ends with an LDAPR of an address that is not aligned, which QEMU 7.2 loads from without a fault. */
  #isUnalignedLdapr(at: number, slot: number, { entries }: Block): boolean {
    return this.#probe.refused < 0n && entries[this.#stopPosition(at, slot)]?.name.startsWith('LDAPR') === true;
  }

  /**
   * Moves the base register of the access that was refused so that it goes into the window. Returns false if there is no
   * base, or the block had changed it before.
   */
  #moveBase(at: number, slot: number, { entries, words }: Block): boolean {
    const { refused } = this.#probe;
    const position = this.#stopPosition(at, slot);
    const entry = entries[position];
    const base = entry === undefined ? undefined : baseRegister(entry, words[position] ?? 0);
    if (refused < 0n || base === undefined) return false;
    const wide = this.#random.below(2) === 0;
    const offset = wide ? this.#random.below(WINDOW_BYTES - 64) : this.#random.below((WINDOW_BYTES - 64) / 16) * 16;
    const registerAt = at + FRAME.x + base * 8; // the stack pointer follows x30
    const before = this.view.getBigUint64(registerAt, true);
    if (this.#scratch.getBigUint64(registerAt, true) !== before) return false;
    let moved = before + BigInt(WINDOW_AT + offset) - refused;
    if (base === 31) moved &= ~15n;
    this.view.setBigUint64(registerAt, BigInt.asUintN(64, moved), true);
    return true;
  }

  /** Whether the case ends at its block's end, in an exception, or at an address where nothing of ours runs. */
  #staysAway(at: number, slot: number, words: number): boolean {
    const pc = Number(this.#scratch.getBigUint64(at + FRAME.pc, true));
    const outcome = this.#scratch.getUint32(at + FRAME.outcome, true);
    if (outcome === OUTCOME.endless) return false;
    if (pc === 0 || outcome !== OUTCOME.done) return true;
    const fillerAt = ARENA_AT + slot * SLOT_BYTES + 4 * (words + 2);
    if (pc >= fillerAt && pc < ARENA_AT + (slot + 1) * SLOT_BYTES) return true;
    const mapped = (from: number, bytes: number): boolean => pc >= from && pc < from + bytes;
    return !mapped(ARENA_AT, ARENA_BYTES) && !mapped(TEXT_AT, 1 << 20);
  }
}
