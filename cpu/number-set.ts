/**
 * A set of whole numbers from 0 to 2^53 that is emptied often: the language's own gets a new table each time it is, and a guest that flushes its
 * TLB a hundred thousand times a second then has a collection of garbage, during which no interrupt is taken, every 13 ms.
 */

const SLOTS_AT_FIRST = 16;
/** Value of a slot whose number was taken out; looking goes on behind it. */
const GONE = -1;
const HASH_MULTIPLIER = 0x9e3779b1 | 0;
const GENERATION_MAX = 0xffff_ffff;

/** See the head of this file. */
export class NumberSet {
  #values = new Float64Array(SLOTS_AT_FIRST);
  /** A slot is in use if this is the current generation. */
  #generations = new Uint32Array(SLOTS_AT_FIRST);
  #generation = 1;
  #size = 0;
  /** Slots in use, with those of numbers taken out. */
  #used = 0;

  /** How many numbers are in it. */
  get size(): number {
    return this.#size;
  }

  has(value: number): boolean {
    return this.#find(value) >= 0;
  }

  add(value: number): void {
    if (this.#find(value) >= 0) return;
    if (this.#used * 2 >= this.#values.length) this.#grow();
    this.#put(value);
    this.#size++;
  }

  /** Takes `value` out; false when it is not in. */
  delete(value: number): boolean {
    const slot = this.#find(value);
    if (slot < 0) return false;
    this.#values[slot] = GONE;
    this.#size--;
    return true;
  }

  clear(): void {
    this.#size = this.#used = 0;
    if (this.#generation === GENERATION_MAX) {
      this.#generations.fill(0);
      this.#generation = 0;
    }
    this.#generation++;
  }

  #start(value: number): number {
    const mixed = Math.imul((value | 0) ^ Math.floor(value / 2 ** 32), HASH_MULTIPLIER);
    return (mixed ^ (mixed >>> 15)) & (this.#values.length - 1);
  }

  /** The slot of `value`, or -1. */
  #find(value: number): number {
    const last = this.#values.length - 1;
    for (let slot = this.#start(value); this.#generations[slot] === this.#generation; slot = (slot + 1) & last) {
      if (this.#values[slot] === value) return slot;
    }
    return -1;
  }

  #put(value: number): void {
    const last = this.#values.length - 1;
    let slot = this.#start(value);
    while (this.#generations[slot] === this.#generation) slot = (slot + 1) & last;
    this.#generations[slot] = this.#generation;
    this.#values[slot] = value;
    this.#used++;
  }

  /** Twice the slots if there are many numbers; else as many, without those that are gone. */
  #grow(): void {
    const [values, generations] = [this.#values, this.#generations];
    const slots = this.#size * 4 >= values.length ? values.length * 2 : values.length;
    this.#values = new Float64Array(slots);
    this.#generations = new Uint32Array(slots);
    this.#used = 0;
    for (let slot = 0; slot < values.length; slot++) {
      if (generations[slot] === this.#generation && values[slot] !== GONE) this.#put(values[slot]!);
    }
  }
}
