/**
 * Requests about firmware that starts a VM in place of its image (gunyah.md 5.4, 5.5, 5.11). Only VMs of authentication type
 * 2 have any, and a firmware image is a parcel donated to the resource manager. Ours takes no parcels (it is an actor, not a
 * VM), so no image ever exists: every request is checked as specified and then told so.
 */
import { PayloadWriter } from './payload.js';
import { isWhole, type Reply, type RequestHandler, reply } from './request.js';
import { RM_ERROR as E, RM_MESSAGE as M, VM_STATE, VMID } from './rm-messages.js';

const AUTH_ANDROID = 2;

/** From here on no firmware is taken any more. */
const milestone: RequestHandler = (request) => {
  const { rm, client } = request;
  if (rm.isFirmwareFixed || client.vmid !== VMID.HLOS) return reply(E.DENIED);
  if (request.reader.rest !== 0) return reply(E.MSG_INVALID);
  rm.isFirmwareFixed = true;
  return reply(E.OK);
};

/** {u16 auth, u16 0, u32 handle, u64 offset, u64 size}. */
const setVmFirmware: RequestHandler = (request) => {
  const { rm, client, reader } = request;
  if (rm.isFirmwareFixed || client.vmid !== VMID.HLOS) return reply(E.DENIED);
  const [auth, reserved] = [reader.u16(), reader.u16()];
  reader.u32();
  reader.u64();
  reader.u64();
  if (!isWhole(request)) return reply(E.MSG_INVALID);
  if (reserved !== 0) return reply(E.UNIMPLEMENTED);
  return reply(auth === AUTH_ANDROID ? E.HANDLE_INVALID : E.ARGUMENT_INVALID);
};

/** {u16 vmid, u16 0, u32 handle, u64 offset, u64 size}; an error comes with the hypervisor's, which never was asked. */
const setFirmwareMemory: RequestHandler = (request) => {
  const { rm, client, reader } = request;
  const vmid = reader.u16();
  reader.zero(2);
  reader.u32();
  reader.u64();
  reader.u64();
  const refuse = (error: number): Reply => ({ error, payload: new PayloadWriter().u32(0).finish() });
  if (!isWhole(request)) return refuse(E.MSG_INVALID);
  const vm = rm.vms.get(vmid);
  if (vm === undefined) return refuse(E.VMID_INVALID);
  if (vm.owner !== client.vmid) return refuse(E.DENIED);
  if (vm.state !== VM_STATE.INIT) return refuse(E.VM_STATE);
  return refuse(vm.image?.auth === AUTH_ANDROID ? E.DENIED : E.ARGUMENT_INVALID);
};

/** The handlers by message. */
export const FIRMWARE_REQUESTS: readonly (readonly [number, RequestHandler])[] = [
  [M.FW_MILESTONE, milestone],
  [M.FW_SET_VM_FIRMWARE, setVmFirmware],
  [M.VM_SET_FIRMWARE_MEM, setFirmwareMemory],
];
