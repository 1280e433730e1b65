/**
 * Shapes of floating-point SIMD instructions: lane-wise fast paths whose checks are combined into one condition, and the
 * exact operation on all lanes behind it. Scalars are vectors of which one lane counts.
 */

import { fpShape } from '../../fp/helper-codes.js';
import type { Ops } from '../../ops.js';
import { i32, type Val } from '../../wasm/body.js';
import { type Fast, float, stands } from '../fp/fast.js';
import { checked, doubtful, type Exact, exactVector, type Need } from '../fp/slow.js';
import { type Instruction, instruction } from '../instruction.js';
import { broadcast, elementPattern, keepLow } from './lanes.js';

/** Vector types of the fast path, by the instructions' sz bit. */
export type FloatVector = 'f32x4' | 'f64x2';
/** The vector type of an sz bit. */
export const vectorType = (sz: number): FloatVector => (sz === 1 ? 'f64x2' : 'f32x4');

/** Which lanes count: their format (sz) and their number. */
export interface Lanes {
  readonly sz: number;
  readonly count: number;
}
/** The lanes of a vector of 8 or 16 bytes. */
export const vectorLanes = (sz: number, q: number): Lanes => ({ sz, count: (2 << q) >> sz });

/** A fast path, or undefined where there is none: then every execution takes the exact operation. */
export type Compute = (k: Ops, type: FloatVector, lanes: Lanes, n: Val, m: Val, d: () => Val) => Fast;

/** An operation on floating-point lanes. */
export interface FloatOperation {
  readonly code: Exact['code'];
  readonly extra?: number;
  readonly need: Need;
  readonly compute?: Compute;
  /** The exact operation also reads the destination. */
  readonly accumulates?: boolean;
}

/** i32: the mask `ok` holds in every lane that counts. */
export function allLanes(k: Ops, lanes: Lanes, ok: Val): Val {
  const mask = (1 << lanes.count) - 1;
  const bits = k.op(lanes.sz === 1 ? 'i64x2.bitmask' : 'i32x4.bitmask', ok);
  const counted = mask === (lanes.sz === 1 ? 3 : 15) ? bits : k.and(bits, i32(mask));
  return k.eq(counted, i32(mask));
}

/** The result of an operation on n, m and d, zero above the lanes that count. */
export function computeLanes(k: Ops, operation: FloatOperation, lanes: Lanes, n: Val, m: Val, d: () => Val): Val {
  const { code, extra, need, compute } = operation;
  const exact = { code, extra: extra ?? 0, shape: fpShape(lanes.sz + 2, lanes.count) };
  const operands = (): readonly Val[] => (operation.accumulates === true ? [n, m, d()] : [n, m]);
  if (compute === undefined) return exactVector(k, exact, operands());
  const fast = compute(k, vectorType(lanes.sz), lanes, n, m, d);
  const bytes = lanes.count * (4 << lanes.sz);
  const isDoubtful = doubtful(
    k,
    need,
    stands(k, fast, (ok) => allLanes(k, lanes, ok)),
  );
  return checked(k, keepLow(k, bytes, fast.value), isDoubtful, exact, operands);
}

/** Where an instruction sits among its class's encodings: U, the size field's upper bit, and the opcode. */
export interface Encoding {
  readonly u: '0' | '1';
  readonly a: '0' | '1';
  readonly opcode: string;
}

/** Three same, and with `scalar` the scalar form. */
export function floatThreeSame(
  name: string,
  { u, a, opcode }: Encoding,
  operation: FloatOperation,
  scalar: boolean,
): Instruction[] {
  const entries: Instruction[] = [
    instruction(
      `${name} (vector)`,
      `0 q:1 ${u} 01110 ${a} sz:1 1 vm:5 ${opcode} 1 vn:5 vd:5`,
      { variant: ['q', 'sz'], when: (f) => f.sz <= f.q },
      (op, k) => {
        if (op.sz > op.q) return; // never decoded
        const lanes = vectorLanes(op.sz, op.q);
        k.setVreg(
          op.vd,
          computeLanes(k, operation, lanes, k.vreg(op.vn), k.vreg(op.vm), () => k.vreg(op.vd)),
        );
      },
    ),
  ];
  if (!scalar) return entries;
  entries.push(
    instruction(
      `${name} (scalar, three same)`,
      `01 ${u} 11110 ${a} sz:1 1 vm:5 ${opcode} 1 vn:5 vd:5`,
      { variant: ['sz'] },
      (op, k) => {
        const lanes = { sz: op.sz, count: 1 };
        k.setVreg(
          op.vd,
          computeLanes(k, operation, lanes, k.vreg(op.vn), k.vreg(op.vm), () => k.vreg(op.vd)),
        );
      },
    ),
  );
  return entries;
}

const zero: Val = { type: 'v128', local: -1, constant: 0 };

/** Two-register miscellaneous, and with `scalar` the scalar form. */
export function floatTwoRegister(
  name: string,
  { u, a, opcode }: Encoding,
  operation: FloatOperation,
  scalar: boolean,
): Instruction[] {
  const entries: Instruction[] = [
    instruction(
      `${name} (vector)`,
      `0 q:1 ${u} 01110 ${a} sz:1 10000 ${opcode} 10 vn:5 vd:5`,
      { variant: ['q', 'sz'], when: (f) => f.sz <= f.q },
      (op, k) => {
        if (op.sz > op.q) return; // never decoded
        k.setVreg(
          op.vd,
          computeLanes(k, operation, vectorLanes(op.sz, op.q), k.vreg(op.vn), zero, () => zero),
        );
      },
    ),
  ];
  if (scalar) entries.push(floatTwoRegisterScalar(name, { u, a, opcode }, operation));
  return entries;
}

/** The scalar form alone. */
export function floatTwoRegisterScalar(name: string, encoding: Encoding, operation: FloatOperation): Instruction {
  const { u, a, opcode } = encoding;
  return instruction(
    `${name} (scalar, two-register)`,
    `01 ${u} 11110 ${a} sz:1 10000 ${opcode} 10 vn:5 vd:5`,
    { variant: ['sz'] },
    (op, k) =>
      k.setVreg(
        op.vd,
        computeLanes(k, operation, { sz: op.sz, count: 1 }, k.vreg(op.vn), zero, () => zero),
      ),
  );
}

/** By element: the element in every lane of the second operand; with the scalar form. */
export function floatByElement(name: string, u: '0' | '1', opcode: string, operation: FloatOperation): Instruction[] {
  const imm = {
    pattern: (f: { readonly sz: number; readonly h: number; readonly l: number }) =>
      f.sz === 1 ? elementPattern(3, f.h) : elementPattern(2, f.h * 2 + f.l),
  };
  return [
    instruction(
      `${name} (by element)`,
      `0 q:1 ${u} 01111 1 sz:1 l:1 vm:5 ${opcode} h:1 0 vn:5 vd:5`,
      { variant: ['q', 'sz'], when: (f) => f.sz <= f.q && f.sz + f.l < 2, imm },
      (op, k) => {
        if (op.sz > op.q) return; // never decoded
        const m = broadcast(k, k.vreg(op.vm), op.pattern);
        k.setVreg(
          op.vd,
          computeLanes(k, operation, vectorLanes(op.sz, op.q), k.vreg(op.vn), m, () => k.vreg(op.vd)),
        );
      },
    ),
    instruction(
      `${name} (by element, scalar)`,
      `01 ${u} 11111 1 sz:1 l:1 vm:5 ${opcode} h:1 0 vn:5 vd:5`,
      { variant: ['sz'], when: (f) => f.sz + f.l < 2, imm },
      (op, k) => {
        const m = broadcast(k, k.vreg(op.vm), op.pattern);
        k.setVreg(
          op.vd,
          computeLanes(k, operation, { sz: op.sz, count: 1 }, k.vreg(op.vn), m, () => k.vreg(op.vd)),
        );
      },
    ),
  ];
}

/** The lanes that are numbers. */
export const areNumbers = (k: Ops, type: FloatVector, a: Val): Val => float(k, type, 'eq', a, a);
