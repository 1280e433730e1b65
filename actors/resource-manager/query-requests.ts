/** Requests that ask who and what there is (gunyah.md 5.5 to 5.7), and small things a VM says of itself. */
import { PayloadWriter } from './payload.js';
import { isWhole, type Reply, type Request, type RequestHandler, reply } from './request.js';
import { RM_ERROR as E, RM_MESSAGE as M, VM_STATE, VMID } from './rm-messages.js';
import type { Vm } from './vm.js';

/** AArch64, Gunyah with resource manager, version 1. */
const HOST_TYPE = 0x0100_0164;
const CRASH_BYTES_MAX = 192;
const NAME_BYTES_MAX = 79;
const OS_STATE_MAX = 7;
const ID_TYPE = { guid: 0, uri: 1, name: 2 } as const;

const ok = (payload: Uint8Array): Reply => ({ error: E.OK, payload });
const nothing = (request: Request): boolean => request.reader.rest === 0;

/** VMID4 of a query: 0 is the caller. Undefined: malformed. */
function subject(request: Request): { readonly vmid: number; readonly vm: Vm | undefined } | undefined {
  const asked = request.reader.u16();
  request.reader.zero(2);
  if (!isWhole(request)) return undefined;
  const vmid = asked === VMID.SELF ? request.client.vmid : asked;
  return { vmid, vm: request.rm.vms.get(vmid) };
}

/** P6 sends four zero bytes and wants two back (section 5.6); everybody else sends none and gets four. */
const getVmid: RequestHandler = (request) => {
  const { client, reader } = request;
  if (client.profile === 'P6') {
    if (reader.rest >= 4) return ok(new PayloadWriter().u16(client.vmid).finish());
    return reader.rest === 0 ? ok(new PayloadWriter().u32(client.vmid).finish()) : reply(E.MSG_INVALID);
  }
  return nothing(request) ? ok(new PayloadWriter().u32(client.vmid).finish()) : reply(E.MSG_INVALID);
};

const getOwner: RequestHandler = (request) =>
  nothing(request) ? ok(new PayloadWriter().u32(request.client.owner).finish()) : reply(E.MSG_INVALID);

const getPeers: RequestHandler = (request) => {
  if (!nothing(request)) return reply(E.MSG_INVALID);
  const peers = request.rm.vms.peersOf(request.client);
  const out = new PayloadWriter().u32(peers.length);
  for (const { vmid } of peers) out.u32(vmid);
  return ok(out.finish());
};

const hostType: RequestHandler = (request) =>
  nothing(request) ? ok(new PayloadWriter().u32(HOST_TYPE).finish()) : reply(E.MSG_INVALID);

const getState: RequestHandler = (request) => {
  const asked = subject(request);
  if (asked === undefined) return reply(E.MSG_INVALID);
  const { vm } = asked;
  if (vm === undefined) return reply(E.NORESOURCE);
  const { client, rm } = request;
  if (vm !== client && !rm.vms.peersOf(vm).includes(client)) return reply(E.DENIED);
  return ok(new PayloadWriter().u8(vm.state).u8(vm.osState).u16(vm.appState).finish());
};

const setStatus: RequestHandler = (request) => {
  const { rm, client, reader } = request;
  reader.u8();
  const [os, app] = [reader.u8(), reader.u16()];
  if (!isWhole(request)) return reply(E.MSG_INVALID);
  if (!rm.staticVmids.has(client.vmid)) return reply(E.DENIED);
  if (os > OS_STATE_MAX) return reply(E.ARGUMENT_INVALID);
  client.osState = os;
  client.appState = app;
  rm.announceStatus(client);
  return reply(E.OK);
};

/** {u16 length, u16 0, bytes padded to four with zeros}: the text, or undefined. */
function paddedText(request: Request, max: number): Uint8Array | undefined {
  const { reader } = request;
  const length = reader.u16();
  reader.zero(2);
  if (length > max) return undefined;
  const text = reader.bytes(length);
  reader.align();
  return isWhole(request) ? text : undefined;
}

const setCrash: RequestHandler = (request) => {
  const text = paddedText(request, 0xffff);
  if (text === undefined) return reply(E.MSG_INVALID);
  request.client.crashMessage = text.slice(0, CRASH_BYTES_MAX);
  return reply(E.OK);
};

const getCrash: RequestHandler = (request) => {
  const asked = subject(request);
  if (asked === undefined) return reply(E.MSG_INVALID);
  const { vm } = asked;
  if (vm === undefined || vm.owner !== request.client.vmid) return reply(E.VMID_INVALID);
  const text = vm.crashMessage;
  return ok(new PayloadWriter().u16(text.length).u16(0).bytes(text).align().finish());
};

const decode = (bytes: Uint8Array): string => new TextDecoder('latin1').decode(bytes);

function found(vms: readonly Vm[]): Reply {
  const out = new PayloadWriter().u32(vms.length);
  for (const { vmid } of vms) out.u16(vmid).u16(0);
  return ok(out.finish());
}

const lookupText =
  (of: (vm: Vm) => string | undefined): RequestHandler =>
  (request) => {
    const text = paddedText(request, NAME_BYTES_MAX);
    if (text === undefined) return reply(E.MSG_INVALID);
    if (text.length === 0) return reply(E.ARGUMENT_INVALID);
    return found(request.rm.vms.all().filter((vm) => of(vm) === decode(text)));
  };

const guidOf = ({ config }: Vm): Uint8Array | undefined => {
  const digits = config?.guid?.replaceAll('-', '');
  if (digits === undefined || !/^[0-9a-fA-F]{32}$/.test(digits)) return undefined;
  return Uint8Array.from({ length: 16 }, (_, n) => Number.parseInt(digits.slice(n * 2, n * 2 + 2), 16));
};

const lookupGuid: RequestHandler = (request) => {
  const guid = request.reader.bytes(16);
  if (!isWhole(request)) return reply(E.MSG_INVALID);
  return found(request.rm.vms.all().filter((vm) => guidOf(vm)?.every((byte, n) => byte === guid[n]) === true));
};

const getId: RequestHandler = (request) => {
  const asked = subject(request);
  if (asked === undefined) return reply(E.MSG_INVALID);
  const { vm } = asked;
  if (vm === undefined) return reply(E.NORESOURCE);
  const { READY, RUNNING, PAUSED } = VM_STATE;
  if (vm.state !== READY && vm.state !== RUNNING && vm.state !== PAUSED) return reply(E.VM_STATE);
  const ids: (readonly [number, Uint8Array])[] = [];
  const guid = guidOf(vm);
  if (guid !== undefined) ids.push([ID_TYPE.guid, guid]);
  if (vm.config?.uri !== undefined) ids.push([ID_TYPE.uri, new TextEncoder().encode(vm.config.uri)]);
  if (vm.config !== undefined) ids.push([ID_TYPE.name, new TextEncoder().encode(vm.config.name)]);
  const out = new PayloadWriter().u32(ids.length);
  for (const [type, bytes] of ids) out.u8(type).u8(0).u16(bytes.length).bytes(bytes).align();
  return ok(out.finish());
};

/** The caller's capabilities that belong to a VM: 44 bytes each (section 5.7). */
const hypResources: RequestHandler = (request) => {
  const asked = subject(request);
  if (asked === undefined) return reply(E.MSG_INVALID);
  const { vm } = asked;
  const { client } = request;
  if (vm === undefined) return reply(E.ARGUMENT_INVALID);
  if (vm !== client && vm.owner !== client.vmid) return reply(E.DENIED);
  if (vm.config === undefined && vm !== client) return reply(E.NORESOURCE);
  const lines = vm.resources.filter(({ holder }) => holder === client.vmid);
  const out = new PayloadWriter().u32(lines.length);
  for (const line of lines) {
    out.u8(line.type).u8(0).u16(line.partner).u32(line.handle).u32(line.label).u64(line.capability);
    out
      .u32(line.virqHandle)
      .u32(line.virq)
      .u64(BigInt(line.base ?? 0))
      .u64(BigInt(line.bytes ?? 0));
  }
  return ok(out.finish());
};

/** The handlers by message. */
export const QUERY_REQUESTS: readonly (readonly [number, RequestHandler])[] = [
  [M.VM_GET_VMID, getVmid],
  [M.VM_GET_OWNER, getOwner],
  [M.VM_GET_PEERS, getPeers],
  [M.VM_HOST_GET_TYPE, hostType],
  [M.VM_GET_STATE, getState],
  [M.VM_SET_STATUS, setStatus],
  [M.VM_SET_CRASH_MSG, setCrash],
  [M.VM_GET_CRASH_MSG, getCrash],
  [M.VM_GET_ID, getId],
  [M.VM_LOOKUP_NAME, lookupText(({ config }) => config?.name)],
  [M.VM_LOOKUP_URI, lookupText(({ config }) => config?.uri)],
  [M.VM_LOOKUP_GUID, lookupGuid],
  [M.VM_GET_HYP_RESOURCES, hypResources],
];
