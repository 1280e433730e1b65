/**
 * Calls on queues as WebAssembly, and the module that answers them and those on doorbells (doorbell-calls-code.ts): what generated code calls for HVC in place of the shell's handler. It does
 * the same as actors/abi/gunyah (fast-calls.ts, dispatch.ts) and bus/message-queue in the same order on the same words, for
 * the common case only, and hands everything else on untouched: other calls, errors but an empty queue, a lock that is taken, a
 * buffer that crosses a page or whose page the TLB does not hold, queues that are tapped. ADR 155 has the reasons.
 *
 * A queue's shape is read from its header each time; that is the hypervisor's own memory, as the object table that leads to it.
 */
import { modeCode, QueueHeader, SlotHeader } from '../../bus/message-queue/queue-layout.js';
import { STATE, TLB } from '../../cpu/state.js';
import { i32, type Val } from '../../cpu/wasm/body.js';
import { ModuleBuilder } from '../../cpu/wasm/module.js';
import { callNumber } from '../abi/gunyah/calls.js';
import { NATIVE_FIRST, SMCCC_FIRST } from '../abi/gunyah/decode.js';
import { GUNYAH_ERROR } from '../abi/gunyah/errors.js';
import { RIGHTS } from '../abi/gunyah/rights.js';
import { SOURCE } from '../shared-state/objects/object-table.js';
import { CallFrame, type CallFunctions, type CallPlaces } from './call-frame.js';
import { Emitter, PLAIN } from './code-emitter.js';
import { DoorbellCall } from './doorbell-calls-code.js';
import { edgeBody } from './edge-code.js';

/** What it calls. */
export interface QueueCallImports {
  /** Any other call; 0 when it has been answered (see Core). */
  readonly other: (state: number) => number;
  /** An interrupt source is asserted in a way that the code does not know; the queue's lock is held. */
  readonly edge: (object: number, source: number) => void;
  /** The thread of this actor sleeps and has an interrupt to take. */
  readonly ring: (actor: number) => void;
  /** Somebody may sleep on the parking words at this address. */
  readonly unpark: (address: number) => void;
  /** The lock at this address was wanted by another thread while it was held; it is free now. */
  readonly wakeNext: (address: number) => void;
}

const PAGE = 4096;
/** That of every queue of a guest. */
const MODE = modeCode('shared');

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

/** Either call. */
class QueueCall extends CallFrame {
  emit(): void {
    const { e } = this;
    const { body } = e;
    const { send, receive } = RIGHTS.messageQueue;
    const object = this.lookUp('messageQueue', this.isSend ? send : receive);
    const queue = this.dataOf(object);
    this.if(e.op('i32.ne', e.load(queue, QueueHeader.offsets.mode), i32(MODE)));
    this.if(e.load(queue, QueueHeader.offsets.tapped));
    const host = this.#buffer();
    const lock = e.add(queue, i32(QueueHeader.offsets.lock));
    this.acquire(lock);
    const [head, tail, used] = [body.local('i32'), body.local('i32'), body.local('i32')];
    body.assign(head, e.load(queue, QueueHeader.offsets.headShared));
    body.assign(tail, e.load(queue, QueueHeader.offsets.tail));
    body.assign(used, e.op('i32.sub', tail, head));
    if (this.isSend) this.#send(object, queue, lock, host, tail, used);
    else this.#receive(object, queue, lock, host, head, used);
  }

  /** Host address of the buffer, whose page the TLB must hold for this access at EL1. */
  #buffer(): Val {
    const { e } = this;
    const [address, size] = this.isSend ? [2, 1] : [1, 2];
    const [lo, hi] = [this.lo(address), this.hi(address)];
    this.if(this.hi(size));
    const bank = e.load(this.state, STATE.tlb);
    const index = e.and(e.op('i32.shr_u', lo, i32(12)), (1 << TLB.entriesLog2) - 1);
    const entry = e.add(bank, e.op('i32.shl', index, i32(TLB.entryBytesLog2)));
    const tag = this.isSend ? TLB.readTag : TLB.writeTag;
    this.if(e.op('i32.ne', e.load(entry, tag), e.and(lo, -PAGE)));
    this.if(e.op('i32.ne', e.load(entry, tag + 4), hi));
    return e.add(lo, e.load(entry, TLB.addend));
  }

  /** Whether `size` bytes at `host` are not within one page; pages of host and guest are aligned alike. */
  #crosses(host: Val, size: Val): Val {
    const { e } = this;
    return e.op('i32.gt_u', e.add(e.and(host, PAGE - 1), size), i32(PAGE));
  }

  #slot(queue: Val, position: Val): Val {
    const { e } = this;
    const index = e.op('i32.and', position, e.add(e.load(queue, QueueHeader.offsets.slotCount), i32(-1)));
    const offset = e.op('i32.mul', index, e.load(queue, QueueHeader.offsets.slotBytes));
    return e.add(e.add(queue, i32(QueueHeader.sizeBytes)), offset);
  }

  #send(object: Val, queue: Val, lock: Val, host: Val, tail: Val, used: Val): void {
    const { e } = this;
    const { offsets } = QueueHeader;
    const depth = e.load(queue, offsets.depth);
    const size = this.lo(1);
    this.giveUpIf(e.op('i32.ge_u', used, depth), lock);
    const tooLarge = e.op('i32.gt_u', size, e.load(queue, offsets.messageBytesMax));
    const wrong = e.op('i32.or', e.body.op('i32.eqz', size), tooLarge);
    this.giveUpIf(e.op('i32.or', wrong, this.#crosses(host, size)), lock);
    const slot = this.#slot(queue, tail);
    emitCopy(e, host, e.add(slot, i32(SlotHeader.sizeBytes)), size);
    e.store(slot, size, SlotHeader.offsets.sizeBytes);
    const next = e.add(tail, i32(1));
    e.store(slot, next, SlotHeader.offsets.sequence);
    // Ordered by the lock, which whoever reads either index holds, or looks again.
    e.store(queue, next, offsets.tail);
    const count = e.add(used, i32(1));
    const push = e.and(this.lo(3), 1);
    const reached = e.op('i32.eq', count, e.shared(queue, offsets.notEmptyThreshold));
    this.edgeIf(e.op('i32.or', push, reached), object, SOURCE.first);
    this.releaseAndRing(lock);
    this.unpark(queue, offsets.dataSleepers);
    this.answer(GUNYAH_ERROR.ok, e.op('i32.lt_u', count, depth));
  }

  #receive(object: Val, queue: Val, lock: Val, host: Val, head: Val, used: Val): void {
    const { e } = this;
    const { body } = e;
    const { offsets } = QueueHeader;
    e.when(body.op('i32.eqz', used), () => {
      this.release(lock);
      this.answer(GUNYAH_ERROR.queueEmpty, i32(0), i32(0));
    });
    this.giveUpIf(e.op('i32.gt_u', used, e.load(queue, offsets.depth)), lock);
    const slot = this.#slot(queue, head);
    const size = e.load(slot, SlotHeader.offsets.sizeBytes);
    const next = e.add(head, i32(1));
    const foreign = e.op('i32.ne', e.load(slot, SlotHeader.offsets.sequence), next);
    const tooLarge = e.op('i32.gt_u', size, e.load(queue, offsets.messageBytesMax));
    const wrong = e.op('i32.or', foreign, e.op('i32.or', body.op('i32.eqz', size), tooLarge));
    const noRoom = e.op('i32.gt_u', size, this.lo(2));
    this.giveUpIf(e.op('i32.or', wrong, e.op('i32.or', noRoom, this.#crosses(host, size))), lock);
    emitCopy(e, e.add(slot, i32(SlotHeader.sizeBytes)), host, size);
    e.store(queue, next, offsets.headShared);
    const count = e.add(used, i32(-1));
    this.edgeIf(e.op('i32.eq', count, e.shared(queue, offsets.notFullThreshold)), object, SOURCE.second);
    this.releaseAndRing(lock);
    this.unpark(queue, offsets.spaceSleepers);
    this.answer(GUNYAH_ERROR.ok, size, e.op('i32.ne', count, i32(0)));
  }
}
const CALLS = [
  ['msgqueue_send', QueueCall, true],
  ['msgqueue_receive', QueueCall, false],
  ['doorbell_send', DoorbellCall, true],
  ['doorbell_receive', DoorbellCall, false],
] as const;

/** Makes what generated code calls for HVC; a value of 0 means that it was answered. */
export function queueCallsCode(
  memory: WebAssembly.Memory,
  places: CallPlaces,
  imports: QueueCallImports,
): (state: number) => number {
  const module = new ModuleBuilder();
  const slowEdge = module.importFunction('edge', ['i32', 'i32'], []);
  const ring = module.importFunction('ring', ['i32'], []);
  const imported = {
    other: module.importFunction('other', ['i32'], ['i32']),
    unpark: module.importFunction('unpark', ['i32'], []),
    wakeNext: module.importFunction('wakeNext', ['i32'], []),
  };
  const edge = module.declare(module.type(['i32', 'i32'], ['i32']));
  module.setBody(edge, edgeBody(places, { otherwise: slowEdge }));
  const functions: CallFunctions = { ...imported, edge, ring };
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
  for (const [name, Call, isSend] of CALLS) {
    e.when(e.op('i32.eq', asked, i32(callNumber(name))), () => {
      new Call(e, functions, places, { isSend, arguments: first, elsewhere }).emit();
    });
  }
  body.end();
  body.return(body.call(functions.other, [state], 'i32'));
  body.unreachable();
  const index = module.declare(module.type(['i32'], ['i32']));
  module.setBody(index, body.finish());
  module.exportFunction('hypercall', index);
  const env = { memory, ...imports };
  const instance = new WebAssembly.Instance(new WebAssembly.Module(module.build()), { env });
  // WHY: the module built above exports exactly this function.
  return instance.exports['hypercall'] as (state: number) => number;
}
