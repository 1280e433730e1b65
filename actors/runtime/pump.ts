/**
 * Drives a cell on an event loop: take what is there, then poll for a short, bounded time (waking a sleeping thread costs
 * tens of microseconds, a poll a few nanoseconds), then sleep in `Atomics.waitAsync`. Where polls keep finding nothing, because
 * the peer shares this processor or takes its time, it sleeps at once and only now and then polls again. `busy` in the actor's record is 1
 * from waking to sleeping, and `handled` moves with every turn and poll round; the watchdog reads both.
 */
import type { Cell } from './cell.js';
import type { Clock } from './services.js';
import type { Switchboard } from './switchboard.js';

const MESSAGES_PER_TURN = 64;
/** After so many messages and answers the clock is looked at. */
const WORK_PER_LOOK = 8;
/** Event-loop work (I/O, other actors' timers) gets a turn at least this often, in milliseconds. */
const YIELD_MS = 1;
const POLLS_PER_ROUND = 64;
/** After so many polls in vain an actor sleeps at once, */
const VAIN_POLLS_MAX = 8;
/** but of so many sleeps in a row */
const SLEEPS_PER_TRIAL = 64;
/** the first few are preceded by a poll again: both sides of a conversation must be found trying at the same time. */
const POLLS_PER_TRIAL = 4;

/** What the pump needs of its thread. */
export interface PumpParts {
  readonly board: Switchboard;
  readonly slot: number;
  readonly clock: Clock;
  readonly pollMicroseconds: number;
}

/** Runs `cell` until it has ended. Rejects with what a handler throws. */
export async function pump(cell: Cell, parts: PumpParts): Promise<void> {
  const { board, slot, clock } = parts;
  const { words } = board;
  const busy = board.wordIndex(slot, 'busy');
  const pollMs = parts.pollMicroseconds / 1000;
  let yieldedMs = clock.monotonicMs();
  let vain = 0;
  cell.sees(yieldedMs);
  for (;;) {
    words[busy] = 1;
    const outcome = cell.turn(MESSAGES_PER_TURN);
    if (outcome === 'ended') return;
    // Each await lets promise callbacks run: handlers go on there.
    if (outcome === 'worked' && cell.sinceLook < WORK_PER_LOOK) {
      await undefined;
      continue;
    }
    let now = clock.monotonicMs();
    if (now - yieldedMs > YIELD_MS) {
      cell.endpoint.withdraw();
      await new Promise(setImmediate);
      now = yieldedMs = clock.monotonicMs();
    } else await undefined;
    cell.sees(now);
    if (outcome === 'worked') continue;
    const patient = vain < VAIN_POLLS_MAX || vain % SLEEPS_PER_TRIAL < POLLS_PER_TRIAL;
    const untilMs = patient ? now + pollMs : now;
    // Polls here and not in a function of its own, whose promise would take longer than the poll.
    let found = hasWork(cell);
    while (!found) {
      cell.progress();
      now = clock.monotonicMs();
      cell.sees(now);
      found = now >= cell.nextDueMs;
      if (found || now >= untilMs) break;
      await undefined;
      found = hasWork(cell);
    }
    if (found) {
      if (patient) vain = 0;
      continue;
    }
    vain += 1;
    await park(cell, clock, words, busy);
    yieldedMs = clock.monotonicMs();
  }
}

/** Looks a few times whether the cell has something to do. */
function hasWork(cell: Cell): boolean {
  for (let i = 0; i < POLLS_PER_ROUND; i++) if (cell.looksReady()) return true;
  return false;
}

/** Sleeps until a lane or the doorbell has something, or a timer is due. */
async function park(cell: Cell, clock: Clock, words: Int32Array, busy: number): Promise<void> {
  const { doorbell } = cell.endpoint;
  const waitMs = cell.nextDueMs - clock.monotonicMs();
  if (waitMs <= 0) return;
  // A time-out given to Atomics.waitAsync may never fire when nothing else is pending (Node issue 44729), and a wait
  // keeps no event loop alive: so a referenced timer does both.
  const timer = setTimeout(() => doorbell.send(0, TIMER_DUE), Math.min(waitMs, LONGEST_SLEEP_MS));
  words[busy] = 0;
  cell.endpoint.withdraw();
  await doorbell.parking.parkAsync(cell.ready, KEPT_ALIVE_BY_TIMER);
  cell.sees(clock.monotonicMs());
  words[busy] = 1;
  clearTimeout(timer);
}

const LONGEST_SLEEP_MS = 60_000;
const TIMER_DUE = 4;
const KEPT_ALIVE_BY_TIMER = { hold: () => undefined, release: () => undefined };
