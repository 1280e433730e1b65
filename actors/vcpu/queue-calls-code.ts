/**
 * msgqueue_send and msgqueue_receive as WebAssembly: what generated code calls for HVC in place of the shell's handler. It does
 * the same as actors/abi/gunyah (fast-calls.ts, dispatch.ts) and bus/message-queue in the same order on the same words, for
 * the common case only, and hands everything else on untouched: other calls, errors but an empty queue, a lock that is taken, a
 * buffer that crosses a page or whose page the TLB does not hold, queues that are tapped. ADR 155 has the reasons.
 *
 * A queue's shape is read from its header each time; that is the hypervisor's own memory, as the object table that leads to it.
 */
import { modeCode, QueueHeader, SlotHeader } from '../../bus/message-queue/queue-layout.js';
import { STATE, TLB } from '../../cpu/state.js';
import { FunctionBody, i32, type Val } from '../../cpu/wasm/body.js';
import { ModuleBuilder } from '../../cpu/wasm/module.js';
import type { WasmOp } from '../../cpu/wasm/opcodes.js';
import { callNumber } from '../abi/gunyah/calls.js';
import { NATIVE_FIRST, SMCCC_FIRST } from '../abi/gunyah/decode.js';
import { GUNYAH_ERROR } from '../abi/gunyah/errors.js';
import { RIGHTS } from '../abi/gunyah/rights.js';
import { CAPABILITY_SLOT } from '../shared-state/capabilities/capability-space.js';
import { OBJECT_HEADER, OBJECT_STATE, OBJECT_TYPE, OBJECTS_MAX, SOURCE } from '../shared-state/objects/object-table.js';

/** What the code is made for. */
export interface QueueCallPlaces {
  /** Byte addresses: the vCPU's state block, the object table, the first slot of its capability space. */
  readonly state: number;
  readonly table: number;
  readonly slotsAt: number;
  /** Slots of the space. */
  readonly slots: number;
  /** The thread's id in queues' locks. */
  readonly owner: number;
}

/** What it calls. */
export interface QueueCallImports {
  /** Any other call; 0 when it has been answered (see Core). */
  readonly other: (state: number) => number;
  /** An interrupt source is asserted; the queue's lock is held. */
  readonly edge: (object: number, source: number) => void;
  /** Somebody may sleep on the parking words at this address. */
  readonly unpark: (address: number) => void;
  /** The lock at this address was wanted by another thread while it was held; it is free now. */
  readonly wakeNext: (address: number) => void;
}

const SEND = callNumber('msgqueue_send');
const RECEIVE = callNumber('msgqueue_receive');
const PAGE = 4096;
/** That of every queue of a guest. */
const MODE = modeCode('shared');
const LIFE_SHIFT = 16;
const HI_BITS = CAPABILITY_SLOT.lifeBits - LIFE_SHIFT;
const ACTIVE_QUEUE = OBJECT_TYPE.messageQueue | (OBJECT_STATE.active << 8);
const ATOMIC = { load: 0xfe00_0010, store: 0xfe00_0017, exchange: 0xfe00_0041, compareExchange: 0xfe00_0048 } as const;
const PLAIN = { load: 0x28, store: 0x36, load64: 0x29, store64: 0x37, load8: 0x2d, store8: 0x3a } as const;

/** Emits with names for what this file needs. */
class Emitter {
  readonly body: FunctionBody;
  constructor(params: number) {
    this.body = new FunctionBody(new Array<'i32'>(params).fill('i32'));
  }
  op(name: WasmOp, a: Val, b: Val): Val {
    return this.body.op(name, a, b);
  }
  add(a: Val, b: Val): Val {
    return this.op('i32.add', a, b);
  }
  and(a: Val, mask: number): Val {
    return this.op('i32.and', a, i32(mask));
  }
  /** A word that other threads change. */
  shared(address: Val, offset: number): Val {
    return this.body.load(ATOMIC.load, 'i32', 2, this.add(address, i32(offset)), 0);
  }
  load(address: Val, offset: number): Val {
    return this.body.load(PLAIN.load, 'i32', 2, address, offset);
  }
  store(address: Val, value: Val, offset: number): void {
    this.body.store(PLAIN.store, 2, address, value, offset);
  }
  publish(address: Val, value: Val, offset: number): void {
    this.body.store(ATOMIC.store, 2, this.add(address, i32(offset)), value, 0);
  }
  result(state: Val, register: number, value: Val): void {
    this.body.store(PLAIN.store64, 3, state, this.body.op('i64.extend_i32_u', value), register * 8);
  }
  when(condition: Val, then: () => void): void {
    this.body.openIf(condition);
    then();
    this.body.end();
  }
}

/** Copies `size` bytes: eight at a time, then one. */
function emitCopy(e: Emitter, from: Val, to: Val, size: Val): void {
  const { body } = e;
  const [source, target, left] = [body.local('i32'), body.local('i32'), body.local('i32')];
  body.assign(source, from);
  body.assign(target, to);
  body.assign(left, size);
  const advance = (bytes: number): void => {
    body.assign(source, e.add(source, i32(bytes)));
    body.assign(target, e.add(target, i32(bytes)));
    body.assign(left, e.add(left, i32(-bytes)));
  };
  for (const [bytes, load, store, type] of [
    [8, PLAIN.load64, PLAIN.store64, 'i64'],
    [1, PLAIN.load8, PLAIN.store8, 'i32'],
  ] as const) {
    const done = body.block();
    const again = body.loop();
    body.branchIf(e.op('i32.lt_u', left, i32(bytes)), done);
    body.store(store, 0, target, body.load(load, type, 0, source, 0), 0);
    advance(bytes);
    body.branch(again);
    body.end();
    body.end();
  }
}

interface Indices {
  readonly other: number;
  readonly edge: number;
  readonly unpark: number;
  readonly wakeNext: number;
}

/** Either call. `hvc` is the block that is left for what this code does not do, before anything was changed. */
class QueueCall {
  readonly #e: Emitter;
  readonly #imports: Indices;
  readonly #places: QueueCallPlaces;
  readonly #state: Val;
  readonly #isSend: boolean;
  readonly #arguments: Val;
  readonly #elsewhere: number;

  constructor(e: Emitter, imports: Indices, places: QueueCallPlaces, call: Which) {
    this.#e = e;
    this.#imports = imports;
    this.#places = places;
    this.#state = e.body.param(0, 'i32');
    this.#isSend = call.isSend;
    this.#arguments = call.arguments;
    this.#elsewhere = call.elsewhere;
  }

  #lo(index: number): Val {
    return this.#e.load(this.#arguments, index * 8);
  }
  #hi(index: number): Val {
    return this.#e.load(this.#arguments, index * 8 + 4);
  }
  #unless(condition: Val): void {
    this.#e.body.branchIf(this.#e.body.op('i32.eqz', condition), this.#elsewhere);
  }
  #if(condition: Val): void {
    this.#e.body.branchIf(condition, this.#elsewhere);
  }

  emit(): void {
    const e = this.#e;
    const { body } = e;
    const object = this.#lookUp();
    const header = e.add(e.op('i32.mul', object, i32(OBJECT_HEADER.bytes)), i32(this.#places.table));
    const queue = body.local('i32');
    body.assign(queue, e.shared(header, OBJECT_HEADER.data));
    this.#if(e.op('i32.ne', e.load(queue, QueueHeader.offsets.mode), i32(MODE)));
    this.#if(e.load(queue, QueueHeader.offsets.tapped));
    const host = this.#buffer();
    const lock = e.add(queue, i32(QueueHeader.offsets.lock));
    body.push(lock);
    body.push(i32(0));
    body.push(i32(this.#places.owner));
    body.memory(ATOMIC.compareExchange, 2, 0);
    this.#if(body.result('i32'));
    const [head, tail, used] = [body.local('i32'), body.local('i32'), body.local('i32')];
    body.assign(head, e.shared(queue, QueueHeader.offsets.head));
    body.assign(tail, e.shared(queue, QueueHeader.offsets.tail));
    body.assign(used, e.op('i32.sub', tail, head));
    if (this.#isSend) this.#send(object, queue, lock, host, tail, used);
    else this.#receive(object, queue, lock, host, head, used);
    body.return(i32(0));
  }

  /** The queue that argument 0 names, with the right to do this to it (CapabilityReader.lookup). */
  #lookUp(): Val {
    const e = this.#e;
    const { slots, slotsAt, table } = this.#places;
    const [lo, hi] = [this.#lo(0), this.#hi(0)];
    const slot = e.and(lo, 0xffff);
    this.#if(e.op('i32.ge_u', slot, i32(slots)));
    this.#if(e.op('i32.shr_u', hi, i32(HI_BITS)));
    const life = e.op('i32.or', e.op('i32.shr_u', lo, i32(LIFE_SHIFT)), e.op('i32.shl', hi, i32(LIFE_SHIFT)));
    const tag = e.op('i32.or', e.op('i32.shl', life, i32(2)), i32(CAPABILITY_SLOT.valid));
    const at = e.add(e.op('i32.mul', slot, i32(CAPABILITY_SLOT.bytes)), i32(slotsAt));
    this.#if(e.op('i32.ne', e.shared(at, CAPABILITY_SLOT.tag), tag));
    const object = e.shared(at, CAPABILITY_SLOT.object);
    const rights = e.shared(at, CAPABILITY_SLOT.rights);
    const generation = e.shared(at, CAPABILITY_SLOT.generation);
    this.#if(e.op('i32.ne', e.shared(at, CAPABILITY_SLOT.tag), tag));
    this.#unless(e.and(rights, this.#isSend ? RIGHTS.messageQueue.send : RIGHTS.messageQueue.receive));
    this.#if(e.op('i32.ge_u', object, i32(OBJECTS_MAX)));
    const header = e.add(e.op('i32.mul', object, i32(OBJECT_HEADER.bytes)), i32(table));
    this.#if(e.op('i32.ne', e.shared(header, OBJECT_HEADER.generation), generation));
    this.#if(e.op('i32.ne', e.and(e.shared(header, OBJECT_HEADER.kind), 0xffff), i32(ACTIVE_QUEUE)));
    return object;
  }

  /** Host address of the buffer, whose page the TLB must hold for this access at EL1. */
  #buffer(): Val {
    const e = this.#e;
    const [address, size] = this.#isSend ? [2, 1] : [1, 2];
    const [lo, hi] = [this.#lo(address), this.#hi(address)];
    this.#if(this.#hi(size));
    const bank = e.load(this.#state, STATE.tlb);
    const index = e.and(e.op('i32.shr_u', lo, i32(12)), (1 << TLB.entriesLog2) - 1);
    const entry = e.add(bank, e.op('i32.shl', index, i32(TLB.entryBytesLog2)));
    const tag = this.#isSend ? TLB.readTag : TLB.writeTag;
    this.#if(e.op('i32.ne', e.load(entry, tag), e.and(lo, -PAGE)));
    this.#if(e.op('i32.ne', e.load(entry, tag + 4), hi));
    return e.add(lo, e.load(entry, TLB.addend));
  }

  /** Whether `size` bytes at `host` are not within one page; pages of host and guest are aligned alike. */
  #crosses(host: Val, size: Val): Val {
    const e = this.#e;
    return e.op('i32.gt_u', e.add(e.and(host, PAGE - 1), size), i32(PAGE));
  }

  /** Gives the lock back. */
  #release(lock: Val): void {
    const e = this.#e;
    const { body } = e;
    body.push(lock);
    body.push(i32(0));
    body.memory(ATOMIC.exchange, 2, 0);
    const held = body.result('i32');
    e.when(e.op('i32.ne', held, i32(this.#places.owner)), () => void body.call(this.#imports.wakeNext, [lock]));
  }
  /** Gives the lock back and leaves the call to others if `condition`. */
  #giveUpIf(condition: Val, lock: Val): void {
    this.#e.when(condition, () => {
      this.#release(lock);
      this.#e.body.branch(this.#elsewhere);
    });
  }
  #edgeIf(condition: Val, object: Val, source: number): void {
    this.#e.when(condition, () => void this.#e.body.call(this.#imports.edge, [object, i32(source)]));
  }
  #unpark(queue: Val, offset: number): void {
    const e = this.#e;
    const address = e.add(queue, i32(offset));
    e.when(e.shared(address, 0), () => void e.body.call(this.#imports.unpark, [address]));
  }
  #slot(queue: Val, position: Val): Val {
    const e = this.#e;
    const index = e.op('i32.and', position, e.add(e.load(queue, QueueHeader.offsets.slotCount), i32(-1)));
    const offset = e.op('i32.mul', index, e.load(queue, QueueHeader.offsets.slotBytes));
    return e.add(e.add(queue, i32(QueueHeader.sizeBytes)), offset);
  }

  #send(object: Val, queue: Val, lock: Val, host: Val, tail: Val, used: Val): void {
    const e = this.#e;
    const { offsets } = QueueHeader;
    const depth = e.load(queue, offsets.depth);
    const size = this.#lo(1);
    this.#giveUpIf(e.op('i32.ge_u', used, depth), lock);
    const tooLarge = e.op('i32.gt_u', size, e.load(queue, offsets.messageBytesMax));
    const wrong = e.op('i32.or', e.body.op('i32.eqz', size), tooLarge);
    this.#giveUpIf(e.op('i32.or', wrong, this.#crosses(host, size)), lock);
    const slot = this.#slot(queue, tail);
    emitCopy(e, host, e.add(slot, i32(SlotHeader.sizeBytes)), size);
    e.store(slot, size, SlotHeader.offsets.sizeBytes);
    const next = e.add(tail, i32(1));
    e.store(slot, next, SlotHeader.offsets.sequence);
    e.publish(queue, next, offsets.tail);
    const count = e.add(used, i32(1));
    const push = e.and(this.#lo(3), 1);
    const reached = e.op('i32.eq', count, e.shared(queue, offsets.notEmptyThreshold));
    this.#edgeIf(e.op('i32.or', push, reached), object, SOURCE.first);
    this.#release(lock);
    this.#unpark(queue, offsets.dataSleepers);
    e.result(this.#state, 0, i32(GUNYAH_ERROR.ok));
    e.result(this.#state, 1, e.op('i32.lt_u', count, depth));
  }

  #receive(object: Val, queue: Val, lock: Val, host: Val, head: Val, used: Val): void {
    const e = this.#e;
    const { body } = e;
    const { offsets } = QueueHeader;
    e.when(body.op('i32.eqz', used), () => {
      this.#release(lock);
      e.result(this.#state, 0, i32(GUNYAH_ERROR.queueEmpty));
      e.result(this.#state, 1, i32(0));
      e.result(this.#state, 2, i32(0));
      body.return(i32(0));
    });
    this.#giveUpIf(e.op('i32.gt_u', used, e.load(queue, offsets.depth)), lock);
    const slot = this.#slot(queue, head);
    const size = e.load(slot, SlotHeader.offsets.sizeBytes);
    const next = e.add(head, i32(1));
    const foreign = e.op('i32.ne', e.load(slot, SlotHeader.offsets.sequence), next);
    const tooLarge = e.op('i32.gt_u', size, e.load(queue, offsets.messageBytesMax));
    const wrong = e.op('i32.or', foreign, e.op('i32.or', body.op('i32.eqz', size), tooLarge));
    const noRoom = e.op('i32.gt_u', size, this.#lo(2));
    this.#giveUpIf(e.op('i32.or', wrong, e.op('i32.or', noRoom, this.#crosses(host, size))), lock);
    emitCopy(e, e.add(slot, i32(SlotHeader.sizeBytes)), host, size);
    e.publish(queue, next, offsets.head);
    const count = e.add(used, i32(-1));
    this.#edgeIf(e.op('i32.eq', count, e.shared(queue, offsets.notFullThreshold)), object, SOURCE.second);
    this.#release(lock);
    this.#unpark(queue, offsets.spaceSleepers);
    e.result(this.#state, 0, i32(GUNYAH_ERROR.ok));
    e.result(this.#state, 1, size);
    e.result(this.#state, 2, e.op('i32.ne', count, i32(0)));
  }
}
interface Which {
  readonly isSend: boolean;
  /** Address of argument 0. */
  readonly arguments: Val;
  readonly elsewhere: number;
}

/** Makes what generated code calls for HVC; a value of 0 means that it was answered. */
export function queueCallsCode(
  memory: WebAssembly.Memory,
  places: QueueCallPlaces,
  imports: QueueCallImports,
): (state: number) => number {
  const module = new ModuleBuilder();
  const indices: Indices = {
    other: module.importFunction('other', ['i32'], ['i32']),
    edge: module.importFunction('edge', ['i32', 'i32'], []),
    unpark: module.importFunction('unpark', ['i32'], []),
    wakeNext: module.importFunction('wakeNext', ['i32'], []),
  };
  const e = new Emitter(1);
  const { body } = e;
  const state = body.param(0, 'i32');
  const elsewhere = body.block();
  body.branchIf(e.load(state, STATE.callsWatched), elsewhere);
  body.branchIf(body.op('i32.eqz', e.load(state, STATE.el)), elsewhere);
  const immediate = body.local('i32');
  body.assign(immediate, e.load(state, STATE.exitInfo));
  const first = body.local('i32');
  const asked = body.local('i32');
  // The native form names the call by its immediate, the SMCCC form by w0, and arguments begin one register later.
  body.openIf(immediate);
  body.assign(first, state);
  body.assign(asked, e.add(immediate, i32(-NATIVE_FIRST)));
  body.openElse();
  body.assign(first, e.add(state, i32(8)));
  body.assign(asked, e.add(e.load(state, 0), i32(-SMCCC_FIRST | 0)));
  body.end();
  for (const isSend of [true, false]) {
    e.when(e.op('i32.eq', asked, i32(isSend ? SEND : RECEIVE)), () => {
      new QueueCall(e, indices, places, { isSend, arguments: first, elsewhere }).emit();
    });
  }
  body.end();
  body.return(body.call(indices.other, [state], 'i32'));
  body.unreachable();
  const index = module.declare(module.type(['i32'], ['i32']));
  module.setBody(index, body.finish());
  module.exportFunction('hypercall', index);
  const env = { memory, ...imports };
  const instance = new WebAssembly.Instance(new WebAssembly.Module(module.build()), { env });
  // WHY: the module built above exports exactly this function.
  return instance.exports['hypercall'] as (state: number) => number;
}
