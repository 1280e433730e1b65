/** LD1 to LD4, ST1 to ST4, and LD1R to LD4R (Arm ARM C4.1.94, Advanced SIMD load/store structures). */
import type { MemoryKind } from '../../memory-kinds.js';
import type { AccessOptions, Ops } from '../../ops.js';
import { i64, type Val } from '../../wasm/body.js';
import { type Instruction, instruction } from '../instruction.js';
import type { Reg } from '../operand.js';
import { elementPattern, lanewise } from './lanes.js';
import { loadScalar } from './loads-stores.js';
import { extractLane, insertLane } from './permute.js';

/** Calls `emit` with the three addressing forms' pattern middles and what they do to the base afterwards. */
type Addressing = readonly [label: string, post: '0' | '1', middle: '00000' | '11111' | 'rm:5'];
const ADDRESSING: readonly Addressing[] = [
  ['', '0', '00000'],
  [', post-index', '1', '11111'],
  [', post-index by register', '1', 'rm:5'],
];

/** Adds the transfer's size, or the index register, to the base; the last thing an instruction does. */
function writeBack(k: Ops, addressing: Addressing, base: Reg, old: Val, bytes: number, index: Reg | undefined): void {
  const [, post] = addressing;
  if (post === '0') return;
  k.setReg(base, k.add(old, index === undefined ? i64(bytes) : k.reg(index)));
}

/** Bytes chosen from up to four vectors: `indices[i]` is 16 * source + byte. */
function gather(k: Ops, sources: readonly Val[], indices: readonly number[]): Val {
  const source = (n: number): Val => sources[n] ?? sources[0] ?? i64(0);
  if (sources.length <= 2) return k.shuffle(source(0), source(1), indices);
  const low = k.shuffle(
    source(0),
    source(1),
    indices.map((i) => (i < 32 ? i : 0)),
  );
  const high = k.shuffle(
    source(2),
    source(3),
    indices.map((i) => (i >= 32 ? i - 32 : 0)),
  );
  return k.shuffle(
    low,
    high,
    indices.map((i, at) => (i < 32 ? at : 16 + at)),
  );
}

const BYTES = Array.from({ length: 16 }, (_, i) => i);

/** Loads `bytes` contiguous bytes as vectors of 16, the last perhaps of 8. */
function loadBlock(k: Ops, address: Val, bytes: number, options: AccessOptions): Val[] {
  const chunks: Val[] = [];
  for (let at = 0; at < bytes; at += 16) {
    chunks.push(loadScalar(k, bytes - at >= 16 ? 4 : 3, k.add(address, i64(at)), options));
  }
  return chunks;
}

/** Stores vectors of 16 bytes, the last perhaps of 8. */
function storeBlock(k: Ops, address: Val, bytes: number, options: AccessOptions, chunk: (at: number) => Val): void {
  for (let at = 0; at < bytes; at += 16) {
    const value = chunk(at);
    const to = k.add(address, i64(at));
    if (bytes - at >= 16) k.store('v128', to, value, options);
    else k.store('u64', to, k.lane('i64x2.extract_lane', 0, value), options);
  }
}

/** Registers `first`, first + 1, ... filled with `bytes` bytes each, without interleaving. */
function transferPlain(
  k: Ops,
  count: number,
  load: boolean,
  element: Val,
  bytes: number,
  address: Val,
  first: Reg,
): void {
  if (load) {
    const values = Array.from({ length: count }, (_, i) =>
      loadScalar(k, bytes === 16 ? 4 : 3, k.add(address, i64(i * bytes)), { element }),
    );
    values.forEach((value, i) => {
      k.setVreg(first, value, i);
    });
    return;
  }
  for (let i = 0; i < count; i++) {
    storeBlock(k, k.add(address, i64(i * bytes)), bytes, { element }, () => k.vreg(first, i));
  }
}

/** Structures of `count` elements of 2^`size` bytes: element j of each structure belongs to register first + j. */
function transferInterleaved(
  k: Ops,
  count: number,
  load: boolean,
  size: number,
  bytes: number,
  address: Val,
  first: Reg,
): void {
  const element = 1 << size;
  const options = { element: k.i32(size) };
  if (load) {
    const block = loadBlock(k, address, count * bytes, options);
    const results = Array.from({ length: count }, (_, j) =>
      gather(
        k,
        block,
        BYTES.map((i) => (((i % bytes) >> size) * count + j) * element + (i % element)),
      ),
    );
    results.forEach((value, j) => {
      if (bytes === 16) k.setVreg(first, value, j);
      else k.setVreg(first, k.lane('i64x2.replace_lane', 1, value, i64(0)), j);
    });
    return;
  }
  const registers = Array.from({ length: count }, (_, j) => k.vreg(first, j));
  storeBlock(k, address, count * bytes, options, (at) =>
    gather(
      k,
      registers,
      BYTES.map((i) => {
        const place = ((at + i) % (count * bytes)) >> size;
        return (place % count) * 16 + Math.floor(place / count) * element + (i % element);
      }),
    ),
  );
}

/** LD1, ST1 of `count` whole registers. */
function plain(count: number, opcode: string): Instruction[] {
  return ADDRESSING.map((addressing) => {
    const [label, post, middle] = addressing;
    return instruction(
      `LD1/ST1 (multiple, ${count} registers${label})`,
      `0 q:1 001100 ${post} l:1 0 ${middle} ${opcode} size:2 rn_sp:5 vt:5`,
      {
        variant: ['q', 'l'],
        imm: { element: (f: { readonly size: number }) => f.size },
        when: (f) => middle !== 'rm:5' || f['rm'] !== 31,
      },
      (op, k) => {
        const base = k.base(op.rn_sp);
        const bytes = 8 << op.q;
        transferPlain(k, count, op.l === 1, k.wrap(op.element), bytes, base, op.vt);
        writeBack(k, addressing, op.rn_sp, base, count * bytes, indexOf(op));
      },
    );
  });
}

/** The index register of the forms that have one. */
function indexOf(op: object): Reg | undefined {
  // WHY: the three addressing forms are one declaration whose pattern has `rm` or not; the type cannot tell which.
  return (op as { readonly rm?: Reg }).rm;
}

/** LD2 to LD4, ST2 to ST4 of multiple structures. */
function interleaved(count: number, opcode: string): Instruction[] {
  return ADDRESSING.map((addressing) => {
    const [label, post, middle] = addressing;
    return instruction(
      `LD${count}/ST${count} (multiple${label})`,
      `0 q:1 001100 ${post} l:1 0 ${middle} ${opcode} size:2 rn_sp:5 vt:5`,
      {
        variant: ['q', 'l', 'size'],
        when: (f) => f.size < 3 + f.q && (middle !== 'rm:5' || f['rm'] !== 31),
      },
      (op, k) => {
        if (op.size === 3 + op.q) return; // never decoded
        const base = k.base(op.rn_sp);
        const bytes = 8 << op.q;
        transferInterleaved(k, count, op.l === 1, op.size, bytes, base, op.vt);
        writeBack(k, addressing, op.rn_sp, base, count * bytes, indexOf(op));
      },
    );
  });
}

const KINDS: readonly MemoryKind[] = ['u8', 'u16', 'u32', 'u64'];

/** Pattern bits of a lane's index (S and size, with Q above them), by lane size. */
const LANE_BITS = ['00', '01', '10', '10'] as const;
const LANE_TAIL = ['s:1 low:2', 's:1 low:1 0', 's:1 00', '0 01'] as const;

/** The lane's number: Q, S and the free bits of size. */
function laneIndex(size: number, f: Readonly<Record<string, number>>): number {
  const [q, s, low] = [f['q'] ?? 0, f['s'] ?? 0, f['low'] ?? 0];
  return size === 0 ? q * 8 + s * 4 + low : size === 1 ? q * 4 + s * 2 + low : size === 2 ? q * 2 + s : q;
}

/** One lane of each of `count` registers. */
function singleLane(count: number, size: 0 | 1 | 2 | 3): Instruction[] {
  const kind = KINDS[size] ?? 'u8';
  const odd = ((count - 1) & 1) === 1 ? '1' : '0';
  const many = count > 2 ? '1' : '0';
  const bytes = 1 << size;
  return ADDRESSING.flatMap((addressing) => {
    const [label, post, middle] = addressing;
    const tail =
      `${odd} ${middle} ${LANE_BITS[size] ?? '00'}${many} ${LANE_TAIL[size] ?? '0 01'} rn_sp:5 vt:5` as const;
    const when = (f: Readonly<Record<string, number>>): boolean => middle !== 'rm:5' || f['rm'] !== 31;
    return [
      instruction(
        `LD${count} (single, ${8 << size} bits${label})`,
        `0 q:1 001101 ${post} 1 ${tail}`,
        { when, imm: { index: (f) => laneIndex(size, f) } },
        (op, k) => {
          const base = k.base(op.rn_sp);
          const values = Array.from({ length: count }, (_, i) => k.load(kind, k.add(base, i64(i * bytes))));
          values.forEach((value, i) => {
            insertLane(k, size, op.vt, op.index, value, i);
          });
          writeBack(k, addressing, op.rn_sp, base, count * bytes, indexOf(op));
        },
      ),
      instruction(
        `ST${count} (single, ${8 << size} bits${label})`,
        `0 q:1 001101 ${post} 0 ${tail}`,
        { when, imm: { pattern: (f) => elementPattern(size, laneIndex(size, f)) } },
        (op, k) => {
          const base = k.base(op.rn_sp);
          for (let i = 0; i < count; i++) {
            k.store(kind, k.add(base, i64(i * bytes)), extractLane(k, size, false, op.vt, op.pattern, i));
          }
          writeBack(k, addressing, op.rn_sp, base, count * bytes, indexOf(op));
        },
      ),
    ];
  });
}

/** LD1R to LD4R: one structure into every lane. */
function replicate(count: number): Instruction[] {
  const odd = ((count - 1) & 1) === 1 ? '1' : '0';
  const many = count > 2 ? '1' : '0';
  return ADDRESSING.map((addressing) => {
    const [label, post, middle] = addressing;
    return instruction(
      `LD${count}R${label}`,
      `0 q:1 001101 ${post} 1 ${odd} ${middle} 11${many} 0 size:2 rn_sp:5 vt:5`,
      { variant: ['q', 'size'], when: (f) => middle !== 'rm:5' || f['rm'] !== 31 },
      (op, k) => {
        const base = k.base(op.rn_sp);
        const bytes = 1 << op.size;
        const kind = KINDS[op.size] ?? 'u8';
        const values = Array.from({ length: count }, (_, i) => k.load(kind, k.add(base, i64(i * bytes))));
        values.forEach((value, i) => {
          const all = lanewise(k, op.size, 'splat', value);
          if (op.q === 1) k.setVreg(op.vt, all, i);
          else k.setVreg(op.vt, k.lane('i64x2.replace_lane', 1, all, i64(0)), i);
        });
        writeBack(k, addressing, op.rn_sp, base, count * bytes, indexOf(op));
      },
    );
  });
}

/** Instructions of this chapter. */
export const SIMD_STRUCTURES: readonly Instruction[] = [
  ...plain(1, '0111'),
  ...plain(2, '1010'),
  ...plain(3, '0110'),
  ...plain(4, '0010'),
  ...interleaved(2, '1000'),
  ...interleaved(3, '0100'),
  ...interleaved(4, '0000'),
  ...[1, 2, 3, 4].flatMap((count) => [
    ...([0, 1, 2, 3] as const).flatMap((size) => singleLane(count, size)),
    ...replicate(count),
  ]),
];
