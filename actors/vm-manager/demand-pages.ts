/**
 * Pages of a VM that come when they are wanted (gunyah.md 8.3, page provision of v17): a page is donated from an extent of the
 * host's memory to one of the guest's and mapped there, and goes back the same way. All of it is hypercalls of the host VM, with the
 * capabilities that GET_HYP_RESOURCES listed.
 */
import { err, ok, type Result } from '../../bus/result.js';
import { HYP_PAGE_BYTES } from '../../bus/units.js';
import { GUNYAH_ERROR } from '../abi/gunyah/errors.js';
import { EXTENT_LABEL, RESOURCE_TYPE } from '../resource-manager/resource-types.js';
import { type Errno, errnoOfCall } from './errno.js';
import type { ManagerHost } from './manager-host.js';
import { Turns } from './turns.js';
import type { Region } from './vm-memory.js';
import type { Resource } from './vm-requests.js';

/** Numbers and flags of the calls (sections 2.7 and 2.8). */
const CALL = { map: 0x2b, unmap: 0x2c, donate: 0x61 } as const;
const DONATE = { toSibling: 2n, toProtected: 3n, fromProtected: 4n } as const;
const MAP_FLAG = { partial: 1n, isPrivate: 2n, vmmio: 4n } as const;
const WRITE_BACK = 15n << 16n;
/** Access of section 2.7: X 1, W 2, R 4, by whether it is shared and may be written. */
const ACCESS = { shared: [4n, 6n], lent: [5n, 7n] } as const;
const RIGHT_WRITE = 2;
/** Sizes in which a page comes: a large one where the file and the addresses allow it. */
const LARGE = 0x20_0000n;
const SMALL = BigInt(HYP_PAGE_BYTES);

/** Memory that comes and goes as one. */
export interface Block {
  readonly guest: bigint;
  /** In the host VM. */
  readonly address: bigint;
  readonly bytes: bigint;
  readonly isLent: boolean;
}
/** The capabilities of the two ends. */
interface Ends {
  readonly host: bigint;
  readonly guest: bigint;
  readonly space: bigint;
}

/** See the head of this file. */
export class DemandPages {
  readonly #host: ManagerHost;
  readonly #blocks: Block[] = [];
  #lines: readonly Resource[] = [];
  readonly #turns = new Turns();

  constructor(host: ManagerHost) {
    this.#host = host;
  }

  /** The VM's resources are there. */
  connect(resources: readonly Resource[]): void {
    this.#lines = resources;
  }

  #capability(type: number, label: number): bigint | undefined {
    return this.#lines.find((line) => line.type === type && line.label === label)?.capability;
  }
  #ends(isLent: boolean): Ends | undefined {
    const { memoryExtent, addressSpace } = RESOURCE_TYPE;
    const { guestPrivate, guestShared, hostPrivate, hostShared } = EXTENT_LABEL;
    const host = this.#capability(memoryExtent, isLent ? hostPrivate : hostShared);
    const guest = this.#capability(memoryExtent, isLent ? guestPrivate : guestShared);
    const space = this.#capability(addressSpace, 0);
    return host === undefined || guest === undefined || space === undefined ? undefined : { host, guest, space };
  }

  #overlaps(guest: bigint, bytes: bigint): readonly Block[] {
    return this.#blocks.filter((b) => guest < b.guest + b.bytes && b.guest < guest + bytes);
  }
  /** What comes for an access at `address`: the largest block that is whole on both sides and not there in part. */
  #wanted(region: Region, address: bigint): Block | undefined {
    for (const bytes of region.isLarge ? [LARGE, SMALL] : [SMALL]) {
      const guest = address - (address % bytes);
      const offset = guest - region.guestAddress;
      if (offset < 0n || offset + bytes > region.bytes || (region.address + offset) % bytes !== 0n) continue;
      if (this.#overlaps(guest, bytes).length > 0) continue;
      return { guest, address: region.address + offset, bytes, isLent: region.isLent };
    }
    return undefined;
  }

  /** The blocks that hold `[address, address + bytes)` of a region of which nothing has come yet, whole; undefined: they do not. */
  holding(region: Region, address: bigint, bytes: bigint): readonly Block[] | undefined {
    const blocks: Block[] = [];
    for (let at = address; at < address + bytes; ) {
      const block = this.#wanted(region, at);
      if (block === undefined) return undefined;
      blocks.push(block);
      at = block.guest + block.bytes;
    }
    return blocks;
  }
  /** What a VM was started with is there like what it wanted since. */
  adopt(blocks: readonly Block[]): void {
    this.#blocks.push(...blocks);
  }

  /** Gives the guest what it wants at `address`, which is in `region`; nothing when it is there already. */
  provide(region: Region, address: bigint): Promise<Result<undefined, Errno>> {
    return this.#turns.take(async () => {
      const ends = this.#ends(region.isLent);
      if (ends === undefined) return err('ENODEV');
      const block = this.#wanted(region, address);
      if (block === undefined) return ok(); // another processor was first
      const { guest, address: from, bytes, isLent } = block;
      const way = isLent ? DONATE.toProtected : DONATE.toSibling;
      const donated = await this.#host.hypercall(CALL.donate, [way, ends.host, ends.guest, from, bytes]);
      if (donated !== GUNYAH_ERROR.ok) return err(errnoOfCall(donated));
      const access = ACCESS[isLent ? 'lent' : 'shared'][(region.rights & RIGHT_WRITE) === 0 ? 0 : 1];
      const attributes = WRITE_BACK | access | (access << 4n);
      const flags = mapFlags(isLent);
      const args = [ends.space, ends.guest, guest, attributes, flags, from, bytes];
      const mapped = await this.#host.hypercall(CALL.map, args);
      if (mapped === GUNYAH_ERROR.ok) {
        this.#blocks.push(block);
        return ok();
      }
      await this.#back(block, ends);
      return err(errnoOfCall(mapped));
    });
  }

  /** Takes back what is there of `[guest, guest + bytes)`. A block that does not come back stays, and its errno is answered. */
  reclaim(guest: bigint, bytes: bigint): Promise<Result<undefined, Errno>> {
    return this.#turns.take(async () => {
      let result: Result<undefined, Errno> = ok();
      for (const block of this.#overlaps(guest, bytes)) {
        const ends = this.#ends(block.isLent);
        if (ends === undefined) return err('ENODEV');
        const args = [ends.space, ends.guest, block.guest, mapFlags(block.isLent), block.address, block.bytes];
        const unmapped = await this.#host.hypercall(CALL.unmap, args);
        const error = unmapped === GUNYAH_ERROR.ok ? await this.#back(block, ends) : unmapped;
        if (error === GUNYAH_ERROR.ok) this.#blocks.splice(this.#blocks.indexOf(block), 1);
        else result = err(errnoOfCall(error));
      }
      return result;
    });
  }

  #back({ isLent, address, bytes }: Block, { host, guest }: Ends): Promise<number> {
    const way = isLent ? DONATE.fromProtected : DONATE.toSibling;
    return this.#host.hypercall(CALL.donate, [way, guest, host, address, bytes]);
  }
}

function mapFlags(isLent: boolean): bigint {
  return MAP_FLAG.partial | (isLent ? MAP_FLAG.isPrivate : MAP_FLAG.vmmio);
}
