/**
 * Shapes that many SIMD instructions share: each builds the table entries of the vector form and, where the
 * architecture has one, the scalar form, from one function over whole vectors. A scalar is a vector with one lane.
 */
import type { Ops } from '../../ops.js';
import type { Val } from '../../wasm/body.js';
import { type Instruction, instruction } from '../instruction.js';
import { broadcast, elementPattern, keepLow, operand, setResult } from './lanes.js';

/** Computes a result vector from lanes of `size`; `d` reads the destination's old content. */
export type Binary = (k: Ops, size: number, n: Val, m: Val, d: () => Val) => Val;
/** The same with one source. */
export type Unary = (k: Ops, size: number, n: Val, d: () => Val) => Val;

/** Which lane sizes exist, and whether what lies above the operand must read as zero because it could saturate. */
export interface Forms {
  readonly sizes?: readonly number[];
  readonly scalar?: readonly number[];
  readonly saturates?: boolean;
}

const ALL_SIZES = [0, 1, 2, 3];
/** Byte, halfword and word lanes. */
export const UP_TO_WORDS = [0, 1, 2];

function reader(k: Ops, bytes: number, forms: Forms): (r: Parameters<Ops['vreg']>[0]) => Val {
  return forms.saturates === true ? (r) => operand(k, bytes, r) : (r) => k.vreg(r);
}

/** Advanced SIMD three same, and scalar three same (Arm ARM C4.1.96). */
export function threeSame(name: string, u: '0' | '1', opcode: string, lane: Binary, forms: Forms = {}): Instruction[] {
  const sizes = forms.sizes ?? ALL_SIZES;
  const scalar = forms.scalar ?? [];
  const entries: Instruction[] = [
    instruction(
      name,
      `0 q:1 ${u} 01110 size:2 1 vm:5 ${opcode} 1 vn:5 vd:5`,
      { variant: ['q', 'size'], when: (f) => sizes.includes(f.size) && f.size < 3 + f.q },
      (op, k) => {
        if (!sizes.includes(op.size) || op.size === 3 + op.q) return; // never decoded
        const bytes = 8 << op.q;
        const read = reader(k, bytes, forms);
        const result = lane(k, op.size, read(op.vn), read(op.vm), () => read(op.vd));
        setResult(k, bytes, op.vd, result);
      },
    ),
  ];
  if (scalar.length === 0) return entries;
  entries.push(
    instruction(
      `${name} (scalar)`,
      `01 ${u} 11110 size:2 1 vm:5 ${opcode} 1 vn:5 vd:5`,
      { variant: ['size'], when: (f) => scalar.includes(f.size) },
      (op, k) => {
        if (!scalar.includes(op.size)) return; // never decoded
        const bytes = 1 << op.size;
        const read = reader(k, bytes, forms);
        setResult(
          k,
          bytes,
          op.vd,
          lane(k, op.size, read(op.vn), read(op.vm), () => read(op.vd)),
        );
      },
    ),
  );
  return entries;
}

/** Advanced SIMD two-register miscellaneous, and scalar. */
export function twoRegister(name: string, u: '0' | '1', opcode: string, lane: Unary, forms: Forms = {}): Instruction[] {
  const sizes = forms.sizes ?? ALL_SIZES;
  const scalar = forms.scalar ?? [];
  const entries: Instruction[] = [
    instruction(
      name,
      `0 q:1 ${u} 01110 size:2 10000 ${opcode} 10 vn:5 vd:5`,
      { variant: ['q', 'size'], when: (f) => sizes.includes(f.size) && f.size < 3 + f.q },
      (op, k) => {
        if (!sizes.includes(op.size) || op.size === 3 + op.q) return; // never decoded
        const bytes = 8 << op.q;
        const read = reader(k, bytes, forms);
        const result = lane(k, op.size, read(op.vn), () => read(op.vd));
        setResult(k, bytes, op.vd, result);
      },
    ),
  ];
  if (scalar.length === 0) return entries;
  entries.push(
    instruction(
      `${name} (scalar)`,
      `01 ${u} 11110 size:2 10000 ${opcode} 10 vn:5 vd:5`,
      { variant: ['size'], when: (f) => scalar.includes(f.size) },
      (op, k) => {
        if (!scalar.includes(op.size)) return; // never decoded
        const bytes = 1 << op.size;
        const read = reader(k, bytes, forms);
        setResult(
          k,
          bytes,
          op.vd,
          lane(k, op.size, read(op.vn), () => read(op.vd)),
        );
      },
    ),
  );
  return entries;
}

const IMMH = ['0001', '001', '01', '1'] as const;

/** A shift by immediate: `amount` is i32, 1 to the lane's width for right shifts, 0 to width - 1 for left shifts. */
export type Shift = (k: Ops, size: number, n: Val, amount: Val, d: () => Val) => Val;

/** The shift amount that immh:immb encodes: `right` counts down from twice the lane's width. */
function shiftAmount(size: number, right: boolean, low: number): number {
  return right ? (8 << size) - low : low;
}

/** Advanced SIMD shift by immediate, and scalar. One entry for each lane size: immh's leading one decides it. */
export function shiftImmediate(
  name: string,
  u: '0' | '1',
  opcode: string,
  direction: 'left' | 'right',
  lane: Shift,
  forms: Forms = {},
): Instruction[] {
  const entries: Instruction[] = [];
  const right = direction === 'right';
  for (const size of forms.sizes ?? ALL_SIZES) {
    const immh = IMMH[size] ?? '1';
    const free = `low:${3 + size}` as const;
    entries.push(
      instruction(
        `${name} (${8 << size} bits)`,
        `0 q:1 ${u} 011110 ${immh} ${free} ${opcode} 1 vn:5 vd:5`,
        { variant: ['q'], when: (f) => size < 3 + f.q, imm: { shift: (f) => shiftAmount(size, right, f.low) } },
        (op, k) => {
          if (size === 3 + op.q) return; // never decoded
          const bytes = 8 << op.q;
          const read = reader(k, bytes, forms);
          setResult(
            k,
            bytes,
            op.vd,
            lane(k, size, read(op.vn), k.wrap(op.shift), () => read(op.vd)),
          );
        },
      ),
    );
    if (!(forms.scalar ?? []).includes(size)) continue;
    entries.push(
      instruction(
        `${name} (scalar, ${8 << size} bits)`,
        `01 ${u} 111110 ${immh} ${free} ${opcode} 1 vn:5 vd:5`,
        { imm: { shift: (f) => shiftAmount(size, right, f.low) } },
        (op, k) => {
          const bytes = 1 << size;
          const read = reader(k, bytes, forms);
          setResult(
            k,
            bytes,
            op.vd,
            lane(k, size, read(op.vn), k.wrap(op.shift), () => read(op.vd)),
          );
        },
      ),
    );
  }
  return entries;
}

/** Narrowing shifts (SHRN and relatives): `lane` gives the narrowed result in the low 8 bytes, from lanes of size + 1. */
export function shiftNarrow(
  name: string,
  u: '0' | '1',
  opcode: string,
  lane: (k: Ops, size: number, n: Val, amount: Val) => Val,
  write: (k: Ops, upper: boolean, r: Parameters<Ops['vreg']>[0], value: Val) => void,
  scalar: boolean,
): Instruction[] {
  const entries: Instruction[] = [];
  for (const size of UP_TO_WORDS) {
    const immh = IMMH[size] ?? '1';
    const free = `low:${3 + size}` as const;
    const imm = { shift: (f: { readonly low: number }) => shiftAmount(size, true, f.low) };
    entries.push(
      instruction(
        `${name} (${8 << size} bits)`,
        `0 q:1 ${u} 011110 ${immh} ${free} ${opcode} 1 vn:5 vd:5`,
        { variant: ['q'], imm },
        (op, k) => write(k, op.q === 1, op.vd, lane(k, size, k.vreg(op.vn), k.wrap(op.shift))),
      ),
    );
    if (!scalar) continue;
    entries.push(
      instruction(
        `${name} (scalar, ${8 << size} bits)`,
        `01 ${u} 111110 ${immh} ${free} ${opcode} 1 vn:5 vd:5`,
        { imm },
        (op, k) => {
          const n = operand(k, 2 << size, op.vn);
          setResult(k, 1 << size, op.vd, lane(k, size, n, k.wrap(op.shift)));
        },
      ),
    );
  }
  return entries;
}

/** The index that H, L and M encode, and the register: halfword elements have four bits of register number. */
const elementIndex = (size: number, f: { readonly h: number; readonly l: number; readonly m: number }): number =>
  size === 1 ? f.h * 4 + f.l * 2 + f.m : size === 2 ? f.h * 2 + f.l : f.h;

/** How a by-element instruction is laid out: `wide` forms read half of the sources and write lanes of size + 1. */
export interface ElementForms {
  readonly scalar?: boolean;
  readonly saturates?: boolean;
  readonly wide?: boolean;
}

/**
 * Advanced SIMD vector by indexed element with halfword and word elements, and scalar. `lane` receives the element in
 * every lane of its second operand; `high` tells the 2-forms of widening instructions.
 */
export function byElement(
  name: string,
  u: '0' | '1',
  opcode: string,
  lane: (k: Ops, size: number, n: Val, m: Val, d: () => Val, high: boolean) => Val,
  forms: ElementForms = {},
): Instruction[] {
  const entries: Instruction[] = [];
  for (const [size, code] of [
    [1, '01'],
    [2, '10'],
  ] as const) {
    const imm = {
      pattern: (f: { readonly h: number; readonly l: number; readonly m: number }) =>
        elementPattern(size, elementIndex(size, f)),
    };
    const derived = {
      vm: [
        'v',
        (f: Readonly<Record<string, number>>) => (size === 1 ? (f['mm'] ?? 0) : (f['mm'] ?? 0) | ((f['m'] ?? 0) << 4)),
      ],
    } as const;
    const suffix = `${8 << size} bits`;
    entries.push(
      instruction(
        `${name} (by element, ${suffix})`,
        `0 q:1 ${u} 01111 ${code} l:1 m:1 mm:4 ${opcode} h:1 0 vn:5 vd:5`,
        { variant: ['q'], imm, derived },
        (op, k) => {
          const wide = forms.wide === true;
          const bytes = wide ? 16 : 8 << op.q;
          const m = broadcast(k, k.vreg(op.vm), op.pattern);
          const d = (): Val => (wide ? k.vreg(op.vd) : operand(k, bytes, op.vd));
          const n = forms.saturates === true && !wide ? operand(k, bytes, op.vn) : k.vreg(op.vn);
          setResult(k, bytes, op.vd, lane(k, size, n, m, d, wide && op.q === 1));
        },
      ),
    );
    if (forms.scalar !== true) continue;
    entries.push(
      instruction(
        `${name} (by element, scalar, ${suffix})`,
        `01 ${u} 11111 ${code} l:1 m:1 mm:4 ${opcode} h:1 0 vn:5 vd:5`,
        { imm, derived },
        (op, k) => {
          const inBytes = 1 << size;
          const outBytes = forms.wide === true ? 2 * inBytes : inBytes;
          const m = broadcast(k, k.vreg(op.vm), op.pattern);
          const n = operand(k, inBytes, op.vn);
          const d = (): Val => operand(k, outBytes, op.vd);
          setResult(k, outBytes, op.vd, keepLow(k, outBytes, lane(k, size, n, m, d, false)));
        },
      ),
    );
  }
  return entries;
}
