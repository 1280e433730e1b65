/**
 * What is known of page frames, as a number for each, in a map that is emptied often: the language's own gets a new table each time it is emptied and each
 * time it grows, and a guest that invalidates its whole instruction cache in a loop then keeps its thread collecting garbage (docs/adr/0328).
 */

const SLOTS_AT_FIRST = 64;
/** Key of a slot whose frame was taken out; looking goes on behind it. */
const GONE = -1;
const HASH_MULTIPLIER = 0x9e3779b1 | 0;
const GENERATION_MAX = 0x7fff_ffff;

/** See the head of this file. Frames are known by their host address, below 2^32; values are 0 or more. */
export class FrameMap {
  #frames = new Int32Array(SLOTS_AT_FIRST);
  #values = new Int32Array(SLOTS_AT_FIRST);
  /** A slot is in use if this is the current generation. */
  #generations = new Int32Array(SLOTS_AT_FIRST);
  #generation = 1;
  #size = 0;
  /** Slots in use, with those of frames taken out. */
  #used = 0;

  /** How many frames are in it. */
  get size(): number {
    return this.#size;
  }

  /** What is known of the frame at `host`; -1: nothing. */
  get(host: number): number {
    const slot = this.#find(host >>> 12);
    return slot < 0 ? -1 : this.#values[slot]!;
  }

  set(host: number, value: number): void {
    const frame = host >>> 12;
    const slot = this.#find(frame);
    if (slot >= 0) {
      this.#values[slot] = value;
      return;
    }
    if (this.#used * 2 >= this.#frames.length) this.#grow();
    this.#put(frame, value);
    this.#size++;
  }

  delete(host: number): void {
    const slot = this.#find(host >>> 12);
    if (slot < 0) return;
    this.#frames[slot] = GONE;
    this.#size--;
  }

  clear(): void {
    this.#size = this.#used = 0;
    if (this.#generation === GENERATION_MAX) {
      this.#generations.fill(0);
      this.#generation = 0;
    }
    this.#generation++;
  }

  #start(frame: number): number {
    const mixed = Math.imul(frame, HASH_MULTIPLIER);
    return (mixed ^ (mixed >>> 15)) & (this.#frames.length - 1);
  }

  /** The slot of `frame`, or -1. */
  #find(frame: number): number {
    const last = this.#frames.length - 1;
    for (let slot = this.#start(frame); this.#generations[slot] === this.#generation; slot = (slot + 1) & last) {
      if (this.#frames[slot] === frame) return slot;
    }
    return -1;
  }

  #put(frame: number, value: number): void {
    const last = this.#frames.length - 1;
    let slot = this.#start(frame);
    while (this.#generations[slot] === this.#generation) slot = (slot + 1) & last;
    this.#generations[slot] = this.#generation;
    this.#frames[slot] = frame;
    this.#values[slot] = value;
    this.#used++;
  }

  /** Twice the slots if there are many frames; else as many, without those that are gone. */
  #grow(): void {
    const [frames, values, generations] = [this.#frames, this.#values, this.#generations];
    const slots = this.#size * 4 >= frames.length ? frames.length * 2 : frames.length;
    this.#frames = new Int32Array(slots);
    this.#values = new Int32Array(slots);
    this.#generations = new Int32Array(slots);
    this.#used = 0;
    for (let slot = 0; slot < frames.length; slot++) {
      if (generations[slot] === this.#generation && frames[slot] !== GONE) this.#put(frames[slot]!, values[slot]!);
    }
  }
}
