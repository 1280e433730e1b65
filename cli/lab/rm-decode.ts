/** Packets of the resource manager's RPC as a trace tells them: message by name, its fields, its error (gunyah.md section 5). */

import { RM_ERROR, RM_MESSAGE, RM_NOTIFICATION, VM_STATE } from '../../actors/resource-manager/rm-messages.js';
import { PACKET, PacketHeader } from '../../actors/resource-manager/rpc-packet.js';

/** One packet. */
export interface RmPacket {
  readonly type: 'request' | 'reply' | 'notification' | 'continuation';
  readonly name: string;
  /** Joins a reply to its request; of the VM that asked. */
  readonly sequence: number;
  /** Continuation packets of the whole message. */
  readonly continuations: number;
  /** Named values; bytes that have no name are told by their number. */
  readonly fields: Readonly<Record<string, string | number>>;
}

const namesOf = (codes: Readonly<Record<string, number>>): ReadonlyMap<number, string> =>
  new Map(Object.entries(codes).map(([name, code]) => [code, name]));
const MESSAGES = namesOf({ ...RM_MESSAGE, ...RM_NOTIFICATION });
const ERRORS = namesOf(RM_ERROR);
const STATES = namesOf(VM_STATE);
const TYPES = namesOf(PACKET);

/** A field by its kind; */
type Kind = 'u8' | 'u16' | 'u32' | 'u64' | 'state';
const WIDTH: Readonly<Record<Kind, number>> = { u8: 1, u16: 2, u32: 4, u64: 8, state: 1 };
type Layout = readonly (readonly [string, Kind])[];
const vmid: Layout = [['vmid', 'u16']];
const parcel: Layout = [['handle', 'u32']];

/** Content of requests and notifications, and of replies behind their error word. Gaps are named `-`. */
const REQUESTS: Readonly<Record<string, Layout>> = {
  MEM_LEND: [
    ['memType', 'u8'],
    ['-', 'u8'],
    ['flags', 'u8'],
    ['-', 'u8'],
    ['label', 'u32'],
    ['aclEntries', 'u16'],
  ],
  MEM_SHARE: [
    ['memType', 'u8'],
    ['-', 'u8'],
    ['flags', 'u8'],
    ['-', 'u8'],
    ['label', 'u32'],
    ['aclEntries', 'u16'],
  ],
  MEM_RECLAIM: [...parcel, ['flags', 'u8']],
  MEM_RELEASE: [...parcel, ['flags', 'u8']],
  MEM_ACCEPT: parcel,
  MEM_APPEND: parcel,
  MEM_NOTIFY: parcel,
  VM_ALLOCATE: vmid,
  VM_DEALLOCATE: vmid,
  VM_START: vmid,
  VM_STOP: [...vmid, ['flags', 'u8'], ['-', 'u8'], ['reason', 'u32']],
  VM_RESET: vmid,
  VM_INIT: vmid,
  VM_GET_STATE: vmid,
  VM_GET_HYP_RESOURCES: vmid,
  VM_CONFIG_IMAGE: [
    ...vmid,
    ['auth', 'u16'],
    ['parcel', 'u32'],
    ['imageOffset', 'u64'],
    ['imageBytes', 'u64'],
    ['treeOffset', 'u64'],
    ['treeBytes', 'u64'],
  ],
  VM_SET_STATUS: [
    ['type', 'u8'],
    ['status', 'u8'],
  ],
  VM_EXIT: [['type', 'u16']],
  VM_CONSOLE_OPEN: vmid,
  VM_CONSOLE_WRITE: [...vmid, ['bytes', 'u16']],
  VM_EXITED: [...vmid, ['type', 'u16'], ['reasonBytes', 'u32']],
  VM_STATUS: [...vmid, ['state', 'state']],
  VM_SHUTDOWN: [['reason', 'u32']],
  VM_CONSOLE_CHARS: [...vmid, ['bytes', 'u16']],
  MEM_SHARED: parcel,
  MEM_RELEASED: parcel,
  MEM_ACCEPTED: parcel,
};
const REPLIES: Readonly<Record<string, Layout>> = {
  MEM_LEND: parcel,
  MEM_SHARE: parcel,
  VM_ALLOCATE: vmid,
  VM_GET_VMID: vmid,
  VM_GET_STATE: [['state', 'state']],
  VM_GET_HYP_RESOURCES: [['entries', 'u32']],
};

/** Decodes a packet; undefined for what is none. `length` is the whole packet's, of which `bytes` may be the beginning. */
export function decodeRmPacket(bytes: Uint8Array, length: number): RmPacket | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const header = PacketHeader.read(view, 0);
  if (!header.ok) return undefined;
  const type = TYPES.get(header.value.type & 3) as RmPacket['type'];
  const { message, sequence } = header.value;
  const name = MESSAGES.get(message) ?? `0x${message.toString(16)}`;
  const continuations = header.value.type >> 2;
  const fields: Record<string, string | number> = {};
  let at = PacketHeader.sizeBytes;
  if (type === 'reply' && view.byteLength >= at + 4) {
    const error = view.getUint32(at, true);
    fields['error'] = ERRORS.get(error) ?? error;
    at += 4;
  }
  const layout = type === 'continuation' ? [] : ((type === 'reply' ? REPLIES : REQUESTS)[name] ?? []);
  for (const [field, kind] of layout) {
    if (at + WIDTH[kind] > view.byteLength) break;
    if (field !== '-') fields[field] = read(view, at, kind);
    at += WIDTH[kind];
  }
  if (length > at) fields['more'] = length - at;
  return { type, name, sequence, continuations, fields };
}

function read(view: DataView, at: number, kind: Kind): string | number {
  switch (kind) {
    case 'u8':
      return view.getUint8(at);
    case 'state':
      return STATES.get(view.getUint8(at)) ?? view.getUint8(at);
    case 'u16':
      return view.getUint16(at, true);
    case 'u32':
      return view.getUint32(at, true);
    default:
      return `0x${view.getBigUint64(at, true).toString(16)}`;
  }
}
