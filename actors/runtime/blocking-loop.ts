/**
 * Drives the cell of a blocking actor: orders, mail, a slice, and so on; when a slice asks to sleep the thread blocks in
 * `Atomics.wait` until a lane or the doorbell has something. The event loop of the worker does not turn.
 */
import type { Cell } from './cell.js';
import type { Switchboard } from './switchboard.js';

const MESSAGES_PER_TURN = 64;
const POLLS_BEFORE_SLEEP = 2_000;
/** Before a sleep shorter than this, in milliseconds, which the polls themselves would use up, */
const BRIEF_MS = 0.25;
/** there are fewer. */
const POLLS_BEFORE_BRIEF = 200;
/**
 * After so many rounds of polls in vain it sleeps at once, and polls before one of so many sleeps only: whoever it waits for may need
 * this processor.
 */
const VAIN_POLLS_MAX = 8;
const SLEEPS_PER_TRIAL = 64;

/** What the loop needs of its thread. */
export interface BlockingParts {
  readonly board: Switchboard;
  readonly slot: number;
  nowMs(): number;
}

/** Runs `cell` until it has ended. Throws what a handler or a slice throws. */
export function blockingLoop(cell: Cell, parts: BlockingParts): void {
  const { board, slot, nowMs } = parts;
  const block = blocker(cell, board, slot, nowMs);
  const busy = board.wordIndex(slot, 'busy');
  board.words[busy] = 1;
  for (;;) {
    cell.sees(nowMs());
    if (cell.turn(MESSAGES_PER_TURN) === 'ended') return;
    cell.endpoint.withdraw();
    const wish = cell.slice();
    if (wish === 'again') continue;
    const dueMs = cell.nextDueMs - nowMs();
    if (wish.sleepMs > 0 && dueMs > 0) block(cell.ready, Math.min(wish.sleepMs, dueMs));
  }
}

/** The way a blocking actor of this slot sleeps: polls briefly unless told not to, then `Atomics.wait`, not counted as busy. */
export function blocker(
  cell: Cell,
  board: Switchboard,
  slot: number,
  nowMs: () => number,
): (ready: () => boolean, timeoutMs: number, polls?: boolean) => void {
  const busy = board.wordIndex(slot, 'busy');
  let vain = 0;
  return (ready, timeoutMs, polls = true) => {
    const dueMs = nowMs() + timeoutMs;
    if (!polls) {
      if (ready()) return;
    } else if (vain < VAIN_POLLS_MAX || vain % SLEEPS_PER_TRIAL === 0) {
      const times = timeoutMs < BRIEF_MS ? POLLS_BEFORE_BRIEF : POLLS_BEFORE_SLEEP;
      for (let i = 0; i < times; i++) {
        if (!ready()) continue;
        vain = 0;
        return;
      }
    } else if (ready()) return;
    if (polls) vain++;
    // What the polls took is not slept again: a vCPU's timer interrupt would be late by it.
    const restMs = dueMs - nowMs();
    if (restMs <= 0) return;
    board.words[busy] = 0;
    cell.endpoint.withdraw();
    cell.endpoint.doorbell.parking.park(ready, 0, restMs);
    cell.sees(nowMs());
    board.words[busy] = 1;
  };
}
