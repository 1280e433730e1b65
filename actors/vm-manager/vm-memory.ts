/**
 * Memory that a VM is to have, in the two shapes of the interface: regions of user memory by label (v6 to v14) and bindings of guest
 * memory files (v17). Checks and errnos are those of gunyah.md 8.3 and the drivers it names.
 */
import { err, ok, type Result } from '../../bus/result.js';
import { HYP_PAGE_BYTES } from '../../bus/units.js';
import type { Errno } from './errno.js';
import type { UserMemory } from './manager-host.js';
import { CMA_LEND, MAP, MEM } from './uapi.js';

/** Memory at a guest-physical address. */
export interface Region {
  /** Of a region; bindings have the number of their making. */
  readonly label: number;
  readonly guestAddress: bigint;
  readonly bytes: bigint;
  /** In the host VM. */
  readonly address: bigint;
  /** X 1, W 2, R 4, as access lists have them. */
  readonly rights: number;
  /** False: shared. */
  readonly isLent: boolean;
  /** Whether pages that come when they are wanted may be large ones. */
  readonly isLarge: boolean;
  /** Of a file that lies in one piece (Android's CMA): it is given whole, never page by page. */
  readonly isCma: boolean;
  /** The parcel it was given away as. */
  handle: number | undefined;
}

const PAGE = BigInt(HYP_PAGE_BYTES);
const ADDRESS_END = 1n << 64n;
const isPages = (...values: readonly bigint[]): boolean => values.every((value) => value % PAGE === 0n);
const overlaps = (a: Region, guestAddress: bigint, bytes: bigint): boolean =>
  guestAddress < a.guestAddress + a.bytes && a.guestAddress < guestAddress + bytes;

/** Rights of an access list by the flags of a region: read 1, write 2, execute 4. */
const rightsOf = (flags: number): number => ((flags & 1) << 2) | (flags & 2) | ((flags & 4) >> 2);

/** What the caller asks for with SET_USER_MEM_REGION and its Android sibling. */
export interface RegionRequest {
  readonly label: number;
  readonly flags: number;
  readonly guestPhysAddr: bigint;
  readonly memorySize: bigint;
  readonly userspaceAddr: bigint;
}
/** What the caller asks for with MAP_MEM; `memory` is what the file holds. */
export interface BindingRequest {
  readonly guestAddr: bigint;
  readonly flags: number;
  readonly offset: bigint;
  readonly size: bigint;
  readonly memory: UserMemory;
  readonly isLarge: boolean;
}
/** What the caller asks for with MAP_CMA_MEM. */
export interface CmaRequest {
  readonly label: number;
  readonly guestAddr: bigint;
  readonly flags: number;
  readonly offset: bigint;
  readonly size: bigint;
  readonly memory: UserMemory;
}

const RWX = MEM.read | MEM.write | MEM.exec;
const BINDING_FLAGS = MAP.access | MAP.read | MAP.write | MAP.exec | MAP.unmap;

/** See the head of this file. */
export class VmMemory {
  readonly #regions: Region[] = [];
  #made = 0;

  all(): readonly Region[] {
    return this.#regions;
  }

  /** The region that holds `[address, address + bytes)` whole. */
  holding(address: bigint, bytes: bigint): Region | undefined {
    return this.#regions.find((r) => address >= r.guestAddress && address + bytes <= r.guestAddress + r.bytes);
  }

  labelled(label: number): Region | undefined {
    return this.#regions.find((region) => region.label === label);
  }

  /** Checks a region's request against `mapped`, what the process has mapped. Nothing is added yet. */
  checkRegion(
    request: RegionRequest,
    flagsKnown: number,
    mapped: readonly UserMemory[],
    isLent: boolean,
  ): Result<Region, Errno> {
    const { label, flags, guestPhysAddr, memorySize, userspaceAddr } = request;
    if ((flags & ~flagsKnown) !== 0 || memorySize === 0n) return err('EINVAL');
    if (!isPages(guestPhysAddr, memorySize, userspaceAddr)) return err('EINVAL');
    if (guestPhysAddr + memorySize >= ADDRESS_END) return err('EOVERFLOW');
    const isTaken = this.#regions.some((r) => r.label === label || overlaps(r, guestPhysAddr, memorySize));
    if (isTaken) return err('EEXIST');
    const isMapped = mapped.some(
      ({ address, bytes }) => userspaceAddr >= BigInt(address) && userspaceAddr + memorySize <= BigInt(address + bytes),
    );
    if (!isMapped) return err('EFAULT');
    return ok({
      ...{ label, guestAddress: guestPhysAddr, bytes: memorySize, address: userspaceAddr },
      ...{ rights: rightsOf(flags & ~MEM.lend), isLent, isLarge: false, isCma: false, handle: undefined },
    });
  }

  add(region: Region): void {
    this.#regions.push(region);
  }
  remove(region: Region): void {
    this.#regions.splice(this.#regions.indexOf(region), 1);
  }

  /** MAP_CMA_MEM: as the driver checks it, flags not at all. */
  addCma({ label, guestAddr, flags, offset, size, memory }: CmaRequest): Result<undefined, Errno> {
    if (size === 0n || !isPages(guestAddr, size)) return err('EINVAL');
    if (guestAddr + size >= ADDRESS_END || offset + size > BigInt(memory.bytes)) return err('EOVERFLOW');
    // The driver takes any offset and counts it in pages later; ours are bytes, and must be whole pages to be given.
    if (!isPages(offset)) return err('EINVAL');
    if (this.#regions.some((region) => overlaps(region, guestAddr, size))) return err('EEXIST');
    this.add({
      ...{ label, guestAddress: guestAddr, bytes: size, address: BigInt(memory.address) + offset },
      ...{ rights: rightsOf(flags & RWX), isLent: (flags & CMA_LEND) !== 0, isLarge: false, isCma: true },
      handle: undefined,
    });
    return ok();
  }

  /** MAP_MEM: adds a binding. */
  bind(request: BindingRequest): Result<undefined, Errno> {
    const checked = checkBinding(request);
    if (!checked.ok) return checked;
    const { guestAddr, flags, size, isLarge } = request;
    if (this.#regions.some((region) => overlaps(region, guestAddr, size))) return err('EEXIST');
    const isLent = (flags & MAP.access) !== MAP.forceShare;
    this.add({
      ...{ label: this.#made++, guestAddress: guestAddr, bytes: size, address: checked.value },
      ...{ rights: rightsOf(flags >>> 4), isLent, isLarge, isCma: false, handle: undefined },
    });
    return ok();
  }

  /** The binding that MAP_MEM with the unmap flag names exactly. */
  bound(request: BindingRequest): Result<Region, Errno> {
    const checked = checkBinding(request);
    if (!checked.ok) return checked;
    const { guestAddr, size } = request;
    const found = this.#regions.find(
      (r) => r.guestAddress === guestAddr && r.bytes === size && r.address === checked.value,
    );
    return found === undefined ? err('ENOENT') : ok(found);
  }
}

/** Checks MAP_MEM's arguments; where the binding lies in the host VM. */
function checkBinding({ guestAddr, flags, offset, size, memory }: BindingRequest): Result<bigint, Errno> {
  if ((flags & ~BINDING_FLAGS) !== 0 || (flags & MAP.access) > MAP.forceShare) return err('EINVAL');
  if ((flags & (MAP.read | MAP.write | MAP.exec)) === 0) return err('EINVAL');
  if (size === 0n || !isPages(guestAddr, offset, size)) return err('EINVAL');
  if (guestAddr + size >= ADDRESS_END || offset + size > BigInt(memory.bytes)) return err('EOVERFLOW');
  return ok(BigInt(memory.address) + offset);
}
