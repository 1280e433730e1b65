/**
 * Memory extents and address spaces as guests' hypercalls see them (gunyah.md 2.7, 2.8): an extent is a set of frames of one
 * partition's memory (its home), by page; mapping it into another partition's address space is what shares them. The ledger
 * says `shared` of frames in an extent and `lent` of those that their home has lost (donated to protected).
 *
 * Root extents are configured over the home's own guest-physical addresses, and offsets are counted from there.
 */
import { assert } from '../../bus/assert.js';
import { err, ok, type Result } from '../../bus/result.js';
import { HYP_PAGE_BYTES } from '../../bus/units.js';
import type { CoreMemory, Donation, MapAccess, MapRange } from '../abi/gunyah/core.js';
import type { FrameLedger } from '../shared-state/frames/frame-ledger.js';
import type { ObjectTable } from '../shared-state/objects/object-table.js';
import { STAGE2_PAGES_MAX, STAGE2_RIGHTS } from '../shared-state/stage2/stage2-map.js';
import { VMMIO_RANGES_MAX, VmmioRanges } from '../shared-state/vm/vmmio-ranges.js';
import type { ObjectFault } from './objects.protocol.js';
import type { Flush, HandedParcel } from './parcels.js';
import type { Partition } from './partition.js';

const PAGE = HYP_PAGE_BYTES;
const BASIC_MAPPINGS_MAX = 4;
/** Attribute bits of configure: type sparse in 17:16, access in 2:0 (X 1, W 2, R 4). */
const SPARSE = 1 << 16;
const TYPE_MASK = 3 << 16;
const ACCESS_MASK = 7;

type Done = Result<undefined, ObjectFault>;

/** A frame in an extent. */
interface Frame {
  readonly host: number;
  readonly home: Partition;
  /** Where its home has it, and with which rights. */
  readonly page: number;
  readonly rights: number;
  /** Its home has lost it. */
  readonly isProtected: boolean;
}
interface Mapping {
  readonly addrspace: number;
  /** The partition whose stage-2 map it is in. */
  readonly space: number;
  readonly basePage: number;
  readonly firstPage: number;
  readonly pages: number;
  access: MapAccess;
}
interface Extent {
  /** The object's life, and the partition that pays for it: what the table says after its end is somebody else's. */
  readonly generation: number;
  readonly owner: number;
  readonly isSparse: boolean;
  readonly parent: number | undefined;
  readonly pages: number;
  /** Rights that mappings may have at most (stage-2 bits). */
  readonly rights: number;
  readonly memoryType: number;
  /** By page from the start of the extent. */
  readonly frames: Map<number, Frame>;
  readonly mappings: Mapping[];
  /** Whether its page is registers of a device, and stays here. */
  isAttached?: boolean;
  /** All memory of a partition rather than frames: what it owns alone is there, at its guest-physical address. */
  readonly view?: Partition;
}

/** Addresses a guest can form end here. */
const IPA_END = 1n << 48n;
/** Bytes from `base` on. */
interface Range {
  readonly base: bigint;
  readonly bytes: bigint;
}
/** As a parcel is mapped whose VM has all rights to it: write-back memory. */
const ALL_ACCESS: MapAccess = { kernel: ACCESS_MASK, user: ACCESS_MASK, memoryType: 15 };
const inPages = (bytes: bigint): number => Number(bytes >> 12n);
const isWhole = (value: bigint): boolean => (value & 0xfffn) === 0n;
const stage2Rights = (access: number): number => ((access & 4) >> 2) | (access & 2) | ((access & 1) << 2);

/** See the head of this file. */
export class Extents implements CoreMemory {
  readonly #memory: Uint8Array;
  readonly #ledger: FrameLedger;
  readonly #table: ObjectTable;
  readonly #partitions: ReadonlyMap<number, Partition>;
  readonly #flush: Flush;
  /** Told of an extent whose frames go elsewhere though its object lives. */
  readonly #lose: (extent: number) => void;
  readonly #extents = new Map<number, Extent>();
  /** VMMIO ranges by address space, of the life they were made in. */
  readonly #vmmio = new Map<number, { readonly generation: number; readonly ranges: readonly Range[] }>();

  constructor(
    memory: ArrayBufferLike,
    ledger: FrameLedger,
    table: ObjectTable,
    partitions: ReadonlyMap<number, Partition>,
    flush: Flush,
    lose: (extent: number) => void,
  ) {
    this.#memory = new Uint8Array(memory);
    this.#ledger = ledger;
    this.#table = table;
    this.#partitions = partitions;
    this.#flush = flush;
    this.#lose = lose;
  }

  /** Extents that have frames, for audits. */
  get count(): number {
    return this.#extents.size;
  }

  /** A configured extent whose object lives. */
  #extent(extent: number): Extent | undefined {
    const found = this.#extents.get(extent);
    return found?.generation === this.#table.generation(extent) ? found : undefined;
  }
  #space(addrspace: number): Partition | undefined {
    return this.#partitions.get(this.#table.aux(addrspace));
  }
  #configurable(extent: number): boolean {
    return this.#table.state(extent) === 'init' && !this.#extents.has(extent);
  }

  configureExtent(extent: number, base: bigint, bytes: bigint, attributes: number): Done {
    if (!this.#configurable(extent)) return err('badState');
    if (!isWhole(base) || !isWhole(bytes)) return err('badAlignment');
    if (bytes === 0n) return err('badSize');
    const [first, pages] = [inPages(base), inPages(bytes)];
    if (base + bytes > 1n << 64n) return err('overflow');
    if (first + pages > STAGE2_PAGES_MAX) return err('badArgument');
    const type = attributes & TYPE_MASK;
    if (type !== 0 && type !== SPARSE) return err('badArgument');
    const home = this.#partitions.get(this.#table.owner(extent));
    const stage2 = home?.parts?.stage2;
    if (home === undefined || stage2 === undefined) return err('notOwner');
    const frames = new Map<number, Frame>();
    for (let page = 0; page < pages; page++) {
      const entry = stage2.entry(first + page);
      const host = (entry & ~0xfff) >>> 0;
      const known = this.#ledger.entry(host);
      if (entry === 0 || known.owner !== home.number || known.state !== 'owned') return err('notOwner');
      frames.set(page, { host, home, page: first + page, rights: entry & 7, isProtected: false });
    }
    for (const frame of frames.values()) this.#move(frame, 'owned', 'shared');
    const rights = stage2Rights(attributes & ACCESS_MASK);
    const memoryType = (attributes >>> 8) & 3;
    this.#extents.set(extent, {
      ...this.#life(extent),
      ...{ isSparse: type === SPARSE, parent: undefined, pages, rights, memoryType, frames, mappings: [] },
    });
    return ok();
  }

  deriveExtent(extent: number, parent: number, offset: bigint, bytes: bigint, attributes: number): Done {
    const from = this.#extent(parent);
    if (!this.#configurable(extent)) return err('badState');
    if (from === undefined) return err('badConfig');
    if (!isWhole(offset) || !isWhole(bytes)) return err('badAlignment');
    if (bytes === 0n) return err('badSize');
    if (offset + bytes > BigInt(from.pages) * BigInt(PAGE)) return err('badArgument');
    const type = attributes & TYPE_MASK;
    if (type !== 0 && type !== SPARSE) return err('badArgument');
    const [first, pages] = [inPages(offset), inPages(bytes)];
    const rights = from.rights & stage2Rights(attributes & ACCESS_MASK);
    const memoryType = (attributes >>> 8) & 3 || from.memoryType;
    const frames = new Map<number, Frame>();
    const child = {
      ...this.#life(extent),
      isSparse: type === SPARSE,
      parent,
      pages,
      rights,
      memoryType,
      frames,
      mappings: [],
    };
    // A sparse child begins empty and is donated to; a basic one takes its range at once.
    if (!child.isSparse) {
      if (from.isAttached === true) return err('busy');
      if (from.mappings.some((m) => overlaps(m, first, pages))) return err('busy');
      for (let page = 0; page < pages; page++) if (!from.frames.has(first + page)) return err('notOwner');
      for (let page = 0; page < pages; page++) this.#hand(from, first + page, frames, page);
    }
    this.#extents.set(extent, child);
    return ok();
  }

  /** An extent over whatever memory of `home` belongs to it alone, now and later; offsets are its guest-physical addresses. */
  configureView(extent: number, home: Partition): Done {
    return this.#configureEmpty(extent, { view: home });
  }
  /** A sparse extent over all addresses that has nothing yet. */
  configureSparse(extent: number): Done {
    return this.#configureEmpty(extent, {});
  }
  #configureEmpty(extent: number, view: Pick<Extent, 'view'>): Done {
    if (!this.#configurable(extent)) return err('badState');
    const all = { isSparse: true, parent: undefined, pages: STAGE2_PAGES_MAX, rights: ACCESS_MASK, memoryType: 0 };
    this.#extents.set(extent, { ...this.#life(extent), ...all, frames: new Map(), mappings: [], ...view });
    return ok();
  }

  /** Whether an extent is a sparse one of partition `owner` over all addresses, and no view. */
  canTakeOver(extent: number, owner: number): boolean {
    const found = this.#extent(extent);
    return (
      found?.isSparse === true && found.view === undefined && found.owner === owner && found.pages === STAGE2_PAGES_MAX
    );
  }
  /** Takes the frames of what was a parcel, mapped in `addrspace` and lost to their home as they are; see {@link canTakeOver}. */
  takeOver(extent: number, addrspace: number, { owner: home, pieces, places }: HandedParcel): void {
    const found = this.#extent(extent);
    assert(found !== undefined, 'the extent was looked at');
    const taken = pieces.flatMap(({ ipa, host, bytes, rights }) =>
      Array.from({ length: bytes / PAGE }, (_, n) => ({ host: host + n * PAGE, page: ipa / PAGE + n, rights })),
    );
    const space = this.#table.aux(addrspace);
    let next = 0;
    for (const { ipa, bytes } of places) {
      for (let n = 0; n < bytes / PAGE; n++) {
        const frame = taken[next++];
        assert(frame !== undefined, 'the places hold the parcel');
        found.frames.set(frame.page, { ...frame, home, isProtected: true });
        const basePage = ipa / PAGE + n;
        const last = n > 0 ? found.mappings.at(-1) : undefined;
        const goesOn = last !== undefined && last.firstPage + last.pages === frame.page;
        if (goesOn) found.mappings.splice(-1, 1, { ...last, pages: last.pages + 1 });
        else found.mappings.push({ addrspace, space, basePage, firstPage: frame.page, pages: 1, access: ALL_ACCESS });
      }
    }
  }

  /** What an extent has at a page, if anything. */
  #frameAt({ view, frames }: Extent, page: number): Frame | undefined {
    if (view === undefined) return frames.get(page);
    const entry = view.parts?.stage2.entry(page) ?? 0;
    const host = (entry & ~0xfff) >>> 0;
    if (entry === 0) return undefined;
    const known = this.#ledger.entry(host);
    if (known.owner !== view.number || known.state !== 'owned') return undefined;
    return { host, home: view, page, rights: entry & 7, isProtected: false };
  }
  /** Whether an extent can take a frame at a page: a view only what was its own there. */
  #takes({ view, frames, pages }: Extent, page: number, frame: Frame): boolean {
    if (view === undefined) return page < pages && !frames.has(page);
    return frame.home === view && frame.page === page;
  }

  #life(extent: number): { readonly generation: number; readonly owner: number } {
    return { generation: this.#table.generation(extent), owner: this.#table.owner(extent) };
  }

  #hand(from: Extent, page: number, to: Map<number, Frame>, at: number): void {
    const frame = from.frames.get(page);
    if (frame === undefined) return;
    from.frames.delete(page);
    to.set(at, frame);
  }

  #move(frame: Frame, from: 'owned' | 'shared' | 'lent', to: 'owned' | 'shared' | 'lent'): void {
    const owner = frame.home.number;
    this.#ledger.move(frame.host, 1, { owner, state: from }, { owner, state: to });
  }

  async donate(direction: Donation, from: number, to: number, offset: bigint, bytes: bigint): Promise<Done> {
    const [source, target] = [this.#extent(from), this.#extent(to)];
    if (source === undefined || target === undefined) return err('badState');
    if (!source.isSparse || !target.isSparse) return err('wrongExtent');
    const related = {
      toChild: target.parent === from,
      toParent: source.parent === to,
      toSibling: true,
      toProtected: true,
      fromProtected: true,
    }[direction];
    if (!related || from === to) return err('badArgument');
    const [first, pages] = [inPages(offset), inPages(bytes)];
    for (let page = first; page < first + pages; page++) {
      const frame = this.#frameAt(source, page);
      if (frame === undefined || !this.#takes(target, page, frame)) return err('notOwner');
      if (
        frame.isProtected !== (direction === 'fromProtected') &&
        direction !== 'toChild' &&
        direction !== 'toParent'
      ) {
        return err('notOwner');
      }
    }
    if (!(await this.#withdraw(source, first, pages))) return err('busy');
    const homes = new Set<Partition>();
    for (let page = first; page < first + pages; page++) {
      const frame = this.#frameAt(source, page);
      if (frame === undefined) continue;
      source.frames.delete(page);
      if (source.view !== undefined) this.#move(frame, 'owned', 'shared');
      let moved = frame;
      if (direction === 'toProtected') {
        this.#move(frame, 'shared', 'lent');
        frame.home.parts?.stage2.unmap(frame.page);
        homes.add(frame.home);
        moved = { ...frame, isProtected: true };
      } else if (direction === 'fromProtected') {
        this.#unprotect(frame, 'shared');
        moved = { ...frame, isProtected: false };
      }
      if (target.view !== undefined) this.#move(moved, 'shared', 'owned');
      else target.frames.set(page, moved);
    }
    for (const home of homes) if (!(await this.#flush(home))) return err('busy');
    return ok();
  }

  /** A frame goes back to its home, empty. */
  #unprotect(frame: Frame, state: 'shared' | 'owned'): void {
    this.#memory.fill(0, frame.host, frame.host + PAGE);
    this.#move(frame, 'lent', state);
    frame.home.parts?.stage2.map(frame.page, frame.host, frame.rights);
  }

  /** Unmaps whatever maps pages of an extent; answered when nobody can use it. */
  async #withdraw(extent: Extent, first: number, pages: number): Promise<boolean> {
    const spaces = new Set<Partition>();
    for (const mapping of [...extent.mappings]) {
      if (!overlaps(mapping, first, pages)) continue;
      this.#unmapPages(mapping, spaces);
      extent.mappings.splice(extent.mappings.indexOf(mapping), 1);
      // What of the mapping lies outside the range stays.
      for (const rest of around(mapping, first, pages)) {
        extent.mappings.push(rest);
        this.#mapPages(extent, rest);
      }
    }
    for (const space of spaces) if (!(await this.#flush(space))) return false;
    return true;
  }

  #unmapPages(mapping: Mapping, spaces: Set<Partition>): void {
    const space = this.#partitions.get(mapping.space);
    if (space?.parts === undefined) return;
    for (let page = 0; page < mapping.pages; page++) space.parts.stage2.unmap(mapping.basePage + page);
    spaces.add(space);
  }

  #mapPages(extent: Extent, mapping: Mapping): boolean {
    const stage2 = this.#partitions.get(mapping.space)?.parts?.stage2;
    if (stage2 === undefined) return false;
    for (let page = 0; page < mapping.pages; page++) {
      const frame = extent.frames.get(mapping.firstPage + page);
      if (frame !== undefined && !stage2.map(mapping.basePage + page, frame.host, mapping.access.kernel)) return false;
    }
    return true;
  }

  /** The pages a mapping call means, or why it cannot. */
  #range(extent: Extent, { partial }: MapRange): Result<{ first: number; pages: number }, ObjectFault> {
    if (partial === undefined) return ok({ first: 0, pages: extent.pages });
    if (!extent.isSparse) return err('wrongExtent');
    const [first, pages] = [inPages(partial.offset), inPages(partial.bytes)];
    if (pages === 0) return err('badSize');
    return first + pages > extent.pages ? err('badArgument') : ok({ first, pages });
  }

  map(range: MapRange, access: MapAccess): Done {
    const extent = this.#extent(range.extent);
    const space = this.#space(range.addrspace);
    const stage2 = space?.parts?.stage2;
    if (extent === undefined || space === undefined || stage2 === undefined) return err('badState');
    const asked = this.#range(extent, range);
    if (!asked.ok) return asked;
    const { first, pages } = asked.value;
    const basePage = inPages(range.base);
    if (basePage + pages > STAGE2_PAGES_MAX) return err('overflow');
    // One set of rights per page: user and kernel access must agree, as the drivers have it.
    if (access.kernel !== access.user || access.kernel === 0 || (access.kernel & ~extent.rights) !== 0) {
      return err('denied');
    }
    if (!extent.isSparse && extent.mappings.length >= BASIC_MAPPINGS_MAX) return err('mappingsFull');
    for (let page = 0; page < pages; page++) {
      if (!extent.frames.has(first + page)) return err('notOwner');
      if (stage2.entry(basePage + page) !== 0) return err('existingMapping');
    }
    const { addrspace } = range;
    const mapping = { addrspace, space: space.number, basePage, firstPage: first, pages, access };
    if (!this.#mapPages(extent, mapping)) {
      for (let page = 0; page < pages; page++) stage2.unmap(basePage + page);
      return err('noMemory');
    }
    extent.mappings.push(mapping);
    return ok();
  }

  #isIn(mapping: Mapping, addrspace: number): boolean {
    return mapping.addrspace === addrspace && mapping.space === this.#table.aux(addrspace);
  }

  /** The mapping that a call names, with the part of it that is meant. */
  #mapped(range: MapRange): Result<{ extent: Extent; mapping: Mapping; first: number; pages: number }, ObjectFault> {
    const extent = this.#extent(range.extent);
    if (extent === undefined) return err('badState');
    const asked = this.#range(extent, range);
    if (!asked.ok) return asked;
    const { first, pages } = asked.value;
    const basePage = inPages(range.base);
    const mapping = extent.mappings.find(
      (m) =>
        this.#isIn(m, range.addrspace) &&
        first >= m.firstPage &&
        first + pages <= m.firstPage + m.pages &&
        m.basePage + (first - m.firstPage) === basePage,
    );
    return mapping === undefined ? err('badArgument') : ok({ extent, mapping, first, pages });
  }

  async unmap(range: MapRange): Promise<Done> {
    const found = this.#mapped(range);
    if (!found.ok) return found;
    const { extent, mapping, first, pages } = found.value;
    const spaces = new Set<Partition>();
    const part = { ...mapping, basePage: mapping.basePage + (first - mapping.firstPage), firstPage: first, pages };
    this.#unmapPages(part, spaces);
    extent.mappings.splice(extent.mappings.indexOf(mapping), 1, ...around(mapping, first, pages));
    for (const space of spaces) if (!(await this.#flush(space))) return err('busy');
    return ok();
  }

  async updateAccess(range: MapRange, access: MapAccess): Promise<Done> {
    const found = this.#mapped(range);
    if (!found.ok) return found;
    const { extent, mapping, first, pages } = found.value;
    if (access.kernel !== access.user || access.kernel === 0 || (access.kernel & ~extent.rights) !== 0) {
      return err('denied');
    }
    const rest = around(mapping, first, pages);
    const basePage = mapping.basePage + (first - mapping.firstPage);
    const changed = {
      ...mapping,
      basePage,
      firstPage: first,
      pages,
      access: { ...access, memoryType: mapping.access.memoryType },
    };
    extent.mappings.splice(extent.mappings.indexOf(mapping), 1, ...rest, changed);
    this.#mapPages(extent, changed);
    const space = this.#partitions.get(mapping.space);
    return space === undefined || (await this.#flush(space)) ? ok() : err('busy');
  }

  lookup: CoreMemory['lookup'] = (addrspace, extent, base, bytes) => {
    const found = this.#extent(extent);
    if (found === undefined) return err('badState');
    if (bytes === 0n) return err('badSize');
    const page = inPages(base);
    const mapping = found.mappings.find(
      (m) => this.#isIn(m, addrspace) && page >= m.basePage && page < m.basePage + m.pages,
    );
    if (mapping === undefined) return err('badArgument');
    const skipped = page - mapping.basePage;
    const pages = Math.min(inPages(bytes), mapping.pages - skipped);
    const size = BigInt(PAGE);
    return ok({
      offset: BigInt(mapping.firstPage + skipped) * size,
      bytes: BigInt(pages) * size,
      access: mapping.access,
    });
  };

  attachPage(extent: number): Result<number, ObjectFault> {
    const found = this.#extent(extent);
    if (found === undefined) return err('badState');
    const frame = found.frames.get(0);
    if (found.isSparse || found.pages !== 1) return err('badArgument');
    if (frame === undefined) return err('notOwner');
    found.isAttached = true;
    return ok(frame.host);
  }

  attachInfoPage(extent: number): Result<number, ObjectFault> {
    const found = this.#extent(extent);
    if (found === undefined) return err('badState');
    const isWritable = (found.rights & STAGE2_RIGHTS.write) !== 0 && (found.rights & STAGE2_RIGHTS.read) !== 0;
    return isWritable && found.memoryType === 0 ? this.attachPage(extent) : err('badArgument');
  }

  async unmapAll(extent: number): Promise<Done> {
    const found = this.#extent(extent);
    if (found === undefined) return err('badState');
    return (await this.#withdraw(found, 0, found.pages)) ? ok() : err('busy');
  }

  zero(extent: number, offset: bigint, bytes: bigint): Done {
    const found = this.#extent(extent);
    if (found === undefined) return err('badState');
    if (!isWhole(offset) || !isWhole(bytes)) return err('badAlignment');
    if (offset + bytes > BigInt(found.pages) * BigInt(PAGE)) return err('badArgument');
    for (let page = inPages(offset); page < inPages(offset + bytes); page++) {
      const frame = found.frames.get(page);
      if (frame !== undefined) this.#memory.fill(0, frame.host, frame.host + PAGE);
    }
    return ok();
  }

  addVmmio(addrspace: number, base: bigint, bytes: bigint): Done {
    const ranges = this.#rangesOf(addrspace);
    if (base + bytes > IPA_END) return err('badArgument');
    if (ranges.some((range) => base < range.base + range.bytes && range.base < base + bytes)) return err('badArgument');
    if (ranges.length >= VMMIO_RANGES_MAX) return err('noResource');
    this.#setRanges(addrspace, [...ranges, { base, bytes }]);
    return ok();
  }
  removeVmmio(addrspace: number, base: bigint, bytes: bigint): Done {
    const ranges = this.#rangesOf(addrspace);
    const rest = ranges.filter((range) => range.base !== base || range.bytes !== bytes);
    if (rest.length === ranges.length) return err('badArgument');
    this.#setRanges(addrspace, rest);
    return ok();
  }
  #rangesOf(addrspace: number): readonly Range[] {
    const found = this.#vmmio.get(addrspace);
    return found?.generation === this.#table.generation(addrspace) ? found.ranges : [];
  }
  #setRanges(addrspace: number, ranges: readonly Range[]): void {
    this.#vmmio.set(addrspace, { generation: this.#table.generation(addrspace), ranges });
    this.publishRanges(addrspace);
  }
  /** Writes the ranges where the processors of the address space look for them, after that has become another place. */
  publishRanges(addrspace: number): void {
    const ranges = this.#rangesOf(addrspace);
    const block = this.#table.data(addrspace);
    if (block === 0) return; // one that no VM runs in
    const numbers = ranges.map(({ base, bytes }) => ({ base: Number(base), bytes: Number(bytes) }));
    new VmmioRanges(this.#memory.buffer, { at: block }).replace(numbers);
  }

  /**
   * Takes back what a partition's end concerns: frames it is the home of, mappings in its address space, extents that it
   * paid for. After it no frame of the partition is anything but its own.
   */
  async forget(partition: Partition): Promise<boolean> {
    for (const [object, extent] of [...this.#extents]) {
      for (const mapping of [...extent.mappings]) {
        if (mapping.space !== partition.number) continue;
        this.#unmapPages(mapping, new Set());
        extent.mappings.splice(extent.mappings.indexOf(mapping), 1);
      }
      const isOwn = extent.owner === partition.number;
      const concerned = [...extent.frames].filter(([, frame]) => isOwn || frame.home === partition);
      if (concerned.length > 0) this.#lose(object);
      if (concerned.length > 0 && !(await this.#withdraw(extent, 0, extent.pages))) return false;
      this.#release(extent, concerned);
      if (isOwn) this.#extents.delete(object);
    }
    return true;
  }

  #release(extent: Extent, frames: readonly (readonly [number, Frame])[]): void {
    for (const [page, frame] of frames) {
      extent.frames.delete(page);
      if (frame.isProtected) this.#unprotect(frame, 'owned');
      else this.#move(frame, 'shared', 'owned');
    }
  }

  /** Returns what extents had whose objects have ended. False: somebody did not acknowledge; another call tries again. */
  async collect(): Promise<boolean> {
    for (const [object, extent] of [...this.#extents]) {
      if (this.#table.generation(object) === extent.generation) continue;
      if (!(await this.#withdraw(extent, 0, extent.pages))) return false;
      this.#release(extent, [...extent.frames]);
      this.#extents.delete(object);
    }
    return true;
  }
}

function overlaps(mapping: Mapping, first: number, pages: number): boolean {
  return mapping.firstPage < first + pages && first < mapping.firstPage + mapping.pages;
}

/** What of a mapping is left without pages `first` to `first + pages`. */
function around(mapping: Mapping, first: number, pages: number): Mapping[] {
  const rest: Mapping[] = [];
  const end = first + pages;
  const mappedEnd = mapping.firstPage + mapping.pages;
  if (mapping.firstPage < first) rest.push({ ...mapping, pages: first - mapping.firstPage });
  if (end < mappedEnd) {
    rest.push({
      ...mapping,
      basePage: mapping.basePage + (end - mapping.firstPage),
      firstPage: end,
      pages: mappedEnd - end,
    });
  }
  return rest;
}
