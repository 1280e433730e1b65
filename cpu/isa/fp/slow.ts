/** Where the fast path ends: guards, and the call of the exact operation. */
import type { FP_CODE } from '../../fp/helper-codes.js';
import type { Ops } from '../../ops.js';
import { STATE } from '../../state.js';
import { i32, isConstant, type Val } from '../../wasm/body.js';

/** Scalar types of the two formats that have arithmetic, by the instruction's `t` or `sz` bit. */
export const SCALAR_TYPE = ['f32', 'f64'] as const;
/** Name of a scalar type. */
export type Scalar = (typeof SCALAR_TYPE)[number];

/** The scalar type of a format bit. */
export const scalarType = (t: number): Scalar => (t === 1 ? 'f64' : 'f32');

/** FPCR.FZ's mask. */
const FZ = 1 << 24;

/** What a result needs of FPCR and FPSR: rounding to nearest without exceptions to report, or only no flushing. */
export type Need = 'rounding' | 'no-flush';

/** The i32 condition "the fast result does not stand": `ok` is i32 0 or 1. */
export function doubtful(k: Ops, need: Need, ok: Val): Val {
  if (need === 'rounding') return k.eqz(k.and(ok, k.stateLoad('u32', STATE.fpFast)));
  return k.or(k.eqz(ok), k.and(k.stateLoad('u32', STATE.fpcr), i32(FZ)));
}

/** Arguments of a call of the exact operation. */
export interface Exact {
  readonly code: (typeof FP_CODE)[keyof typeof FP_CODE];
  readonly shape: number;
  readonly extra?: number | Val;
}

/** Calls the exact operation on vectors n, m, d; the helper's own result, i32. The vector result is at STATE.operands. */
export function callExact(k: Ops, exact: Exact, operands: readonly Val[]): Val {
  operands.forEach((value, i) => {
    k.stateStore('v128', STATE.operands + 16 * i, value);
  });
  const extra = exact.extra ?? 0;
  return k.helper('fp', [i32(exact.code), i32(exact.shape), typeof extra === 'number' ? i32(extra) : extra]);
}

/** The vector result of an exact operation. */
export function exactVector(k: Ops, exact: Exact, operands: readonly Val[]): Val {
  callExact(k, exact, operands);
  return k.stateLoad('v128', STATE.operands);
}

/**
 * `fast` unless it is doubtful, then the exact operation's result. `operands` is called in the slow arm only, where it
 * reads the registers; `fast` is v128.
 */
export function checked(k: Ops, fast: Val, isDoubtful: Val, exact: Exact, operands: () => readonly Val[]): Val {
  if (isConstant(isDoubtful) && isDoubtful.constant === 0) return fast;
  const result = k.variable('v128', fast);
  k.slowIf(isDoubtful, () => k.assign(result, exactVector(k, exact, operands())));
  return result;
}
