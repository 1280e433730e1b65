/**
 * A lock in one word of shared memory that knows its owner, so that a supervisor can free it when the owner has died
 * inside. Held for tens of nanoseconds; the critical sections it guards are ordered so that death at any point leaves
 * consistent state, hence recovery is nothing more than unlocking.
 *
 * Word: 0 free, otherwise the owner's id (1 .. 2^31-1), with the top bit set when somebody may sleep on it.
 */
import { assert } from '../assert.js';

const CONTENDED = 1 << 31;
const SPINS = 200;
/** A sleeper looks again after this long, in case the thread that was notified in its place has been killed. */
const SLEEP_MS_MAX = 10;
/** After so many sleeps (10 s) nobody will free the lock any more: its word is corrupted or supervision has failed. */
const SLEEPS_MAX = 1000;

/** One lock, seen by one owner. */
export class OwnerLock {
  private readonly words: Int32Array;
  private readonly index: number;
  private readonly owner: number;

  /** Word `index` of `words` (shared, initially zero), used as `owner`: unique per thread, 1 .. 2^31-1. */
  constructor(words: Int32Array, index: number, owner: number) {
    assert(Number.isInteger(owner) && owner > 0 && owner < 2 ** 31, `lock owner ${owner} is out of range`);
    this.words = words;
    this.index = index;
    this.owner = owner;
  }

  /** Takes the lock, polling briefly and then sleeping. Not reentrant. */
  acquire(): void {
    if (Atomics.compareExchange(this.words, this.index, 0, this.owner) !== 0) this.contend();
  }

  /** Gives the lock back. */
  release(): void {
    const held = Atomics.exchange(this.words, this.index, 0);
    if (held !== this.owner) this.wakeNext(held);
  }

  private wakeNext(held: number): void {
    assert(held === (this.owner | CONTENDED), `lock released by ${this.owner} was held by ${held & ~CONTENDED}`);
    Atomics.notify(this.words, this.index, 1);
  }

  private contend(): void {
    for (let turn = 0; turn < SPINS; turn++) {
      if (
        Atomics.load(this.words, this.index) === 0 &&
        Atomics.compareExchange(this.words, this.index, 0, this.owner) === 0
      ) {
        return;
      }
    }
    for (let sleeps = 0; ; sleeps++) {
      const held = Atomics.load(this.words, this.index);
      assert(sleeps < SLEEPS_MAX, 'a lock stays held for seconds');
      assert((held & ~CONTENDED) !== this.owner, 'a lock is taken twice by one owner');
      if (held === 0) {
        // Others may still sleep, so a lock taken after sleeping always counts as contended.
        if (Atomics.compareExchange(this.words, this.index, 0, this.owner | CONTENDED) === 0) return;
        continue;
      }
      const marked = held | CONTENDED;
      if (held !== marked && Atomics.compareExchange(this.words, this.index, held, marked) !== held) continue;
      Atomics.wait(this.words, this.index, marked, SLEEP_MS_MAX);
    }
  }
}

/** Whether `owner` holds the lock in word `index`. */
export function isHeldBy(words: Int32Array, index: number, owner: number): boolean {
  return (Atomics.load(words, index) & ~CONTENDED) === owner;
}

/** Frees the lock in word `index` if `owner`, known to be dead, holds it; true if so. For supervisors. */
export function recoverLock(words: Int32Array, index: number, owner: number): boolean {
  const held = Atomics.load(words, index);
  if ((held & ~CONTENDED) !== owner) return false;
  if (Atomics.compareExchange(words, index, held, 0) !== held) return recoverLock(words, index, owner);
  Atomics.notify(words, index);
  return true;
}
