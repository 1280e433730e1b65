/** The resource manager's requests as the driver makes them (gunyah.md 5.5, 5.7, 5.8), with the fields it sends. */
import { ok, type Result } from '../../bus/result.js';
import { type PayloadReader, PayloadWriter } from '../resource-manager/payload.js';
import { RM_MESSAGE as M } from '../resource-manager/rm-messages.js';
import type { Errno } from './errno.js';
import type { RpcClient } from './rpc-client.js';

/** A line of GET_HYP_RESOURCES. */
export interface Resource {
  readonly type: number;
  readonly label: number;
  readonly capability: bigint;
  readonly virq: number;
}

/** What CONFIG_IMAGE says: offsets count from the start of the parcel. */
interface ConfigImage {
  readonly auth: number;
  readonly handle: number;
  readonly imageOffset: bigint;
  readonly imageBytes: bigint;
  readonly treeOffset: bigint;
  readonly treeBytes: bigint;
}
const PARAM_PAS_ID = 0;

/** Entries of a parcel's list that go with the first request; the rest follows by APPEND. */
const ENTRIES_MAX = 512;
const APPENDS = 2;
const LAST = 1;
const RIGHTS_ALL = 7;

type Answer<T> = Promise<Result<T, Errno>>;

/** See the head of this file. */
export class VmRequests {
  readonly #rpc: RpcClient;
  readonly #hostVmid: number;

  constructor(rpc: RpcClient, hostVmid: number) {
    this.#rpc = rpc;
    this.#hostVmid = hostVmid;
  }

  async #plain(message: number, content: PayloadWriter): Answer<undefined> {
    const answer = await this.#rpc.call(message, content.finish());
    return answer.ok ? ok() : answer;
  }
  #vmid(message: number, vmid: number): Answer<undefined> {
    return this.#plain(message, new PayloadWriter().u16(vmid).u16(0));
  }

  /** A VMID: the one that is wanted, or any (0). */
  async allocate(wanted = 0): Answer<number> {
    const answer = await this.#rpc.call(M.VM_ALLOCATE, new PayloadWriter().u32(wanted).finish());
    if (!answer.ok) return answer;
    return ok(wanted === 0 ? answer.value.u32() & 0xffff : wanted);
  }
  deallocate = (vmid: number): Answer<undefined> => this.#vmid(M.VM_DEALLOCATE, vmid);
  init = (vmid: number): Answer<undefined> => this.#vmid(M.VM_INIT, vmid);
  start = (vmid: number): Answer<undefined> => this.#vmid(M.VM_START, vmid);
  reset = (vmid: number): Answer<undefined> => this.#vmid(M.VM_RESET, vmid);
  stop = (vmid: number, force: boolean, reason: number): Answer<undefined> =>
    this.#plain(
      M.VM_STOP,
      new PayloadWriter()
        .u16(vmid)
        .u8(force ? 1 : 0)
        .u8(0)
        .u32(reason),
    );

  configImage(
    vmid: number,
    { auth, handle, imageOffset, imageBytes, treeOffset, treeBytes }: ConfigImage,
  ): Answer<undefined> {
    const content = new PayloadWriter().u16(vmid).u16(auth).u32(handle).u64(imageOffset).u64(imageBytes);
    return this.#plain(M.VM_CONFIG_IMAGE, content.u64(treeOffset).u64(treeBytes));
  }
  /** One parameter: the peripheral whose firmware authenticates the image. */
  authImage(vmid: number, peripheral: number): Answer<undefined> {
    return this.#plain(M.VM_AUTH_IMAGE, new PayloadWriter().u16(vmid).u16(1).u32(PARAM_PAS_ID).u32(peripheral));
  }
  setFirmwareMem(vmid: number, handle: number, offset: bigint, bytes: bigint): Answer<undefined> {
    const content = new PayloadWriter().u16(vmid).u16(0).u32(handle).u64(offset).u64(bytes);
    return this.#plain(M.VM_SET_FIRMWARE_MEM, content);
  }
  setDemandPaging(
    vmid: number,
    ranges: readonly { readonly guestAddress: bigint; readonly bytes: bigint }[],
  ): Answer<undefined> {
    const content = new PayloadWriter().u16(vmid).u16(0).u32(ranges.length);
    for (const { guestAddress, bytes } of ranges) content.u64(guestAddress).u64(bytes);
    return this.#plain(M.VM_SET_DEMAND_PAGING, content);
  }
  setAddressLayout(vmid: number, base: bigint, bytes: bigint): Answer<undefined> {
    return this.#plain(M.VM_SET_ADDRESS_LAYOUT, new PayloadWriter().u16(vmid).u16(0).u32(0).u64(base).u64(bytes));
  }
  setBootContext(vmid: number, set: number, index: number, value: bigint): Answer<undefined> {
    const content = new PayloadWriter().u16(vmid).u8(set).u8(index).u32(0).u64(value);
    return this.#plain(M.VM_SET_BOOT_CONTEXT, content);
  }
  /** v6 sends four bytes and takes two; later ones send none and take four. */
  async getVmid(isV6: boolean): Answer<number> {
    const content = new PayloadWriter();
    if (isV6) content.u32(0);
    const answer = await this.#rpc.call(M.VM_GET_VMID, content.finish());
    return answer.ok ? ok(isV6 ? answer.value.u16() : answer.value.u32() & 0xffff) : answer;
  }

  async resources(vmid: number): Answer<readonly Resource[]> {
    const answer = await this.#rpc.call(M.VM_GET_HYP_RESOURCES, new PayloadWriter().u16(vmid).u16(0).finish());
    if (!answer.ok) return answer;
    const { value } = answer;
    return ok(Array.from({ length: value.u32() }, () => readResource(value)));
  }

  /** Lends a range to the VM alone, or shares it with it; the handle. `rights`: R 4, W 2, X 1. */
  async give(
    isLent: boolean,
    vmid: number,
    rights: number,
    label: number,
    ranges: readonly { readonly address: bigint; readonly bytes: bigint }[],
  ): Answer<number> {
    const isLong = ranges.length > ENTRIES_MAX;
    const content = new PayloadWriter()
      .u8(0)
      .u8(0)
      .u8(isLong ? APPENDS : 0)
      .u8(0)
      .u32(label);
    content
      .u16(isLent ? 1 : 2)
      .u16(0)
      .u16(vmid)
      .u8(rights)
      .u8(0);
    if (!isLent) content.u16(this.#hostVmid).u8(RIGHTS_ALL).u8(0);
    writeRanges(content, ranges.slice(0, ENTRIES_MAX));
    content.u16(0).u16(0);
    const given = await this.#rpc.call(isLent ? M.MEM_LEND : M.MEM_SHARE, content.finish());
    if (!given.ok) return given;
    const handle = given.value.u32();
    for (let from = ENTRIES_MAX; from < ranges.length; from += ENTRIES_MAX) {
      const isLast = from + ENTRIES_MAX >= ranges.length;
      const more = new PayloadWriter()
        .u32(handle)
        .u8(isLast ? LAST : 0)
        .u8(0)
        .u16(0);
      writeRanges(more, ranges.slice(from, from + ENTRIES_MAX));
      const appended = await this.#plain(M.MEM_APPEND, more);
      if (appended.ok) continue;
      await this.reclaim(handle);
      return appended;
    }
    return ok(handle);
  }
  reclaim = (handle: number): Answer<undefined> => this.#plain(M.MEM_RECLAIM, new PayloadWriter().u32(handle).u32(0));
}

function writeRanges(
  content: PayloadWriter,
  ranges: readonly { readonly address: bigint; readonly bytes: bigint }[],
): void {
  content.u16(ranges.length).u16(0);
  for (const { address, bytes } of ranges) content.u64(address).u64(bytes);
}

function readResource(reader: PayloadReader): Resource {
  const type = reader.u8();
  reader.bytes(7); // partner and handle
  const label = reader.u32();
  const capability = reader.u64();
  reader.u32();
  const virq = reader.u32();
  reader.bytes(16);
  return { type, label, capability, virq };
}
