/**
 * Random guest code for the isolation tests: words drawn from the instruction table, and from a table of further
 * instructions that use every way semantics may reach memory (all kinds, pairs, lanes, atomics, unprivileged and aligned
 * accesses, block zeroing, helpers), so that the scanner meets them whatever the instruction table holds.
 */
import { Decoder } from '../../cpu/decode/decoder.js';
import { type Instruction, instruction } from '../../cpu/isa/instruction.js';
import { INSTRUCTIONS } from '../../cpu/isa/table.js';
import { type TranslatedBatch, translateBatch } from '../../cpu/jit/translate.js';
import { MEMORY_KINDS, type MemoryKind } from '../../cpu/memory-kinds.js';
import type { AccessOptions, AtomicOp, Ops } from '../../cpu/ops.js';
import type { Val } from '../../cpu/wasm/body.js';

/** A small seeded generator (Marsaglia's xorshift32): the same seed gives the same regions everywhere. */
export function seeded(seed: number): (below: number) => number {
  let state = (seed * 2654435761) | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

const KINDS = Object.keys(MEMORY_KINDS) as MemoryKind[]; // WHY: the keys of a const object are its type's keys
const ATOMICS: readonly AtomicOp[] = ['add', 'sub', 'and', 'or', 'xor', 'xchg'];

const options = (op: { readonly aligned: number; readonly user: number }): AccessOptions => ({
  aligned: op.aligned === 1,
  user: op.user === 1,
});
/** What `kind` is stored as: kinds that load zero-extended into a vector have no store of their own size. */
const storable = (kind: MemoryKind): MemoryKind => (kind.startsWith('z') ? 'v128' : kind);
/** A value of the kind's type from general register `r`. */
function ofKind(k: Ops, kind: MemoryKind, value: Val): Val {
  switch (MEMORY_KINDS[kind].type) {
    case 'i32':
      return k.wrap(value);
    case 'f32':
      return k.op('f32.reinterpret_i32', k.wrap(value));
    case 'f64':
      return k.op('f64.reinterpret_i64', value);
    case 'v128':
      return k.op('i64x2.splat', value);
    default:
      return value;
  }
}
/** The reverse of {@link ofKind}. */
function toRegister(k: Ops, value: Val): Val {
  switch (value.type) {
    case 'f32':
      return k.extendU(k.op('i32.reinterpret_f32', value));
    case 'f64':
      return k.op('i64.reinterpret_f64', value);
    case 'v128':
      return k.lane('i64x2.extract_lane', 1, value);
    default:
      return k.extendU(value);
  }
}

/** Instructions in unallocated space (bits 28..25 zero), for the isolation tests only. */
const PROBES: readonly Instruction[] = [
  instruction(
    'probe: access of any kind',
    '00000001 kind:4 write:1 aligned:1 user:1 imm:7 rn_sp:5 rt:5',
    { variant: ['kind', 'write', 'aligned', 'user'], imm: { offset: (f) => f.imm - 64 } },
    (op, k) => {
      const kind = KINDS[op.kind % KINDS.length] ?? 'u8';
      const va = k.add(k.reg(op.rn_sp), op.offset);
      if (op.write === 1) k.store(storable(kind), va, ofKind(k, storable(kind), k.reg(op.rt)), options(op));
      else k.setReg(op.rt, toRegister(k, k.load(kind, va, options(op))));
    },
  ),
  instruction(
    'probe: pair',
    '00000010 kind:4 write:1 aligned:1 user:1 imm:2 rt2:5 rn_sp:5 rt:5',
    { variant: ['kind', 'write', 'aligned', 'user'], imm: { offset: (f) => f.imm * 8 } },
    (op, k) => {
      const kind = KINDS[op.kind % KINDS.length] ?? 'u8';
      const va = k.add(k.reg(op.rn_sp), op.offset);
      if (op.write === 1) {
        const as = storable(kind);
        k.storePair(as, va, ofKind(k, as, k.reg(op.rt)), ofKind(k, as, k.reg(op.rt2)), options(op));
        return;
      }
      const [first, second] = k.loadPair(kind, va, options(op));
      k.setReg(op.rt, toRegister(k, first));
      k.setReg(op.rt2, toRegister(k, second));
    },
  ),
  instruction(
    'probe: atomic',
    '00000011 what:4 log2:2 pad:3 rs:5 rn:5 rt:5',
    { variant: ['what', 'log2'] },
    (op, k) => {
      const bytes = 1 << op.log2;
      const isLoad = op.what === 8;
      const address = k.hostAddress(k.reg(op.rn), bytes, !isLoad, { aligned: true });
      const atomic = ATOMICS[op.what];
      if (atomic !== undefined) k.setReg(op.rt, k.extendU(k.atomicRmw(atomic, op.log2, address, k.reg(op.rs))));
      else if (op.what === 6) {
        const old = k.atomicCompareExchange(op.log2, address, k.reg(op.rs), k.reg(op.rt));
        k.setReg(op.rs, k.extendU(old));
      } else if (op.what === 7) k.atomicStore(op.log2, address, k.reg(op.rt));
      else if (isLoad) k.setReg(op.rt, k.extendU(k.atomicLoad(op.log2, address)));
      else k.fence();
    },
  ),
  instruction(
    'probe: lane of a vector',
    '00000100 log2:2 write:1 pad:11 rn:5 vt:5',
    { variant: ['log2', 'write'] },
    (op, k) => {
      const old = k.vreg(op.vt);
      const address = k.hostAddress(k.reg(op.rn), 1 << op.log2, op.write === 1);
      k.body.push(address);
      k.body.push(old);
      k.body.memory(0xfd0000 + (op.write === 1 ? 88 : 84) + op.log2, op.log2, 0);
      k.body.code.byte(1);
      if (op.write === 0) k.setVreg(op.vt, k.body.result('v128'));
    },
  ),
  instruction('probe: zero a block', '00000101 pad:19 rn:5', {}, (op, k) => {
    const va = k.and(k.reg(op.rn), k.i64(~63n));
    const address = k.hostAddress(va, 64, true);
    for (let at = 0; at < 64; at += 8) k.body.store(0x37, 3, address, k.i64(0), at);
  }),
  instruction('probe: slow on some values', '00000110 pad:14 rn:5 rt:5', {}, (op, k) => {
    k.slowIf(k.eqz(k.reg(op.rn)), () => undefined);
    k.setReg(op.rt, k.load('u64', k.reg(op.rn)));
  }),
  instruction('probe: helper', '00000111 pad:14 rn:5 rt:5', {}, (op, k) => {
    k.setReg(op.rt, k.extendU(k.helper('probe', [k.wrap(k.reg(op.rn)), k.i32(0), k.i32(0)])));
  }),
];

/** Everything random words are drawn from. */
const TABLE: readonly Instruction[] = [...INSTRUCTIONS, ...PROBES].filter((entry) => !entry.untested);
const decoder = new Decoder(TABLE);
/** What a program consists of: `memory` draws mostly loads and stores. `flow` false: no branches, so no loops. */
export interface Mix {
  readonly words: number;
  readonly memory: boolean;
  readonly flow: boolean;
}

const IS_MEMORY = /LDR|STR|LDP|STP|LDU|STU|probe/;
const memoryTable = TABLE.filter((entry) => IS_MEMORY.test(entry.name));

/** A word of `entry` with random operands; branch offsets are kept short, so that regions have loops and joins. */
function randomWord(entry: Instruction, random: (below: number) => number): number {
  const noise = (random(65536) * 65536 + random(65536)) >>> 0;
  let word = ((noise & ~entry.mask) | entry.value) >>> 0;
  for (const { name, shift, mask, width } of entry.fields) {
    if (!/^imm(14|19|26)$/.test(name) || entry.flow === 'next') continue;
    const near = (random(24) - 8) & (2 ** width - 1);
    word = ((word & ~((mask << shift) >>> 0)) | (near << shift)) >>> 0;
  }
  return word;
}

/** A page of random code. */
export function randomPage(random: (below: number) => number, mix: Mix): DataView {
  const page = new DataView(new ArrayBuffer(4096));
  const usable = (entry: Instruction): boolean => mix.flow || entry.flow === 'next';
  const all = TABLE.filter(usable);
  const memory = memoryTable.filter(usable);
  for (let i = 0; i < mix.words; i++) {
    for (;;) {
      const from = mix.memory && random(4) !== 0 ? memory : all;
      const entry = from[random(from.length)];
      if (entry === undefined) continue;
      const word = randomWord(entry, random);
      if (decoder.decode(word) === undefined) continue;
      page.setUint32(i * 4, word, true);
      break;
    }
  }
  return page;
}

/** Translates the regions that start at `offsets` of a page, as the JIT would. */
export function translatePage(page: DataView, offsets: readonly number[]): TranslatedBatch | undefined {
  return translateBatch(
    page,
    decoder,
    offsets.map((offset) => ({ host: 0, offset })),
  );
}

/** The probe word for an access of `kind` at the address in X1, from or to X2. */
export function accessWord(kind: MemoryKind, write: boolean): number {
  return (0x01000000 | (KINDS.indexOf(kind) << 20) | (write ? 1 << 19 : 0) | (64 << 10) | (1 << 5) | 2) >>> 0;
}

/** A page holding `words` from its start. */
export function pageOf(words: readonly number[]): DataView {
  const page = new DataView(new ArrayBuffer(4096));
  words.forEach((word, i) => {
    page.setUint32(i * 4, word, true);
  });
  return page;
}

/** Loads and stores that remember pages in loops: word without operands, and log2 of what scales its 12-bit or 7-bit offset. */
const LOOP_ACCESSES = {
  unsigned: [0xf9400000, 0xf9000000, 0x39400000, 0x39000000, 0xb9400000, 0x79000000, 0x3dc00000, 0x3d800000],
  pair: [0xa9400000, 0xa9000000, 0xad400000, 0xad000000],
  postIndex: [0xf8400400, 0xf8000400, 0x38401400, 0x38001400],
} as const;

/** A random word of a loop body: an access off X1..X4, or an addition to one of these. Nothing else writes them. */
function loopWord(random: (below: number) => number): number {
  const base = 1 + random(4);
  const pick = (words: readonly number[]): number => words[random(words.length)] ?? 0;
  const registers = (base << 5) | (5 + random(8));
  switch (random(6)) {
    case 0:
      return (0x91000000 | (random(512) << 10) | (base << 5) | base) >>> 0;
    case 1:
      return (pick(LOOP_ACCESSES.postIndex) | (random(512) << 12) | registers) >>> 0;
    case 2:
      return (pick(LOOP_ACCESSES.pair) | (random(128) << 15) | ((13 + random(3)) << 10) | registers) >>> 0;
    default:
      return (pick(LOOP_ACCESSES.unsigned) | (random(8) << 10) | registers) >>> 0;
  }
}

/** CBNZ X16 to `words` words before it. */
const branchBack = (words: number): number => (0xb5000000 | ((-words & 0x7ffff) << 5) | 16) >>> 0;
/** A call of the instruction's handler. */
const HELPER = 0x07000000 | (20 << 5) | 21;

/** Two loops with one head: a round of the first goes on behind a loop of the second's, which it does not pass. */
function loopsWithOneHead(random: (below: number) => number): number[] {
  const some = (): number[] => Array.from({ length: 1 + random(4) }, () => loopWord(random));
  const [head, inner, rest] = [some(), some(), some()];
  const words = [...head, (0xb4000000 | ((rest.length + 3) << 5) | 17) >>> 0, ...rest]; // CBZ X17 to the inner loop
  words.push(branchBack(words.length), 0x14000000 + inner.length + 3, ...inner); // B behind both
  words.push(branchBack(inner.length));
  words.push(branchBack(words.length));
  return words;
}

/** A page of innermost loops that remember pages, some around one another, with calls between them. */
export function loopPage(random: (below: number) => number): DataView {
  const words: number[] = random(3) === 0 ? loopsWithOneHead(random) : [];
  for (let outer = 1 + random(2); outer > 0; outer--) {
    const outerStart = words.length;
    for (let inner = 1 + random(2); inner > 0; inner--) {
      if (random(2) === 0) words.push(HELPER);
      if (random(3) === 0) words.push(loopWord(random));
      const start = words.length;
      for (let i = 1 + random(5); i > 0; i--) {
        words.push(loopWord(random));
        if (random(6) === 0) words.push((0xb4000000 | (2 << 5) | 17) >>> 0, loopWord(random)); // CBZ X17 over a word
      }
      words.push(branchBack(words.length - start));
    }
    if (random(2) === 0) words.push(branchBack(words.length - outerStart));
  }
  words.push(HELPER);
  return pageOf(words);
}

/** How often a module remembers a page: occurrences of `room := 4065`. */
export function timesRemembered(bytes: Uint8Array): number {
  return Buffer.from(bytes).toString('latin1').split('\x42\xe1\x1f\x21').length - 1;
}
