/**
 * The hypercalls that complete on the calling vCPU's thread (gunyah.md sections 2 to 4): shared state and atomics, no
 * message. A handler gets its capabilities looked up and rights checked (see dispatch.ts), writes results, answers X0.
 */
import { NOTHING } from '../../../bus/message-queue/queue-end.js';
import { OBJECT_TYPE } from '../../shared-state/objects/object-table.js';
import type { CallRegisters, FastHandler, GunyahCaller } from './caller.js';
import { COPY_ERROR, GUNYAH_ERROR, lookupError } from './errors.js';
import { API_INFO, FLAGS0 } from './identity.js';
import { RIGHTS } from './rights.js';
import { VIRTIO_CALLS } from './virtio-calls.js';

const E = GUNYAH_ERROR;
/** prng_get_entropy: at most so many reads in the window. */
const ENTROPY = { bytesMax: 16, readsMax: 4, windowMs: 33 } as const;
const YIELD = { hintMask: 0xffff, yield: 0, toThread: 1 } as const;
const POWER_ON_FLAGS = 3;
const POWER_OFF_LAST = 1;

/** The one object argument of most calls. */
const first = (objects: readonly number[]): number => objects[0] ?? -1;
const big = (r: CallRegisters, index: number): bigint => (BigInt(r.hi(index) >>> 0) << 32n) | BigInt(r.lo(index) >>> 0);
/** An argument as a number when it is small enough to matter, else Infinity. */
const small = (r: CallRegisters, index: number): number =>
  r.hi(index) === 0 ? r.lo(index) >>> 0 : Number.POSITIVE_INFINITY;

function send(caller: GunyahCaller, r: CallRegisters, objects: readonly number[]): number {
  const sender = caller.ports.sender(first(objects));
  // Results lie in the registers the arguments came in: these are read before any of those is set.
  const size = small(r, 1);
  const [lo, hi, push] = [r.lo(2), r.hi(2), (r.lo(3) & 1) !== 0];
  r.setResult(1, 0, 0);
  // The order of gunyah.md section 3: full, then the flags and the size, then the buffer.
  const at = sender.reserve();
  if (at < 0) return at === NOTHING ? E.queueFull : E.failure;
  let refused = size === 0 || size > sender.messageBytesMax ? E.argumentSize : 0;
  if (refused === 0) {
    const fault = caller.copyIn(lo, hi, size, sender.bytes, at);
    if (fault !== undefined) refused = COPY_ERROR[fault];
  }
  if (refused !== 0) {
    sender.cancel();
    return refused;
  }
  sender.stage(size);
  const hasSpace = sender.publish(push);
  r.setResult(1, hasSpace ? 1 : 0, 0);
  return E.ok;
}

function receive(caller: GunyahCaller, r: CallRegisters, objects: readonly number[]): number {
  const receiver = caller.ports.receiver(first(objects));
  const [lo, hi, room] = [r.lo(1), r.hi(1), small(r, 2)];
  r.setResult(1, 0, 0);
  r.setResult(2, 0, 0);
  const size = receiver.peek();
  if (size < 0) return size === NOTHING ? E.queueEmpty : E.failure;
  let refused = size > room ? E.argumentSize : 0;
  if (refused === 0) {
    const fault = caller.copyOut(lo, hi, size, receiver.bytes, receiver.offset);
    if (fault !== undefined) refused = COPY_ERROR[fault];
  }
  if (refused !== 0) {
    receiver.free(); // nothing was taken: the message stays, the queue is let go
    r.setResult(2, 1, 0);
    return refused;
  }
  receiver.take();
  const { hasMore } = receiver;
  receiver.free();
  r.setResult(1, size, 0);
  r.setResult(2, hasMore ? 1 : 0, 0);
  return E.ok;
}

function configured(
  answer: { readonly ok: true } | { readonly ok: false; readonly error: { status: string } },
): number {
  if (answer.ok) return E.ok;
  return answer.error.status === 'unimplemented' ? E.unimplemented : E.argumentInvalid;
}

function entropy(caller: GunyahCaller, r: CallRegisters): number {
  const bytes = r.lo(0) >>> 0;
  for (let n = 1; n <= 4; n++) r.setResult(n, 0, 0);
  if (bytes === 0 || bytes > ENTROPY.bytesMax) return E.argumentSize;
  if (bytes % 4 !== 0) return E.argumentAlignment;
  const now = caller.nowMs();
  const reads = caller.entropyReads;
  while (reads.length > 0 && now - (reads[0] ?? 0) >= ENTROPY.windowMs) reads.shift();
  if (reads.length >= ENTROPY.readsMax) return E.busy;
  reads.push(now);
  for (let n = 0; n < bytes / 4; n++) r.setResult(n + 1, caller.random() | 0, 0);
  return E.ok;
}

/** The thread capability a directed yield names; it needs the right to be yielded to. */
function yieldTarget(caller: GunyahCaller, r: CallRegisters): number {
  const type = OBJECT_TYPE.thread;
  return lookupError(caller.capabilities.lookup(r.lo(1), r.hi(1), type, RIGHTS.thread.yieldTo, true));
}

function schedulerYield(caller: GunyahCaller, r: CallRegisters): number {
  const control = r.lo(0) >>> 0;
  const hint = control & YIELD.hintMask;
  if ((control & ~YIELD.hintMask) !== 0) return E.argumentInvalid;
  if (hint !== YIELD.yield && hint !== YIELD.toThread) return E.argumentInvalid;
  if (hint === YIELD.toThread) {
    const error = yieldTarget(caller, r);
    if (error !== E.ok) return error;
  }
  caller.processor.yield();
  return E.ok;
}

/** The handlers by number; dispatch.ts asserts that there is one for every row of path `fast`. */
export const FAST_CALLS: Readonly<Record<number, FastHandler>> = {
  0: (_caller, r) => {
    r.setResult(1, FLAGS0, 0);
    r.setResult(2, 0, 0);
    r.setResult(3, 0, 0);
    return API_INFO.lo; // the dispatcher knows that X0 is not an error here
  },
  18: (caller, r, objects) => {
    const bell = caller.ports.doorbell(first(objects));
    bell.send(r.lo(1), r.hi(1));
    r.setResult(1, bell.oldLow, bell.oldHigh);
    return E.ok;
  },
  19: (caller, r, objects) => {
    const bell = caller.ports.doorbell(first(objects));
    if (!bell.receive(r.lo(1), r.hi(1)).ok) return E.argumentInvalid;
    r.setResult(1, bell.oldLow, bell.oldHigh);
    return E.ok;
  },
  20: (caller, _r, objects) => {
    caller.ports.doorbell(first(objects)).reset();
    return E.ok;
  },
  21: (caller, r, objects) => {
    caller.ports.doorbell(first(objects)).mask(r.lo(1), r.hi(1), r.lo(2), r.hi(2));
    return E.ok;
  },
  27: send,
  28: receive,
  29: (caller, _r, objects) => {
    caller.ports.receiver(first(objects)).flush();
    return E.ok;
  },
  31: (caller, r, objects) => configured(caller.ports.sender(first(objects)).configure(r.lo(1) >>> 0, r.lo(2) >>> 0)),
  32: (caller, r, objects) => configured(caller.ports.receiver(first(objects)).configure(r.lo(1) >>> 0, r.lo(2) >>> 0)),
  56: (caller, r, objects) => {
    const flags = small(r, 3);
    if (flags > POWER_ON_FLAGS) return E.argumentInvalid;
    // A thread that was put together by hypercalls has no thread of the host behind it.
    if (caller.ports.objects.data(first(objects)) === 0) return E.noResources;
    return caller.processor.powerOn(first(objects), big(r, 1), big(r, 2), flags) ? E.ok : E.busy;
  },
  57: (caller, r, objects) => {
    const { processor } = caller;
    const flags = small(r, 1);
    if (!processor.isSelf(first(objects)) || flags > POWER_OFF_LAST) return E.argumentInvalid;
    if ((flags === POWER_OFF_LAST) !== processor.isLast()) return E.denied;
    processor.powerOff();
    return E.ok;
  },
  59: schedulerYield,
  63: (caller, r) => {
    if (!caller.traceOpen) return E.denied;
    const flags = caller.updateTraceFlags(big(r, 0), big(r, 1));
    r.setResult(1, Number(BigInt.asIntN(32, flags)), Number(BigInt.asIntN(32, flags >> 32n)));
    return E.ok;
  },
  69: (caller, r, objects) => {
    r.setResult(1, caller.processor.groupState(first(objects)), 0);
    return E.ok;
  },
  87: entropy,
  ...VIRTIO_CALLS,
  101: (caller, r, objects) => caller.processor.run(first(objects), r),
  104: (caller, r, objects) => caller.processor.runCheck(first(objects), r),
};
