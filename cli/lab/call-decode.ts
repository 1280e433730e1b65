/** A recorded call as people read it: names of the call, its arguments, its error and results; the message it moved. */
import { CALL_BY_NUMBER, type Hypercall } from '../../actors/abi/gunyah/calls.js';
import { decodeCall } from '../../actors/abi/gunyah/decode.js';
import { IDENTIFY } from '../../actors/abi/gunyah/dispatch.js';
import { errorName } from '../../actors/abi/gunyah/errors.js';
import { PSCI_FUNCTIONS } from '../../actors/abi/psci/psci.js';
import { SMCCC_FUNCTIONS } from '../../actors/abi/smccc/smccc.js';
import type { CallRecord, QueueCounters } from './lab-host.js';
import { decodeRmPacket, type RmPacket } from './rm-decode.js';

/** What a trace may be narrowed to; a call on one of the resource manager's queues is of `msgq` and of `rm`. */
export const CALL_GROUPS = ['msgq', 'bell', 'rm', 'hvc'] as const;
/** One of them. */
export type CallGroup = (typeof CALL_GROUPS)[number];

/** A message that a call moved. */
export interface MovedMessage {
  readonly direction: 'send' | 'receive';
  /** The queue's number and name, and who is at its other end. */
  readonly object: number;
  readonly queue: string;
  readonly peer: string;
  readonly sequence: number;
  readonly bytes: number;
}

/** A decoded call. */
export interface DecodedCall {
  readonly vm: string;
  readonly vcpu: number;
  readonly startNs: number;
  readonly durationNs: number;
  readonly groups: readonly CallGroup[];
  readonly name: string;
  /** Values are hexadecimal with 0x. */
  readonly args: Readonly<Record<string, string>>;
  /** `ok`, the error's name, or X0 of a call that answers something else. */
  readonly result: string;
  readonly results: Readonly<Record<string, string>>;
  readonly message: MovedMessage | undefined;
  readonly rm: RmPacket | undefined;
  readonly lost: number;
}

const RESOURCE_MANAGER = 'rm';
const SEND = 0x1b;
const hex = (value: bigint): string => `0x${value.toString(16)}`;
const ARCH_NAMES: ReadonlyMap<number, string> = new Map(
  [...PSCI_FUNCTIONS, ...SMCCC_FUNCTIONS].map(({ id, name }) => [id, name]),
);

/** Decodes `record`; `queueOf` finds a queue by its number. */
export function decodeRecord(record: CallRecord, queueOf: (object: number) => QueueCounters | undefined): DecodedCall {
  const { vm, vcpu, startNs, durationNs, lost, before, after } = record;
  const [x0 = 0n] = before;
  const [answer = 0n] = after;
  const asked = decodeCall(record.instruction, record.immediate, Number(BigInt.asUintN(32, x0)));
  const head = { vm, vcpu, startNs, durationNs, lost };
  const plain = { results: {}, message: undefined, rm: undefined, groups: ['hvc'] as const };
  if (asked.is !== 'hypercall') {
    const id = Number(BigInt.asUintN(32, x0));
    const name = ARCH_NAMES.get(id) ?? `${asked.is}_${id.toString(16)}`;
    const args = Object.fromEntries([1, 2, 3].map((n) => [`x${n}`, hex(before[n] ?? 0n)]));
    return { ...head, ...plain, name, args, result: hex(answer) };
  }
  const call = CALL_BY_NUMBER[asked.n];
  const name = call?.name ?? `hypercall_${asked.n.toString(16)}`;
  const args = Object.fromEntries((call?.args ?? []).map((arg, n) => [arg.name, hex(before[n + asked.shift] ?? 0n)]));
  if (asked.n === IDENTIFY) return { ...head, ...plain, name, args, result: hex(answer) };
  const error = Number(BigInt.asIntN(32, answer));
  const results =
    error === 0 ? Object.fromEntries((call?.results ?? []).map((key, n) => [key, hex(after[n + 1] ?? 0n)])) : {};
  const queue = record.object === 0 ? undefined : queueOf(record.object);
  const message = messageOf(record, asked.n, queue);
  const isRm = queue !== undefined && (queue.from === RESOURCE_MANAGER || queue.to === RESOURCE_MANAGER);
  const rm = isRm && record.message !== undefined ? decodeRmPacket(record.message, record.messageBytes) : undefined;
  const groups = [...groupsOf(call), ...(isRm ? (['rm'] as const) : [])];
  return { ...head, name, args, result: error === 0 ? 'ok' : errorName(error), results, message, rm, groups };
}

function groupsOf(call: Hypercall | undefined): readonly CallGroup[] {
  if (call?.name.startsWith('msgqueue_') === true) return ['msgq'];
  if (call?.name.startsWith('doorbell_') === true) return ['bell'];
  return ['hvc'];
}

function messageOf(record: CallRecord, n: number, queue: QueueCounters | undefined): MovedMessage | undefined {
  const { object, sequence, messageBytes } = record;
  if (object === 0 || messageBytes === 0) return undefined;
  const direction = n === SEND ? 'send' : 'receive';
  const peer = (direction === 'send' ? queue?.to : queue?.from) ?? 'unknown';
  return { direction, object, queue: queue?.name ?? `queue-${object}`, peer, sequence, bytes: messageBytes };
}
