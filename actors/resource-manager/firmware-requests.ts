/**
 * Firmware that starts a VM in place of its image (gunyah.md 5.4, 5.5, 5.11): VMs of authentication type 2 must have it. The primary VM donates
 * an image to the resource manager, says by the milestone that no other follows, and names for each such VM where it goes; what the VM
 * starts with is the donated image, whatever its owner has written there.
 */
import { MEMORY_TYPE, type Parcel, RIGHTS_ALL } from './memory-parcels.js';
import { PayloadWriter } from './payload.js';
import { isWhole, type Reply, type RequestHandler, reply } from './request.js';
import type { ResourceManager } from './resource-manager.js';
import { RM_ERROR as E, RM_MESSAGE as M, VM_STATE, VMID } from './rm-messages.js';
import { AUTH, type Vm } from './vm.js';

/** From here on no firmware is taken any more. */
const milestone: RequestHandler = (request) => {
  const { rm, client } = request;
  if (rm.isFirmwareFixed || client.vmid !== VMID.HLOS) return reply(E.DENIED);
  if (request.reader.rest !== 0) return reply(E.MSG_INVALID);
  rm.isFirmwareFixed = true;
  return reply(E.OK);
};

/** {u16 auth, u16 0, u32 handle, u64 offset, u64 size}: takes a donation, of which all is the image. */
const setVmFirmware: RequestHandler = (request) => {
  const { rm, client, reader } = request;
  if (rm.isFirmwareFixed || client.vmid !== VMID.HLOS) return reply(E.DENIED);
  const [auth, reserved, handle] = [reader.u16(), reader.u16(), reader.u32()];
  const [offset, size] = [reader.u64(), reader.u64()];
  if (!isWhole(request)) return reply(E.MSG_INVALID);
  if (reserved !== 0) return reply(E.UNIMPLEMENTED);
  if (auth !== AUTH.android) return reply(E.ARGUMENT_INVALID);
  if (rm.firmware !== undefined) return reply(E.BUSY);
  const parcel = rm.parcels.get(handle);
  if (parcel === undefined || !parcel.acl.some(({ vmid }) => vmid === VMID.RM)) return reply(E.HANDLE_INVALID);
  if (size === 0n || offset !== 0n || size > BigInt(rm.parcels.bytesOf(parcel))) return reply(E.ARGUMENT_INVALID);
  if (!parcel.isComplete || parcel.memoryType !== MEMORY_TYPE.normal) return reply(E.MEM_INVALID);
  rm.parcels.keep(parcel);
  rm.firmware = parcel;
  return reply(E.OK);
};

/** {u16 vmid, u16 0, u32 handle, u64 offset, u64 size}; an error comes with the hypervisor's, which never was asked. */
const setFirmwareMemory: RequestHandler = (request) => {
  const { rm, client, reader } = request;
  const vmid = reader.u16();
  reader.zero(2);
  const handle = reader.u32();
  const [offset, size] = [reader.u64(), reader.u64()];
  const refuse = (error: number): Reply => ({ error, payload: new PayloadWriter().u32(0).finish() });
  if (!isWhole(request)) return refuse(E.MSG_INVALID);
  const vm = rm.vms.get(vmid);
  if (vm === undefined) return refuse(E.VMID_INVALID);
  if (vm.owner !== client.vmid) return refuse(E.DENIED);
  if (vm.state !== VM_STATE.INIT) return refuse(E.VM_STATE);
  if (vm.image?.auth !== AUTH.android) return refuse(E.ARGUMENT_INVALID);
  if (rm.firmware === undefined) return refuse(E.DENIED);
  const parcel = rm.parcels.get(handle);
  if (parcel === undefined || !parcel.acl.some((entry) => entry.vmid === vmid)) return refuse(E.MEM_INVALID);
  if (offset + size > BigInt(rm.parcels.bytesOf(parcel))) return refuse(E.ARGUMENT_INVALID);
  vm.firmware = { parcel: handle, offset, bytes: size };
  return reply(E.OK);
};

/** The firmware's place for a VM that must have one: the range its configuration has for it. */
export interface FirmwarePlace {
  readonly parcel: Parcel;
  readonly base: bigint;
  readonly offset: bigint;
  readonly bytes: bigint;
}

/** Where a VM's firmware goes; undefined: it needs none; or why there is no place. `image`: where the image lies. */
export function firmwarePlace(
  rm: ResourceManager,
  vm: Vm,
  image: { readonly base: bigint; readonly bytes: bigint },
): FirmwarePlace | undefined | number {
  if (vm.image?.auth !== AUTH.android) return undefined;
  if (!rm.isFirmwareFixed) return E.DENIED;
  const { firmware, config } = vm;
  const parcel = firmware && rm.parcels.get(firmware.parcel);
  if (rm.firmware === undefined || firmware === undefined || parcel === undefined) return E.NORESOURCE;
  const [base, most] = [config?.firmwareAddress ?? 0n, config?.firmwareBytesMax ?? 0n];
  if (firmware.offset + firmware.bytes > most) return E.MEM_INVALID;
  if (BigInt(rm.parcels.bytesOf(rm.firmware)) > firmware.bytes) return E.MEM_INVALID;
  const isInImage = firmware.parcel === vm.image.parcel;
  if (isInImage && (base < image.base || base + most > image.base + image.bytes)) return E.MEM_INVALID;
  return { parcel, base, offset: firmware.offset, bytes: firmware.bytes };
}

/** Maps the firmware's memory, unless the image's parcel has it, and writes the image there; what is behind it is empty. The error. */
export async function placeFirmware(
  rm: ResourceManager,
  vm: Vm,
  { parcel, base, offset, bytes }: FirmwarePlace,
): Promise<number> {
  const { firmware: image } = rm;
  if (image === undefined || vm.partition === undefined) return E.NORESOURCE;
  if (parcel.handle !== vm.image?.parcel) {
    const [entry, more] = parcel.acl;
    if (parcel.transfer !== 'lend' || more !== undefined || entry?.rights !== RIGHTS_ALL) return E.MEM_INVALID;
    const place = { ipa: Number(base), bytes: rm.parcels.bytesOf(parcel) };
    const error = await rm.parcels.accept(parcel, vm.vmid, vm.partition, [place], RIGHTS_ALL);
    if (error !== E.OK) return error;
  }
  const content = new Uint8Array(Number(bytes));
  content.set(rm.parcels.read(image, 0, rm.parcels.bytesOf(image)));
  rm.parcels.write(parcel, Number(offset), content);
  return E.OK;
}

/** The handlers by message. */
export const FIRMWARE_REQUESTS: readonly (readonly [number, RequestHandler])[] = [
  [M.FW_MILESTONE, milestone],
  [M.FW_SET_VM_FIRMWARE, setVmFirmware],
  [M.VM_SET_FIRMWARE_MEM, setFirmwareMemory],
];
