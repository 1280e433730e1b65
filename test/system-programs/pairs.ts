/**
 * Random programs for two CPUs whose result does not depend on how they interleave: atomic operations that commute,
 * exchanges whose sum is known, locks, litmus tests whose forbidden outcomes are counted, code and mappings that the other
 * CPU changes, code that a half changes itself, exceptions of all kinds at EL1 and EL0, interrupts from the other CPU. Each program
 * has atomic operations, exceptions and code that changes in both halves. Written as assembly text around pairs-runtime.s.
 */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TestRandom } from '../drivers/fp-operands.js';
import { assembleImage, type ProgramsImage } from './image.js';

const RUNTIME = fileURLToPath(new URL('../../../test/system-programs/pairs-runtime.s', import.meta.url));

const CELL_BYTES = 16;
/** Cells by number; the first 32 belong to the eight commuting operations in four sizes. */
const CELL = {
  swap: 32,
  sum: 34,
  compare: 36,
  wide: 40,
  exclusive: 41,
  pair: 45,
  lock: 46,
  counters: 47,
  code: 49,
  window: 50,
  /** Forbidden outcomes of litmus tests, and apart from them those of STLR before LDAR: QEMU has some. */
  forbidden: 51,
  overtaken: 52,
  /** Two, one for each half; those before it are the runtime's. */
  interrupts: 55,
};
/** RAM's addresses at EL0 are higher by this. */
const USER = 0x4000_0000;
/** Addresses that fault: nothing mapped at levels 3, 1 and 0; read-only; never accessed; not of an address space. */
const FAULTING = [
  0xffff_ff80_0000_3000n,
  0x1_0000_0000n,
  0x100_0000_0000n,
  0xffff_ff80_0000_1000n,
  0xffff_ff80_0000_2000n,
  0xff00_0000_0000_0000n,
] as const;
/** Of them, what can be read. */
const READ_ONLY = FAULTING[3];
/** Instructions, with x0 as operand and result, that a half writes, and what is added to one for the next round: 1 to its immediate. */
const CHANGING = [
  { word: 0x5280_0000, shift: 5 }, // MOVZ
  { word: 0x1280_0000, shift: 5 }, // MOVN
  { word: 0x1100_0000, shift: 10 }, // ADD
  { word: 0x5100_0000, shift: 10 }, // SUB
] as const;
/** Instructions of a half's own that change, in the runtime's page. */
const OWN_SLOTS = 256;
/**
 * Variables of litmus tests: one to a line, from here on in either of two pages (x19 and x24); what a half saw is kept from
 * RESULTS_AT on.
 */
const VARIABLES_AT = 1024;
const RESULTS_AT = 3072;
const VARIABLE_BYTES = 64;
const OPERATIONS = ['add', 'clr', 'set', 'eor', 'smax', 'smin', 'umax', 'umin'];
const ORDERS = ['', 'a', 'l', 'al'];
/** Suffix and register letter of each size. */
const SIZES = [
  ['b', 'w'],
  ['h', 'w'],
  ['', 'w'],
  ['', 'x'],
] as const;
const CODE_SLOTS = 64;

const LITMUS_KINDS = ['passing', 'buffering', 'loads', 'coherence'] as const;
type LitmusKind = (typeof LITMUS_KINDS)[number];

/** Assembly of both halves of one program. */
export type Halves = readonly [string[], string[]];

/** What an item of a program can be, and of how many in all. */
const KINDS = {
  ...{ commuting: 4, exchange: 2, compareAndSwap: 2, compareAndSwapPair: 1, exclusive: 2, exclusivePair: 1, lock: 2 },
  ...{ litmus: 4, codeOfTheOther: 1, mappingOfTheOther: 1, exceptions: 3, ownCode: 2, interrupt: 1 },
} as const;
/** See {@link KINDS}. */
export type PairItem = keyof typeof KINDS;
const DRAWN = (Object.keys(KINDS) as PairItem[]).flatMap((kind) => Array<PairItem>(KINDS[kind]).fill(kind));
/** Those that can be done at EL0 as well, one time in so many. */
const USER_ITEMS: readonly PairItem[] = [
  ...(['commuting', 'exchange', 'compareAndSwap', 'compareAndSwapPair', 'exclusive', 'exclusivePair'] as const),
  ...(['lock', 'exceptions'] as const),
];
const USER_ODDS = 3;
/** Every program has these. */
const ALWAYS: readonly PairItem[] = ['commuting', 'exceptions', 'ownCode'];

/** Writes one program. */
class PairWriter {
  readonly halves: Halves = [[], []];
  readonly #random: TestRandom;
  #variables = 0;
  #slots = 0;
  #ownSlots = 0;
  readonly #interrupts = [0, 0];
  #window = 'a';

  constructor(random: TestRandom) {
    this.#random = random;
  }

  #pick<T>(from: readonly T[]): T {
    const chosen = from[this.#random.below(from.length)];
    if (chosen === undefined) throw new Error('nothing to choose from');
    return chosen;
  }

  #address(register: string, cell: number): string {
    return `add ${register}, x19, #${cell * CELL_BYTES}`;
  }

  /** `body` some times; `0:` is the loop's own label. */
  #loop(body: readonly string[]): string[] {
    return [`mov w9, #${1 + this.#random.below(60)}`, '0:', ...body, 'subs w9, w9, #1', 'b.ne 0b'];
  }

  /** Different code for each half. */
  #each(write: () => string[]): void {
    for (const half of this.halves) half.push(...write());
  }

  meet(): void {
    for (const half of this.halves) half.push('bl rendezvous');
  }

  commuting(): void {
    this.#each(() => {
      const [operation, size] = [this.#random.below(OPERATIONS.length), this.#random.below(SIZES.length)];
      const [suffix, letter] = SIZES[size] ?? SIZES[3];
      const store = this.#random.below(4) === 0;
      const order = store ? this.#pick(['', 'l']) : this.#pick(ORDERS);
      const name = `${store ? 'st' : 'ld'}${OPERATIONS[operation]}${order}${suffix}`;
      const operands = store ? `${letter}1` : `${letter}1, ${letter}2`;
      const value = `ldr x1, =0x${this.#random.u64().toString(16)}`;
      return [
        this.#address('x10', operation * 4 + size),
        value,
        ...this.#loop([`${name} ${operands}, [x10]`, 'ror x1, x1, #7']),
      ];
    });
  }

  /** What is put in comes out somewhere: the sum of all that came out, and of what is left, is that of what was put in. */
  exchange(): void {
    this.#each(() => {
      const word = this.#random.below(2);
      const letter = word === 1 ? 'w' : 'x';
      const sum = [this.#address('x10', CELL.swap + word), this.#address('x11', CELL.sum + word)];
      const swap = [`swp${this.#pick(ORDERS)} ${letter}1, ${letter}2, [x10]`, 'stadd x2, [x11]', 'add x1, x1, #3'];
      return [...sum, `ldr x1, =0x${this.#random.u32().toString(16)}`, ...this.#loop(swap)];
    });
  }

  compareAndSwap(): void {
    this.#each(() => {
      const size = this.#random.below(SIZES.length);
      const [suffix, r] = SIZES[size] ?? SIZES[3];
      const cas = `cas${this.#pick(ORDERS)}${suffix} ${r}3, ${r}2, [x10]`;
      const body = [
        `1: ldr${suffix} ${r}1, [x10]`,
        `add ${r}2, ${r}1, #${1 + this.#random.below(99)}`,
        `mov ${r}3, ${r}1`,
      ];
      return [this.#address('x10', CELL.compare + size), ...this.#loop([...body, cas, `cmp ${r}3, ${r}1`, 'b.ne 1b'])];
    });
  }

  /** A 128-bit counter. */
  compareAndSwapPair(): void {
    this.#each(() => {
      const add = ['1: ldp x4, x5, [x10]', 'adds x6, x4, x1', 'adc x7, x5, xzr', 'mov x2, x4', 'mov x3, x5'];
      const swap = [`casp${this.#pick(ORDERS)} x2, x3, x6, x7, [x10]`, 'cmp x2, x4', 'ccmp x3, x5, #0, eq', 'b.ne 1b'];
      const value = `ldr x1, =0x${this.#random.u64().toString(16)}`;
      return [this.#address('x10', CELL.wide), value, ...this.#loop([...add, ...swap])];
    });
  }

  exclusive(): void {
    this.#each(() => {
      const size = this.#random.below(SIZES.length);
      const [suffix, r] = SIZES[size] ?? SIZES[3];
      const load = `ld${this.#pick(['', 'a'])}xr${suffix} ${r}1, [x10]`;
      const store = `st${this.#pick(['', 'l'])}xr${suffix} w3, ${r}2, [x10]`;
      const body = [`1: ${load}`, `add ${r}2, ${r}1, #${1 + this.#random.below(99)}`, store, 'cbnz w3, 1b'];
      return [this.#address('x10', CELL.exclusive + size), ...this.#loop(body)];
    });
  }

  exclusivePair(): void {
    this.#each(() => {
      const add = [
        '1: ldaxp x4, x5, [x10]',
        'adds x6, x4, x1',
        'adc x7, x5, xzr',
        'stlxp w3, x6, x7, [x10]',
        'cbnz w3, 1b',
      ];
      const value = `ldr x1, =0x${this.#random.u64().toString(16)}`;
      return [this.#address('x10', CELL.pair), value, ...this.#loop(add)];
    });
  }

  /** Two counters that only the holder of a lock touches, by plain accesses. */
  lock(): void {
    this.#each(() => {
      const exclusive = ['1: ldaxr w2, [x10]', 'cbnz w2, 1b', 'stxr w3, w1, [x10]', 'cbnz w3, 1b'];
      const swap = ['1: swpa w1, w2, [x10]', 'cbnz w2, 1b'];
      const compare = ['1: mov w2, #0', 'casa w2, w1, [x10]', 'cbnz w2, 1b'];
      const count = (at: number): string[] => [
        `ldr x4, [x11, #${at}]`,
        `add x4, x4, #${1 + this.#random.below(9)}`,
        `str x4, [x11, #${at}]`,
      ];
      const inside = [...count(0), ...count(CELL_BYTES)];
      const acquire = this.#pick([exclusive, swap, compare]);
      const cells = [this.#address('x10', CELL.lock), this.#address('x11', CELL.counters), 'mov w1, #1'];
      return [...cells, ...this.#loop([...acquire, ...inside, 'stlr wzr, [x10]'])];
    });
  }

  /** The place of a variable nobody has used; there is one in each page. */
  #variable(): number {
    return VARIABLES_AT + VARIABLE_BYTES * this.#variables++;
  }

  /**
   * Message passing, store buffering, load buffering or coherence; forbidden: the outcome that is counted. Half of them
   * begin with what a half writes not being in its TLB, and what it reads there: stores go another way than loads.
   */
  litmus(fixed?: { readonly kind: LitmusKind; readonly ordered: boolean; readonly cold: boolean }): void {
    if (VARIABLES_AT + (this.#variables + 1) * VARIABLE_BYTES > RESULTS_AT) return;
    const result = RESULTS_AT + 16 * this.#variables;
    const at = this.#variable();
    const [x, y] = [`add x10, x19, #${at}`, `add x10, x24, #${at}`];
    const fence = this.#pick(['dmb ish', 'dmb sy', 'dsb ish']);
    const ordered = fixed?.ordered ?? this.#random.below(2) === 0;
    const cold = fixed?.cold ?? this.#random.below(2) === 0;
    const write = (place: string, last: boolean): string[] => [place, `${last && ordered ? 'stlr' : 'str'} x1, [x10]`];
    const read = (place: string, into: string, first: boolean): string[] => [
      place.replace('x10', 'x11'),
      `${first && ordered ? 'ldar' : 'ldr'} ${into}, [x11]`,
    ];
    const between = ordered ? [] : [fence];
    const keep = (register: string, offset: number): string[] => [
      `add x10, x19, #${result + offset}`,
      `str ${register}, [x10]`,
    ];
    const forget = (place: string): string[] => [place, 'ubfx x12, x10, #12, #44', 'tlbi vae1, x12', 'dsb nsh', 'isb'];
    const kind = fixed?.kind ?? this.#pick(LITMUS_KINDS);
    const [first, second] = this.halves;
    if (cold) {
      first.push(...read(y, 'x2', false), ...forget(x));
      second.push(...read(x, 'x2', false), ...forget(y));
    }
    this.meet();
    for (const half of this.halves) half.push('mov x1, #1', ...Array(this.#random.below(6)).fill('nop'));
    if (kind === 'passing') {
      first.push(...write(x, false), ...between, ...write(y, true));
      second.push(...read(y, 'x2', true), ...between, ...read(x, 'x3', false), ...keep('x2', 0), ...keep('x3', 8));
    } else if (kind === 'buffering') {
      // STLR before LDAR is ordered, too (Arm ARM B2.3.3): all four accesses are, or the fence stands between them.
      first.push(...write(x, true), ...between, ...read(y, 'x2', true), ...keep('x2', 0));
      second.push(...write(y, true), ...between, ...read(x, 'x2', true), ...keep('x2', 8));
    } else if (kind === 'loads') {
      first.push(...read(x, 'x2', true), ...between, ...write(y, true), ...keep('x2', 0));
      second.push(...read(y, 'x2', true), ...between, ...write(x, true), ...keep('x2', 8));
    } else {
      first.push(...write(x, false));
      second.push(...read(x, 'x2', false), ...read(x, 'x3', false), ...keep('x2', 0), ...keep('x3', 8));
    }
    this.meet();
    // Of what both saw: 1 then 0 (passing, coherence), 0 and 0 (buffering), 1 and 1 (loads) cannot be.
    const [one, other] = kind === 'buffering' ? [0, 0] : kind === 'loads' ? [1, 1] : [1, 0];
    first.push(
      `add x10, x19, #${result}`,
      'ldp x2, x3, [x10]',
      `cmp x2, #${one}`,
      `ccmp x3, #${other}, #0, eq`,
      'cset x2, eq',
    );
    const count = kind === 'buffering' && ordered ? CELL.overtaken : CELL.forbidden;
    first.push(this.#address('x10', count), 'stadd x2, [x10]');
  }

  /** The first half changes an instruction that the second has run before, and tells it. */
  codeOfTheOther(): void {
    const slot = this.#slots++ % CODE_SLOTS;
    const flag = this.#variable();
    const [first, second] = this.halves;
    const number = this.#random.below(0x10000);
    const place = ['adrp x10, code', `add x10, x10, #${slot * 8}`];
    second.push(...place, 'mov x12, x30', 'blr x10', 'mov x30, x12');
    this.meet();
    const announce = [`add x11, x19, #${flag}`, 'mov w1, #1', 'stlr w1, [x11]'];
    first.push(...place, `ldr w1, =0x${(0x52800000 | (number << 5)).toString(16)}`, 'str w1, [x10]');
    first.push('dc cvau, x10', 'dsb ish', 'ic ivau, x10', 'dsb ish', 'isb', ...announce);
    second.push(`add x11, x19, #${flag}`, '1: ldar w1, [x11]', 'yield', 'cbz w1, 1b', 'isb', ...place);
    second.push('mov x12, x30', 'blr x10', 'mov x30, x12', this.#address('x10', CELL.code), 'stadd x0, [x10]');
  }

  /** The first half maps another frame, and the second sees it. */
  mappingOfTheOther(): void {
    const [first, second] = this.halves;
    this.#window = this.#window === 'a' ? 'b' : 'a';
    const look = ['ldr x10, =0xffffff8000000000', 'ldr x0, [x10]'];
    for (const half of this.halves) half.push(...look);
    this.meet();
    first.push(
      'adrp x10, window_l3',
      'str xzr, [x10]',
      'dsb ishst',
      'ldr x11, =0xffffff8000000',
      'and x11, x11, #0xfffffffffff',
    );
    first.push(this.#pick(['tlbi vaae1is, x11', 'tlbi vaale1is, x11', 'tlbi vmalle1is']), 'dsb ish');
    first.push(
      `adrp x11, frame_${this.#window}`,
      'ldr x12, =0x0060000000000707',
      'orr x11, x11, x12',
      'str x11, [x10]',
    );
    first.push('dsb ishst', 'isb');
    this.meet();
    second.push('isb', ...look, 'lsl x0, x0, #4', this.#address('x10', CELL.window), 'stadd x0, [x10]');
  }

  /** Some exceptions, with flags that the digest has. */
  exceptions(): void {
    this.#each(() => {
      const flags = [`ldr x1, =0x${((this.#random.u32() & 0xf000_0000) >>> 0).toString(16)}`, 'msr nzcv, x1'];
      return Array.from({ length: 1 + this.#random.below(3) }, () => [...flags, ...this.#exception()]).flat();
    });
  }

  #exception(): string[] {
    const random = this.#random;
    const kind = random.below(8);
    const immediate = 0x100 + random.below(0xff00); // SVC #0xff leads back from EL0
    if (kind < 4)
      return [this.#pick([`svc #${immediate}`, `brk #${immediate}`, `udf #${immediate}`, '.inst 0xd4000003'])];
    const address = this.#pick(FAULTING);
    if (kind === 4) {
      // Not an address of an instruction, or one where nothing can be fetched.
      const place =
        random.below(2) === 0 ? ['adr x10, .', 'add x10, x10, #2'] : [`ldr x10, =0x${address.toString(16)}`];
      return [...place, 'mov x12, x30', 'blr x10', 'mov x30, x12'];
    }
    const at = [`ldr x10, =0x${(address + BigInt(random.below(0x100) * 16)).toString(16)}`];
    const store = this.#pick([
      'str x1, [x10]',
      'strb w1, [x10, #1]!',
      'stp x1, x2, [x10]',
      'stlr w1, [x10]',
      'str q0, [x10]',
    ]);
    if (address === READ_ONLY) return [...at, store];
    return [...at, this.#pick([store, 'ldr x1, [x10]', 'ldrsb w1, [x10], #1', 'ldar x1, [x10]', 'ldxr w1, [x10]'])];
  }

  /** Each half writes an instruction and runs it, in some rounds. */
  ownCode(): void {
    const slot = this.#ownSlots++ % OWN_SLOTS;
    this.halves.forEach((half, cpu) => {
      const { word, shift } = this.#pick(CHANGING);
      const first = (word | (this.#random.below(0xf00) << shift)) >>> 0;
      const write = ['str w1, [x10]', 'dc cvau, x10', 'dsb ish', 'ic ivau, x10', 'dsb ish', 'isb'];
      const run = ['mov x0, x9', 'mov x12, x30', 'blr x10', 'mov x30, x12', 'add x7, x7, x0'];
      half.push(
        'adrp x10, own_code',
        `add x10, x10, #${(cpu * OWN_SLOTS + slot) * 8}`,
        `ldr w1, =0x${first.toString(16)}`,
        'mov x7, #0',
        `mov w9, #${1 + this.#random.below(5)}`,
        ...['0:', ...write, ...run, `add w1, w1, #${1 << shift}`, 'subs w9, w9, #1', 'b.ne 0b'],
        this.#address('x10', CELL.code),
        'stadd x7, [x10]',
      );
    });
  }

  /** One half interrupts the other, or each itself; who is interrupted waits for it. */
  interrupt(): void {
    const id = this.#random.below(16);
    const self = this.#random.below(3) === 0;
    const target = this.#random.below(2);
    this.halves.forEach((half, cpu) => {
      const to = self ? cpu : target;
      if (self || cpu !== target)
        half.push(`ldr x1, =0x${((id << 24) | (1 << to)).toString(16)}`, 'msr S3_0_C12_C11_5, x1', 'isb');
      if (!self && cpu !== target) return;
      const count = (this.#interrupts[cpu] ?? 0) + 1;
      this.#interrupts[cpu] = count;
      const wait = ['1: ldr x1, [x10]', 'yield', `cmp x1, #${count}`, 'b.ne 1b'];
      half.push(this.#address('x10', CELL.interrupts + cpu), 'msr daifclr, #2', ...wait, 'msr daifset, #2');
    });
    // Two interrupts of one number, the first not taken yet, would be one.
    this.meet();
  }

  /** What `write` writes is done at EL0, where the same memory is at other addresses. */
  user(write: () => void): void {
    const move = (operation: string): string[] => [
      `mov x11, #${USER}`,
      ...['x19', 'x24'].map((base) => `${operation} ${base}, ${base}, x11`),
    ];
    for (const half of this.halves)
      half.push(
        ...move('add'),
        'adr x10, 8f',
        'add x10, x10, x11',
        'msr elr_el1, x10',
        'mov x11, #0x3c0',
        'msr spsr_el1, x11',
        'eret',
        '8:',
      );
    write();
    for (const half of this.halves) half.push('svc #0xff', ...move('sub'));
  }

  /** The frame that is mapped at a program's start is always the first. */
  finish(): void {
    if (this.#window === 'b') this.mappingOfTheOther();
  }
}

/** What the runtime prints of one pair. */
export interface PairResult {
  /** Of all that no interleaving changes, in hexadecimal. */
  readonly digest: string;
  /** Outcomes of litmus tests that the architecture forbids; `overtaken`: a LDAR came before an earlier STLR. */
  readonly forbidden: number;
  readonly overtaken: number;
}

/** The results on a console that ends with `done`; undefined where the image ended otherwise. */
export function pairResults(console: string): PairResult[] | undefined {
  const lines = console.trimEnd().split('\n');
  if (lines.pop() !== 'done') return undefined;
  return lines.map((line) => {
    const [digest = '', counts = '0'.repeat(16)] = line.split(' ');
    const [overtaken, forbidden] = [counts.slice(0, 8), counts.slice(8)].map((half) => Number.parseInt(half, 16));
    return { digest, forbidden: forbidden ?? Number.NaN, overtaken: overtaken ?? Number.NaN };
  });
}

/** What a program consists of, in order. */
export function pairItems(seed: number): readonly PairItem[] {
  return drawItems(new TestRandom(seed));
}

function drawItems(random: TestRandom): readonly PairItem[] {
  const items = Array.from({ length: 3 + random.below(7) }, () => DRAWN[random.below(DRAWN.length)] ?? 'commuting');
  for (const kind of ALWAYS) items.splice(random.below(items.length + 1), 0, kind);
  return items;
}

/** The assembly of one program's halves. */
export function pairProgram(seed: number): Halves {
  const random = new TestRandom(seed);
  const writer = new PairWriter(random);
  for (const kind of drawItems(random)) {
    if (USER_ITEMS.includes(kind) && random.below(USER_ODDS) === 0) writer.user(() => writer[kind]());
    else writer[kind]();
  }
  writer.finish();
  return writer.halves;
}

/** A program of nothing but STLR before LDAR, with what is stored to not in the TLB. */
export function overtakingProgram(seed: number, times: number): Halves {
  const writer = new PairWriter(new TestRandom(seed));
  for (let n = 0; n < times; n++) writer.litmus({ kind: 'buffering', ordered: true, cold: true });
  return writer.halves;
}

/** Builds the image of these pairs. */
export function buildPairsImage(pairs: readonly Halves[]): ProgramsImage {
  const folder = mkdtempSync(join(tmpdir(), 'wurley-pairs-'));
  const text = ['  .section .text, "ax"'];
  for (const [n, pair] of pairs.entries()) {
    pair.forEach((half, cpu) => {
      text.push(`p${n}_${cpu}:`, 'mov x25, x30', ...half, 'ret x25', '.ltorg');
    });
  }
  text.push(
    '  .section .rodata, "a"',
    '  .balign 16',
    'pairs:',
    ...pairs.map((_, n) => `.quad p${n}_0, p${n}_1`),
    '.quad 0, 0',
  );
  writeFileSync(join(folder, 'pairs-programs.s'), `${text.join('\n')}\n`);
  return assembleImage(folder, RUNTIME);
}
