/**
 * A capability space in shared memory: what a VM's threads may name. The hypervisor core is the only writer; the threads
 * of every vCPU read it without a lock, on the path of every hypercall that takes a capability.
 *
 * Slot: four words. `tag` = life of the slot << 2 | state, so that one word says whether an id is still the capability it
 * was made for; the others are written while the tag says "free" and never change while it does not. A reader loads the
 * tag, the others, and the tag again. A capability's id is `life << 16 | slot`: opaque to guests, never reused within 2^30
 * lives of a slot. An object that has been destroyed without its capabilities is noticed by its generation.
 */
import { assert } from '../../../bus/assert.js';
import type { ObjectTable } from '../objects/object-table.js';

const SLOT_BYTES = 16;
const SLOT_WORDS = SLOT_BYTES / 4;
/** Capabilities of one space at most; ids hold 16 bits of slot. */
export const CAPABILITIES_MAX = 4096;
/** Bytes of a space's header. */
const HEAD_BYTES = 64;
const HEAD = { slots: 0 } as const;
const WORD = { tag: 0, object: 1, rights: 2, generation: 3 } as const;
const STATE = { free: 0, valid: 1, revoked: 2 } as const;
const LIFE_BITS = 30;
/** A slot's size and its words' places in bytes, for code that looks capabilities up by itself; slots follow the header. */
export const CAPABILITY_SLOT = {
  ...{ first: HEAD_BYTES, bytes: SLOT_BYTES },
  ...{ tag: WORD.tag * 4, object: WORD.object * 4, rights: WORD.rights * 4, generation: WORD.generation * 4 },
  /** A tag is a life of so many bits above the two of the state; this one is valid. */
  ...{ lifeBits: LIFE_BITS, valid: STATE.valid },
} as const;

/** Why a capability cannot be used; the order is also the order of the checks. */
export const LOOKUP = { ok: 0, null: 1, revoked: 2, wrongType: 3, noRight: 4, notActive: 5 } as const;
/** A value of {@link LOOKUP}. */
export type Lookup = (typeof LOOKUP)[keyof typeof LOOKUP];

/** Bytes a space of `slots` capabilities takes. */
export function capabilitySpaceBytes(slots: number): number {
  return HEAD_BYTES + slots * SLOT_BYTES;
}

/** Reads a space. Ids come as two halves, because bigint costs an allocation per call. */
export class CapabilityReader {
  protected readonly words: Int32Array;
  protected readonly objects: ObjectTable;
  /** Number of slots, read once. */
  readonly slots: number;
  /** After a successful lookup: the object's index. */
  object = 0;
  /** After a successful lookup: the capability's rights. */
  rights = 0;

  /** The space at byte `at` of `memory`. */
  constructor(memory: ArrayBufferLike, at: number, objects: ObjectTable) {
    const head = new Int32Array(memory, at, HEAD_BYTES / 4);
    this.slots = Math.min(head[HEAD.slots] ?? 0, CAPABILITIES_MAX);
    this.words = new Int32Array(memory, at + HEAD_BYTES, this.slots * SLOT_WORDS);
    this.objects = objects;
  }

  /**
   * Finds what capability hi:lo names. `type` 0 takes any; all bits of `rights` are needed; `activeOnly` refuses objects
   * that are not active. On LOOKUP.ok `object` and `rights` say what was found.
   */
  lookup(lo: number, hi: number, type: number, rights: number, activeOnly: boolean): Lookup {
    const slot = lo & 0xffff;
    if (slot >= this.slots) return LOOKUP.null;
    const at = slot * SLOT_WORDS;
    const life = ((lo >>> 16) | (hi << 16)) >>> 0;
    const tag = Atomics.load(this.words, at + WORD.tag);
    if (hi >>> (LIFE_BITS - 16) !== 0 || tag >>> 2 !== life) return LOOKUP.null;
    const state = tag & 3;
    if (state === STATE.free) return LOOKUP.null;
    if (state === STATE.revoked) return LOOKUP.revoked;
    const object = Atomics.load(this.words, at + WORD.object);
    const held = Atomics.load(this.words, at + WORD.rights);
    const generation = Atomics.load(this.words, at + WORD.generation);
    if (Atomics.load(this.words, at + WORD.tag) !== tag) return LOOKUP.null;
    if (this.objects.generation(object) !== generation) return LOOKUP.null;
    if (type !== 0 && this.objects.typeNumber(object) !== type) return LOOKUP.wrongType;
    if ((held & rights) !== (rights | 0)) return LOOKUP.noRight;
    if (activeOnly && this.objects.state(object) !== 'active') return LOOKUP.notActive;
    this.object = object;
    this.rights = held;
    return LOOKUP.ok;
  }
}

/** Writes a space; only the hypervisor core has one. */
export class CapabilitySpace extends CapabilityReader {
  readonly #free: number[];

  private constructor(memory: ArrayBufferLike, at: number, objects: ObjectTable) {
    super(memory, at, objects);
    // Popped from the end, so the first capability takes slot 0 and ids are the same in every run.
    this.#free = Array.from({ length: this.slots }, (_, index) => this.slots - 1 - index);
  }

  /** Makes a space of `slots` capabilities in zeroed memory. */
  static create(memory: ArrayBufferLike, at: number, slots: number, objects: ObjectTable): CapabilitySpace {
    assert(slots > 0 && slots <= CAPABILITIES_MAX, 'a space has 1 to 4,096 slots');
    new Int32Array(memory, at, HEAD_BYTES / 4)[HEAD.slots] = slots;
    return new CapabilitySpace(memory, at, objects);
  }

  /** Free slots. */
  get freeSlots(): number {
    return this.#free.length;
  }

  /** Adds a capability; its slot, or -1 when the space is full. */
  insert(object: number, rights: number): number {
    const slot = this.#free.pop();
    if (slot === undefined) return -1;
    const at = slot * SLOT_WORDS;
    Atomics.store(this.words, at + WORD.object, object);
    Atomics.store(this.words, at + WORD.rights, rights);
    Atomics.store(this.words, at + WORD.generation, this.objects.generation(object));
    Atomics.store(this.words, at + WORD.tag, (this.#life(slot) << 2) | STATE.valid);
    return slot;
  }

  #life(slot: number): number {
    return Atomics.load(this.words, slot * SLOT_WORDS + WORD.tag) >>> 2;
  }

  /** The id of the capability in `slot`, as guests see it. */
  idOf(slot: number): bigint {
    return (BigInt(this.#life(slot)) << 16n) | BigInt(slot);
  }

  /** Takes the rights away; its users learn that it was revoked. */
  revoke(slot: number): void {
    Atomics.store(this.words, slot * SLOT_WORDS + WORD.tag, (this.#life(slot) << 2) | STATE.revoked);
  }

  /** Frees a slot for a later life. */
  remove(slot: number): void {
    const life = (this.#life(slot) + 1) % 2 ** LIFE_BITS;
    Atomics.store(this.words, slot * SLOT_WORDS + WORD.tag, (life << 2) | STATE.free);
    this.#free.push(slot);
  }

  /** The slot an id names, revoked or valid, or -1. */
  slotOf(id: bigint): number {
    const slot = Number(id & 0xffffn);
    if (slot >= this.slots) return -1;
    const tag = Atomics.load(this.words, slot * SLOT_WORDS + WORD.tag);
    return (tag & 3) !== STATE.free && BigInt(tag >>> 2) === id >> 16n ? slot : -1;
  }
}
