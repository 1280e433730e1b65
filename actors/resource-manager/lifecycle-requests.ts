/** Requests that take a VM through its life (gunyah.md 5.5, 6). An illegal step gets its error and changes nothing. */
import { HYP_PAGE_BYTES } from '../../bus/units.js';
import { writeTree } from '../../devices/machine/device-tree/write-tree.js';
import { withController } from './controller-place.js';
import { type FirmwarePlace, firmwarePlace, placeFirmware } from './firmware-requests.js';
import { hypervisorNode, withFirmware, withHypervisor, withVsoc } from './guest-tree.js';
import { type Parcel, pageRanges, RIGHTS_ALL, readSgl } from './memory-parcels.js';
import { PayloadWriter } from './payload.js';
import { isWhole, type Reply, type Request, type RequestHandler, reply } from './request.js';
import { RM_ERROR as E, EXIT_TYPE, RM_MESSAGE as M, RM_NOTIFICATION, VM_STATE, VMID } from './rm-messages.js';
import { givePaging, giveVcpus, makeVdevices, vdeviceNodes, vsocNodes } from './vdevices.js';
import { AUTH, PRIORITY, Vm } from './vm.js';
import { readVmConfig } from './vm-config.js';

const S = VM_STATE;
/** Where an image lies unless it or its owner says otherwise (QEMU platform), and to what a base is rounded up. */
const BASE_DEFAULT = 0x2880_0000n;
const BASE_ALIGN = 0x20_0000n;
/** Boot register sets: X, PC, SP, and how many each has. */
const BOOT_SETS = [31, 1, 2] as const;
const AUTH_ENTRIES_MAX = 64;
const PAGED_RANGES_MAX = 512;
/** The range below 1 GiB that every VM but a platform's has for its owner's devices. */
const VMMIO_DEFAULT_BYTES = 0x4000_0000;

const fail = (request: Request, vm: Vm, error: number): Reply => {
  request.rm.setState(vm, S.INIT_FAILED);
  return reply(error);
};

/** The VM a request is about, if the client owns it and it is in one of `states`. */
function owned(request: Request, vmid: number, states: readonly number[], notOwner: number = E.DENIED): Vm | number {
  const vm = request.rm.vms.get(vmid);
  if (vm === undefined) return E.VMID_INVALID;
  if (vm.owner !== request.client.vmid) return notOwner;
  return states.includes(vm.state) ? vm : E.VM_STATE;
}

/** VMID4 and nothing else: the VMID, or undefined. */
function vmidOnly(request: Request): number | undefined {
  const vmid = request.reader.u16();
  request.reader.zero(2);
  return isWhole(request) ? vmid : undefined;
}

const allocate: RequestHandler = (request) => {
  const { rm, client } = request;
  const asked = vmidOnly(request);
  if (client.vmid !== VMID.HLOS && !client.isHost) return reply(E.DENIED);
  if (asked === undefined) return reply(E.MSG_INVALID);
  const isDynamic = asked === VMID.SELF;
  const vmid = isDynamic ? rm.vms.freeDynamic() : asked;
  if (vmid === undefined || (!isDynamic && (!rm.staticVmids.has(vmid) || rm.vms.get(vmid) !== undefined))) {
    return reply(E.NORESOURCE);
  }
  rm.vms.add(new Vm(vmid, client.vmid, client.profile));
  return isDynamic ? { error: E.OK, payload: new PayloadWriter().u32(vmid).finish() } : reply(E.OK);
};

const deallocate: RequestHandler = async (request) => {
  const { rm } = request;
  const vmid = vmidOnly(request);
  if (vmid === undefined) return reply(E.MSG_INVALID);
  const vm = owned(request, vmid, [S.LOAD, S.RESET]);
  if (typeof vm === 'number') return reply(vm);
  await rm.tearDown(vm);
  rm.vms.delete(vmid);
  return reply(E.OK);
};

const configImage: RequestHandler = (request) => {
  const { rm, reader } = request;
  const [vmid, auth, parcel] = [reader.u16(), reader.u16(), reader.u32()];
  const [imageOffset, imageBytes, treeOffset, treeBytes] = [reader.u64(), reader.u64(), reader.u64(), reader.u64()];
  if (!isWhole(request)) return reply(E.MSG_INVALID);
  const vm = owned(request, vmid, [S.LOAD, S.RESET]);
  if (typeof vm === 'number') return reply(vm);
  const found = rm.parcels.get(parcel);
  if (found === undefined || !found.isComplete || !found.acl.some((entry) => entry.vmid === vmid)) {
    return fail(request, vm, E.MEM_INVALID);
  }
  const bytes = BigInt(rm.parcels.bytesOf(found));
  const isInside = (offset: bigint, size: bigint): boolean => offset <= bytes && size <= bytes - offset;
  if (!isInside(imageOffset, imageBytes) || !isInside(treeOffset, treeBytes) || auth > AUTH.android) {
    return fail(request, vm, E.ARGUMENT_INVALID);
  }
  vm.image = { auth, parcel, imageOffset, imageBytes, treeOffset, treeBytes };
  rm.setState(vm, auth === AUTH.platform ? S.AUTH : S.INIT);
  return reply(E.OK);
};

const authImage: RequestHandler = (request) => {
  const { rm, reader } = request;
  const [vmid, count] = [reader.u16(), reader.u16()];
  if (count > AUTH_ENTRIES_MAX) return reply(E.ARGUMENT_INVALID);
  reader.bytes(count * 8);
  if (!isWhole(request)) return reply(E.MSG_INVALID);
  const vm = owned(request, vmid, [S.AUTH]);
  if (typeof vm === 'number') return reply(vm);
  rm.setState(vm, S.INIT);
  return reply(E.OK);
};

const init: RequestHandler = async (request) => {
  const { rm } = request;
  const vmid = vmidOnly(request);
  if (vmid === undefined) return reply(E.MSG_INVALID);
  const vm = owned(request, vmid, [S.INIT]);
  if (typeof vm === 'number') return reply(vm);
  const parcel = vm.image === undefined ? undefined : rm.parcels.get(vm.image.parcel);
  if (vm.image === undefined || parcel === undefined) return fail(request, vm, E.MEM_INVALID);
  const bytes = rm.parcels.read(parcel, Number(vm.image.treeOffset), Number(vm.image.treeBytes));
  const read = readVmConfig(bytes);
  if (!read.ok) return fail(request, vm, read.error === 'tree' ? E.MEM_INVALID : E.ARGUMENT_INVALID);
  const { config } = read.value;
  const priority = (rm.vms.get(vm.owner)?.priority ?? PRIORITY.default) + config.priorityOffset;
  if (priority < 0 || priority > PRIORITY.max) return fail(request, vm, E.ARGUMENT_INVALID);
  const made = await rm.host.createVm(config.cpus, rm.parcels.bytesOf(parcel) + vm.pagedBytes);
  if (!made.ok) return fail(request, vm, E.NORESOURCE);
  vm.partition = made.value.partition;
  vm.config = config;
  vm.name = config.name;
  vm.priority = priority;
  vm.profile = config.profile ?? vm.profile;
  if (vm.image.auth !== AUTH.platform && !(await rm.host.addVmmio(vm.partition, 0, VMMIO_DEFAULT_BYTES)).ok) {
    return fail(request, vm, E.NORESOURCE);
  }
  const { timesliceNs, controller } = config;
  if (controller !== 'platform' && 'distributor' in controller) {
    const placed = await rm.host.placeController(vm.partition, config.cpus, controller);
    if (!placed.ok) return fail(request, vm, E.NORESOURCE);
  }
  const how = { priority, ...(timesliceNs !== undefined && { timesliceNs }) };
  for (let index = 0; index < config.cpus; index++) {
    if (!(await rm.host.schedule(vm.partition, index, how)).ok) return fail(request, vm, E.NORESOURCE);
  }
  if (!(await makeVdevices(rm, vm, config)) || !(await giveVcpus(rm, vm, config))) {
    return fail(request, vm, E.NORESOURCE);
  }
  if (vm.isPaged && !(await givePaging(rm, vm))) return fail(request, vm, E.NORESOURCE);
  rm.setState(vm, S.READY);
  return reply(E.OK);
};

/** The tree with our nodes, back in its place in the parcel; false when it does not fit. */
function overlay(request: Request, vm: Vm, parcel: Parcel, base: bigint, firmware: FirmwarePlace | undefined): boolean {
  const { rm } = request;
  const { image, config } = vm;
  if (image === undefined || config === undefined) return false;
  const bytes = rm.parcels.read(parcel, Number(image.treeOffset), Number(image.treeBytes));
  const read = readVmConfig(bytes);
  if (!read.ok) return false;
  const { name: imageName, uri, guid, cpus } = config;
  const about = { vmid: vm.vmid, owner: vm.owner, imageName, uri, guid };
  const known = withHypervisor(read.value.tree, hypervisorNode(about, vdeviceNodes(vm)));
  if (known === undefined) return false;
  const tree = withVsoc(withController(known, read.value.config.controller, cpus), vsocNodes(vm));
  const written = writeTree(
    firmware === undefined ? tree : withFirmware(tree, firmware.base + firmware.offset, firmware.bytes),
  );
  if (written.length > Number(image.treeBytes) || base < 0n) return false;
  rm.parcels.write(parcel, Number(image.treeOffset), written);
  return true;
}

const start: RequestHandler = async (request) => {
  const { rm } = request;
  const vmid = vmidOnly(request);
  if (vmid === undefined) return reply(E.MSG_INVALID);
  const vm = owned(request, vmid, [S.READY]);
  if (typeof vm === 'number') return reply(vm);
  const { image, config, partition } = vm;
  const parcel = image === undefined ? undefined : rm.parcels.get(image.parcel);
  if (image === undefined || config === undefined || partition === undefined || parcel === undefined) {
    return fail(request, vm, E.NORESOURCE);
  }
  const wanted = vm.imageBase ?? config.baseAddress ?? BASE_DEFAULT;
  const base = vm.imageBase ?? ((wanted + BASE_ALIGN - 1n) / BASE_ALIGN) * BASE_ALIGN;
  if (!isImageParcel(request, vm, parcel)) return fail(request, vm, E.NORESOURCE);
  const firmware = firmwarePlace(rm, vm, { base, bytes: BigInt(rm.parcels.bytesOf(parcel)) });
  if (typeof firmware === 'number') return fail(request, vm, firmware);
  const entryOffset = config.entryOffset ?? image.imageOffset;
  // Firmware is told where the image lies, and enters it where it begins.
  if (firmware !== undefined && entryOffset !== image.imageOffset) return fail(request, vm, E.ARGUMENT_INVALID);
  const place = [{ ipa: Number(base), bytes: rm.parcels.bytesOf(parcel) }];
  if (!overlay(request, vm, parcel, base, firmware)) return fail(request, vm, E.NORESOURCE);
  if ((await rm.parcels.accept(parcel, vmid, partition, place, RIGHTS_ALL)) !== E.OK) {
    return fail(request, vm, E.NORESOURCE);
  }
  const x = new Map([[0, base + image.treeOffset]]);
  const sp = new Map<number, bigint>();
  let pc = base + entryOffset;
  if (firmware !== undefined) {
    const refused = await placeFirmware(rm, vm, firmware);
    if (refused !== E.OK) return fail(request, vm, refused);
    x.set(1, base + entryOffset);
    x.set(2, image.imageBytes);
    pc = firmware.base + firmware.offset;
  }
  for (const [register, value] of vm.bootContext) {
    const index = register & 0xff;
    if (register >> 8 === 0) x.set(index, value);
    else if (register >> 8 === 1) pc = value;
    else sp.set(index, value);
  }
  const about = { vmid, owner: vm.owner, name: config.name, profile: vm.profile };
  const started = await rm.host.startVm(partition, { pc, x, sp }, about);
  if (!started.ok) return fail(request, vm, E.NORESOURCE);
  // v17 takes the parcel's pages back like those that come when they are wanted, and never reclaims it.
  if (vm.guestPrivate !== 0 && parcel.transfer === 'lend') await rm.parcels.toPages(parcel, partition, vm.guestPrivate);
  rm.setState(vm, S.RUNNING);
  return reply(E.OK);
};

/** An image parcel is lent to the VM alone with all rights; P6 shares it (open point 8 of section 11). */
function isImageParcel(request: Request, vm: Vm, parcel: Parcel): boolean {
  const rights = parcel.acl.find((entry) => entry.vmid === vm.vmid)?.rights;
  if (rights !== RIGHTS_ALL || parcel.holders.size > 0) return false;
  if (parcel.transfer === 'lend') return parcel.acl.length === 1;
  return parcel.transfer === 'share' && request.client.profile !== 'P17';
}

const stop: RequestHandler = async (request) => {
  const { rm, reader } = request;
  const [vmid, flags] = [reader.u16(), reader.u8()];
  reader.zero(1);
  const reason = reader.u32();
  if (!isWhole(request) || flags > 1) return reply(E.MSG_INVALID);
  const vm = owned(request, vmid, [S.RUNNING, S.PAUSED], E.VMID_INVALID);
  if (typeof vm === 'number') return reply(vm);
  if (vm.config?.attributes.has('no-shutdown') === true) return reply(E.VM_STATE);
  if (flags === 1) await rm.exited(vm, EXIT_TYPE.FORCED_STOP, 0, 0);
  else rm.notify(vm, RM_NOTIFICATION.VM_SHUTDOWN, new PayloadWriter().u32(reason).finish());
  return reply(E.OK);
};

const reset: RequestHandler = (request) => {
  const { rm } = request;
  const vmid = vmidOnly(request);
  if (vmid === undefined) return reply(E.MSG_INVALID);
  const vm = owned(request, vmid, [S.EXITED, S.READY, S.INIT_FAILED]);
  if (typeof vm === 'number') return reply(vm);
  if (vm.config?.attributes.has('no-reset') === true) return reply(E.VM_STATE);
  rm.setState(vm, S.RESETTING);
  const after = async (): Promise<void> => {
    await rm.tearDown(vm);
    rm.setState(vm, S.RESET);
  };
  return { error: E.OK, after };
};

const exit: RequestHandler = (request) => {
  const { rm, client, reader } = request;
  const [flags, code, pad] = [reader.u16(), reader.u8(), reader.u8()];
  if (!isWhole(request) || pad !== 0 || code === 2 || code > 4) return reply(E.MSG_INVALID);
  // The primary VM has no owner that could be told: its end is the machine's.
  if (client.vmid === VMID.HLOS || client.config?.attributes.has('crash-fatal') === true) {
    return reply(E.ARGUMENT_INVALID);
  }
  return { error: E.OK, after: () => rm.exited(client, EXIT_TYPE.VM_EXIT, flags & 1, code) };
};

/** 16 bytes {u16 vmid, u8 set, u8 index, u32 0, u64 value}; P6 sends 12 with the value in two words. */
const setBootContext: RequestHandler = (request) => {
  const { reader } = request;
  const [vmid, set, index] = [reader.u16(), reader.u8(), reader.u8()];
  if (reader.rest === 12) reader.zero(4);
  const value = reader.u64();
  if (!isWhole(request)) return reply(E.MSG_INVALID);
  const vm = owned(request, vmid, [S.READY]);
  if (typeof vm === 'number') return reply(vm);
  if (index >= (BOOT_SETS[set] ?? 0)) return reply(E.ARGUMENT_INVALID);
  vm.bootContext.set((set << 8) | index, value);
  return reply(E.OK);
};

/** {u16 vmid, u16 0, u32 range, u64 base, u64 size}: range 0 is the image, 1 the firmware. */
const setAddressLayout: RequestHandler = (request) => {
  const { reader } = request;
  const vmid = reader.u16();
  reader.zero(2);
  const range = reader.u32();
  const [base, bytes] = [reader.u64(), reader.u64()];
  if (!isWhole(request)) return reply(E.MSG_INVALID);
  const vm = owned(request, vmid, [S.LOAD, S.AUTH, S.INIT]);
  if (typeof vm === 'number') return reply(vm);
  const isPage = base % BigInt(HYP_PAGE_BYTES) === 0n && base + bytes <= 1n << 48n;
  if (range > 1 || !isPage) return reply(E.ARGUMENT_INVALID);
  if (range === 0) vm.imageBase = base;
  return reply(E.OK);
};

/**
 * {u16 vmid, u16 0, u32 count, {u64 IPA, u64 size}s}: where pages come when they are wanted. Only their sum is kept: what is not
 * there when a VM starts may come later anywhere.
 */
const setDemandPaging: RequestHandler = (request) => {
  const { reader, client } = request;
  if (client.profile !== 'P17') return reply(E.UNIMPLEMENTED);
  const vmid = reader.u16();
  reader.zero(2);
  const count = reader.u32();
  if (count > PAGED_RANGES_MAX) return reply(E.NORESOURCE);
  const ranges = Array.from({ length: count }, () => readSgl(reader));
  if (!isWhole(request)) return reply(E.MSG_INVALID);
  const vm = owned(request, vmid, [S.INIT]);
  if (typeof vm === 'number') return reply(vm);
  const paged = pageRanges(ranges);
  if (paged === undefined) return reply(E.ARGUMENT_INVALID);
  vm.isPaged = true;
  vm.pagedBytes = paged.reduce((sum, { bytes }) => sum + bytes, 0);
  return reply(E.OK);
};

const setTimeBase: RequestHandler = (request) => {
  const { rm, client, reader } = request;
  const vmid = reader.u16();
  reader.zero(2);
  const [ns, ticks] = [reader.u64(), reader.u64()];
  const refuse = (error: number): Reply => ({ error, payload: new PayloadWriter().u32(0).finish() });
  if (!isWhole(request)) return refuse(E.MSG_INVALID);
  const vm = rm.vms.get(vmid);
  if (vm === undefined) return refuse(E.VMID_INVALID);
  if (!rm.vms.peersOf(vm).includes(client)) return refuse(E.DENIED);
  if (vm.state !== S.INIT && vm.state !== S.READY) return refuse(E.VM_STATE);
  vm.timeBase = { ns, ticks };
  return reply(E.OK);
};

/** The handlers by message. */
export const LIFECYCLE_REQUESTS: readonly (readonly [number, RequestHandler])[] = [
  [M.VM_ALLOCATE, allocate],
  [M.VM_DEALLOCATE, deallocate],
  [M.VM_CONFIG_IMAGE, configImage],
  [M.VM_AUTH_IMAGE, authImage],
  [M.VM_INIT, init],
  [M.VM_START, start],
  [M.VM_STOP, stop],
  [M.VM_RESET, reset],
  [M.VM_EXIT, exit],
  [M.VM_SET_BOOT_CONTEXT, setBootContext],
  [M.VM_SET_ADDRESS_LAYOUT, setAddressLayout],
  [M.VM_SET_DEMAND_PAGING, setDemandPaging],
  [M.VM_SET_TIME_BASE, setTimeBase],
];
