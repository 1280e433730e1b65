/**
 * `moved(x)`: ownership of a buffer or an actor reference goes with a message. Once the message is accepted the sender's
 * binding is dead: a buffer is detached (every view of it has length 0, and writing throws), a reference throws on any
 * use. If the send fails nothing moves and the sender keeps what it had.
 *
 * A buffer must be the only tenant of its ArrayBuffer: moving a view of a part would silently take the rest along, so it
 * is an assertion failure (this includes small `Buffer`s, which share one pool). Shared memory has no owner to change and
 * cannot be moved.
 */
import { assert } from '../../bus/assert.js';
import type { ActorRef } from './protocol.js';

/** What can change owner. */
export type Movable = ArrayBuffer | Uint8Array | ActorRef<never>;

/**
 * A thread may hold this module twice, in its host's bundle (bundle-file.ts) and as its actor imports it: what both must
 * agree on hangs on a registered symbol.
 */
const MOVED = Symbol.for('wurley.moved');
const shared = globalThis as { [MOVED]?: Int32Array };
/** One word: wrappers made and not yet sent. */
shared[MOVED] ??= new Int32Array(1);
const created = shared[MOVED];

/** A value on its way to a new owner; only a top-level field of a message body may hold one. */
export class Moved<T> {
  readonly [MOVED] = true;
  readonly value: T;
  constructor(value: T) {
    this.value = value;
  }
}

/** A body as a sender may write it: any top-level field may be wrapped in `moved()`. */
export type Sendable<Body> = { readonly [F in keyof Body]: Body[F] | Moved<Body[F]> };

/** Marks `value` as leaving with the message it stands in. Throws (assertion) when it cannot be moved or already was. */
export function moved<T extends ArrayBuffer | Uint8Array | ActorRef<never>>(value: T): Moved<T> {
  if (value instanceof Uint8Array) assertSoleTenant(value);
  else if (value instanceof ArrayBuffer) assert(!isDetached(value), 'moved(): the buffer was moved before');
  else assert(value.actor >= 0, 'moved(): the reference was moved before');
  created[0] = wrappers() + 1;
  return new Moved(value);
}

/** The fields of `body` that move: `undefined` for the usual body, in which nothing does (one comparison). */
export function takeMoves<B extends object>(
  body: B,
): { readonly plain: B; readonly moves: readonly Movable[] } | undefined {
  if (created[0] === 0) return undefined;
  let plain: Record<string, unknown> | undefined;
  const moves: Movable[] = [];
  for (const [field, value] of Object.entries(body)) {
    if (!isMoved(value)) continue;
    plain ??= Object.fromEntries(Object.entries(body));
    plain[field] = value.value;
    moves.push(value.value);
  }
  if (plain === undefined) return undefined;
  created[0] = Math.max(0, wrappers() - moves.length);
  return { plain: plain as B, moves };
}

function wrappers(): number {
  return created[0] ?? 0;
}

function isMoved(value: unknown): value is Moved<Movable> {
  return typeof value === 'object' && value !== null && MOVED in value;
}

/** Kills the sender's bindings after the message was accepted. */
export function surrender(moves: readonly Movable[]): void {
  for (const value of moves) {
    if (value instanceof Uint8Array) detach(value.buffer as ArrayBuffer);
    else if (value instanceof ArrayBuffer) detach(value);
    else killReference(value);
  }
}

function assertSoleTenant(view: Uint8Array): void {
  assert(view.buffer instanceof ArrayBuffer, 'moved(): shared memory has no owner to change');
  assert(!isDetached(view.buffer), 'moved(): the buffer was moved before');
  assert(view.byteLength === view.buffer.byteLength, 'moved(): the view does not own its whole ArrayBuffer');
}

/** Whether a buffer was detached. Node 20 has no `ArrayBuffer.prototype.detached`; a view over a detached one throws. */
function isDetached(buffer: ArrayBuffer): boolean {
  if (buffer.byteLength > 0) return false;
  try {
    new Uint8Array(buffer);
    return false;
  } catch {
    return true;
  }
}

/** Transfers the buffer to nowhere; what is left has length 0. */
function detach(buffer: ArrayBuffer): void {
  if (buffer.byteLength > 0) structuredClone(buffer, { transfer: [buffer] });
}

function killReference(ref: object): void {
  Object.defineProperty(ref, 'actor', {
    enumerable: true,
    get: () => assert(false, 'the actor reference was moved away; its owner is the receiver of that message'),
  });
}
