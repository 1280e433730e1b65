/** Memory parcels by handle: policy of gunyah.md 5.8 over the core's parcels. */
import { err, ok, type Result } from '../../bus/result.js';
import type { PageRange, ParcelFault, ParcelPiece, Transfer } from '../hypervisor/parcel.protocol.js';
import type { PayloadReader } from './payload.js';
import type { RmHost } from './rm-host.js';
import { RM_ERROR as E } from './rm-messages.js';

/** Who may have a parcel, with Gunyah's rights bits (X 1, W 2, R 4). */
export interface AclEntry {
  readonly vmid: number;
  readonly rights: number;
}
/** Attributes for one VM of the ACL. */
export interface AttributeEntry {
  readonly attribute: number;
  readonly vmid: number;
}
/** Memory types of parcels. */
export const MEMORY_TYPE = { normal: 0, io: 1 } as const;
/** Transfers, as MEM_ACCEPT and MEM_SHARED name them. */
export const TRANSFER_NUMBER: Readonly<Record<Transfer, number>> = { donate: 0, lend: 1, share: 2 };

/** Entries of one list, and parcels of one owner, at most. */
const LIST_ENTRIES_MAX = 512;
const PARCELS_PER_OWNER_MAX = 64;
const PAGE = 4096n;
/** Rights an ACL may give: R, RX, RW, RWX. */
const ACL_RIGHTS = new Set([4, 5, 6, 7]);
const RIGHT_X = 1;
/** RWX. */
export const RIGHTS_ALL = 7;
const RIGHTS_RW = 6;

/** One parcel. */
export interface Parcel {
  readonly handle: number;
  readonly owner: number;
  readonly transfer: Transfer;
  readonly memoryType: number;
  readonly label: number;
  readonly acl: readonly AclEntry[];
  readonly attributes: readonly AttributeEntry[];
  readonly parcel: number;
  readonly pieces: ParcelPiece[];
  readonly ranges: { readonly ipa: bigint; readonly bytes: bigint }[];
  isComplete: boolean;
  /** Borrowers that have accepted it, with the addresses it was mapped at. */
  readonly holders: Map<number, readonly PageRange[]>;
}

/** Gunyah's rights bits as stage-2 rights (read 1, write 2, execute 4). */
export function stage2Rights(rights: number): number {
  return ((rights & 4) >> 2) | (rights & 2) | ((rights & RIGHT_X) << 2);
}

/** The core's refusals as RM errors. */
export function parcelError(fault: ParcelFault): number {
  switch (fault) {
    case 'notOwned':
      return E.MEM_INVALID;
    case 'overlap':
      return E.NORESOURCE;
    case 'noMemory':
      return E.NOMEM;
    case 'inUse':
      return E.MEM_INUSE;
    case 'notHeld':
      return E.MEM_RELEASED;
    case 'noParcel':
      return E.HANDLE_INVALID;
    case 'notAcknowledged':
      return E.BUSY;
    default:
      return E.ARGUMENT_INVALID;
  }
}

/** Reads `count, zero` and so many entries; a missing list counts as empty. */
export function readList<T>(reader: PayloadReader, entry: (reader: PayloadReader) => T): Result<readonly T[], number> {
  if (reader.rest === 0) return ok([]);
  const count = reader.u16();
  reader.zero(2);
  if (count > LIST_ENTRIES_MAX) return err(E.NORESOURCE);
  const entries: T[] = [];
  for (let n = 0; n < count; n++) entries.push(entry(reader));
  return reader.isValid ? ok(entries) : err(E.MSG_INVALID);
}
export const readAcl = (reader: PayloadReader): AclEntry => {
  const entry = { vmid: reader.u16(), rights: reader.u8() };
  reader.zero(1);
  return entry;
};
export const readSgl = (reader: PayloadReader): { ipa: bigint; bytes: bigint } => ({
  ipa: reader.u64(),
  bytes: reader.u64(),
});
export const readAttribute = (reader: PayloadReader): AttributeEntry => ({
  attribute: reader.u16(),
  vmid: reader.u16(),
});
export const readVmid = (reader: PayloadReader): number => {
  const vmid = reader.u16();
  reader.zero(2);
  return vmid;
};

/** SGL entries as page ranges, or undefined when one is not in whole pages or beyond what addresses can be. */
export function pageRanges(
  entries: readonly { readonly ipa: bigint; readonly bytes: bigint }[],
): readonly PageRange[] | undefined {
  const ranges: PageRange[] = [];
  for (const { ipa, bytes } of entries) {
    if (ipa % PAGE !== 0n || bytes % PAGE !== 0n || bytes === 0n || ipa + bytes > 1n << 48n) return undefined;
    ranges.push({ ipa: Number(ipa), bytes: Number(bytes) });
  }
  return ranges;
}

/** What a VM asks for when it lends, shares or donates. */
export interface ParcelRequest {
  readonly transfer: Transfer;
  readonly memoryType: number;
  readonly flags: number;
  readonly label: number;
  readonly acl: readonly AclEntry[];
  readonly sgl: readonly { readonly ipa: bigint; readonly bytes: bigint }[];
  readonly attributes: readonly AttributeEntry[];
}
/** Flags of a request. */
export const PARCEL_FLAG = { sanitise: 1, append: 2 } as const;

/** See the head of this file. */
export class MemoryParcels {
  readonly #host: RmHost;
  readonly #parcels = new Map<number, Parcel>();
  #next = 1;

  constructor(host: RmHost) {
    this.#host = host;
  }

  get(handle: number): Parcel | undefined {
    return this.#parcels.get(handle);
  }
  all(): readonly Parcel[] {
    return [...this.#parcels.values()];
  }

  /** Checks a request against the rules; 0 or the error. `known`: whether a VMID exists. */
  check(request: ParcelRequest, owner: number, known: (vmid: number) => boolean): number {
    const { transfer, memoryType, flags, acl, sgl, attributes } = request;
    const isIo = memoryType === MEMORY_TYPE.io;
    if (memoryType > MEMORY_TYPE.io || (flags & ~(PARCEL_FLAG.sanitise | PARCEL_FLAG.append)) !== 0) {
      return E.ARGUMENT_INVALID;
    }
    if (acl.length === 0 || sgl.length === 0) return E.ARGUMENT_INVALID;
    if (new Set(acl.map(({ vmid }) => vmid)).size !== acl.length) return E.ARGUMENT_INVALID;
    if (acl.some(({ rights }) => !ACL_RIGHTS.has(rights))) return E.ARGUMENT_INVALID;
    if (acl.some(({ vmid }) => !known(vmid))) return E.VMID_INVALID;
    if (acl.some(({ vmid }) => vmid === owner) !== (transfer === 'share')) return E.ARGUMENT_INVALID;
    if (transfer === 'donate' && (acl.length !== 1 || acl[0]?.rights !== (isIo ? RIGHTS_RW : RIGHTS_ALL))) {
      return E.DENIED;
    }
    if (isIo && (acl.some(({ rights }) => (rights & RIGHT_X) !== 0) || (flags & PARCEL_FLAG.sanitise) !== 0)) {
      return E.ARGUMENT_INVALID;
    }
    if (attributes.some(({ vmid, attribute }) => attribute > 3 || !acl.some((entry) => entry.vmid === vmid))) {
      return E.ARGUMENT_INVALID;
    }
    if (this.all().filter((parcel) => parcel.owner === owner).length >= PARCELS_PER_OWNER_MAX) return E.DENIED;
    return E.OK;
  }

  /** Makes the parcel of a request that passed {@link check}. */
  async create(request: ParcelRequest, owner: number, partition: number): Promise<Result<Parcel, number>> {
    const ranges = pageRanges(request.sgl);
    if (ranges === undefined) return err(E.ARGUMENT_INVALID);
    const kept = request.acl.find(({ vmid }) => vmid === owner)?.rights ?? 0;
    const made = await this.#host.createParcel(partition, request.transfer, ranges, stage2Rights(kept));
    if (!made.ok) return err(parcelError(made.error));
    const { transfer, memoryType, label, acl, attributes } = request;
    const parcel: Parcel = {
      ...{ handle: this.#next++, owner, transfer, memoryType, label, acl, attributes },
      ...{ parcel: made.value.parcel, pieces: [...made.value.pieces], ranges: [...request.sgl] },
      isComplete: (request.flags & PARCEL_FLAG.append) === 0,
      holders: new Map(),
    };
    if ((request.flags & PARCEL_FLAG.sanitise) !== 0) this.zero(parcel.pieces);
    this.#parcels.set(parcel.handle, parcel);
    return ok(parcel);
  }

  /** Adds ranges to a parcel that is not complete. */
  async append(parcel: Parcel, sgl: ParcelRequest['sgl'], isLast: boolean): Promise<number> {
    const ranges = pageRanges(sgl);
    if (ranges === undefined) return E.ARGUMENT_INVALID;
    const added = await this.#host.extendParcel(parcel.parcel, ranges);
    if (!added.ok) return parcelError(added.error);
    parcel.pieces.push(...added.value.pieces);
    parcel.ranges.push(...sgl);
    if (isLast) parcel.isComplete = true;
    return E.OK;
  }

  /** Bytes of a parcel. */
  bytesOf(parcel: Parcel): number {
    return parcel.pieces.reduce((sum, piece) => sum + piece.bytes, 0);
  }

  /** Maps a parcel into a borrower's address space. */
  async accept(
    parcel: Parcel,
    vmid: number,
    partition: number,
    places: readonly PageRange[],
    rights: number,
  ): Promise<number> {
    const how = stage2Rights(rights);
    const { transfer } = parcel;
    const mapped =
      transfer === 'donate'
        ? await this.#host.acceptDonation(parcel.parcel, partition, places, how)
        : await this.#host.mapParcel(parcel.parcel, partition, places, how);
    if (!mapped.ok) return parcelError(mapped.error);
    if (transfer === 'donate') this.#parcels.delete(parcel.handle);
    else parcel.holders.set(vmid, places);
    return E.OK;
  }

  /** What a VM alone holds of a lent parcel becomes pages of its extent `extent`; nobody may name the parcel any more. */
  async toPages(parcel: Parcel, partition: number, extent: number): Promise<number> {
    const paged = await this.#host.pageParcel(parcel.parcel, partition, extent);
    if (!paged.ok) return parcelError(paged.error);
    this.#parcels.delete(parcel.handle);
    return E.OK;
  }

  /** A donation that the resource manager takes for itself: nobody may name it any more, and its owner has lost it. */
  keep(parcel: Parcel): void {
    this.#parcels.delete(parcel.handle);
  }

  /** Takes a borrower's mapping back. */
  async release(parcel: Parcel, vmid: number, partition: number, zero: boolean): Promise<number> {
    if (!parcel.holders.has(vmid)) return E.MEM_RELEASED;
    const released = await this.#host.unmapParcel(parcel.parcel, partition);
    if (!released.ok) return parcelError(released.error);
    parcel.holders.delete(vmid);
    if (zero) this.zero(parcel.pieces);
    return E.OK;
  }

  /** Ends a parcel nobody holds: its owner has its pages back. */
  async reclaim(parcel: Parcel, zero: boolean): Promise<number> {
    if (parcel.holders.size > 0) return E.MEM_INUSE;
    const ended = await this.#host.endParcel(parcel.parcel, zero);
    if (!ended.ok) return parcelError(ended.error);
    this.#parcels.delete(parcel.handle);
    return E.OK;
  }

  /** A VM's partition is gone: it holds nothing any more, and what it gave away has come back to nobody. */
  forget(vmid: number): void {
    for (const parcel of this.all()) {
      parcel.holders.delete(vmid);
      if (parcel.owner === vmid) this.#parcels.delete(parcel.handle);
    }
  }

  /** Empties memory. */
  zero(pieces: readonly ParcelPiece[]): void {
    for (const { host, bytes } of pieces) this.#host.memory.fill(0, host, host + bytes);
  }

  /** Copies `bytes` bytes from `offset` of a parcel; the caller has checked that they are inside. */
  read(parcel: Parcel, offset: number, bytes: number): Uint8Array {
    const content = new Uint8Array(bytes);
    this.#each(parcel, offset, bytes, (host, at, here) =>
      content.set(this.#host.memory.subarray(host, host + here), at),
    );
    return content;
  }

  /** Writes `content` at `offset` of a parcel; the caller has checked that it fits. */
  write(parcel: Parcel, offset: number, content: Uint8Array): void {
    this.#each(parcel, offset, content.length, (host, at, here) => {
      this.#host.memory.set(content.subarray(at, at + here), host);
    });
  }

  #each(parcel: Parcel, offset: number, bytes: number, act: (host: number, at: number, here: number) => void): void {
    let start = 0;
    for (const piece of parcel.pieces) {
      const from = Math.max(offset, start);
      const to = Math.min(offset + bytes, start + piece.bytes);
      if (from < to) act(piece.host + (from - start), from - offset, to - from);
      start += piece.bytes;
    }
  }
}
