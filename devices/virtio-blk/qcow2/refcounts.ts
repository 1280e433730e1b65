/**
 * Refcounts of an image's clusters and the allocation of new ones. Changes stay in memory until {@link Refcounts.writeBack}:
 * an image that is marked dirty is recounted after a crash. Version 2 has no such mark; there clusters are reserved in large
 * pieces that are made durable before use, so that a crash leaks room and corrupts nothing.
 *
 * A cluster that was freed is not given out before the next flush: until then an old table on stable storage may name it.
 */
import type { FileHandle } from '../../../actors/runtime/files.js';
import { err, ok, type Result } from '../../../bus/result.js';
import { type Done, failed, type ImageFault } from '../disk-image.js';
import { HEADER, number64, type Qcow2Header, setNumber64 } from './header.js';

const ENTRY_BYTES = 8;
/** Clusters reserved at once where there is no dirty mark. */
const RESERVE_CLUSTERS = 512;
/** Blocks kept in memory, in bytes, beyond those that were changed. */
const CACHE_BYTES_MAX = 8 << 20;

interface Block {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  isDirty: boolean;
}

/** Neighbouring clusters by number. */
export interface ClusterRun {
  readonly first: number;
  readonly count: number;
}

const damaged = (detail: string): Result<never, ImageFault> => err({ reason: 'damaged', detail });

/** See the head of this file. */
export class Refcounts {
  /** First cluster behind everything that is in use. */
  end: number;
  readonly #file: FileHandle;
  readonly #clusterBytes: number;
  readonly #order: number;
  readonly #perBlock: number;
  readonly #isLazy: boolean;
  #table: DataView;
  #tableOffset: number;
  #isTableDirty = false;
  readonly #blocks = new Map<number, Block>();
  readonly #resting = new Set<number>();
  #scan = 0;
  #reserved: ClusterRun = { first: 0, count: 0 };

  private constructor(file: FileHandle, header: Qcow2Header, table: DataView, end: number) {
    this.#file = file;
    this.#clusterBytes = 2 ** header.clusterBits;
    this.#order = header.refcountOrder;
    this.#perBlock = (this.#clusterBytes * 8) >> header.refcountOrder;
    this.#isLazy = header.version === 3;
    this.#table = table;
    this.#tableOffset = header.refcountTableOffset;
    this.end = end;
  }

  /** Reads the refcount table. */
  static load(file: FileHandle, header: Qcow2Header): Result<Refcounts, ImageFault> {
    const size = file.sizeBytes();
    if (!size.ok) return err(failed(size.error));
    const clusterBytes = 2 ** header.clusterBits;
    const end = Math.ceil(size.value / clusterBytes);
    if (header.refcountTableOffset / clusterBytes + header.refcountTableClusters > end)
      return damaged('the refcount table lies outside the file');
    const table = new Uint8Array(header.refcountTableClusters * clusterBytes);
    const read = file.read(header.refcountTableOffset, table);
    if (!read.ok) return err(failed(read.error));
    return ok(new Refcounts(file, header, new DataView(table.buffer), end));
  }

  /** Clusters of the refcount table, and of each block. */
  get places(): { readonly table: ClusterRun; readonly blocks: readonly number[] } {
    const blocks: number[] = [];
    for (let i = 0; i < this.#table.byteLength / ENTRY_BYTES; i++) {
      const offset = number64(this.#table, i * ENTRY_BYTES);
      if (offset !== 0) blocks.push(offset / this.#clusterBytes);
    }
    const table = {
      first: this.#tableOffset / this.#clusterBytes,
      count: this.#table.byteLength / this.#clusterBytes,
    };
    return { table, blocks };
  }

  /** The block for clusters from `index * perBlock` on, undefined when there is none. */
  #block(index: number): Result<Block | undefined, ImageFault> {
    const known = this.#blocks.get(index);
    if (known !== undefined) return ok(known);
    if (index * ENTRY_BYTES >= this.#table.byteLength) return ok(undefined);
    const offset = number64(this.#table, index * ENTRY_BYTES);
    if (offset === 0) return ok(undefined);
    if (offset % this.#clusterBytes !== 0 || offset >= this.end * this.#clusterBytes)
      return damaged(`refcount block ${index} lies outside the file`);
    const bytes = new Uint8Array(this.#clusterBytes);
    const read = this.#file.read(offset, bytes);
    if (!read.ok) return err(failed(read.error));
    return ok(this.#keep(index, bytes));
  }

  #keep(index: number, bytes: Uint8Array): Block {
    if (this.#blocks.size * this.#clusterBytes > CACHE_BYTES_MAX) {
      for (const [other, { isDirty }] of this.#blocks) if (!isDirty) this.#blocks.delete(other);
    }
    const block = { bytes, view: new DataView(bytes.buffer), isDirty: false };
    this.#blocks.set(index, block);
    return block;
  }

  /** Refcount of a cluster. */
  get(cluster: number): Result<number, ImageFault> {
    const block = this.#block(Math.floor(cluster / this.#perBlock));
    if (!block.ok) return block;
    return ok(block.value === undefined ? 0 : this.#load(block.value, cluster % this.#perBlock));
  }

  #load({ view }: Block, index: number): number {
    switch (this.#order) {
      case 3:
        return view.getUint8(index);
      case 4:
        return view.getUint16(index * 2);
      case 5:
        return view.getUint32(index * 4);
      case 6:
        return number64(view, index * 8);
      default: {
        const bits = 1 << this.#order;
        const at = index * bits;
        return (view.getUint8(at >> 3) >> (at & 7)) & ((1 << bits) - 1);
      }
    }
  }

  #store(block: Block, index: number, value: number): void {
    const { view } = block;
    block.isDirty = true;
    if (this.#order === 6) setNumber64(view, index * 8, value);
    else if (this.#order === 5) view.setUint32(index * 4, value);
    else if (this.#order === 4) view.setUint16(index * 2, value);
    else if (this.#order === 3) view.setUint8(index, value);
    else {
      const bits = 1 << this.#order;
      const at = index * bits;
      const mask = ((1 << bits) - 1) << (at & 7);
      view.setUint8(at >> 3, (view.getUint8(at >> 3) & ~mask) | (value << (at & 7)));
    }
  }

  /** Sets the refcount of a cluster below `end`, making its block if need be. */
  set(cluster: number, value: number): Done {
    const index = Math.floor(cluster / this.#perBlock);
    let block = this.#block(index);
    if (!block.ok) return block;
    if (block.value === undefined) {
      if (value === 0) return ok();
      const made = this.#makeBlock(index);
      if (!made.ok) return made;
      block = this.#block(index);
      if (!block.ok) return block;
    }
    if (value > 2 ** (1 << this.#order) - 1) return damaged(`cluster ${cluster} is used too often`);
    if (block.value !== undefined) this.#store(block.value, cluster % this.#perBlock, value);
    return ok();
  }

  /** A block for the clusters from `index * perBlock` on, in a cluster of its own at the end. */
  #makeBlock(index: number): Done {
    if ((index + 1) * ENTRY_BYTES > this.#table.byteLength) {
      const grown = this.#growTable(index + 1);
      if (!grown.ok) return grown;
      if (number64(this.#table, index * ENTRY_BYTES) !== 0) return ok();
    }
    const place = this.#append(1);
    if (!place.ok) return place;
    const wasMade = number64(this.#table, index * ENTRY_BYTES) !== 0;
    if (wasMade) return this.set(place.value.first, 0);
    this.#enter(index, place.value.first);
    return ok();
  }

  /** Enters cluster `cluster` as refcount block `index`, all zeros. */
  #enter(index: number, cluster: number): Block {
    setNumber64(this.#table, index * ENTRY_BYTES, cluster * this.#clusterBytes);
    this.#isTableDirty = true;
    const block = this.#keep(index, new Uint8Array(this.#clusterBytes));
    block.isDirty = true;
    return block;
  }

  /** Up to `count` clusters at the end, each with refcount 1. A block that is missing there goes first, covering itself. */
  #append(count: number): Result<ClusterRun, ImageFault> {
    for (;;) {
      const first = this.end;
      const index = Math.floor(first / this.#perBlock);
      if ((index + 1) * ENTRY_BYTES > this.#table.byteLength) {
        const grown = this.#growTable(index + 1);
        if (!grown.ok) return grown;
        continue;
      }
      const block = this.#block(index);
      if (!block.ok) return block;
      if (block.value === undefined) {
        this.end++;
        this.#store(this.#enter(index, first), first % this.#perBlock, 1);
        continue;
      }
      const run = Math.min(count, (index + 1) * this.#perBlock - first);
      for (let i = 0; i < run; i++) this.#store(block.value, (first + i) % this.#perBlock, 1);
      this.end += run;
      return ok({ first, count: run });
    }
  }

  /** A table of at least `entries` entries, at the end of the file; durable before the header names it. */
  #growTable(entries: number): Done {
    const old = { first: this.#tableOffset / this.#clusterBytes, count: this.#table.byteLength / this.#clusterBytes };
    const perCluster = this.#clusterBytes / ENTRY_BYTES;
    const count = Math.ceil(Math.max(entries + 1, (this.#table.byteLength / ENTRY_BYTES) * 2) / perCluster);
    const table = new Uint8Array(count * this.#clusterBytes);
    table.set(new Uint8Array(this.#table.buffer));
    const first = this.end;
    this.#table = new DataView(table.buffer);
    this.#tableOffset = first * this.#clusterBytes;
    this.end += count;
    // Blocks for the table's own clusters and for their own; then their counts.
    const own = [{ first, count }];
    for (
      let index = Math.floor(first / this.#perBlock);
      index <= Math.floor((this.end - 1) / this.#perBlock);
      index++
    ) {
      if (number64(this.#table, index * ENTRY_BYTES) !== 0) continue;
      this.#enter(index, this.end);
      own.push({ first: this.end++, count: 1 });
    }
    for (const run of own) {
      for (let i = 0; i < run.count; i++) {
        const done = this.set(run.first + i, 1);
        if (!done.ok) return done;
      }
    }
    this.#isTableDirty = true;
    const written = this.writeBack();
    if (!written.ok) return written;
    const pointer = new DataView(new ArrayBuffer(12));
    setNumber64(pointer, 0, this.#tableOffset);
    pointer.setUint32(8, count);
    for (const step of [
      () => this.#file.syncData(),
      () => this.#file.write(HEADER.refcountTableOffset, new Uint8Array(pointer.buffer)),
      () => this.#file.syncData(),
    ]) {
      const done = step();
      if (!done.ok) return err(failed(done.error));
    }
    return this.free(old);
  }

  /** Up to `count` neighbouring clusters for a new use; their refcount is 1. */
  allocate(count: number): Result<ClusterRun, ImageFault> {
    if (this.#isLazy) return this.#find(count);
    if (this.#reserved.count === 0) {
      const more = this.#find(Math.max(count, RESERVE_CLUSTERS));
      if (!more.ok) return more;
      this.#reserved = more.value;
      const written = this.writeBack();
      if (!written.ok) return written;
      const durable = this.#file.syncData();
      if (!durable.ok) return err(failed(durable.error));
    }
    const { first, count: left } = this.#reserved;
    const taken = Math.min(count, left);
    this.#reserved = { first: first + taken, count: left - taken };
    return ok({ first, count: taken });
  }

  /** A free place below the end, or new clusters. */
  #find(count: number): Result<ClusterRun, ImageFault> {
    while (this.#scan < this.end) {
      const first = this.#scan;
      const index = Math.floor(first / this.#perBlock);
      const block = this.#block(index);
      if (!block.ok) return block;
      const limit = Math.min(this.end, (index + 1) * this.#perBlock);
      if (block.value === undefined) {
        this.#scan = limit; // nothing is known of these clusters: leave them alone
        continue;
      }
      let run = 0;
      const { value } = block;
      const isFree = (cluster: number): boolean =>
        this.#load(value, cluster % this.#perBlock) === 0 && !this.#resting.has(cluster);
      while (run < count && first + run < limit && isFree(first + run)) run++;
      this.#scan = run === 0 ? first + 1 : first + run;
      if (run === 0) continue;
      for (let i = 0; i < run; i++) this.#store(value, (first + i) % this.#perBlock, 1);
      return ok({ first, count: run });
    }
    const appended = this.#append(count);
    this.#scan = this.end;
    return appended;
  }

  /** One user less of each cluster of the run. */
  free({ first, count }: ClusterRun): Done {
    for (let cluster = first; cluster < first + count; cluster++) {
      const old = this.get(cluster);
      if (!old.ok) return old;
      if (old.value === 0) return damaged(`cluster ${cluster} is in use and counted as free`);
      const done = this.set(cluster, old.value - 1);
      if (!done.ok) return done;
      if (old.value > 1) continue;
      this.#resting.add(cluster);
      this.#scan = Math.min(this.#scan, cluster);
    }
    return ok();
  }

  /** After a flush: what was freed before may be used. */
  settled(): void {
    for (const cluster of this.#resting) this.#scan = Math.min(this.#scan, cluster);
    this.#resting.clear();
  }

  /** Gives back what is reserved and not used. */
  release(): Done {
    const rest = this.#reserved;
    this.#reserved = { first: 0, count: 0 };
    return this.free(rest);
  }

  /** Writes what changed. */
  writeBack(): Done {
    for (const [index, block] of this.#blocks) {
      if (!block.isDirty) continue;
      const written = this.#file.write(number64(this.#table, index * ENTRY_BYTES), block.bytes);
      if (!written.ok) return err(failed(written.error));
      block.isDirty = false;
    }
    if (!this.#isTableDirty) return ok();
    const written = this.#file.write(this.#tableOffset, new Uint8Array(this.#table.buffer));
    if (!written.ok) return err(failed(written.error));
    this.#isTableDirty = false;
    return ok();
  }
}
