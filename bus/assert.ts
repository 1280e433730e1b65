/**
 * Assertions. They stay on in production: a broken invariant throws, the actor dies and its supervisor decides.
 * Anything a guest, a file or a user can cause is not an assertion but a `Result` (result.ts).
 */

/** Thrown when an invariant of ours does not hold; never caused by input alone. */
export class AssertionFailure extends Error {
  override readonly name = 'AssertionFailure';
}

/** Throws {@link AssertionFailure} unless `condition` holds. `message` says which invariant was broken. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionFailure(message);
}
