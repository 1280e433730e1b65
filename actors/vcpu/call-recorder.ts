/** One vCPU's side of the call tap: what the call that trapped was given and answered, and the message it moved. */
import { assert } from '../../bus/assert.js';
import { QueueSender } from '../../bus/message-queue/queue-sender.js';
import type { CpuState } from '../../cpu/cpu-state.js';
import { callNumber } from '../abi/gunyah/calls.js';
import { decodeCall } from '../abi/gunyah/decode.js';
import { GUNYAH_ERROR } from '../abi/gunyah/errors.js';
import {
  CallHeader,
  type CallTapPlace,
  MESSAGE_AT,
  MESSAGE_BYTES_KEPT,
  REGISTERS_AFTER,
  REGISTERS_AT,
  REGISTERS_BEFORE,
} from '../shared-state/call-tap/call-tap.js';
import { lockOwner } from '../shared-state/objects/ports.js';
import type { GunyahCalls } from './gunyah-calls.js';

const SEND = callNumber('msgqueue_send');
const RECEIVE = callNumber('msgqueue_receive');
const BELL_SEND = callNumber('doorbell_send');
const BELL_RECEIVE = callNumber('doorbell_receive');
const SMC = 1 << 16;

/** Whose calls are recorded. */
export interface RecordedVcpu {
  readonly partition: number;
  readonly index: number;
  readonly state: () => CpuState;
  readonly nowMs: () => number;
}

/** See the head of this file. */
export class CallRecorder {
  readonly #switch: Int32Array;
  readonly #queue: QueueSender;
  readonly #view: DataView;
  readonly #vcpu: RecordedVcpu;
  readonly #before = new BigUint64Array(REGISTERS_BEFORE);
  readonly #message = new Uint8Array(MESSAGE_BYTES_KEPT);
  #startMs = 0;
  #lost = 0;

  constructor({ queue, isOn }: CallTapPlace, vcpu: RecordedVcpu) {
    const sender = QueueSender.attach(queue, { owner: lockOwner(vcpu.partition, vcpu.index) });
    assert(sender.ok, "the call tap's queue is formatted");
    this.#queue = sender.value;
    this.#view = new DataView(queue.buffer, queue.byteOffset);
    this.#switch = new Int32Array(isOn);
    this.#vcpu = vcpu;
  }

  /** Whether anybody watches: a plain load, because a call more or less does not matter. */
  get isOn(): boolean {
    return this.#switch[0] !== 0;
  }

  /** The call is about to be carried out. */
  called(): void {
    const state = this.#vcpu.state();
    for (let n = 0; n < REGISTERS_BEFORE; n++) this.#before[n] = state.get64(n * 8);
    this.#startMs = this.#vcpu.nowMs();
  }

  /** It has been. */
  answered(instruction: 'hvc' | 'smc', immediate: number, gunyah: GunyahCalls | undefined): void {
    const { partition, index, nowMs } = this.#vcpu;
    const durationNs = Math.round((nowMs() - this.#startMs) * 1e6);
    const moved = gunyah === undefined ? NOTHING_MOVED : this.#moved(gunyah, instruction, immediate);
    const at = this.#queue.reserve();
    if (at < 0) {
      this.#lost++;
      return;
    }
    const view = this.#view;
    const state = this.#vcpu.state();
    CallHeader.write(view, at, {
      startNs: BigInt(Math.round(this.#startMs * 1e6)),
      durationNs: Math.min(durationNs, 0xffff_ffff),
      ...{ partition, vcpu: index, lost: this.#lost, reserved: 0 },
      instruction: immediate | (instruction === 'smc' ? SMC : 0),
      ...moved,
    });
    for (let n = 0; n < REGISTERS_BEFORE; n++)
      view.setBigUint64(at + REGISTERS_AT + n * 8, this.#before[n] ?? 0n, true);
    const afterAt = at + REGISTERS_AT + REGISTERS_BEFORE * 8;
    for (let n = 0; n < REGISTERS_AFTER; n++) view.setBigUint64(afterAt + n * 8, state.get64(n * 8), true);
    this.#queue.bytes.set(this.#message.subarray(0, moved.keptBytes), at + MESSAGE_AT);
    this.#queue.stage(MESSAGE_AT + moved.keptBytes);
    this.#queue.publish();
    this.#lost = 0;
  }

  /** The queue or doorbell the call was for, and its message. */
  #moved(gunyah: GunyahCalls, instruction: 'hvc' | 'smc', immediate: number): Moved {
    const asked = decodeCall(instruction, immediate, Number(this.#before[0] ?? 0n) >>> 0);
    const error = this.#vcpu.state().get32(0);
    if (asked.is !== 'hypercall' || error !== GUNYAH_ERROR.ok) return NOTHING_MOVED;
    const argument = (n: number): bigint => this.#before[n + asked.shift] ?? 0n;
    const isBell = asked.n === BELL_SEND || asked.n === BELL_RECEIVE;
    if (!isBell && asked.n !== SEND && asked.n !== RECEIVE) return NOTHING_MOVED;
    const object = gunyah.objectOf(argument(0));
    if (object === undefined || isBell) return { ...NOTHING_MOVED, object: object ?? 0 };
    const { ports } = gunyah;
    const messageBytes = asked.n === SEND ? Number(argument(1)) : this.#vcpu.state().get32(8) >>> 0;
    const buffer = argument(asked.n === SEND ? 2 : 1);
    const position = asked.n === SEND ? ports.sender(object).position : ports.receiver(object).position;
    const keptBytes = Math.min(messageBytes, MESSAGE_BYTES_KEPT);
    const [lo, hi] = [Number(BigInt.asIntN(32, buffer)), Number(BigInt.asIntN(32, buffer >> 32n))];
    const fault = gunyah.copyIn(lo, hi, keptBytes, this.#message, 0);
    const sequence = (position - 1) >>> 0;
    return { object, sequence, messageBytes, keptBytes: fault === undefined ? keptBytes : 0 };
  }
}

interface Moved {
  readonly object: number;
  readonly sequence: number;
  readonly messageBytes: number;
  readonly keptBytes: number;
}
const NOTHING_MOVED: Moved = { object: 0, sequence: 0, messageBytes: 0, keptBytes: 0 };
