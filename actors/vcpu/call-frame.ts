/**
 * What the calls that are answered inside generated code have in common: arguments, the object that a capability names, and locks
 * that know their owner (bus/doorbell/owner-lock.ts). Each leaves to the block `elsewhere` before it has changed anything.
 */
import { i32, type Val } from '../../cpu/wasm/body.js';
import { CAPABILITY_SLOT } from '../shared-state/capabilities/capability-space.js';
import { OBJECT_HEADER, OBJECT_STATE, OBJECT_TYPE, OBJECTS_MAX } from '../shared-state/objects/object-table.js';
import type { Emitter } from './code-emitter.js';

/** What the code is made for. */
export interface CallPlaces {
  /** Byte addresses: the vCPU's state block, the object table, the first slot of its capability space. */
  readonly state: number;
  readonly table: number;
  readonly slotsAt: number;
  /** Slots of the space. */
  readonly slots: number;
  /** The thread's id in locks. */
  readonly owner: number;
}

/** Indices of the functions that calls use. */
export interface CallFunctions {
  readonly other: number;
  readonly edge: number;
  readonly ring: number;
  readonly unpark: number;
  readonly wakeNext: number;
}

/** Which call it is. */
export interface CallForm {
  /** It sends; otherwise it receives. */
  readonly isSend: boolean;
  /** Address of argument 0. */
  readonly arguments: Val;
  /** The block that is left for what is not done here. */
  readonly elsewhere: number;
}

const LIFE_SHIFT = 16;
const HI_BITS = CAPABILITY_SLOT.lifeBits - LIFE_SHIFT;

/** See the head of this file. */
export class CallFrame {
  protected readonly e: Emitter;
  protected readonly functions: CallFunctions;
  protected readonly places: CallPlaces;
  protected readonly state: Val;
  protected readonly isSend: boolean;
  readonly #form: CallForm;
  /** The actor that an edge wants rung; 0: none. */
  readonly #called: Val;

  constructor(e: Emitter, functions: CallFunctions, places: CallPlaces, form: CallForm) {
    this.e = e;
    this.functions = functions;
    this.places = places;
    this.state = e.body.param(0, 'i32');
    this.isSend = form.isSend;
    this.#form = form;
    this.#called = e.body.local('i32');
  }

  /** Halves of an argument. */
  protected lo(index: number): Val {
    return this.e.load(this.#form.arguments, index * 8);
  }
  protected hi(index: number): Val {
    return this.e.load(this.#form.arguments, index * 8 + 4);
  }
  protected unless(condition: Val): void {
    this.e.body.branchIf(this.e.not(condition), this.#form.elsewhere);
  }
  protected if(condition: Val): void {
    this.e.body.branchIf(condition, this.#form.elsewhere);
  }

  /** The active object of this type that argument 0 names, with the right to do this to it (CapabilityReader.lookup). */
  protected lookUp(type: 'messageQueue' | 'doorbell', right: number): Val {
    const { e } = this;
    const { slots, slotsAt } = this.places;
    const [lo, hi] = [this.lo(0), this.hi(0)];
    const slot = e.and(lo, 0xffff);
    this.if(e.op('i32.ge_u', slot, i32(slots)));
    this.if(e.op('i32.shr_u', hi, i32(HI_BITS)));
    const life = e.op('i32.or', e.op('i32.shr_u', lo, i32(LIFE_SHIFT)), e.op('i32.shl', hi, i32(LIFE_SHIFT)));
    const tag = e.op('i32.or', e.op('i32.shl', life, i32(2)), i32(CAPABILITY_SLOT.valid));
    const at = e.add(e.op('i32.mul', slot, i32(CAPABILITY_SLOT.bytes)), i32(slotsAt));
    this.if(e.op('i32.ne', e.shared(at, CAPABILITY_SLOT.tag), tag));
    const object = e.shared(at, CAPABILITY_SLOT.object);
    const rights = e.shared(at, CAPABILITY_SLOT.rights);
    const generation = e.shared(at, CAPABILITY_SLOT.generation);
    this.if(e.op('i32.ne', e.shared(at, CAPABILITY_SLOT.tag), tag));
    this.unless(e.and(rights, right));
    this.if(e.op('i32.ge_u', object, i32(OBJECTS_MAX)));
    const header = this.header(object);
    this.if(e.op('i32.ne', e.shared(header, OBJECT_HEADER.generation), generation));
    const kind = OBJECT_TYPE[type] | (OBJECT_STATE.active << 8);
    this.if(e.op('i32.ne', e.and(e.shared(header, OBJECT_HEADER.kind), 0xffff), i32(kind)));
    return object;
  }
  protected header(object: Val): Val {
    return this.e.add(this.e.op('i32.mul', object, i32(OBJECT_HEADER.bytes)), i32(this.places.table));
  }
  /** Address of what the object is made of. */
  protected dataOf(object: Val): Val {
    return this.e.keep(this.e.shared(this.header(object), OBJECT_HEADER.data));
  }

  /** Takes a lock that is free. */
  protected acquire(lock: Val): void {
    this.if(this.e.compareExchange(lock, i32(0), i32(this.places.owner)));
  }
  /** Gives a lock back. */
  protected release(lock: Val): void {
    const { e } = this;
    const held = e.exchange(lock, i32(0));
    e.when(e.op('i32.ne', held, i32(this.places.owner)), () => void e.body.call(this.functions.wakeNext, [lock]));
  }
  /** Gives the lock back and leaves the call to others if `condition`. */
  protected giveUpIf(condition: Val, lock: Val): void {
    this.e.when(condition, () => {
      this.release(lock);
      this.e.body.branch(this.#form.elsewhere);
    });
  }
  protected edge(object: Val, source: number): void {
    this.e.body.assign(this.#called, this.e.body.call(this.functions.edge, [object, i32(source)], 'i32'));
  }
  protected edgeIf(condition: Val, object: Val, source: number): void {
    this.e.when(condition, () => this.edge(object, source));
  }
  /** As {@link release}, and rings whom an edge has called. */
  protected releaseAndRing(lock: Val): void {
    this.release(lock);
    this.e.when(this.#called, () => void this.e.body.call(this.functions.ring, [this.#called]));
  }
  /** Wakes whoever is parked on these words. */
  protected unpark(base: Val, offset: number): void {
    const { e } = this;
    const address = e.add(base, i32(offset));
    e.when(e.shared(address, 0), () => void e.body.call(this.functions.unpark, [address]));
  }
  /** The call is answered with `error` in x0 and `results` from x1 on, as 32-bit numbers without sign. */
  protected answer(error: number, ...results: readonly Val[]): void {
    const { e } = this;
    e.result(this.state, 0, i32(error));
    for (const [index, value] of results.entries()) e.result(this.state, index + 1, value);
    e.body.return(i32(0));
  }
}
