/**
 * Random programs for the system side of the CPU: instructions of the table at EL0 and EL1 under an MMU, mixed with
 * accesses that fault, exceptions, changes of the page tables, of the address space and of the exception level, and code
 * that changes itself. A seed gives always the same program. What the services do is in runtime.s.
 */
import { Decoder } from '../../cpu/decode/decoder.js';
import { F32, F64 } from '../../cpu/fp/format.js';
import { HOT_THRESHOLD } from '../../cpu/interpreter/loop-ops.js';
import type { Instruction } from '../../cpu/isa/instruction.js';
import { INSTRUCTIONS } from '../../cpu/isa/table.js';
import { drawWord } from '../differential/generator.js';
import { anyFpcr, nastyInteger, nastyOperand, TestRandom } from '../drivers/fp-operands.js';
import { randomSpace } from './random-space.js';

/** A record's layout in bytes; the tables' entries and the code follow. Offsets are runtime.s's REC_ constants. */
const RECORD = {
  ...{ words: 0, entries: 4, seed: 8, spsr: 16, fpcr: 20, tcr: 24, sctlr: 32, ttbrs: 40, codeVa: 56, loops: 64 },
  ...{ frameBytes: 68, interval: 72, changes: 96, x: 352, v: 624, tables: 1136 },
} as const;
const CHANGE_BYTES = 32;
const CHANGES_MAX = 8;
/** The counter of rounds. */
const LOOP_REGISTER = 28;
/** Words a program may have; the page holds 1,024. */
const WORDS_MAX = 400;
/** Rounds of a program that is to be compiled: more than the interpreter's threshold. */
const HOT_LOOPS = { from: HOT_THRESHOLD + 200, below: HOT_THRESHOLD + 600 };

const NOP = 0xd503201f;
const ISB = 0xd5033fdf;
const DSB_ISH = 0xd5033b9f;
/** Instructions outside the drawn part of the table that give a defined answer at both levels; bits 4 to 0 are drawn. */
const SYSTEM_WORDS = [
  0xd5384240, // MRS CurrentEL
  0xd51bd040, // MSR TPIDR_EL0
  0xd53bd040, // MRS TPIDR_EL0
  0xd53b4200, // MRS NZCV
  0xd51b4200, // MSR NZCV
  0xd53b4220, // MRS DAIF
  0xd53b4420, // MRS FPSR
  0xd5382040, // MRS TCR_EL1
  0xd5384100, // MRS SP_EL0
  0xd5384200, // MRS SPSel
  0xd5384260, // MRS PAN
  0xd5384280, // MRS UAO
  0xd53b00e0, // MRS DCZID_EL0
  0xd5381040, // MRS CPACR_EL1
];
/** Cache and translation operations on an address; bits 4 to 0 become a pointer register. */
const ADDRESS_WORDS = [
  0xd50b7420, // DC ZVA
  0xd5087800, // AT S1E1R
  0xd5087820, // AT S1E1W
  0xd5087840, // AT S1E0R
  0xd5087860, // AT S1E0W
];
/** Cache maintenance, on the code's page: QEMU 7.2 does not translate its address. */
const CACHE_WORDS = [0xd50b7a38, 0xd50b7e38, 0xd50b7b38, 0xd50b7538]; // DC CVAC, CIVAC, CVAU; IC IVAU, x24
const MRS_PAR = 0xd5387400;
/** UDF, unallocated words, and instructions that are undefined where they stand. */
const UNDEFINED_WORDS = [0x00000000, 0x00001234, 0xd4000003, 0xe7f000f0, 0xd503609f];
/** MSR (immediate): PAN, UAO, SPSel. */
const PSTATE_WORDS = [0xd500409f, 0xd500419f, 0xd500407f, 0xd500417f, 0xd50040bf, 0xd50041bf];
/** Registers that hold the pointers of a random space, in its order. */
const POINTERS = [17, 18, 20, 21, 22, 23, 19, 26];
/** The last of them, which may cross into another page or be no address at all. */
const WILD_POINTER = 26;
const DATA_POINTER = 16;
const DATA_POINTER_KEPT = 25;
/** x27 has it always. */
const MOVE_HOME = 0xaa1b03e0; // MOV rd, x27
const MOVE_SP_HOME = 0x9108037f; // ADD sp, x27, #0x200
const CODE_POINTER = 24;
/** SVC immediates of the runtime's services: changes of descriptors, then of the state. */
const SERVICE = { first: 0x10, changes: 8, states: 8, step: 0x1d } as const;
/** SCTLR_EL1: RES1 and EOS, EIS, TSCXT, nTLSMD, LSMAOE; I, C, M. No alignment checks of SP, which QEMU 7.2 lacks. */
const SCTLR =
  (1 << 29) | (1 << 28) | (1 << 22) | (1 << 20) | (1 << 12) | (1 << 11) | (1 << 8) | (1 << 7) | (1 << 2) | 1;
/** Bits of SCTLR_EL1 that are drawn, with the odds of one in so many that they are not as software mostly has them. */
const SCTLR_DRAWN = [
  { bit: 1, usual: 0, odds: 8 }, // A
  { bit: 14, usual: 1, odds: 4 }, // DZE
  { bit: 15, usual: 1, odds: 4 }, // UCT
  { bit: 19, usual: 0, odds: 8 }, // WXN
  { bit: 23, usual: 1, odds: 4 }, // SPAN
  { bit: 26, usual: 1, odds: 4 }, // UCI
] as const;

/**
 * Accesses that may fault in the middle: what an access of several registers has read or written before that is not
 * defined, and an atomic one outside memory meets its permission (ours) or the missing memory (QEMU) first.
 */
const SINGLE = /^(LDR|STR|LDUR|STUR|LDTR|STTR)[BHSW]?\b(?!.*SIMD)/;

const decoder = new Decoder(INSTRUCTIONS);
/**
 * What programs leave out: system registers are drawn apart; JSCVT and SB are not in QEMU's model; QEMU 7.2 lets LDAPR be
 * unaligned, which needs FEAT_LSE2 (Arm ARM B2.5.2); exclusives come in pairs, other jumps with a target.
 */
const EXCLUDED = /^(MRS|MSR|FJCVTZS|SB$|LDAPR$|(LD|ST)X[RP]|BR$|BLR$|RET$|CLREX)/;
const isBranch = ({ flow }: Instruction): boolean => flow === 'branch' || flow === 'jump' || flow === 'call';
const straight = INSTRUCTIONS.filter(
  ({ untested, flow, name }) => !untested && flow === 'next' && !EXCLUDED.test(name),
);
const branches = INSTRUCTIONS.filter((entry) => !entry.untested && isBranch(entry));
const memory = straight.filter(({ name }) => /^(LD|ST|CAS|SWP|PRF)/.test(name));
const single = straight.filter(({ name }) => !name.includes('by register'));
const integer = straight.filter(({ fp }) => !fp);

/** Collects the words of one program. */
class ProgramBuilder {
  readonly words: number[] = [];
  /** Index of the first word of each item. */
  readonly starts: number[] = [];
  readonly #random: TestRandom;
  readonly #hot: boolean;

  /** @param hot thousands of rounds: bases must not move on forever */
  constructor(random: TestRandom, hot: boolean) {
    this.#random = random;
    this.#hot = hot;
  }

  #pick<T>(from: readonly T[]): T {
    const chosen = from[this.#random.below(from.length)];
    if (chosen === undefined) throw new Error('nothing to choose from');
    return chosen;
  }

  /** A word of `entry` whose registers are x0 to x9 (or the zero register), and whose base is mostly a pointer. */
  #draw(entry: Instruction, wild: boolean): number {
    const random = this.#random;
    for (let tries = 0; tries < 50; tries++) {
      let word = drawWord(entry, random);
      if (word === undefined) return NOP;
      for (const { name, shift, width } of entry.fields) {
        if (width !== 5 || !name.startsWith('r')) continue;
        let register = random.below(10) === 0 ? 31 : random.below(10);
        if (name === 'rn_sp' && !isArithmetic(entry)) {
          register = wild ? this.#pick(POINTERS) : this.#pick([16, 16, 16, 25, 31]);
          const apart = register === WILD_POINTER || (this.#hot && entry.name.includes('index'));
          if (apart && !SINGLE.test(entry.name)) register = DATA_POINTER;
        }
        if (name === 'rd_sp' && register === 31) register = 9; // the stack pointer stays
        word = ((word & ~(31 << shift)) | (register << shift)) >>> 0;
      }
      if (decoder.decode(word) === entry) return word;
    }
    return NOP;
  }

  /** Instructions of the table; a third of them integer ones. */
  ordinary(): void {
    this.#push(this.#pick(this.#random.below(3) === 0 ? integer : straight), false);
  }

  access(wild: boolean): void {
    this.#push(this.#pick(memory), wild);
  }

  /**
   * One instruction. A base that went by a register's value could bring the next structure across the border of a page
   * (see SINGLE): it is noted in x9 and put back.
   */
  #push(entry: Instruction, wild: boolean): void {
    const word = this.#draw(entry, wild);
    this.words.push(word);
    if (!entry.name.includes('by register') || word === NOP) return;
    const base = (word >>> 5) & 31;
    const home = base === 31 ? MOVE_SP_HOME : (MOVE_HOME | base) >>> 0;
    this.words.push((0x91000009 | (base << 5)) >>> 0, home); // ADD x9, base, #0
  }

  /** A pair of load- and store-exclusive on the data page. */
  exclusive(): void {
    const random = this.#random;
    const size = random.below(4);
    const base = this.#pick([DATA_POINTER, DATA_POINTER_KEPT, 17, 23]);
    const [data, value, status] = [random.below(5), random.below(5), 5 + random.below(5)];
    const order = (random.below(2) << 15) >>> 0;
    this.words.push(((size << 30) | 0x085f7c00 | order | (base << 5) | data) >>> 0);
    this.words.push(((size << 30) | 0x08007c00 | (status << 16) | order | (base << 5) | value) >>> 0);
  }

  /** A branch over up to three of the words that follow. */
  branch(): void {
    const entry = this.#pick(branches);
    const word = this.#draw(entry, false);
    const field = entry.fields.find(({ name }) => /^imm(26|19|14)$/.test(name));
    if (field === undefined) return;
    const offset = 1 + this.#random.below(3);
    this.words.push(((word & ~(field.mask << field.shift)) | (offset << field.shift)) >>> 0);
    for (let i = 1; i < offset; i++) this.ordinary();
  }

  /** A branch through a register, or a call, to the third word from here: ADR x9, +12; BR or BLR x9; NOP. */
  indirect(): void {
    this.words.push(adr(9, 12), (this.#random.below(2) === 0 ? 0xd61f0120 : 0xd63f0120) >>> 0, NOP);
  }

  /**
   * A jump to the start of a view's page: mostly a fault, and else the instruction that ends a program. Misaligned only
   * on the code's own page, because QEMU 7.2 faults on the page before it looks at the alignment.
   */
  lost(): void {
    const pointer = this.#pick(POINTERS.filter((register) => register !== WILD_POINTER));
    const pageStart = (0x9275d009 | (pointer << 5)) >>> 0; // AND x9, pointer, #~0x7ff
    this.words.push(this.#random.below(4) > 0 ? pageStart : 0x50000049, 0xd61f0120);
  }

  service(): void {
    const random = this.#random;
    let number = random.below(SERVICE.changes);
    if (random.below(2) === 0) number = SERVICE.changes + random.below(SERVICE.states);
    if (SERVICE.first + number === SERVICE.step) number--;
    this.words.push((0xd4000001 | ((SERVICE.first + number) << 5)) >>> 0);
  }

  /** Some instructions under software step, exceptions and a return among them. */
  step(): void {
    this.words.push((0xd4000001 | (SERVICE.step << 5)) >>> 0);
    for (let i = 0; i < 4; i++) {
      const kind = this.#random.below(8);
      if (kind === 0) this.exception();
      else if (kind === 1) this.exclusive();
      else if (kind === 2) this.branch();
      else if (kind === 3) this.access(true);
      else this.ordinary();
    }
    // An exception between a write of ELR_EL1 and its ERET would replace it.
    this.words.push(NOP, NOP, NOP, NOP, NOP);
  }

  /** A return to the words behind it, legal or not: at EL0 all of it is undefined. */
  exceptionReturn(): void {
    const random = this.#random;
    const modes = [0, 4, 5, 0, 4, 5, 1, 2, 3, 6, 7, 8, 9, 12, 13, 15];
    const flags = (random.u32() & 0xf0c00000) | (random.below(8) === 0 ? 1 << 20 : 0);
    const spsr = (flags | 0x340 | this.#pick(modes)) >>> 0;
    this.words.push(
      adr(9, 24),
      (0x52800000 | ((spsr & 0xffff) << 5) | 8) >>> 0,
      (0x72a00000 | ((spsr >>> 16) << 5) | 8) >>> 0,
      0xd5184029, // MSR ELR_EL1, x9
      0xd5184008, // MSR SPSR_EL1, x8
      0xd69f03e0,
    );
  }

  /** An interrupt of this CPU's own making. */
  softwareInterrupt(): void {
    const id = this.#random.below(16);
    this.words.push(0x52800028, (0x72a00008 | (id << 13)) >>> 0, 0xd518cba8, ISB);
  }

  pstate(): void {
    this.words.push(this.#pick(PSTATE_WORDS));
  }

  exception(): void {
    const random = this.#random;
    const immediate = (random.u32() & 0x7ff) | 0x1000;
    const svc = (0xd4000001 | (immediate << 5)) >>> 0;
    const brk = (0xd4200000 | (immediate << 5)) >>> 0;
    this.words.push(random.below(2) === 0 ? this.#pick([svc, brk, brk]) : this.#pick(UNDEFINED_WORDS));
  }

  system(): void {
    const random = this.#random;
    if (random.below(8) === 0) {
      this.words.push(this.#pick(CACHE_WORDS));
      return;
    }
    if (random.below(2) === 0) {
      this.words.push((this.#pick(SYSTEM_WORDS) | random.below(10)) >>> 0);
      return;
    }
    const word = this.#pick(ADDRESS_WORDS);
    this.words.push((word | this.#pick([DATA_POINTER, ...POINTERS])) >>> 0);
    if (word >>> 8 === 0xd50878) this.words.push(ISB, MRS_PAR | random.below(10));
  }

  /** Exchanges an instruction further on for another one in every round, and runs it. */
  modify(): void {
    const random = this.#random;
    const [first, second] = [this.#draw(this.#pick(integer), false), this.#draw(this.#pick(single), false)];
    const difference = (first ^ second) >>> 0;
    const gap = random.below(4);
    const start = this.words.length;
    const at = start + 10 + gap;
    this.words.push(
      adr(9, 4 * (at - start)),
      (0x52800000 | ((difference & 0xffff) << 5) | 8) >>> 0, // MOVZ w8
      (0x72a00000 | ((difference >>> 16) << 5) | 8) >>> 0, // MOVK w8, lsl #16
      (0xb9400000 | (at << 10) | (24 << 5) | 7) >>> 0, // LDR w7, [x24, #4 * at]
      0x4a0800e7, // EOR w7, w7, w8
      (0xb9000000 | (at << 10) | (24 << 5) | 7) >>> 0, // STR w7
      DSB_ISH,
      0xd50b7529, // IC IVAU, x9
      DSB_ISH,
      ISB,
    );
    for (let i = 0; i < gap; i++) this.words.push(this.#draw(this.#pick(single), false));
    this.words.push(first);
  }

  /** Puts the pointers back to where the first round had them; rounds to go in x28. */
  nextRound(): void {
    const bases = [DATA_POINTER, DATA_POINTER_KEPT].map((base) => (MOVE_HOME | base) >>> 0);
    this.words.push(...bases, MOVE_SP_HOME);
    this.words.push((0xd1000400 | (LOOP_REGISTER << 5) | LOOP_REGISTER) >>> 0); // SUB x28, x28, #1
    const back = -this.words.length & 0x7ffff;
    this.words.push((0xb5000000 | (back << 5) | LOOP_REGISTER) >>> 0); // CBNZ x28, first word
  }
}

const isArithmetic = ({ name }: Instruction): boolean => !/^(LD|ST|CAS|SWP|PRF)/.test(name);
/** ADR rd, pc + offset (a multiple of 4). */
const adr = (rd: number, offset: number): number => (0x10000000 | ((offset >> 2) << 5) | rd) >>> 0;

/** The code of one program. */
export interface ProgramCode {
  readonly words: readonly number[];
  /** Index of the first word of each item; what a report leaves out goes by items. */
  readonly starts: readonly number[];
  readonly rounds: number;
  /** Whether timer interrupts come while it runs. */
  readonly interrupted: boolean;
}

function drawCode(random: TestRandom): ProgramCode {
  const hot = random.below(16) === 0;
  const builder = new ProgramBuilder(random, hot);
  const interrupted = random.below(4) === 0;
  const items = 4 + random.below(hot ? 16 : 40);
  for (let i = 0; i < items && builder.words.length < WORDS_MAX - 40; i++) {
    builder.starts.push(builder.words.length);
    const kind = random.below(100);
    if (kind < 34) builder.ordinary();
    else if (kind < 50) builder.access(false);
    else if (kind < (hot ? 52 : 64)) builder.access(true);
    else if (kind < 71) builder.branch();
    else if (kind < 74) interrupted ? builder.ordinary() : builder.exclusive();
    else if (kind < 77) builder.indirect();
    else if (kind < 84) hot ? builder.ordinary() : builder.service();
    else if (kind < 87) builder.exception();
    else if (kind < 90) builder.system();
    else if (kind < 93) hot && random.below(4) > 0 ? builder.ordinary() : builder.modify();
    else if (kind < 95) interrupted ? builder.pstate() : builder.exceptionReturn();
    else if (kind < 96) builder.softwareInterrupt();
    else if (kind < 98) builder.pstate();
    else if (kind < 99) hot || interrupted ? builder.ordinary() : builder.step();
    else if (random.below(4) === 0) builder.lost();
  }
  builder.starts.push(builder.words.length);
  builder.nextRound();
  const rounds = hot ? HOT_LOOPS.from + random.below(HOT_LOOPS.below - HOT_LOOPS.from) : 1 + random.below(6);
  return { words: builder.words, starts: builder.starts, rounds, interrupted };
}

/** 64 bits of a vector register: two F32 operands, one F64, or an integer. */
function vectorHalf(random: TestRandom): bigint {
  const kind = random.below(3);
  if (kind === 0) return nastyInteger(random);
  if (kind === 1) return nastyOperand(F64, random);
  return (nastyOperand(F32, random) << 32n) | nastyOperand(F32, random);
}

/** A program to run: all of the one that its seed gives, or what is left of it. */
export interface Program {
  readonly seed: number;
  /** Items that are replaced by NOPs. */
  readonly without: ReadonlySet<number>;
  /** Rounds; undefined: as drawn. */
  readonly rounds: number | undefined;
}

/** The words of a program and how often they run. */
export function programCode({ seed, without, rounds }: Program): ProgramCode {
  const code = drawCode(new TestRandom(seed));
  const words = [...code.words];
  for (const item of without) words.fill(NOP, code.starts[item], code.starts[item + 1]);
  return { ...code, words, rounds: rounds ?? code.rounds };
}

/** A program's record, as runtime.s reads it; a multiple of 16 bytes. */
export function programRecord(program: Program): Uint8Array {
  const { words, rounds, interrupted } = programCode(program);
  const random = new TestRandom((program.seed ^ 0x5eed_0000) >>> 0);
  const space = randomSpace(random, POINTERS.length, CHANGES_MAX);
  const codeAt = RECORD.tables + space.entries.size * 16;
  const record = new Uint8Array((codeAt + words.length * 4 + 15) & ~15);
  const view = new DataView(record.buffer);
  const put = (at: number, value: bigint): void => view.setBigUint64(at, value, true);
  view.setUint32(RECORD.words, words.length, true);
  view.setUint32(RECORD.entries, space.entries.size, true);
  put(RECORD.seed, random.u64() | 1n);
  const mode = [0, 0, 4, 5][random.below(4)] ?? 0;
  const pan = random.below(8) === 0 ? 1 << 22 : 0;
  const uao = random.below(8) === 0 ? 1 << 23 : 0;
  view.setUint32(RECORD.spsr, ((random.u32() & 0xf0000000) | 0x340 | mode | pan | uao) >>> 0, true);
  view.setUint32(RECORD.fpcr, anyFpcr(random) & ~0x80000, true); // without FZ16, which is RES0 here
  put(RECORD.tcr, space.tcr);
  let sctlr = SCTLR;
  for (const { bit, usual, odds } of SCTLR_DRAWN) sctlr |= (usual ^ (random.below(odds) === 0 ? 1 : 0)) << bit;
  put(RECORD.sctlr, BigInt(sctlr >>> 0));
  space.ttbrs.forEach((ttbr, i) => {
    put(RECORD.ttbrs + 8 * i, ttbr);
  });
  put(RECORD.codeVa, space.codeVa);
  view.setUint32(RECORD.loops, rounds, true);
  view.setUint32(RECORD.frameBytes, space.frameBytes, true);
  put(RECORD.interval, interrupted ? BigInt(500 + random.below(20_000)) : 0n);
  space.changes.forEach((change, i) => {
    const values = [change.descriptorAt, change.difference, change.operand, BigInt(change.invalidation)];
    values.forEach((value, n) => {
      put(RECORD.changes + i * CHANGE_BYTES + 8 * n, value);
    });
  });
  const register = (number: number, value: bigint): void => put(RECORD.x + 8 * number, value);
  for (let i = 0; i < 16; i++) register(i, nastyInteger(random));
  register(DATA_POINTER, space.dataPointer);
  register(DATA_POINTER_KEPT, space.dataPointer);
  register(27, space.dataPointer);
  register(CODE_POINTER, space.codeWritableVa);
  POINTERS.forEach((number, i) => {
    register(number, space.pointers[i] ?? 0n);
  });
  register(LOOP_REGISTER, BigInt(rounds));
  register(31, space.dataPointer + 0x200n); // SP_EL0
  register(32, space.dataPointer - 0x200n); // SP_EL1
  for (let i = 0; i < 64; i++) put(RECORD.v + 8 * i, vectorHalf(random));
  let at = RECORD.tables;
  for (const [address, value] of space.entries) {
    put(at, address);
    put(at + 8, value);
    at += 16;
  }
  words.forEach((word, i) => {
    view.setUint32(codeAt + 4 * i, word, true);
  });
  return record;
}
