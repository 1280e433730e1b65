/**
 * Parking: how one thread sleeps until another has changed something in shared memory, at no cost to the other while
 * nobody sleeps. Waking a sleeper costs tens of microseconds and a check of a word that nobody writes costs about a
 * nanosecond, so a waiter first polls for a bounded number of turns, then announces itself, looks once more, and sleeps.
 *
 * Two words: `sleepers` is 1 when somebody may be asleep (set by waiters, cleared by the waker), `wakeups` counts wakings
 * and is what sleepers sleep on. Why no waking is lost: a waiter reads `wakeups`, sets `sleepers`, then looks; a waker
 * publishes, then reads `sleepers`. All four are sequentially consistent, so either the waiter sees what was published,
 * or the waker sees the flag and changes `wakeups`, on which a wait with the old value returns at once. A waiter that dies
 * asleep leaves the flag set, which costs one needless notify and nothing else.
 */

/** Something that keeps the thread's event loop alive while an asynchronous wait is pending (Atomics.waitAsync does not). */
export interface KeepAlive {
  hold(): void;
  release(): void;
}

/** Two words of shared memory on which threads sleep; any number of sleepers, any number of wakers. */
export class Parking {
  private readonly words: Int32Array;
  private readonly sleepers: number;
  private readonly wakeups: number;

  /** Uses the words `index` and `index + 1` of `words`, which must be over shared memory and start as zeros. */
  constructor(words: Int32Array, index: number) {
    this.words = words;
    this.sleepers = index;
    this.wakeups = index + 1;
  }

  /** Wakes everybody parked here; call it after the change they wait for. Nearly free when nobody is parked. */
  unpark(): void {
    if (Atomics.load(this.words, this.sleepers) !== 0) this.wake();
  }

  private wake(): void {
    Atomics.store(this.words, this.sleepers, 0);
    Atomics.add(this.words, this.wakeups, 1);
    Atomics.notify(this.words, this.wakeups);
  }

  /**
   * Blocks the thread until `ready()` holds: polls it `spins` times, then sleeps. False when `timeoutMs` passed first; it
   * bounds each sleep, so needless wakings can lengthen the whole. `ready` must only read.
   */
  park(ready: () => boolean, spins: number, timeoutMs = Number.POSITIVE_INFINITY): boolean {
    for (let turn = 0; turn < spins; turn++) if (ready()) return true;
    for (;;) {
      const seen = Atomics.load(this.words, this.wakeups);
      Atomics.store(this.words, this.sleepers, 1);
      if (ready()) return true;
      const woken = Atomics.wait(this.words, this.wakeups, seen, timeoutMs);
      // Look before announcing again: the waker has cleared the flag, and the next one need not find it set.
      if (ready()) return true;
      if (woken === 'timed-out') return false;
    }
  }

  /** Like {@link park} without blocking the event loop. `keepAlive` is held while the wait is pending. */
  async parkAsync(ready: () => boolean, keepAlive: KeepAlive, timeoutMs = Number.POSITIVE_INFINITY): Promise<boolean> {
    keepAlive.hold();
    try {
      for (;;) {
        const seen = Atomics.load(this.words, this.wakeups);
        Atomics.store(this.words, this.sleepers, 1);
        if (ready()) return true;
        const wait = Atomics.waitAsync(this.words, this.wakeups, seen, timeoutMs);
        const woken = wait.async ? await wait.value : 'not-equal';
        if (ready()) return true;
        if (woken === 'timed-out') return false;
      }
    } finally {
      keepAlive.release();
    }
  }
}
