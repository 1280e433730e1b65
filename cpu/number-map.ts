/**
 * A map of whole numbers from 0 to 2^53 to numbers from 0 to 2^31 that is emptied often: the language's own gets a new table each time it is, and a guest that
 * flushes its TLB or its instruction cache a hundred thousand times a second then has a collection of garbage, during which no interrupt is taken, every 13 ms.
 */

const SLOTS_AT_FIRST = 16;
/** Key of a slot whose number was taken out; looking goes on behind it. */
const GONE = -1;
const HASH_MULTIPLIER = 0x9e3779b1 | 0;
const GENERATION_MAX = 0x7fff_ffff;

/** See the head of this file. */
export class NumberMap {
  #keys = new Float64Array(SLOTS_AT_FIRST);
  #values = new Int32Array(SLOTS_AT_FIRST);
  /** A slot is in use if this is the current generation. */
  #generations = new Int32Array(SLOTS_AT_FIRST);
  #generation = 1;
  #size = 0;
  /** Slots in use, with those of numbers taken out. */
  #used = 0;

  /** How many numbers are in it. */
  get size(): number {
    return this.#size;
  }

  /** What `key` has; -1: it is not in. */
  get(key: number): number {
    const slot = this.#find(key);
    return slot < 0 ? -1 : this.#values[slot]!;
  }

  set(key: number, value: number): void {
    const slot = this.#find(key);
    if (slot >= 0) {
      this.#values[slot] = value;
      return;
    }
    if (this.#used * 2 >= this.#keys.length) this.#grow();
    this.#put(key, value);
    this.#size++;
  }

  /** Takes `key` out; false when it is not in. */
  delete(key: number): boolean {
    const slot = this.#find(key);
    if (slot < 0) return false;
    this.#keys[slot] = GONE;
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

  #start(key: number): number {
    const mixed = Math.imul((key | 0) ^ Math.floor(key / 2 ** 32), HASH_MULTIPLIER);
    return (mixed ^ (mixed >>> 15)) & (this.#keys.length - 1);
  }

  /** The slot of `key`, or -1. */
  #find(key: number): number {
    const last = this.#keys.length - 1;
    for (let slot = this.#start(key); this.#generations[slot] === this.#generation; slot = (slot + 1) & last) {
      if (this.#keys[slot] === key) return slot;
    }
    return -1;
  }

  #put(key: number, value: number): void {
    const last = this.#keys.length - 1;
    let slot = this.#start(key);
    while (this.#generations[slot] === this.#generation) slot = (slot + 1) & last;
    this.#generations[slot] = this.#generation;
    this.#keys[slot] = key;
    this.#values[slot] = value;
    this.#used++;
  }

  /** Twice the slots if there are many numbers; else as many, without those that are gone. */
  #grow(): void {
    const [keys, values, generations] = [this.#keys, this.#values, this.#generations];
    const slots = this.#size * 4 >= keys.length ? keys.length * 2 : keys.length;
    this.#keys = new Float64Array(slots);
    this.#values = new Int32Array(slots);
    this.#generations = new Int32Array(slots);
    this.#used = 0;
    for (let slot = 0; slot < keys.length; slot++) {
      if (generations[slot] === this.#generation && keys[slot] !== GONE) this.#put(keys[slot]!, values[slot]!);
    }
  }
}
