/**
 * Memory that a VM is to have, in the two shapes of the interface: regions of user memory by label (v6 to v14) and bindings of guest
 * memory files (v17). Checks and errnos are those of gunyah.md 8.3 and the drivers it names.
 */
import { err, ok, type Result } from '../../bus/result.js';
import { HYP_PAGE_BYTES } from '../../bus/units.js';
import type { Errno } from './errno.js';
import type { UserMemory } from './manager-host.js';
import { MAP, MEM } from './uapi.js';

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
}

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
      ...{ rights: rightsOf(flags & ~MEM.lend), isLent, handle: undefined },
    });
  }

  add(region: Region): void {
    this.#regions.push(region);
  }
  remove(region: Region): void {
    this.#regions.splice(this.#regions.indexOf(region), 1);
  }

  /** MAP_MEM: adds a binding, or takes exactly one away. */
  bind({ guestAddr, flags, offset, size, memory }: BindingRequest): Result<undefined, Errno> {
    const access = flags & MAP.access;
    if ((flags & ~BINDING_FLAGS) !== 0 || access > MAP.forceShare) return err('EINVAL');
    if (size === 0n || !isPages(guestAddr, offset, size)) return err('EINVAL');
    if (guestAddr + size >= ADDRESS_END || offset + size > BigInt(memory.bytes)) return err('EOVERFLOW');
    const address = BigInt(memory.address) + offset;
    if ((flags & MAP.unmap) !== 0) {
      const bound = this.#regions.find(
        (r) => r.guestAddress === guestAddr && r.bytes === size && r.address === address,
      );
      if (bound === undefined) return err('ENOENT');
      this.remove(bound);
      return ok();
    }
    if (this.#regions.some((region) => overlaps(region, guestAddr, size))) return err('EEXIST');
    this.add({
      ...{ label: this.#made++, guestAddress: guestAddr, bytes: size, address },
      ...{ rights: rightsOf(flags >>> 4), isLent: access !== MAP.forceShare, handle: undefined },
    });
    return ok();
  }
}
