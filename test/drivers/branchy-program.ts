/**
 * Random programs of many small blocks that pass the condition flags from block to block: loops, joins, conditional
 * comparisons, carries. What a compiled region makes of them must be what the interpreter makes of them.
 */
import { ARENA_AT, DATA_AT, FRAME, FRAME_BYTES, OUTCOME, WINDOW_AT, WINDOW_BYTES } from './case-frame.js';
import { InterpreterDriver } from './interpreter-driver.js';

/** Instructions of a program; the last is an undefined one. */
const WORDS = 120;
const COUNTER = 20;
const BASE = 21;
/** A second base, whose value may lead anywhere near the data pages. */
const ROVER = 22;
const INTERESTING = [
  0n,
  1n,
  2n,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_ffffn,
  1n << 63n,
  (1n << 63n) - 1n,
  (1n << 64n) - 1n,
  (1n << 64n) - 2n,
] as const;

type Random = (below: number) => number;

/** One instruction that sets or reads flags, or goes to memory; registers 0 to 7 are the operands. */
function drawInstruction(random: Random): number {
  const sf = random(2) << 31;
  const [d, n, m] = [random(8), random(8), random(8)];
  const three = (m << 16) | (n << 5);
  const rd = random(3) === 0 ? 31 : d;
  const cond = random(16) << 12;
  const set = random(2) << 29;
  const sub = random(2) << 30;
  switch (random(17)) {
    case 0:
      return (0x2b000000 | sf | sub | three | rd) >>> 0; // ADDS, SUBS
    case 1:
      return (0x31000000 | sf | sub | (random(4) << 10) | (n << 5) | rd) >>> 0; // ADDS, SUBS #
    case 2:
      return (0x6a000000 | sf | three | rd) >>> 0; // ANDS
    case 3:
      return (0x1a000000 | sf | sub | set | three | d) >>> 0; // ADC, SBC and with flags
    case 4:
      return (0x3a400000 | sf | sub | three | cond | random(16)) >>> 0; // CCMN, CCMP
    case 5:
      return (0x3a400800 | sf | sub | (random(3) << 16) | (n << 5) | cond | random(16)) >>> 0; // the same with #
    case 6:
      return (0x1a800000 | sf | sub | (random(2) << 10) | three | cond | d) >>> 0; // CSEL and its like
    case 7:
      return (0xd53b4200 | d) >>> 0; // MRS NZCV
    case 8:
      return (0xd51b4200 | n) >>> 0; // MSR NZCV
    case 9:
      return (0x1e202000 | (random(2) << 22) | (random(4) << 16) | (random(4) << 5)) >>> 0; // FCMP
    case 10:
      return (0x1e200400 | (random(2) << 22) | (random(4) << 16) | (random(4) << 5) | cond | random(16)) >>> 0; // FCCMP
    case 11:
      return (0xf9400000 | (random(16) << 10) | (BASE << 5) | d) >>> 0; // LDR
    case 12:
      return (0xf9000000 | (random(16) << 10) | (BASE << 5) | n) >>> 0; // STR
    case 13:
      return (0x91000000 | sub | ((random(64) << 3) << 10) | (ROVER << 5) | ROVER) >>> 0; // ADD, SUB
    case 14:
      return (0xb9400000 | (random(2) << 30) | (random(4) << 10) | (ROVER << 5) | d) >>> 0; // LDR
    case 15:
      return (0xf8606800 | (d << 16) | (BASE << 5) | n) >>> 0; // LDR with a register offset, of any size
    default:
      return (0x8b000000 | sub | three | d) >>> 0; // ADD, SUB
  }
}

/** A program; backward branches are taken as often as the counter allows. */
function drawProgram(random: Random): Uint32Array {
  const words = new Uint32Array(WORDS);
  const branch = (at: number, to: number): number => {
    const offset = to - at;
    switch (random(3)) {
      case 0:
        return (0x35000000 | (random(4) << 30) | ((offset & 0x7ffff) << 5) | random(8)) >>> 0; // CBNZ
      default:
        return (0x54000000 | ((offset & 0x7ffff) << 5) | random(16)) >>> 0; // B.cond
    }
  };
  for (let at = 0; at < WORDS - 4; at++) {
    const kind = random(10);
    if (kind === 0) words[at] = branch(at, at + 1 + random(Math.min(12, WORDS - 1 - at)));
    else if (kind === 1 && at > 3) {
      words[at] = (0xd1000400 | (COUNTER << 5) | COUNTER) >>> 0;
      words[at + 1] = (0xb4000000 | ((WORDS - 1 - at - 1) << 5) | COUNTER) >>> 0;
      words[at + 2] = branch(at + 2, at - random(Math.min(14, at)));
      at += 2;
    } else words[at] = drawInstruction(random);
  }
  words.fill(0xd503201f, WORDS - 4);
  words[WORDS - 1] = 0;
  // A CBNZ of 32 or 64 bits has bit 30 clear.
  return words.map((word) => ((word & 0x7e000000) === 0x74000000 ? word & ~0x40000000 : word));
}

/** Where a program may be started, besides at its beginning: compiled together, these are entries of the same regions. */
const STARTS = 5;

/** Gives `driver` a program to start at any of `starts` (word indices). */
function load(driver: InterpreterDriver, program: Uint32Array, starts: readonly number[]): void {
  const image = new Uint32Array(program.length + 1);
  image.set(program, 1);
  driver.load(image);
  driver.compile(starts.map((start) => ARENA_AT + 4 + start * 4));
}

/** What one run left in its frame, as text; equal texts mean equal results. One that does not end just says so. */
function outcomeOf(driver: InterpreterDriver, input: DataView, start: number): string {
  const output = new DataView(new ArrayBuffer(FRAME_BYTES));
  driver.run(input, output, 0, start);
  if (output.getUint32(FRAME.outcome, true) === OUTCOME.endless) return 'endless';
  return Buffer.from(output.buffer).toString('hex');
}

/** Runs `count` random programs, each `rounds` times, interpreted and compiled; answers the first that differs. */
export function compareBranchyPrograms(random: Random, count: number, rounds: number): string | undefined {
  const [loop, jit] = [new InterpreterDriver('loop'), new InterpreterDriver('jit')];
  for (let i = 0; i < count; i++) {
    const program = drawProgram(random);
    const starts = [0, ...Array.from({ length: STARTS }, () => random(WORDS - 4))];
    load(loop, program, starts);
    load(jit, program, starts);
    for (let round = 0; round < rounds; round++) {
      const input = new DataView(new ArrayBuffer(FRAME_BYTES));
      for (let n = 0; n < 8; n++) {
        const any = (BigInt(random(2 ** 31)) << 33n) ^ BigInt(random(2 ** 31));
        input.setBigUint64(FRAME.x + n * 8, random(4) === 0 ? any : INTERESTING[random(INTERESTING.length)]!, true);
      }
      input.setBigUint64(FRAME.x + COUNTER * 8, BigInt(3 + random(12)), true);
      input.setBigUint64(FRAME.x + BASE * 8, BigInt(WINDOW_AT + 8 * random(8)), true);
      input.setBigUint64(FRAME.x + ROVER * 8, BigInt(DATA_AT + random(0x2000)), true);
      for (let v = 0; v < 4; v++) {
        const value = [0, 1, -1, 1.5, 1e30, Number.NaN, Number.POSITIVE_INFINITY][random(7)]!;
        if (random(2) === 0) input.setFloat64(FRAME.v + v * 16, value, true);
        else input.setFloat32(FRAME.v + v * 16, value, true);
      }
      for (let at = 0; at < WINDOW_BYTES; at += 4) input.setInt32(FRAME.window + at, random(2 ** 31), true);
      const start = starts[round % starts.length] ?? 0;
      input.setBigUint64(FRAME.pc, BigInt(ARENA_AT), true);
      input.setUint32(FRAME.words, WORDS, true);
      input.setUint32(FRAME.nzcv, random(16) * 2 ** 28, true);
      const [expected, actual] = [outcomeOf(loop, input, start), outcomeOf(jit, input, start)];
      if (expected !== actual) {
        const words = [...program].map((word) => word.toString(16).padStart(8, '0')).join(' ');
        return `program ${i}, round ${round}, start ${start}: ${words}\n${expected}\n${actual}`;
      }
    }
  }
  return undefined;
}
