/** The front ends of a VM's devices, as one vCPU's thread calls them beside the guest's own accesses. */
import type { FrontEnd } from '../shared-state/mmio/front-end.js';

/** They may use so many milliseconds of a sleep for themselves, and none of its last one. */
const REST = { workMs: 50, spareMs: 1 } as const;

/** See the file comment. */
export class FrontEnds {
  readonly #all: FrontEnd[] = [];
  /** Those that have something to do before and after sleeps. */
  readonly #resting: FrontEnd[] = [];

  add(frontEnd: FrontEnd): void {
    this.#all.push(frontEnd);
    if (frontEnd.rests !== undefined) this.#resting.push(frontEnd);
  }

  settle(): void {
    // By index: until V8 has optimised it, the other way makes an object for each one, and a slice ends thousands of times a second.
    for (let n = 0; n < this.#all.length; n++) this.#all[n]!.settle?.();
  }

  /** Milliseconds until one wants the vCPU's thread, Infinity when none does; they settle what they have before. */
  settledDueInMs(): number {
    let due = Number.POSITIVE_INFINITY;
    for (const frontEnd of this.#all) {
      frontEnd.settle?.();
      if (frontEnd.dueInMs !== undefined) due = Math.min(due, frontEnd.dueInMs());
    }
    return due;
  }

  /**
   * The vCPU is about to sleep for `dueMs` milliseconds at most; `isCalled`: somebody has something for it. Returns how long it may
   * sleep after that.
   */
  rests(dueMs: number, nowMs: () => number, isCalled: () => boolean): number {
    if (this.#resting.length === 0) return dueMs;
    const sinceMs = nowMs();
    const untilMs = sinceMs + Math.min(REST.workMs, dueMs - REST.spareMs);
    const mayGoOn = (): boolean => !isCalled() && nowMs() < untilMs;
    for (const frontEnd of this.#resting) frontEnd.rests?.(mayGoOn);
    return dueMs - (nowMs() - sinceMs);
  }
  /** It goes on. */
  wakes(): void {
    for (const frontEnd of this.#resting) frontEnd.wakes?.();
  }
}
