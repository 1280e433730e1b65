/** The faults a simulation injects. Each seed switches on a random part of them at random rates ("swarm" testing). */
import type { Random } from '../../actors/runtime/random.js';

/** One in this many chances; 0 is never. */
export interface FaultRates {
  /** A worker ends by itself at a message boundary. */
  readonly crash: number;
  /** A worker ends in the middle of a turn's mail: its lock on a mailbox stays taken. */
  readonly crashHoldingLock: number;
  /** A worker stops moving and shows busy: the watchdog must see it. */
  readonly spin: number;
  /** After a turn, a worker does nothing for up to 30 ms. */
  readonly slow: number;
  /** A worker that has mail is not woken for up to 5 ms. */
  readonly lateWake: number;
  /** A turn without anything to do. */
  readonly spuriousWake: number;
  /** A doorbell rings with nothing to say, or twice at once. */
  readonly spuriousRing: number;
  /** A worker cannot be had. */
  readonly spawnFails: number;
  /** A worker takes up to 200 ms to start. */
  readonly spawnSlow: number;
  /** A killed worker runs on for up to 20 ms before it is gone. */
  readonly killSlow: number;
  /** Time jumps ahead by up to 300 ms. */
  readonly clockJump: number;
  /** The watchdog's tick comes up to 60 ms late. */
  readonly tickLate: number;
  /** The supervisor's thread is not scheduled for up to 40 ms. */
  readonly systemSlow: number;
}

const TYPICAL: FaultRates = {
  crash: 40,
  crashHoldingLock: 90,
  spin: 120,
  slow: 25,
  lateWake: 10,
  spuriousWake: 30,
  spuriousRing: 20,
  spawnFails: 8,
  spawnSlow: 4,
  killSlow: 3,
  clockJump: 200,
  tickLate: 5,
  systemSlow: 60,
};

/** Draws the faults of a run. */
export function drawFaults(random: Random): FaultRates {
  const entries = Object.entries(TYPICAL).map(([name, oneIn]) => {
    const on = random.below(3) > 0;
    return [name, on ? Math.max(2, Math.round(oneIn * (0.3 + random.below(100) / 40))) : 0];
  });
  return { ...TYPICAL, ...Object.fromEntries(entries) };
}
