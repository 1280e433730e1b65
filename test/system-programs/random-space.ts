/**
 * Random translation tables: any granule and input size, views of six data frames mapped at every level with every
 * attribute, and entries that are broken at some level. Arm ARM D8.2 and D8.3 (VMSAv8-64).
 */
import type { TestRandom } from '../drivers/fp-operands.js';

/** Physical addresses; runtime.s has the same. */
const FRAMES_AT = 0x4740_0000n;
const CODE_AT = 0x4780_0000n;
const TABLES_AT = 0x47a0_0000n;
const FRAME_COUNT = 6;
const MIB = 1n << 20n;
const VIEW_TRIES = 8;

const VALID = 1n;
const TABLE = 2n;
const NORMAL_MEMORY = (1n << 2n) | (3n << 8n);
const ACCESS_FLAG = 1n << 10n;
const NOT_GLOBAL = 1n << 11n;
const PXN = 1n << 53n;
const UXN = 1n << 54n;
const READ_ONLY_ALL = 3n << 6n;
const READ_WRITE_ALL = 1n << 6n;
/** Bits of a table descriptor that restrict everything below it: PXNTable, UXNTable, APTable, NSTable left out. */
const TABLE_LIMITS = [1n << 59n, 1n << 60n, 1n << 61n, 1n << 62n] as const;
/** TLBI forms of runtime.s: what their operand holds. */
const INVALIDATIONS = ['va', 'va', 'va', 'va', 'va', 'va', 'va', 'va', 'asid', 'asid', 'none', 'none'] as const;

/** A leaf descriptor that a service of the runtime changes, and how the TLB hears of it. */
export interface Change {
  readonly descriptorAt: bigint;
  /** Exclusive or of the descriptor before and after. */
  readonly difference: bigint;
  readonly operand: bigint;
  /** Index of the runtime's list of TLBI forms. */
  readonly invalidation: number;
}

/** What a program finds. */
export interface RandomSpace {
  readonly tcr: bigint;
  /** Both address spaces' TTBR0_EL1, with different ASIDs. */
  readonly ttbrs: readonly [bigint, bigint];
  /** Bytes of a data frame: the granule. */
  readonly frameBytes: number;
  /** Where the code is executed, and where the same page can be written. */
  readonly codeVa: bigint;
  readonly codeWritableVa: bigint;
  /** A pointer into memory that can be read and written at first; its page's edges are far. */
  readonly dataPointer: bigint;
  /** Pointers to views of all kinds. */
  readonly pointers: readonly bigint[];
  readonly changes: readonly Change[];
  /** Words of the tables: physical address and value. */
  readonly entries: ReadonlyMap<bigint, bigint>;
}

/** A virtual address range that a leaf at `level` maps. */
interface View {
  readonly va: bigint;
  readonly level: number;
}

const GRANULES = [
  { log2: 12, tg0: 0n, weight: 70 },
  { log2: 14, tg0: 2n, weight: 15 },
  { log2: 16, tg0: 1n, weight: 15 },
] as const;

/** Builds the tables of one program. */
class SpaceBuilder {
  readonly entries = new Map<bigint, bigint>();
  readonly changes: Change[] = [];
  readonly granuleLog2: number;
  readonly inputBits: number;
  readonly startLevel: number;
  readonly tg0: bigint;
  readonly #random: TestRandom;
  readonly #stride: number;
  #tables = 0;

  constructor(random: TestRandom) {
    this.#random = random;
    let choice = random.below(100);
    const granule = GRANULES.find(({ weight }) => (choice -= weight) < 0) ?? GRANULES[0];
    this.granuleLog2 = granule.log2;
    this.tg0 = granule.tg0;
    this.#stride = granule.log2 - 3;
    this.inputBits = random.below(2) === 0 ? 48 : 25 + random.below(24);
    this.startLevel = 4 - Math.ceil((this.inputBits - granule.log2) / this.#stride);
  }

  /** A new table: aligned to the granule. */
  newTable(): bigint {
    return TABLES_AT + (BigInt(this.#tables++) << BigInt(this.granuleLog2));
  }

  shift(level: number): number {
    return this.granuleLog2 + (3 - level) * this.#stride;
  }

  /** Levels that can hold a leaf of this granule (Arm ARM D8.3.1: blocks at 1 and 2, or at 2 alone). */
  leafLevels(): readonly number[] {
    return [this.granuleLog2 === 12 ? 1 : 2, 2, 3, 3, 3].filter((level) => level >= this.startLevel);
  }

  randomVa(level: number): bigint {
    const bits = BigInt(this.shift(level));
    return (BigInt.asUintN(this.inputBits, this.#random.u64()) >> bits) << bits;
  }

  /**
   * Address of the descriptor that maps `va` at `level` below `root`. Tables on the way are made as needed, with `limits`
   * in new ones at random; undefined where a leaf is in the way.
   */
  descriptor(root: bigint, va: bigint, level: number, limits: boolean): bigint | undefined {
    let table = root;
    for (let at = this.startLevel; ; at++) {
      const shift = BigInt(this.shift(at));
      const index = at === this.startLevel ? va >> shift : BigInt.asUintN(this.#stride, va >> shift);
      const address = table + index * 8n;
      if (at === level) return this.entries.has(address) ? undefined : address;
      const known = this.entries.get(address);
      if (known !== undefined) {
        if ((known & TABLE) === 0n || (known & VALID) === 0n) return undefined;
        table = ((known & 0xffff_ffff_ffffn) >> BigInt(this.granuleLog2)) << BigInt(this.granuleLog2);
        continue;
      }
      const next = this.newTable();
      let value = next | TABLE | VALID;
      if (limits) for (const bit of TABLE_LIMITS) if (this.#random.below(12) === 0) value |= bit;
      if (limits) value |= BigInt(this.#random.below(2)) << 52n; // ignored
      this.entries.set(address, value);
      table = next;
    }
  }

  /** Whether {@link descriptor} would find a place. */
  isFree(root: bigint, va: bigint, level: number): boolean {
    let table = root;
    for (let at = this.startLevel; ; at++) {
      const shift = BigInt(this.shift(at));
      const index = at === this.startLevel ? va >> shift : BigInt.asUintN(this.#stride, va >> shift);
      const known = this.entries.get(table + index * 8n);
      if (known === undefined || at === level) return known === undefined;
      if ((known & TABLE) === 0n || (known & VALID) === 0n) return false;
      table = ((known & 0xffff_ffff_ffffn) >> BigInt(this.granuleLog2)) << BigInt(this.granuleLog2);
    }
  }

  /** A leaf descriptor at `level` for physical address `output`: valid, with random attributes, or sometimes broken. */
  randomLeaf(level: number, output: bigint): bigint {
    const random = this.#random;
    const type = level === 3 ? TABLE | VALID : VALID;
    let value = output | type | NORMAL_MEMORY | ACCESS_FLAG | NOT_GLOBAL;
    value |= BigInt(random.below(10) < 6 ? 1 : random.below(4)) << 6n;
    if (random.below(4) > 0) value |= UXN;
    if (random.below(4) > 0) value |= PXN;
    value |= BigInt(random.below(16)) << 55n; // for software
    switch (random.below(12)) {
      case 0:
        return value & ~ACCESS_FLAG;
      case 1:
        return 0n;
      case 2:
        return level === 3 ? value & ~TABLE : value & ~VALID; // reserved at level 3
      case 3:
        return value | (1n << BigInt(40 + random.below(8))); // beyond what IPS allows
      default:
        return value;
    }
  }

  /** Physical address behind a view: a frame, or the block around the frames. */
  frame(view: View): bigint {
    const frame = FRAMES_AT + (BigInt(this.#random.below(FRAME_COUNT)) << BigInt(this.granuleLog2));
    const shift = BigInt(this.shift(view.level));
    return (frame >> shift) << shift;
  }

  /** Notes a change of the leaf at `descriptorAt` in the space with this ASID. */
  change(descriptorAt: bigint, difference: bigint, va: bigint, asid: bigint, last = true): void {
    const random = this.#random;
    let invalidation = random.below(INVALIDATIONS.length);
    const form = INVALIDATIONS[invalidation];
    if (!last && invalidation >= 4 && invalidation < 8) invalidation -= 4;
    const operand = form === 'none' ? 0n : (asid << 48n) | (form === 'va' ? BigInt.asUintN(44, va >> 12n) : 0n);
    this.changes.push({ descriptorAt, difference, operand, invalidation });
  }
}

/** Draws one. `changesMax` leaves can be changed by the program. */
export function randomSpace(random: TestRandom, pointerCount: number, changesMax: number): RandomSpace {
  const builder = new SpaceBuilder(random);
  const { granuleLog2, inputBits } = builder;
  const page = 1n << BigInt(granuleLog2);
  const roots = [builder.newTable(), builder.newTable()] as const;
  const asids = [BigInt(1 + random.below(0xffff)), 0n] as [bigint, bigint];
  asids[1] = asids[0] === 1n ? 2n : asids[0] - 1n;
  const leaf = (view: View, values: readonly bigint[]): (bigint | undefined)[] =>
    roots.map((root, i) => {
      const at = builder.descriptor(root, view.va, view.level, false);
      if (at !== undefined) builder.entries.set(at, values[i] ?? 0n);
      return at;
    });
  const fixed = NORMAL_MEMORY | ACCESS_FLAG | TABLE | VALID;
  const codeVa = builder.randomVa(3);
  const global = random.below(2) === 0 ? 0n : NOT_GLOBAL;
  leaf({ va: codeVa, level: 3 }, Array(2).fill(CODE_AT | fixed | READ_ONLY_ALL | global));
  const freshPage = (): bigint => {
    for (;;) {
      const va = builder.randomVa(3);
      if (va !== codeVa && roots.every((root) => builder.descriptor(root, va, 3, false) !== undefined)) return va;
    }
  };
  const codeWritableVa = freshPage();
  leaf({ va: codeWritableVa, level: 3 }, Array(2).fill(CODE_AT | fixed | READ_WRITE_ALL | UXN | PXN | NOT_GLOBAL));
  const dataVa = freshPage();
  const dataLeaf = fixed | READ_WRITE_ALL | UXN | PXN | NOT_GLOBAL;
  const dataAt = leaf({ va: dataVa, level: 3 }, [FRAMES_AT | dataLeaf, (FRAMES_AT + page) | dataLeaf]);
  if (dataAt[0] !== undefined) {
    const differences = [1n << 7n, ACCESS_FLAG, FRAMES_AT ^ (FRAMES_AT + page), 1n << 6n];
    builder.change(dataAt[0], differences[random.below(4)] ?? 1n, dataVa, asids[0]);
  }
  const topByteIgnored = random.below(3) === 0;
  const pointers: bigint[] = [];
  while (pointers.length < pointerCount) pointers.push(randomPointer());
  return {
    tcr: controlRegister(),
    ttbrs: [roots[0] | (asids[0] << 48n), roots[1] | (asids[1] << 48n)],
    frameBytes: Number(page),
    ...{ codeVa, codeWritableVa },
    dataPointer: dataVa + 0x600n,
    ...{ pointers, changes: builder.changes, entries: builder.entries },
  };

  /** A new view, mapped in both spaces, and a pointer into it. */
  function randomPointer(): bigint {
    const view = freshView();
    if (view === undefined) return dataVa + 0x500n;
    const { level } = view;
    roots.forEach((root, i) => {
      const at = builder.descriptor(root, view.va, level, true);
      if (at === undefined) return;
      let value = builder.randomLeaf(level, builder.frame(view));
      // Blocks beyond 2 MiB hold the runtime, too.
      if (BigInt(1) << BigInt(builder.shift(level)) > 2n * MIB) value |= 1n << 7n;
      builder.entries.set(at, value);
      const asid = asids[i] ?? 0n;
      if (builder.changes.length >= changesMax || random.below(2) === 0) return;
      const differences = [ACCESS_FLAG, 1n << 6n, UXN, PXN, VALID, value];
      if (level === 3) differences.push(builder.frame(view) ^ builder.frame(view), 1n << 7n);
      builder.change(at, differences[random.below(differences.length)] ?? VALID, view.va, asid);
    });
    const size = BigInt(1) << BigInt(builder.shift(level));
    const frameOffset = FRAMES_AT % size;
    const inside = level === 3 ? 0n : frameOffset + (BigInt(random.below(FRAME_COUNT)) << BigInt(granuleLog2));
    let pointer = view.va + inside + 0x400n + BigInt(random.below(0x400)) * (random.below(3) === 0 ? 1n : 0n);
    // The last pointer goes where others do not.
    const wild = pointers.length === pointerCount - 1 ? random.below(4) : -1;
    if (wild === 0) pointer = view.va + inside + page - 1n - BigInt(random.below(16)); // across the border
    if (wild === 1) pointer = pointer | (1n << BigInt(Math.min(inputBits, 54))); // beyond the input size
    if (wild === 2) pointer = random.u64();
    if (random.below(4) === 0) pointer = BigInt.asUintN(56, pointer) | (BigInt(random.below(256)) << 56n);
    return BigInt.asUintN(64, pointer);
  }

  /** A view that no leaf of another is in the way of; undefined where the first draws do not find room. */
  function freshView(): View | undefined {
    const levels = builder.leafLevels();
    for (let tries = 0; tries < VIEW_TRIES; tries++) {
      const level = levels[random.below(levels.length)] ?? 3;
      const va = builder.randomVa(level);
      if (roots.every((root) => builder.isFree(root, va, level))) return { va, level };
    }
    return undefined;
  }

  function controlRegister(): bigint {
    const size = BigInt(64 - inputBits);
    const cacheable = (1n << 8n) | (1n << 10n) | (3n << 12n);
    const upper = (25n << 16n) | (1n << 24n) | (1n << 26n) | (3n << 28n) | (2n << 30n);
    const output = BigInt(random.below(3)) << 32n;
    const ignore = topByteIgnored ? 1n << 37n : 0n;
    return size | cacheable | (builder.tg0 << 14n) | upper | output | (1n << 36n) | ignore;
  }
}
