/**
 * Where a vCPU's code was looked at, counted by place, in tables that never grow: a guest that runs through much code has a new place at each look, and what is
 * made for one is garbage as soon as it is forgotten.
 */

/** Places remembered; when there are more, those seen once are forgotten, but not more often than after so many looks. */
const PLACES_MAX = 2048;
const SLOTS = 2 * PLACES_MAX;
const HASH_MULTIPLIER = 0x9e3779b1 | 0;

class Table<Shown> {
  readonly lo = new Int32Array(SLOTS);
  readonly hi = new Int32Array(SLOTS);
  /** 0: the slot is free. */
  readonly looks = new Int32Array(SLOTS);
  readonly shown: (Shown | undefined)[] = new Array(SLOTS).fill(undefined);

  /** The slot of the place hi:lo, or the free one where it belongs. */
  slotOf(lo: number, hi: number): number {
    const mixed = Math.imul(lo ^ Math.imul(hi, 31), HASH_MULTIPLIER);
    let slot = (mixed ^ (mixed >>> 15)) & (SLOTS - 1);
    while (this.looks[slot] !== 0 && (this.lo[slot] !== lo || this.hi[slot] !== hi)) slot = (slot + 1) & (SLOTS - 1);
    return slot;
  }

  put(lo: number, hi: number, looks: number, shown: Shown | undefined): void {
    const slot = this.slotOf(lo, hi);
    this.lo[slot] = lo;
    this.hi[slot] = hi;
    this.looks[slot] = looks;
    this.shown[slot] = shown;
  }
}

/** See the head of this file. `Shown` is what is known of a place. */
export class HotPlaces<Shown> {
  #table = new Table<Shown>();
  /** Takes what is kept when some are forgotten. */
  #other = new Table<Shown>();
  #size = 0;
  /** Looks so far. */
  looks = 0;
  /** Look from which on places may be forgotten again. */
  #nextSweep = 0;

  /** The place hi:lo was seen. Its slot, up to the next look, if something is to be shown of it: most places are seen once. Else -1. */
  look(lo: number, hi: number): number {
    this.looks++;
    const table = this.#table;
    const slot = table.slotOf(lo, hi);
    if (table.looks[slot] === 0) {
      this.#remember(lo, hi);
      return -1;
    }
    table.looks[slot]!++;
    return table.shown[slot] === undefined ? slot : -1;
  }

  /** What is known of the place in `slot`. */
  show(slot: number, shown: Shown): void {
    this.#table.shown[slot] = shown;
  }

  #remember(lo: number, hi: number): void {
    if (this.#size >= PLACES_MAX) {
      if (this.looks < this.#nextSweep) return;
      this.#nextSweep = this.looks + PLACES_MAX;
      this.#sweep();
      if (this.#size >= PLACES_MAX) return;
    }
    this.#table.put(lo, hi, 1, undefined);
    this.#size++;
  }

  /** Forgets what was seen once. */
  #sweep(): void {
    const from = this.#table;
    const to = this.#other;
    to.looks.fill(0);
    to.shown.fill(undefined);
    this.#size = 0;
    for (let slot = 0; slot < SLOTS; slot++) {
      if (from.looks[slot]! < 2) continue;
      to.put(from.lo[slot]!, from.hi[slot]!, from.looks[slot]!, from.shown[slot]);
      this.#size++;
    }
    this.#table = to;
    this.#other = from;
  }

  /** What is shown of the `count` places seen most, the one seen most first. */
  hottest(count: number): { readonly looks: number; readonly shown: Shown }[] {
    const { looks, shown } = this.#table;
    const slots = Array.from(looks.keys()).filter((slot) => looks[slot] !== 0);
    return slots
      .sort((a, b) => looks[b]! - looks[a]!)
      .slice(0, count)
      .flatMap((slot) => {
        const known = shown[slot];
        return known === undefined ? [] : [{ looks: looks[slot]!, shown: known }];
      });
  }
}
