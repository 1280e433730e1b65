/**
 * `Result`: how every function that can fail in an expected way answers. It is a plain object, so it crosses the bus as
 * it is. A broken invariant is not a Result; it is an `assert` (assert.ts).
 */

/** Success with a value, or failure with an error from a closed union. */
export type Result<T, E> = Ok<T> | Err<E>;
/** The success half of a {@link Result}. */
export interface Ok<T> {
  readonly ok: true;
  readonly value: T;
}
/** The failure half of a {@link Result}. */
export interface Err<E> {
  readonly ok: false;
  readonly error: E;
}

/** A success carrying `value`. */
export function ok(): Ok<undefined>;
export function ok<T>(value: T): Ok<T>;
export function ok<T>(value?: T): Ok<T | undefined> {
  return { ok: true, value };
}

/** A failure carrying `error`. */
export function err<const E>(error: E): Err<E> {
  return { ok: false, error };
}
