/**
 * Timers of one actor: a binary heap ordered by due time, then by creation, driven by whoever runs the actor (the event
 * loop, a blocking loop, the simulator). Nothing here reads a clock or sets a host timer.
 */

/** Cancels a timer; cancelling twice, or after it fired, does nothing. */
export type CancelTimer = () => void;

interface Entry {
  readonly dueMs: number;
  readonly order: number;
  action: (() => void) | undefined;
}

/** A set of pending timers. */
export class TimerHeap {
  readonly #heap: Entry[] = [];
  #order = 0;

  /** Due time of the earliest timer in milliseconds of the actor's clock, or Infinity. */
  get nextMs(): number {
    return this.#heap[0]?.dueMs ?? Number.POSITIVE_INFINITY;
  }

  /** Runs `action` once at or after `dueMs`. */
  add(dueMs: number, action: () => void): CancelTimer {
    const entry: Entry = { dueMs, order: this.#order++, action };
    this.#heap.push(entry);
    this.#up(this.#heap.length - 1);
    return () => {
      entry.action = undefined;
    };
  }

  /** Takes the action of the earliest timer due at `nowMs`, or undefined when none is due. Cancelled ones vanish. */
  takeDue(nowMs: number): (() => void) | undefined {
    for (let first = this.#heap[0]; first !== undefined; first = this.#heap[0]) {
      if (first.action !== undefined && first.dueMs > nowMs) return undefined;
      this.#pop();
      if (first.action !== undefined) return first.action;
    }
    return undefined;
  }

  #pop(): void {
    const last = this.#heap.pop();
    if (last === undefined || this.#heap.length === 0) return;
    this.#heap[0] = last;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      let least = at;
      for (const child of [left, left + 1]) if (child < this.#heap.length && this.#before(child, least)) least = child;
      if (least === at) return;
      this.#swap(at, least);
      at = least;
    }
  }

  #up(from: number): void {
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#before(at, parent)) return;
      this.#swap(at, parent);
      at = parent;
    }
  }

  #before(i: number, j: number): boolean {
    const a = this.#heap[i]!;
    const b = this.#heap[j]!;
    return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);
  }

  #swap(i: number, j: number): void {
    const a = this.#heap[i]!;
    this.#heap[i] = this.#heap[j]!;
    this.#heap[j] = a;
  }
}
