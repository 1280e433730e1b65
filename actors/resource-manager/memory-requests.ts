/** Requests about memory parcels (gunyah.md 5.8). */
import { err, ok, type Result } from '../../bus/result.js';
import type { PageRange, Transfer } from '../hypervisor/parcel.protocol.js';
import {
  type AclEntry,
  type AttributeEntry,
  type Parcel,
  type ParcelRequest,
  pageRanges,
  readAcl,
  readAttribute,
  readList,
  readSgl,
  readVmid,
  TRANSFER_NUMBER,
} from './memory-parcels.js';
import { PayloadWriter } from './payload.js';
import { isWhole, type Reply, type Request, type RequestHandler, reply } from './request.js';
import { RM_ERROR as E, RM_MESSAGE as M, RM_NOTIFICATION as N, VMID } from './rm-messages.js';

/** Flags of MEM_ACCEPT. */
const ACCEPT = { sanitised: 1, aclAttr: 2, label: 4, other: 8, contiguous: 16, sanitiseLater: 32, done: 128 } as const;
const ACCEPT_KNOWN = Object.values(ACCEPT).reduce((all, flag) => all | flag, 0);
/** Flags of MEM_NOTIFY; exactly one. */
const NOTIFY = { shared: 1, released: 2, accepted: 4, recall: 8 } as const;
/** Where a parcel is mapped when its borrower names no place: from here up, beside what is there. */
const PLACE_FROM = 0x3_0000_0000;
const PLACE_END = 0x4_0000_0000;
const PLACE_ALIGN = 0x20_0000;

/** The three lists with which a request describes a parcel, and its end; the error is the first one's. */
function readLists(
  request: Request,
): Result<{ acl: readonly AclEntry[]; sgl: ParcelRequest['sgl']; attributes: readonly AttributeEntry[] }, number> {
  const { reader } = request;
  const acl = readList(reader, readAcl);
  if (!acl.ok) return acl;
  const sgl = readList(reader, readSgl);
  if (!sgl.ok) return sgl;
  const attributes = readList(reader, readAttribute);
  if (!attributes.ok) return attributes;
  if (!isWhole(request)) return err(E.MSG_INVALID);
  return ok({ acl: acl.value, sgl: sgl.value, attributes: attributes.value });
}

const give =
  (transfer: Transfer): RequestHandler =>
  async (request) => {
    const { rm, client, reader } = request;
    const memoryType = reader.u8();
    reader.zero(1);
    const flags = reader.u8();
    reader.zero(1);
    const label = reader.u32();
    const lists = readLists(request);
    if (!lists.ok) return reply(lists.error);
    const { acl, sgl, attributes } = lists.value;
    const asked: ParcelRequest = {
      ...{ transfer, memoryType, flags, label },
      ...{ acl, sgl, attributes },
    };
    const isKnown = (vmid: number): boolean =>
      rm.vms.get(vmid) !== undefined || (transfer === 'donate' && vmid === VMID.RM);
    const refused = rm.parcels.check(asked, client.vmid, isKnown);
    if (refused !== E.OK) return reply(refused);
    if (client.partition === undefined) return reply(E.MEM_INVALID);
    const made = await rm.parcels.create(asked, client.vmid, client.partition);
    return made.ok ? { error: E.OK, payload: new PayloadWriter().u32(made.value.handle).finish() } : reply(made.error);
  };

const append: RequestHandler = async (request) => {
  const { rm, client, reader } = request;
  const [handle, flags] = [reader.u32(), reader.u8()];
  reader.zero(3);
  const sgl = readList(reader, readSgl);
  if (!sgl.ok) return reply(sgl.error);
  if (!isWhole(request) || flags > 1) return reply(E.MSG_INVALID);
  const parcel = rm.parcels.get(handle);
  if (parcel === undefined) return reply(E.HANDLE_INVALID);
  if (parcel.owner !== client.vmid || parcel.isComplete) return reply(E.DENIED);
  if (sgl.value.length === 0) return reply(E.ARGUMENT_INVALID);
  return reply(await rm.parcels.append(parcel, sgl.value, flags === 1));
};

const sameAcl = (a: readonly AclEntry[], b: readonly AclEntry[]): boolean =>
  a.length === b.length && a.every(({ vmid, rights }) => b.some((e) => e.vmid === vmid && e.rights === rights));
const sameAttributes = (a: readonly AttributeEntry[], b: readonly AttributeEntry[]): boolean =>
  a.length === b.length && a.every((x) => b.some((y) => x.vmid === y.vmid && x.attribute === y.attribute));

const accept: RequestHandler = async (request) => {
  const { rm, client, reader } = request;
  const [handle, memoryType, transfer, flags] = [reader.u32(), reader.u8(), reader.u8(), reader.u8()];
  reader.zero(1);
  const label = reader.u32();
  const acl = readList(reader, readAcl);
  if (!acl.ok) return reply(acl.error);
  let mapVmid = 0;
  let sgl: readonly { ipa: bigint; bytes: bigint }[] = [];
  if (reader.rest > 0) {
    const count = reader.u16();
    mapVmid = reader.u16();
    if (count > 512) return reply(E.NORESOURCE);
    sgl = Array.from({ length: count }, () => readSgl(reader));
  }
  const attributes = readList(reader, readAttribute);
  if (!attributes.ok) return reply(attributes.error);
  if (!isWhole(request)) return reply(E.MSG_INVALID);
  const parcel = rm.parcels.get(handle);
  const entry = parcel?.acl.find(({ vmid }) => vmid === client.vmid);
  if (parcel === undefined || (entry === undefined && parcel.owner !== client.vmid)) return reply(E.HANDLE_INVALID);
  if (parcel.owner === client.vmid || entry === undefined) return reply(E.DENIED);
  if ((flags & ~ACCEPT_KNOWN) !== 0) return reply(E.ARGUMENT_INVALID);
  if ((flags & ACCEPT.other) !== 0 || (mapVmid !== 0 && mapVmid !== client.vmid)) return reply(E.DENIED);
  if (!parcel.isComplete) return reply(E.MEM_INVALID);
  if (memoryType !== parcel.memoryType || transfer !== TRANSFER_NUMBER[parcel.transfer]) {
    return reply(E.ARGUMENT_INVALID);
  }
  const isSame = sameAcl(acl.value, parcel.acl) && sameAttributes(attributes.value, parcel.attributes);
  if ((flags & ACCEPT.aclAttr) !== 0 && !isSame) return reply(E.VALIDATE_FAILED);
  if ((flags & ACCEPT.label) !== 0 && label !== parcel.label) return reply(E.VALIDATE_FAILED);
  if (parcel.holders.has(client.vmid)) return reply(E.DENIED);
  const { partition } = client;
  if (partition === undefined) return reply(E.MEM_INVALID);
  if (sgl.length > 0) {
    const places = pageRanges(sgl);
    const bytes = places?.reduce((sum, place) => sum + place.bytes, 0);
    if (places === undefined || bytes !== rm.parcels.bytesOf(parcel)) return reply(E.ARGUMENT_INVALID);
    if ((flags & ACCEPT.contiguous) !== 0 && places.length > 1) return reply(E.ARGUMENT_INVALID);
    return reply(await rm.parcels.accept(parcel, client.vmid, partition, places, entry.rights));
  }
  return placeAnywhere(request, parcel, partition, entry.rights);
};

/** The borrower names no place: the first one that is free. */
async function placeAnywhere(request: Request, parcel: Parcel, partition: number, rights: number): Promise<Reply> {
  const { rm, client } = request;
  const bytes = rm.parcels.bytesOf(parcel);
  for (let ipa = PLACE_FROM; ipa + bytes <= PLACE_END; ipa += Math.ceil(bytes / PLACE_ALIGN) * PLACE_ALIGN) {
    const place: PageRange = { ipa, bytes };
    const error = await rm.parcels.accept(parcel, client.vmid, partition, [place], rights);
    if (error === E.NORESOURCE) continue;
    if (error !== E.OK) return reply(error);
    const payload = new PayloadWriter().u16(1).u8(0).u8(0).u64(BigInt(ipa)).u64(BigInt(bytes)).finish();
    return { error: E.OK, payload };
  }
  return reply(E.NORESOURCE);
}

/** {u32 handle, u8 flags (1 sanitise), zeros}; answers the parcel or the error. */
function handleAndFlags(request: Request): { parcel: Parcel; sanitise: boolean } | number {
  const { rm, reader } = request;
  const [handle, flags] = [reader.u32(), reader.u8()];
  reader.zero(3);
  if (!isWhole(request) || flags > 1) return E.MSG_INVALID;
  const parcel = rm.parcels.get(handle);
  return parcel === undefined ? E.HANDLE_INVALID : { parcel, sanitise: flags === 1 };
}

const release: RequestHandler = async (request) => {
  const found = handleAndFlags(request);
  if (typeof found === 'number') return reply(found);
  const { rm, client } = request;
  const { parcel, sanitise } = found;
  const isBorrower = parcel.owner !== client.vmid && parcel.acl.some(({ vmid }) => vmid === client.vmid);
  if (!isBorrower || client.partition === undefined) return reply(E.HANDLE_INVALID);
  return reply(await rm.parcels.release(parcel, client.vmid, client.partition, sanitise));
};

const reclaim: RequestHandler = async (request) => {
  const found = handleAndFlags(request);
  if (typeof found === 'number') return reply(found);
  if (found.parcel.owner !== request.client.vmid) return reply(E.HANDLE_INVALID);
  return reply(await request.rm.parcels.reclaim(found.parcel, found.sanitise));
};

function sharedNotice(parcel: Parcel, tag: number): Uint8Array {
  const out = new PayloadWriter().u32(parcel.handle).u8(parcel.memoryType).u8(TRANSFER_NUMBER[parcel.transfer]);
  out.u8(0).u8(0).u16(parcel.owner).u16(0).u32(parcel.label).u32(tag);
  out.u16(parcel.acl.length).u16(0);
  for (const { vmid, rights } of parcel.acl) out.u16(vmid).u8(rights).u8(0);
  out.u16(parcel.ranges.length).u16(0);
  for (const { bytes } of parcel.ranges) out.u64(bytes);
  out.u16(parcel.attributes.length).u16(0);
  for (const { attribute, vmid } of parcel.attributes) out.u16(attribute).u16(vmid);
  return out.finish();
}

const notify: RequestHandler = (request) => {
  const { rm, client, reader } = request;
  const [handle, flags] = [reader.u32(), reader.u8()];
  reader.zero(3);
  const tag = reader.u32();
  const isList = flags === NOTIFY.shared || flags === NOTIFY.recall;
  const vmids = isList ? readList(reader, readVmid) : { ok: true as const, value: [] as readonly number[] };
  if (!vmids.ok) return reply(vmids.error);
  if (!isWhole(request)) return reply(E.MSG_INVALID);
  if (!Object.values(NOTIFY).some((flag) => flag === flags)) return reply(E.ARGUMENT_INVALID);
  const parcel = rm.parcels.get(handle);
  if (parcel === undefined) return reply(E.HANDLE_INVALID);
  const isOwner = parcel.owner === client.vmid;
  const isMember = (vmid: number): boolean => parcel.acl.some((entry) => entry.vmid === vmid);
  if (isList) {
    if (!isOwner) return reply(E.DENIED);
    if (vmids.value.length === 0 || !vmids.value.every(isMember)) return reply(E.ARGUMENT_INVALID);
    const content =
      flags === NOTIFY.shared ? sharedNotice(parcel, tag) : new PayloadWriter().u32(handle).u32(tag).finish();
    const message = flags === NOTIFY.shared ? N.MEM_SHARED : N.MEM_RECALL;
    for (const vmid of vmids.value) rm.notify(rm.vms.get(vmid), message, content);
    return reply(E.OK);
  }
  if (isOwner || !isMember(client.vmid)) return reply(E.DENIED);
  const holds = parcel.holders.has(client.vmid);
  if (holds !== (flags === NOTIFY.accepted)) return reply(holds ? E.MEM_INUSE : E.MEM_RELEASED);
  const content = new PayloadWriter().u32(handle).u16(client.vmid).u16(0).u32(tag).finish();
  rm.notify(rm.vms.get(parcel.owner), flags === NOTIFY.accepted ? N.MEM_ACCEPTED : N.MEM_RELEASED, content);
  return reply(E.OK);
};

const lookupSgl: RequestHandler = (request) => {
  const { rm, client, reader } = request;
  const memoryType = reader.u8();
  reader.zero(3);
  const label = reader.u32();
  const lists = readLists(request);
  if (!lists.ok) return reply(lists.error);
  const { acl, sgl, attributes } = lists.value;
  const found = rm.parcels.all().find((parcel) => {
    const places = parcel.owner === client.vmid ? parcel.ranges : placesOf(parcel, client.vmid);
    return (
      parcel.memoryType === memoryType &&
      parcel.label === label &&
      sameAcl(acl, parcel.acl) &&
      sameAttributes(attributes, parcel.attributes) &&
      places.length === sgl.length &&
      places.every(({ ipa, bytes }, n) => ipa === sgl[n]?.ipa && bytes === sgl[n]?.bytes)
    );
  });
  return found === undefined
    ? reply(E.LOOKUP_FAILED)
    : { error: E.OK, payload: new PayloadWriter().u32(found.handle).finish() };
};

const placesOf = (parcel: Parcel, vmid: number): readonly { ipa: bigint; bytes: bigint }[] =>
  (parcel.holders.get(vmid) ?? []).map(({ ipa, bytes }) => ({ ipa: BigInt(ipa), bytes: BigInt(bytes) }));

/** The handlers by message. */
export const MEMORY_REQUESTS: readonly (readonly [number, RequestHandler])[] = [
  [M.MEM_DONATE, give('donate')],
  [M.MEM_LEND, give('lend')],
  [M.MEM_SHARE, give('share')],
  [M.MEM_APPEND, append],
  [M.MEM_ACCEPT, accept],
  [M.MEM_RELEASE, release],
  [M.MEM_RECLAIM, reclaim],
  [M.MEM_NOTIFY, notify],
  [M.MEM_QCOM_LOOKUP_SGL, lookupSgl],
];
