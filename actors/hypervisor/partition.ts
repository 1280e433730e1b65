/** One partition as the core keeps it: its life, its memory, its virtual processors. */
import { assert } from '../../bus/assert.js';
import { err, ok, type Result } from '../../bus/result.js';
import { HYP_PAGE_BYTES } from '../../bus/units.js';
import { Gic } from '../shared-state/gic/gic.js';
import { GIC_STATE_BYTES } from '../shared-state/gic/gic-layout.js';
import { STAGE2_PAGES_MAX, STAGE2_RIGHTS, STAGE2_ROOT_BYTES, Stage2Map } from '../shared-state/stage2/stage2-map.js';
import { STOP, VM_BLOCK_BYTES, VmBlock, waker } from '../shared-state/vm/vm-block.js';
import type { Extent, FramePool } from './frame-pool.js';
import type { MappedExtent, PartitionFault, VpTicket } from './partition.protocol.js';
import { initialProperties, type PartitionProperty, propertyRow } from './partition-properties.js';

const pages = (bytes: number): number => Math.ceil(bytes / HYP_PAGE_BYTES) * HYP_PAGE_BYTES;
/** Regions of guest memory a partition may have (as mshv). */
const REGIONS_MAX = 64;

/** An interrupt controller and the block of the VM whose processors it serves. */
export interface Controller {
  readonly block: VmBlock;
  readonly gic: Gic;
  readonly gicAt: number;
}

/** What a partition has once it is initialised. */
interface Parts extends Controller {
  readonly stage2: Stage2Map;
  readonly stage2At: number;
  readonly wake: (cpu: number) => void;
}

/** See the head of this file. */
export class Partition {
  readonly number: number;
  readonly #memory: ArrayBufferLike;
  readonly #pool: FramePool;
  readonly #ring: (actor: number) => void;
  readonly #properties = initialProperties();
  /** Frames the core holds on the partition's behalf: tables, blocks, processor areas. */
  readonly #own: Extent[] = [];
  /** Guest memory. */
  #mapped: MappedExtent[] = [];
  readonly #processors = new Map<number, VpTicket>();
  #parts: Parts | undefined;
  /** Its own block and controller, where it works with another's for the time being. */
  #ownParts: Parts | undefined;
  #finalized = false;

  constructor(number: number, memory: ArrayBufferLike, pool: FramePool, ring: (actor: number) => void) {
    this.number = number;
    this.#memory = memory;
    this.#pool = pool;
    this.#ring = ring;
  }

  /** The shared parts, once initialised. */
  get parts(): Parts | undefined {
    return this.#parts;
  }

  /** A property's value. */
  property(name: PartitionProperty): Result<number, PartitionFault> {
    if (propertyRow(name) === undefined) return err('unknownProperty');
    return ok(name === 'memoryBytes' ? this.#mapped.reduce((sum, m) => sum + m.bytes, 0) : this.#properties[name]);
  }

  /** Sets a property; only before initialisation. */
  setProperty(name: PartitionProperty, value: number): Result<undefined, PartitionFault> {
    const row = propertyRow(name);
    if (row === undefined) return err('unknownProperty');
    if (row.set === 'never') return err('badArgument');
    if (this.#parts !== undefined || this.#finalized) return err('badState');
    if (!Number.isInteger(value) || value < row.set.min || value > row.set.max) return err('propertyRange');
    this.#properties[name] = value;
    return ok();
  }

  /** Bytes of the private area of each of its processors. */
  get areaBytes(): number {
    return this.#properties.processorAreaBytes;
  }

  #takeOwn(bytes: number): number | undefined {
    const extent = this.#pool.take(pages(bytes), this.number, 'core');
    if (extent !== undefined) this.#own.push(extent);
    return extent?.host;
  }

  /** Makes block, interrupt controller and an empty stage-2 map. */
  initialize(): Result<Parts, PartitionFault> {
    if (this.#parts !== undefined) return ok(this.#parts);
    if (this.#finalized) return err('badState');
    const cpus = this.#properties.processorCount;
    const blockAt = this.#takeOwn(VM_BLOCK_BYTES);
    const gicAt = this.#takeOwn(GIC_STATE_BYTES);
    const stage2At = this.#takeOwn(STAGE2_ROOT_BYTES);
    if (blockAt === undefined || gicAt === undefined || stage2At === undefined) return err('noMemory');
    const block = new VmBlock(this.#memory, blockAt);
    block.format(cpus);
    const wake = waker(block, this.#ring);
    const gic = new Gic(this.#memory, gicAt, wake);
    gic.reset(Array.from({ length: cpus }, (_, index) => index));
    const stage2 = new Stage2Map(this.#memory, stage2At, () => this.#takeOwn(HYP_PAGE_BYTES));
    this.#parts = { block, stage2, stage2At, gic, gicAt, wake };
    return ok(this.#parts);
  }

  /**
   * Works with another block and controller than its own, or with its own again: what a guest puts together by hypercalls has a
   * controller that was made apart from its address space. Only while it has no processors.
   */
  useController(other: Controller | undefined): void {
    const own = this.#ownParts ?? this.#parts;
    assert(own !== undefined && this.#processors.size === 0, 'a partition without processors changes its controller');
    this.#ownParts = own;
    this.#parts = other === undefined ? own : { ...own, ...other, wake: waker(other.block, this.#ring) };
  }

  /** A zeroed page of the partition's own that goes with it; undefined: there is none. */
  takePage(): number | undefined {
    return this.#takeOwn(HYP_PAGE_BYTES);
  }

  /** Maps fresh frames at `[ipa, ipa + bytes)`. */
  map(ipa: number, bytes: number, rights: number): Result<readonly MappedExtent[], PartitionFault> {
    if (this.#parts === undefined || this.#finalized) return err('badState');
    const whole = ipa >= 0 && ipa % HYP_PAGE_BYTES === 0 && bytes > 0 && bytes % HYP_PAGE_BYTES === 0;
    const fits = (ipa + bytes) / HYP_PAGE_BYTES <= STAGE2_PAGES_MAX;
    if (!whole || !fits || rights === 0 || (rights & ~STAGE2_RIGHTS.all) !== 0) return err('badArgument');
    if (this.#mapped.some((m) => ipa < m.ipa + m.bytes && m.ipa < ipa + bytes)) return err('overlap');
    if (this.#mapped.length >= REGIONS_MAX) return err('noMemory');
    const extent = this.#pool.take(bytes, this.number, 'owned', bytes >= 1 << 21 ? 1 << 21 : HYP_PAGE_BYTES);
    if (extent === undefined) return err('noMemory');
    const { stage2 } = this.#parts;
    const done = stage2.mapRange(ipa / HYP_PAGE_BYTES, bytes / HYP_PAGE_BYTES, extent.host, rights);
    if (done < bytes / HYP_PAGE_BYTES) {
      for (let undo = 0; undo < done; undo++) stage2.unmap(ipa / HYP_PAGE_BYTES + undo);
      this.#pool.give(extent, this.number, 'owned');
      return err('noMemory');
    }
    const mapped = { ipa, host: extent.host, bytes };
    this.#mapped.push(mapped);
    return ok([mapped]);
  }

  /** Changes the rights of a mapping. Processors that hold on to a right that was taken are the caller's business. */
  setRights(ipa: number, bytes: number, rights: number): Result<undefined, PartitionFault> {
    if (this.#parts === undefined || this.#finalized) return err('badState');
    if ((rights & ~STAGE2_RIGHTS.all) !== 0) return err('badArgument');
    const mapped = this.#mapped.find((m) => ipa >= m.ipa && ipa < m.ipa + m.bytes);
    if (mapped === undefined) return err('notMapped');
    if (mapped.ipa !== ipa || mapped.bytes !== bytes) return err('badArgument');
    const { stage2 } = this.#parts;
    stage2.mapRange(ipa / HYP_PAGE_BYTES, bytes / HYP_PAGE_BYTES, mapped.host, rights);
    return ok();
  }

  /** First half of unmapping: the map says no from now on. The frames come back through {@link release}. */
  withdraw(ipa: number, bytes: number): Result<MappedExtent, PartitionFault> {
    if (this.#parts === undefined) return err('badState');
    const mapped = this.#mapped.find((m) => ipa >= m.ipa && ipa < m.ipa + m.bytes);
    if (mapped === undefined) return err('notMapped');
    if (mapped.ipa !== ipa || mapped.bytes !== bytes) return err('badArgument');
    for (let at = 0; at < bytes; at += HYP_PAGE_BYTES) this.#parts.stage2.unmap((ipa + at) / HYP_PAGE_BYTES);
    return ok(mapped);
  }

  /** Second half, once every processor has acknowledged. */
  release(mapped: MappedExtent): void {
    this.#mapped = this.#mapped.filter((m) => m !== mapped);
    this.#pool.give({ host: mapped.host, bytes: mapped.bytes }, this.number, 'owned');
  }

  /** Pages go to another partition (parcels.ts): they are no longer ours to return. */
  takeOut(ipa: number, bytes: number): void {
    const end = ipa + bytes;
    this.#mapped = this.#mapped.flatMap((m) => {
      const [from, to] = [Math.max(ipa, m.ipa), Math.min(end, m.ipa + m.bytes)];
      if (from >= to) return [m];
      const rest: MappedExtent[] = [];
      if (from > m.ipa) rest.push({ ipa: m.ipa, host: m.host, bytes: from - m.ipa });
      if (to < m.ipa + m.bytes) rest.push({ ipa: to, host: m.host + (to - m.ipa), bytes: m.ipa + m.bytes - to });
      return rest;
    });
  }

  /** Pages that came from another partition, mapped already. */
  putIn(extent: MappedExtent): void {
    this.#mapped.push(extent);
  }

  /** Makes a virtual processor. */
  createVp(index: number): Result<VpTicket, PartitionFault> {
    const parts = this.#parts;
    if (parts === undefined || this.#finalized) return err('badState');
    if (!Number.isInteger(index) || index < 0 || index >= this.#properties.processorCount) return err('badArgument');
    if (this.#processors.has(index)) return err('exists');
    const { processorAreaBytes: areaBytes, processorArenaBytes: arenaBytes } = this.#properties;
    const area = this.#takeOwn(areaBytes);
    const arena = this.#takeOwn(arenaBytes);
    if (area === undefined || arena === undefined) return err('noMemory');
    const at = { block: parts.block.at, stage2: parts.stage2At, gic: parts.gicAt };
    const ticket = { partition: this.number, index, ...at, area, areaBytes, arena, arenaBytes };
    this.#processors.set(index, ticket);
    return ok(ticket);
  }

  /** What the thread of processor `index` needs, once that was made. */
  ticket(index: number): VpTicket | undefined {
    return this.#processors.get(index);
  }

  /** Ends a virtual processor whose thread is gone, and returns its memory. */
  destroyVp(index: number): void {
    const ticket = this.#processors.get(index);
    if (ticket === undefined) return;
    this.#processors.delete(index);
    for (const host of [ticket.area, ticket.arena]) {
      const at = this.#own.findIndex((extent) => extent.host === host);
      for (const extent of at < 0 ? [] : this.#own.splice(at, 1)) this.#pool.give(extent, this.number, 'core');
    }
  }

  /** The shared parts, when processor `index` was created and the partition lives. */
  processor(index: number): Result<Parts, PartitionFault> {
    if (this.#parts === undefined || !this.#processors.has(index)) return err('noProcessor');
    return this.#finalized ? err('badState') : ok(this.#parts);
  }

  /** Whether the partition's life is over, or never began: only then may it be deleted. */
  get deletable(): boolean {
    return this.#finalized || this.#parts === undefined;
  }

  /** Whether the partition's life is over. */
  get isOver(): boolean {
    return this.#finalized;
  }

  /** Ends the partition's life: no processor runs from here on. */
  stop(): void {
    this.#finalized = true;
    const parts = this.#parts;
    if (parts === undefined) return;
    parts.block.end(STOP.requested);
    for (const cpu of this.#processors.keys()) parts.wake(cpu);
  }

  /** Returns all frames; how many. */
  free(): number {
    let bytes = 0;
    for (const extent of this.#own.splice(0)) {
      bytes += extent.bytes;
      this.#pool.give(extent, this.number, 'core');
    }
    for (const { host, bytes: size } of this.#mapped.splice(0)) {
      bytes += size;
      this.#pool.give({ host, bytes: size }, this.number, 'owned');
    }
    this.#parts = this.#ownParts = undefined;
    return bytes / HYP_PAGE_BYTES;
  }
}
