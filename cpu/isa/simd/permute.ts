/** Permutation, extraction, table look-up and copies between lanes and registers (Arm ARM C4.1.96). */
import type { Ops } from '../../ops.js';
import { isConstant, type Val } from '../../wasm/body.js';
import { type Instruction, instruction } from '../instruction.js';
import type { Reg } from '../operand.js';
import {
  broadcast,
  choose,
  elementPattern,
  joinLow,
  keepLow,
  lanewise,
  setResult,
  splat,
  splatConstant,
  vor,
} from './lanes.js';

const IOTA = Array.from({ length: 16 }, (_, i) => i);

/** UZP, TRN and ZIP as byte shuffles of two operands of `bytes` bytes. */
function permutation(kind: 'UZP' | 'TRN' | 'ZIP', second: 0 | 1, size: number, bytes: number): number[] {
  const lane = 1 << size;
  const lanes = bytes / lane;
  return IOTA.map((i) => {
    const at = Math.floor(i / lane);
    if (at >= lanes) return 0;
    let source: number; // lane number in n (0 .. lanes - 1) followed by m
    if (kind === 'UZP') source = 2 * at + second;
    else if (kind === 'TRN') source = (at % 2 === 0 ? 0 : lanes) + at - (at % 2) + second;
    else source = (at % 2 === 0 ? 0 : lanes) + Math.floor(at / 2) + second * (lanes / 2);
    const byte = source * lane + (i % lane);
    return byte < bytes ? byte : 16 + byte - bytes;
  });
}

const PERMUTATIONS = (['UZP', 'TRN', 'ZIP'] as const).flatMap((kind, i) =>
  ([0, 1] as const).map((second) =>
    instruction(
      `${kind}${second + 1}`,
      `0 q:1 001110 size:2 0 vm:5 0 ${second === 0 ? '0' : '1'} ${(['01', '10', '11'] as const)[i] ?? '01'} 10 vn:5 vd:5`,
      { variant: ['q', 'size'], when: (f) => f.size < 3 + f.q },
      (op, k) => {
        if (op.size === 3 + op.q) return; // never decoded
        const bytes = 8 << op.q;
        const lanes = permutation(kind, second, op.size, bytes);
        setResult(k, bytes, op.vd, k.shuffle(k.vreg(op.vn), k.vreg(op.vm), lanes));
      },
    ),
  ),
);

/** Bytes `start` and on of the 32 bytes `low`, `high`. */
function extract(k: Ops, low: Val, high: Val, start: Val): Val {
  if (isConstant(start)) {
    const first = Number(start.constant);
    return k.shuffle(
      low,
      high,
      IOTA.map((i) => i + first),
    );
  }
  // Swizzle gives zero for indices above 15, so each half contributes its own bytes.
  const index = k.op('i8x16.add', k.v128(IOTA), k.op('i8x16.splat', k.wrap(start)));
  const rest = k.op('i8x16.sub', index, splatConstant(k, 0, 16n));
  return vor(k, k.op('i8x16.swizzle', low, index), k.op('i8x16.swizzle', high, rest));
}

/** TBL and TBX over `len` + 1 table registers. */
function tableLookUp(extends_: boolean): Instruction {
  return instruction(
    extends_ ? 'TBX' : 'TBL',
    `0 q:1 001110 000 vm:5 0 len:2 ${extends_ ? '1' : '0'} 00 vn:5 vd:5`,
    { variant: ['q', 'len'] },
    (op, k) => {
      let index = k.vreg(op.vm);
      let result: Val | undefined;
      const inTable = k.op('i8x16.lt_u', index, splatConstant(k, 0, BigInt(16 * (op.len + 1))));
      for (let i = 0; i <= op.len; i++) {
        const part = k.op('i8x16.swizzle', k.vreg(op.vn, i), index);
        result = result === undefined ? part : vor(k, result, part);
        index = k.op('i8x16.sub', index, splatConstant(k, 0, 16n));
      }
      const found = result ?? index;
      setResult(k, 8 << op.q, op.vd, extends_ ? choose(k, inTable, found, k.vreg(op.vd)) : found);
    },
  );
}

/** imm5 names a lane size by its lowest bit set and an index by the bits above it. */
const IMM5_LOW = ['1', '10', '100', '1000'] as const;
const SIZES = [0, 1, 2, 3] as const;

/** A mask of lane `index` (an immediate, i64). */
function laneMask(k: Ops, size: number, index: Val): Val {
  const numbers = k.v128(IOTA.map((i) => ((i & ((1 << size) - 1)) === 0 ? i >> size : 0)));
  return lanewise(k, size, 'eq', numbers, splat(k, size, index));
}

/** Replaces lane `index` (an immediate, i64) of register `r` by `value`, a scalar of the lane's type. */
export function insertLane(k: Ops, size: number, r: Reg, index: Val, value: Val, plus = 0): void {
  const old = k.vreg(r, plus);
  const scalar = size === 3 ? value : k.wrap(value);
  if (isConstant(index)) {
    const shape = (['i8x16', 'i16x8', 'i32x4', 'i64x2'] as const)[size] ?? 'i8x16';
    k.setVreg(r, k.lane(`${shape}.replace_lane`, Number(index.constant), old, scalar), plus);
    return;
  }
  k.setVreg(r, choose(k, laneMask(k, size, index), lanewise(k, size, 'splat', scalar), old), plus);
}

/** A lane as i64 (doubleword) or i32, extended; `pattern` is an immediate of {@link elementPattern}. */
export function extractLane(k: Ops, size: number, signed: boolean, r: Reg, pattern: Val, plus = 0): Val {
  const s = signed ? 's' : 'u';
  const n = k.vreg(r, plus);
  if (isConstant(pattern)) {
    const index = Number(BigInt(pattern.constant) & 0xffn) >> size;
    if (size === 3) return k.lane('i64x2.extract_lane', index, n);
    if (size === 2) return k.lane('i32x4.extract_lane', index, n);
    return k.lane(size === 1 ? `i16x8.extract_lane_${s}` : `i8x16.extract_lane_${s}`, index, n);
  }
  const first = broadcast(k, n, pattern);
  if (size === 3) return k.lane('i64x2.extract_lane', 0, first);
  if (size === 2) return k.lane('i32x4.extract_lane', 0, first);
  return k.lane(size === 1 ? `i16x8.extract_lane_${s}` : `i8x16.extract_lane_${s}`, 0, first);
}

function copies(size: (typeof SIZES)[number]): Instruction[] {
  const low = IMM5_LOW[size];
  const bits = `${8 << size} bits`;
  const index = `index:${4 - size}` as const;
  // Doubleword lanes have one bit of index, and the whole of imm5 is used; byte lanes have four.
  const at = `${index} ${low}` as const;
  const pattern = (f: { readonly index: number }): bigint => elementPattern(size, f.index);
  const entries: Instruction[] = [
    instruction(
      `DUP (element, ${bits})`,
      `0 q:1 0 01110000 ${at} 0 0000 1 vn:5 vd:5`,
      { variant: ['q'], when: (f) => size < 3 + f.q, imm: { pattern } },
      (op, k) => setResult(k, 8 << op.q, op.vd, broadcast(k, k.vreg(op.vn), op.pattern)),
    ),
    instruction(
      `DUP (element, scalar, ${bits})`,
      `01 0 11110000 ${at} 0 0000 1 vn:5 vd:5`,
      { imm: { pattern } },
      (op, k) => k.setVreg(op.vd, keepLow(k, 1 << size, broadcast(k, k.vreg(op.vn), op.pattern))),
    ),
    instruction(
      `DUP (general, ${bits})`,
      `0 q:1 0 01110000 index:${4 - size} ${low} 0 0001 1 rn:5 vd:5`,
      { variant: ['q'], when: (f) => size < 3 + f.q },
      (op, k) => setResult(k, 8 << op.q, op.vd, splat(k, size, k.reg(op.rn))),
    ),
    instruction(
      `INS (general, ${bits})`,
      `0 1 0 01110000 ${at} 0 0011 1 rn:5 vd:5`,
      { imm: { index: (f) => f.index } },
      (op, k) => insertLane(k, size, op.vd, op.index, k.reg(op.rn)),
    ),
    instruction(
      `INS (element, ${bits})`,
      `0 1 1 01110000 ${at} 0 from:4 1 vn:5 vd:5`,
      { imm: { index: (f) => f.index, first: (f) => (f.from >> size) << size } },
      (op, k) => {
        // The source lane's byte numbers: `first` in every lane plus 0, 1, ... within the lane.
        const within = k.v128(IOTA.map((i) => i & ((1 << size) - 1)));
        const bytes = k.op('i8x16.add', within, k.op('i8x16.splat', k.wrap(op.first)));
        const value = k.op('i8x16.swizzle', k.vreg(op.vn), bytes);
        k.setVreg(op.vd, choose(k, laneMask(k, size, op.index), value, k.vreg(op.vd)));
      },
    ),
  ];
  if (size === 3) {
    entries.push(
      instruction(`UMOV (${bits})`, `0 1 0 01110000 ${at} 0 0111 1 vn:5 rd:5`, { imm: { pattern } }, (op, k) =>
        k.setReg(op.rd, extractLane(k, 3, false, op.vn, op.pattern)),
      ),
    );
    return entries;
  }
  entries.push(
    instruction(`UMOV (${bits})`, `0 0 0 01110000 ${at} 0 0111 1 vn:5 rd:5`, { imm: { pattern } }, (op, k) =>
      k.setReg(op.rd, k.extendU(extractLane(k, size, false, op.vn, op.pattern))),
    ),
    instruction(
      `SMOV (${bits})`,
      `0 q:1 0 01110000 ${at} 0 0101 1 vn:5 rd:5`,
      { variant: ['q'], when: (f) => size < 2 + f.q, imm: { pattern } },
      (op, k) => {
        const lane = extractLane(k, size, true, op.vn, op.pattern);
        k.setReg(op.rd, op.q === 1 ? k.extendS(lane) : k.extendU(lane));
      },
    ),
  );
  return entries;
}

/** Instructions of this chapter. */
export const SIMD_PERMUTE: readonly Instruction[] = [
  ...PERMUTATIONS,
  instruction(
    'EXT',
    '0 q:1 101110 000 vm:5 0 imm4:4 0 vn:5 vd:5',
    { variant: ['q'], when: (f) => f.q === 1 || f.imm4 < 8, imm: { start: (f) => f.imm4 } },
    (op, k) => {
      const [n, m] = [k.vreg(op.vn), k.vreg(op.vm)];
      if (op.q === 1) k.setVreg(op.vd, extract(k, n, m, op.start));
      else setResult(k, 8, op.vd, extract(k, joinLow(k, n, m), m, op.start));
    },
  ),
  tableLookUp(false),
  tableLookUp(true),
  ...SIZES.flatMap(copies),
];
