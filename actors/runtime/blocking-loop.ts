/**
 * Drives the cell of a blocking actor: orders, mail, a slice, and so on; when a slice asks to sleep the thread blocks in
 * `Atomics.wait` until a lane or the doorbell has something. The event loop of the worker does not turn.
 */
import type { Cell } from './cell.js';
import type { Switchboard } from './switchboard.js';

const MESSAGES_PER_TURN = 64;
const POLLS_BEFORE_SLEEP = 2_000;

/** What the loop needs of its thread. */
export interface BlockingParts {
  readonly board: Switchboard;
  readonly slot: number;
  nowMs(): number;
}

/** Runs `cell` until it has ended. Throws what a handler or a slice throws. */
export function blockingLoop(cell: Cell, parts: BlockingParts): void {
  const { board, slot, nowMs } = parts;
  const block = blocker(cell, board, slot);
  const busy = board.wordIndex(slot, 'busy');
  board.words[busy] = 1;
  for (;;) {
    if (cell.turn(MESSAGES_PER_TURN) === 'ended') return;
    const wish = cell.slice();
    if (wish === 'again') continue;
    const dueMs = cell.nextDueMs - nowMs();
    if (wish.sleepMs > 0 && dueMs > 0) block(cell.ready, Math.min(wish.sleepMs, dueMs));
  }
}

/** The way a blocking actor of this slot sleeps: polls briefly, then `Atomics.wait`, not counted as busy. */
export function blocker(
  cell: Cell,
  board: Switchboard,
  slot: number,
): (ready: () => boolean, timeoutMs: number) => void {
  const busy = board.wordIndex(slot, 'busy');
  return (ready, timeoutMs) => {
    for (let i = 0; i < POLLS_BEFORE_SLEEP; i++) if (ready()) return;
    board.words[busy] = 0;
    cell.endpoint.doorbell.parking.park(ready, 0, timeoutMs);
    board.words[busy] = 1;
  };
}
