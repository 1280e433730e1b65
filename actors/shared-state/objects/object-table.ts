/**
 * Kernel objects in shared memory: a header per object that every vCPU's thread reads and only the hypervisor core writes.
 * A capability names an object by index and generation; what an object is made of (a queue, a doorbell) lies elsewhere.
 *
 * Header: 16 words, changed by Atomics only. A destroyed object's generation has moved on, so a stale reference is noticed;
 * its memory is given back only when every thread that may have looked it up has passed outside (see the core).
 * Slot 0 is no object: its words hold what is the whole machine's (the trace class flags).
 */
import { assert } from '../../../bus/assert.js';

/** Kinds of objects. The numbers are ours, not an ABI's. */
export const OBJECT_TYPE = {
  none: 0,
  partition: 1,
  cspace: 2,
  addrspace: 3,
  memextent: 4,
  thread: 5,
  doorbell: 6,
  messageQueue: 7,
  watchdog: 8,
  vic: 9,
  powerGroup: 10,
  virtioMmio: 11,
  /** A physical interrupt; this platform has none that a VM could own, so none is ever made. */
  hwirq: 12,
} as const;
/** A name in {@link OBJECT_TYPE}. */
export type ObjectType = Exclude<keyof typeof OBJECT_TYPE, 'none'>;
const TYPE_NAMES = Object.keys(OBJECT_TYPE) as readonly (keyof typeof OBJECT_TYPE)[];

/** States of an object's life. Configuration is possible in `init` only, use in `active` only. */
export const OBJECT_STATE = { init: 0, active: 1, failed: 2, destroyed: 3 } as const;
/** A name in {@link OBJECT_STATE}. */
export type ObjectState = keyof typeof OBJECT_STATE;
const STATE_NAMES = Object.keys(OBJECT_STATE) as readonly ObjectState[];

/** Objects of one core at most; an index fits 14 bits. */
export const OBJECTS_MAX = 4096;
const OBJECT_BYTES = 64;
/** Bytes of the table. */
export const OBJECT_TABLE_BYTES = OBJECTS_MAX * OBJECT_BYTES;

/** Where slot 0 keeps the trace class flags, two words. */
const TRACE_WORD = 2;

/** Words of a header that say something beside type, state and generation; all but the bindings are set at creation. */
const WORD = { generation: 0, kind: 1, data: 2, aux: 3, owner: 4, first: 6, second: 8, runEntry: 10 } as const;
/** A header's size and the places of its words in bytes, for code that reads the table by itself. */
export const OBJECT_HEADER = {
  ...{
    bytes: OBJECT_BYTES,
    generation: WORD.generation * 4,
    kind: WORD.kind * 4,
    data: WORD.data * 4,
    aux: WORD.aux * 4,
  },
} as const;
/** Interrupt sources of an object, by what raises them; each is two words of its header: kind, target. */
export const SOURCE = {
  /** A doorbell; a queue's receive side; a vCPU's halt; a power group; a watchdog's bark; what a virtio driver does. */
  first: WORD.first,
  /** A queue's send side; a vCPU's wake-up; a watchdog's bite; what a virtio device has done. */
  second: WORD.second,
} as const;
/** A value of {@link SOURCE}. */
export type Source = (typeof SOURCE)[keyof typeof SOURCE];

/** Where an interrupt source leads: an interrupt of a VM's controller, or an actor of ours. */
export type Binding =
  | { readonly to: 'interrupt'; readonly vic: number; readonly virq: number }
  | { readonly to: 'actor'; readonly actor: number };

/** Kinds of bindings, as the first word of a source. */
export const BOUND = { nowhere: 0, interrupt: 1, actor: 2 } as const;
const VIRQ_BITS = 13;
/** Interrupt numbers that fit a binding. */
const VIRQ_MAX = (1 << VIRQ_BITS) - 1;
/** The same parts for code that takes them out by itself. */
export const BINDING = { vicShift: VIRQ_BITS, virqMask: VIRQ_MAX } as const;
/** The parts of the target word of an interrupt binding. */
export const bindingVic = (target: number): number => target >>> VIRQ_BITS;
/** See {@link bindingVic}. */
export const bindingVirq = (target: number): number => target & VIRQ_MAX;

/** One thread's view of the table. The writing half is the core's alone. */
export class ObjectTable {
  readonly words: Int32Array;
  /** Byte address of the table. */
  readonly at: number;

  /** The table at byte `at` of `memory`. */
  constructor(memory: ArrayBufferLike, at: number) {
    assert(at % OBJECT_BYTES === 0, 'the object table is aligned');
    this.at = at;
    this.words = new Int32Array(memory, at, OBJECT_TABLE_BYTES / 4);
  }

  #index(object: number, word: number): number {
    return object * (OBJECT_BYTES / 4) + word;
  }
  #load(object: number, word: number): number {
    return Atomics.load(this.words, this.#index(object, word));
  }
  #store(object: number, word: number, value: number): void {
    Atomics.store(this.words, this.#index(object, word), value);
  }

  /** Counts the lives of the slot `object`. */
  generation(object: number): number {
    return this.#load(object, WORD.generation);
  }
  /** Number of the type (a value of OBJECT_TYPE). */
  typeNumber(object: number): number {
    return this.#load(object, WORD.kind) & 0xff;
  }
  /** Name of the type. */
  type(object: number): keyof typeof OBJECT_TYPE {
    return TYPE_NAMES[this.typeNumber(object)] ?? 'none';
  }
  /** Number of the state (a value of OBJECT_STATE). */
  stateNumber(object: number): number {
    return (this.#load(object, WORD.kind) >>> 8) & 0xff;
  }
  /** Name of the state. */
  state(object: number): ObjectState {
    return STATE_NAMES[this.stateNumber(object)] ?? 'destroyed';
  }
  /** Byte address of what the object is made of (queue, doorbell, a VM's interrupt controller), 0 for none. */
  data(object: number): number {
    return this.#load(object, WORD.data) >>> 0;
  }
  /** A second address or number: of a vic the VM's block, of a thread its index, of a virtio device its registers. */
  aux(object: number): number {
    return this.#load(object, WORD.aux) >>> 0;
  }
  /** A thread's entry among the run tokens (scheduler/run-tokens.ts), or -1. */
  runEntry(object: number): number {
    return this.#load(object, WORD.runEntry) - 1;
  }
  /** Partition that pays for the object. */
  owner(object: number): number {
    return this.#load(object, WORD.owner);
  }
  /** Kind of an interrupt source's binding: a value of BOUND. Stable while the object's own lock is held. */
  boundTo(object: number, source: Source): number {
    return this.#load(object, source);
  }
  /** Target of the binding: an actor's number, or vic and interrupt (bindingVic, bindingVirq). */
  boundTarget(object: number, source: Source): number {
    return this.#load(object, source + 1);
  }

  /** Changes the trace class flags, which all VMs of the core share; the new value. Any thread may. */
  updateTraceFlags(set: bigint, clear: bigint): bigint {
    let flags = 0n;
    for (const half of [0n, 32n]) {
      const word = TRACE_WORD + Number(half >> 5n);
      const [on, off] = [Number(BigInt.asIntN(32, set >> half)), Number(BigInt.asIntN(32, clear >> half))];
      for (let old = Atomics.load(this.words, word); ; ) {
        const value = (old & ~off) | on;
        const found = Atomics.compareExchange(this.words, word, old, value);
        if (found === old) {
          flags |= BigInt(value >>> 0) << half;
          break;
        }
        old = found;
      }
    }
    return flags;
  }

  // ---- the core only ----

  /** Begins an object's life in slot `object`. */
  create(object: number, type: ObjectType, owner: number): void {
    for (const word of [WORD.data, WORD.aux, WORD.runEntry, WORD.first, WORD.first + 1, WORD.second, WORD.second + 1])
      this.#store(object, word, 0);
    this.#store(object, WORD.owner, owner);
    this.#store(object, WORD.kind, OBJECT_TYPE[type] | (OBJECT_STATE.init << 8));
  }
  /** Sets what the object is made of. */
  setData(object: number, data: number, aux = 0): void {
    this.#store(object, WORD.data, data);
    this.#store(object, WORD.aux, aux);
  }
  /** Sets a thread's entry among the run tokens. */
  setRunEntry(object: number, entry: number): void {
    this.#store(object, WORD.runEntry, entry + 1);
  }
  /** Sets the state. */
  setState(object: number, state: ObjectState): void {
    this.#store(object, WORD.kind, this.typeNumber(object) | (OBJECT_STATE[state] << 8));
  }
  /** Ends the object's life: nobody finds it from here on. */
  destroy(object: number): void {
    this.setState(object, 'destroyed');
    this.#store(object, WORD.generation, (this.generation(object) + 1) | 0);
  }
  /** Binds an interrupt source, or unbinds it with undefined; the caller holds the object's lock if it has one. */
  bind(object: number, source: Source, binding: Binding | undefined): void {
    this.#store(object, source, BOUND.nowhere);
    if (binding === undefined) return;
    if (binding.to === 'interrupt') {
      assert(binding.vic < OBJECTS_MAX && binding.virq <= VIRQ_MAX, 'an interrupt binding fits its word');
    }
    this.#store(object, source + 1, binding.to === 'actor' ? binding.actor : (binding.vic << VIRQ_BITS) | binding.virq);
    this.#store(object, source, BOUND[binding.to]);
  }
}
