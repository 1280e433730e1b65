/**
 * A qcow2 image, versions 2 and 3, read and written: backing image, zero clusters, compressed clusters (read), internal
 * snapshots (their clusters are copied before they are changed). docs/interop/qcow2.txt of QEMU is the source.
 *
 * Order of writes: data, then the L2 entry that names it, each handed to the host's kernel before the guest hears of it: a
 * worker may die at any point. Refcounts are the exception (refcounts.ts): they are recounted after a death. Before power
 * may be lost the guest asks for a flush.
 */
import { inflateRawSync } from 'node:zlib';
import type { FileHandle } from '../../../actors/runtime/files.js';
import { err, ok, type Result } from '../../../bus/result.js';
import { type DiskImage, type Done, failed, type ImageFault } from '../disk-image.js';
import { fillZero, ScatterCursor, scatter, totalBytes, zeroBehind } from '../scatter.js';
import { COPIED, compressedRange, ENTRY_BYTES, kindOf, offsetOf, ZERO } from './entry.js';
import { HEADER, HEADER_AREA_BYTES, INCOMPATIBLE, type Qcow2Header, readHeader, setNumber64 } from './header.js';
import { recount } from './recount.js';
import { Refcounts } from './refcounts.js';

/** L2 tables kept in memory, in bytes. */
const TABLES_BYTES_MAX = 8 << 20;
const damaged = (detail: string): Result<never, ImageFault> => err({ reason: 'damaged', detail });

/** A stretch of the disk whose clusters are alike. */
interface Stretch {
  readonly kind: 'zero' | 'backing' | 'data' | 'compressed';
  /** Offset in the file, for data. */
  readonly host: number;
  readonly bytes: number;
}

/** See the head of this file. */
export class Qcow2Image implements DiskImage {
  readonly sizeBytes: number;
  readonly clusterBytes: number;
  readonly canDiscard = true;
  readonly #file: FileHandle;
  readonly #header: Qcow2Header;
  readonly #backing: DiskImage | undefined;
  readonly #l1: DataView;
  /** Present when the image may be written. */
  readonly #refcounts: Refcounts | undefined;
  readonly #tables = new Map<number, DataView>();
  readonly #entries: number;
  #isMarked = false;
  #isFlushed = true;
  #unpacked: { readonly high: number; readonly low: number; readonly bytes: Uint8Array } | undefined;

  private constructor(
    file: FileHandle,
    header: Qcow2Header,
    l1: DataView,
    backing: DiskImage | undefined,
    refcounts: Refcounts | undefined,
  ) {
    this.#file = file;
    this.#header = header;
    this.#l1 = l1;
    this.#backing = backing;
    this.#refcounts = refcounts;
    this.sizeBytes = header.sizeBytes;
    this.clusterBytes = 2 ** header.clusterBits;
    this.#entries = this.clusterBytes / ENTRY_BYTES;
  }

  /** Opens `file`; `recounts`: its last user may have died, so its refcounts are not believed. */
  static open(file: FileHandle, backing: DiskImage | undefined, recounts: boolean): Result<Qcow2Image, ImageFault> {
    const head = new Uint8Array(HEADER_AREA_BYTES);
    const read = file.read(0, head);
    if (!read.ok) return err(failed(read.error));
    const parsed = readHeader(head.subarray(0, read.value));
    if (!parsed.ok) return damaged(parsed.error);
    const header = parsed.value;
    const size = file.sizeBytes();
    if (!size.ok) return err(failed(size.error));
    const l1Bytes = header.l1Entries * ENTRY_BYTES;
    if (header.l1Offset + l1Bytes > size.value) return damaged('the L1 table lies outside the file');
    const l1 = new Uint8Array(l1Bytes);
    const got = file.read(header.l1Offset, l1);
    if (!got.ok) return err(failed(got.error));
    const table = new DataView(l1.buffer);
    if (file.rights === 'read') return ok(new Qcow2Image(file, header, table, backing, undefined));
    const refcounts = Refcounts.load(file, header);
    if (!refcounts.ok) return refcounts;
    const image = new Qcow2Image(file, header, table, backing, refcounts.value);
    if (header.isDirty || recounts) {
      const done = recount(file, header, table, refcounts.value);
      if (!done.ok) return done;
      image.#isMarked = header.isDirty;
    }
    const cleared = image.#clearAutoclear();
    return cleared.ok ? ok(image) : cleared;
  }

  /** Whoever writes an image must clear the features that it does not keep up (persistent bitmaps). */
  #clearAutoclear(): Done {
    if (this.#header.version === 2) return ok();
    const done = this.#file.write(HEADER.autoclear, new Uint8Array(8));
    return done.ok ? ok() : err(failed(done.error));
  }

  /** Says in the file that refcounts are behind, or no longer (version 3). */
  #mark(isDirty: boolean): Done {
    if (this.#header.version === 2 || this.#isMarked === isDirty) return ok();
    const bits = new DataView(new ArrayBuffer(8));
    bits.setUint32(4, isDirty ? INCOMPATIBLE.dirty : 0);
    const done = this.#file.write(HEADER.incompatible, new Uint8Array(bits.buffer));
    if (!done.ok) return err(failed(done.error));
    const durable = this.#file.syncData();
    if (!durable.ok) return err(failed(durable.error));
    this.#isMarked = isDirty;
    return ok();
  }

  // ---- tables ----

  /** L2 table `index`, undefined when the L1 table names none. */
  #table(index: number): Result<DataView | undefined, ImageFault> {
    const known = this.#tables.get(index);
    if (known !== undefined) return ok(known);
    const at = index * ENTRY_BYTES;
    const offset = offsetOf(this.#l1.getUint32(at), this.#l1.getUint32(at + 4));
    if (offset === 0) return ok(undefined);
    if (offset % this.clusterBytes !== 0) return damaged(`L2 table ${index} is not at a cluster`);
    const bytes = new Uint8Array(this.clusterBytes);
    const read = this.#file.read(offset, bytes);
    if (!read.ok) return err(failed(read.error));
    if (read.value < bytes.byteLength) return damaged(`L2 table ${index} lies outside the file`);
    return ok(this.#keep(index, bytes));
  }

  #keep(index: number, bytes: Uint8Array): DataView {
    if (this.#tables.size * this.clusterBytes >= TABLES_BYTES_MAX) {
      for (const oldest of this.#tables.keys()) {
        this.#tables.delete(oldest); // tables in memory are as in the file
        break;
      }
    }
    const table = new DataView(bytes.buffer);
    this.#tables.set(index, table);
    return table;
  }

  /** L2 table `index`, to be changed: made when there is none, copied when a snapshot shares it. */
  #writableTable(index: number, refcounts: Refcounts): Result<DataView, ImageFault> {
    const at = index * ENTRY_BYTES;
    const [high, low] = [this.#l1.getUint32(at), this.#l1.getUint32(at + 4)];
    const old = this.#table(index);
    if (!old.ok) return old;
    if (old.value !== undefined && (high & COPIED) !== 0) return ok(old.value);
    const marked = this.#mark(true);
    if (!marked.ok) return marked;
    const place = refcounts.allocate(1);
    if (!place.ok) return place;
    const bytes = new Uint8Array(this.clusterBytes);
    if (old.value !== undefined) bytes.set(new Uint8Array(old.value.buffer));
    const host = place.value.first * this.clusterBytes;
    const written = this.#file.write(host, bytes);
    if (!written.ok) return err(failed(written.error));
    // The table must be there before anything names it: the cluster may hold something else from earlier.
    const durable = this.#file.syncData();
    if (!durable.ok) return err(failed(durable.error));
    setNumber64(this.#l1, at, host);
    this.#l1.setUint32(at, this.#l1.getUint32(at) | COPIED);
    const named = this.#file.write(this.#header.l1Offset + at, new Uint8Array(this.#l1.buffer, at, ENTRY_BYTES));
    if (!named.ok) return err(failed(named.error));
    const table = this.#keep(index, bytes);
    if (old.value === undefined) return ok(table);
    const freed = refcounts.free({ first: offsetOf(high, low) / this.clusterBytes, count: 1 });
    return freed.ok ? ok(table) : freed;
  }

  /** Writes entries `[from, from + count)` of an L2 table to the file. */
  #storeEntries(index: number, table: DataView, from: number, count: number): Done {
    const at = index * ENTRY_BYTES;
    const host = offsetOf(this.#l1.getUint32(at), this.#l1.getUint32(at + 4));
    const bytes = new Uint8Array(table.buffer, from * ENTRY_BYTES, count * ENTRY_BYTES);
    const done = this.#file.write(host + from * ENTRY_BYTES, bytes);
    return done.ok ? ok() : err(failed(done.error));
  }

  // ---- reading ----

  /** What lies at `offset`, as far as it is alike, up to `bytes`. */
  #stretch(offset: number, bytes: number): Result<Stretch, ImageFault> {
    const cluster = Math.floor(offset / this.clusterBytes);
    const within = offset % this.clusterBytes;
    const index = Math.floor(cluster / this.#entries);
    const first = cluster % this.#entries;
    const table = this.#table(index);
    if (!table.ok) return table;
    const limit = Math.min(bytes, (this.#entries - first) * this.clusterBytes - within);
    const absent = this.#backing === undefined ? 'zero' : 'backing';
    if (table.value === undefined) return ok({ kind: absent, host: 0, bytes: limit });
    const { value } = table;
    const at = (n: number): readonly [number, number] => [
      value.getUint32((first + n) * ENTRY_BYTES),
      value.getUint32((first + n) * ENTRY_BYTES + 4),
    ];
    const kindAt = (n: number): Stretch['kind'] => {
      const kind = kindOf(...at(n), this.#header.version);
      return kind === 'unallocated' ? absent : kind;
    };
    const kind = kindAt(0);
    const host = kind === 'data' ? offsetOf(...at(0)) : 0;
    if (host % this.clusterBytes !== 0) return damaged(`the data of cluster ${cluster} is not at a cluster`);
    let length = this.clusterBytes - within;
    for (let n = 1; length < limit && kind !== 'compressed'; n++) {
      if (kindAt(n) !== kind || (kind === 'data' && offsetOf(...at(n)) !== host + n * this.clusterBytes)) break;
      length += this.clusterBytes;
    }
    return ok({ kind, host: host + within, bytes: Math.min(length, limit) });
  }

  read(offset: number, into: readonly Uint8Array[]): Done {
    const cursor = new ScatterCursor(into);
    for (let at = offset, left = totalBytes(into); left > 0; ) {
      const stretch = this.#stretch(at, left);
      if (!stretch.ok) return stretch;
      const { kind, host, bytes } = stretch.value;
      const done = this.#readStretch(kind, host, at, cursor.take(bytes), bytes);
      if (!done.ok) return done;
      at += bytes;
      left -= bytes;
    }
    return ok();
  }

  #readStretch(kind: Stretch['kind'], host: number, at: number, into: Uint8Array[], bytes: number): Done {
    switch (kind) {
      case 'zero':
        fillZero(into);
        return ok();
      case 'backing':
        return this.#readBacking(at, into, bytes);
      case 'compressed': {
        const unpacked = this.#unpack(Math.floor(at / this.clusterBytes));
        if (!unpacked.ok) return unpacked;
        scatter(unpacked.value.subarray(at % this.clusterBytes), into);
        return ok();
      }
      case 'data': {
        const got = this.#file.readInto(host, into);
        if (!got.ok) return err(failed(got.error));
        zeroBehind(into, got.value);
        return ok();
      }
    }
  }

  /** From the backing image, which may be shorter. */
  #readBacking(at: number, into: Uint8Array[], bytes: number): Done {
    const backing = this.#backing;
    const there = Math.max(0, Math.min(bytes, (backing?.sizeBytes ?? 0) - at));
    const cursor = new ScatterCursor(into);
    if (backing !== undefined && there > 0) {
      const done = backing.read(at, cursor.take(there));
      if (!done.ok) return done;
    }
    fillZero(cursor.take(bytes - there));
    return ok();
  }

  /** The content of a compressed cluster. The last one is kept: readers go through it in pieces. */
  #unpack(cluster: number): Result<Uint8Array, ImageFault> {
    const table = this.#table(Math.floor(cluster / this.#entries));
    if (!table.ok) return table;
    const at = (cluster % this.#entries) * ENTRY_BYTES;
    const high = table.value?.getUint32(at) ?? 0;
    const low = table.value?.getUint32(at + 4) ?? 0;
    const known = this.#unpacked;
    if (known?.high === high && known.low === low) return ok(known.bytes);
    const { offset, bytes } = compressedRange(high, low, this.#header.clusterBits);
    const packed = new Uint8Array(bytes);
    const got = this.#file.read(offset, packed);
    if (!got.ok) return err(failed(got.error));
    try {
      const unpacked = inflateRawSync(packed.subarray(0, got.value), {
        maxOutputLength: this.clusterBytes,
        // The last sector may hold more than the cluster's own stream.
        finishFlush: 2,
      });
      if (unpacked.byteLength !== this.clusterBytes) return damaged(`compressed cluster ${cluster} is too short`);
      this.#unpacked = { high, low, bytes: unpacked };
      return ok(unpacked);
    } catch {
      return damaged(`compressed cluster ${cluster} does not unpack`);
    }
  }

  // ---- writing ----

  write(offset: number, from: readonly Uint8Array[]): Done {
    const refcounts = this.#refcounts;
    if (refcounts === undefined) return err({ reason: 'failed', detail: 'the image is read-only' });
    this.#isFlushed = false;
    const cursor = new ScatterCursor(from);
    for (let at = offset, left = totalBytes(from); left > 0; ) {
      const written = this.#writeSome(refcounts, at, left, cursor);
      if (!written.ok) return written;
      at += written.value;
      left -= written.value;
    }
    return ok();
  }

  /** Whether the entry at `at` names data of this image alone, to be written in place. */
  #isOwn(table: DataView, at: number): boolean {
    const [high, low] = [table.getUint32(at), table.getUint32(at + 4)];
    return kindOf(high, low, this.#header.version) === 'data' && (high & COPIED) !== 0;
  }

  /** Writes from the start of `[at, at + left)` as much as is of one kind; how much that was. */
  #writeSome(refcounts: Refcounts, at: number, left: number, cursor: ScatterCursor): Result<number, ImageFault> {
    const cluster = Math.floor(at / this.clusterBytes);
    const within = at % this.clusterBytes;
    const index = Math.floor(cluster / this.#entries);
    const first = cluster % this.#entries;
    const writable = this.#writableTable(index, refcounts);
    if (!writable.ok) return writable;
    const table = writable.value;
    if (this.#isOwn(table, first * ENTRY_BYTES)) {
      const stretch = this.#stretch(at, left);
      if (!stretch.ok) return stretch;
      let bytes = stretch.value.bytes;
      // The stretch may go on into clusters that a snapshot shares.
      for (let n = 1; n * this.clusterBytes - within < bytes; n++) {
        if (!this.#isOwn(table, (first + n) * ENTRY_BYTES)) bytes = n * this.clusterBytes - within;
      }
      if (stretch.value.host + bytes > refcounts.end * this.clusterBytes)
        return damaged(`the data of cluster ${cluster} lies outside the file`);
      const done = this.#file.writeFrom(stretch.value.host, cursor.take(bytes));
      return done.ok ? ok(bytes) : err(failed(done.error));
    }
    const wanted = Math.min(this.#entries - first, Math.ceil((within + left) / this.clusterBytes));
    let alike = 1;
    while (alike < wanted && !this.#isOwn(table, (first + alike) * ENTRY_BYTES)) alike++;
    const marked = this.#mark(true);
    if (!marked.ok) return marked;
    const run = refcounts.allocate(alike);
    if (!run.ok) return run;
    const { first: hostCluster, count } = run.value;
    const bytes = Math.min(left, count * this.clusterBytes - within);
    const placed = this.#place(hostCluster * this.clusterBytes, at, bytes, count, cursor);
    if (!placed.ok) {
      refcounts.free(run.value);
      return placed;
    }
    const linked = this.#replace(refcounts, index, table, first, count, (n) => [
      (hostCluster + n) * this.clusterBytes,
      COPIED,
      0,
    ]);
    return linked.ok ? ok(bytes) : linked;
  }

  /** Writes `count` new clusters at `host`: `bytes` of the cursor for disk offset `at`, and around them what was there. */
  #place(host: number, at: number, bytes: number, count: number, cursor: ScatterCursor): Done {
    const start = at - (at % this.clusterBytes);
    const tail = start + count * this.clusterBytes - (at + bytes);
    const before = new Uint8Array(at - start);
    const after = new Uint8Array(tail);
    if (before.byteLength > 0) {
      const read = this.read(start, [before]);
      if (!read.ok) return read;
    }
    const there = Math.min(tail, Math.max(0, this.sizeBytes - (at + bytes)));
    if (there > 0) {
      const read = this.read(at + bytes, [after.subarray(0, there)]);
      if (!read.ok) return read;
    }
    const parts = [before, ...cursor.take(bytes), after].filter((part) => part.byteLength > 0);
    const done = this.#file.writeFrom(host, parts);
    return done.ok ? ok() : err(failed(done.error));
  }

  /** Replaces `count` entries of an L2 table and frees what they named. `entry`: offset, flags of high and low word. */
  #replace(
    refcounts: Refcounts,
    index: number,
    table: DataView,
    first: number,
    count: number,
    entry: (n: number) => readonly [number, number, number],
  ): Done {
    const old: (readonly [number, number])[] = [];
    for (let n = 0; n < count; n++) {
      const at = (first + n) * ENTRY_BYTES;
      old.push([table.getUint32(at), table.getUint32(at + 4)]);
      const [offset, high, low] = entry(n);
      setNumber64(table, at, offset);
      table.setUint32(at, table.getUint32(at) | high);
      table.setUint32(at + 4, table.getUint32(at + 4) | low);
    }
    const stored = this.#storeEntries(index, table, first, count);
    if (!stored.ok) return stored;
    for (const [high, low] of old) {
      const freed = this.#freeEntry(refcounts, high, low);
      if (!freed.ok) return freed;
    }
    return ok();
  }

  #freeEntry(refcounts: Refcounts, high: number, low: number): Done {
    if (kindOf(high, low, this.#header.version) === 'compressed') {
      const { offset, bytes } = compressedRange(high, low, this.#header.clusterBits);
      const from = Math.floor(offset / this.clusterBytes);
      return refcounts.free({ first: from, count: Math.floor((offset + bytes - 1) / this.clusterBytes) - from + 1 });
    }
    const host = offsetOf(high, low);
    return host === 0 ? ok() : refcounts.free({ first: host / this.clusterBytes, count: 1 });
  }

  // ---- zeros ----

  zero(offset: number, bytes: number, mayUnmap: boolean): Done {
    return this.#eachCluster(offset, bytes, (at, length) => {
      if (length === this.clusterBytes || at + length === this.sizeBytes) {
        const done = this.#zeroClusters(at, length, mayUnmap ? 'unmap' : 'keep');
        if (!done.ok || done.value) return done.ok ? ok() : done;
      }
      return this.#zeroBytes(at, length);
    });
  }

  discard(offset: number, bytes: number): Done {
    return this.#eachCluster(offset, bytes, (at, length) => {
      if (length < this.clusterBytes && at + length !== this.sizeBytes) return ok();
      const done = this.#zeroClusters(at, length, 'unmap');
      return done.ok ? ok() : done;
    });
  }

  /** Calls `act` for the pieces of the range, none of which crosses a cluster's end. */
  #eachCluster(offset: number, bytes: number, act: (at: number, length: number) => Done): Done {
    if (this.#refcounts === undefined) return err({ reason: 'failed', detail: 'the image is read-only' });
    for (let at = offset; at < offset + bytes; ) {
      const length = Math.min(this.clusterBytes - (at % this.clusterBytes), offset + bytes - at);
      const done = act(at, length);
      if (!done.ok) return done;
      at += length;
    }
    return ok();
  }

  /** Makes the cluster at `at` read as zeros by its entry alone; false when its format cannot say that. */
  #zeroClusters(at: number, length: number, allocation: 'unmap' | 'keep'): Result<boolean, ImageFault> {
    const refcounts = this.#refcounts;
    if (refcounts === undefined || at % this.clusterBytes !== 0) return ok(false);
    const stretch = this.#stretch(at, length);
    if (!stretch.ok) return stretch;
    const { kind } = stretch.value;
    const v3 = this.#header.version === 3;
    if (kind === 'zero' && (allocation === 'keep' || !this.#hasRoom(at))) return ok(true);
    if (!v3 && this.#backing !== undefined) return ok(false);
    if (!v3 && allocation === 'keep') return ok(false);
    this.#isFlushed = false;
    const cluster = at / this.clusterBytes;
    const index = Math.floor(cluster / this.#entries);
    const first = cluster % this.#entries;
    const table = this.#writableTable(index, refcounts);
    if (!table.ok) return table;
    const marked = this.#mark(true);
    if (!marked.ok) return marked;
    const entryAt = first * ENTRY_BYTES;
    if (allocation === 'keep' && this.#isOwn(table.value, entryAt)) {
      table.value.setUint32(entryAt + 4, table.value.getUint32(entryAt + 4) | ZERO);
      const stored = this.#storeEntries(index, table.value, first, 1);
      return stored.ok ? ok(true) : stored;
    }
    const flag = v3 && this.#backing !== undefined ? ZERO : 0;
    const done = this.#replace(refcounts, index, table.value, first, 1, () => [0, 0, flag]);
    return done.ok ? ok(true) : done;
  }

  /** Whether the entry of a cluster that reads as zeros still holds a cluster of the file. */
  #hasRoom(at: number): boolean {
    const cluster = at / this.clusterBytes;
    const table = this.#tables.get(Math.floor(cluster / this.#entries));
    const entryAt = (cluster % this.#entries) * ENTRY_BYTES;
    return table !== undefined && offsetOf(table.getUint32(entryAt), table.getUint32(entryAt + 4)) !== 0;
  }

  #zeroBytes(at: number, length: number): Done {
    const stretch = this.#stretch(at, length);
    if (!stretch.ok) return stretch;
    return stretch.value.kind === 'zero' ? ok() : this.write(at, [new Uint8Array(length)]);
  }

  // ---- the end ----

  flush(): Done {
    const refcounts = this.#refcounts;
    if (refcounts === undefined || this.#isFlushed) return ok();
    const written = refcounts.writeBack();
    if (!written.ok) return written;
    const done = this.#file.syncData();
    if (!done.ok) return err(failed(done.error));
    refcounts.settled();
    this.#isFlushed = true;
    return ok();
  }

  close(): Done {
    const refcounts = this.#refcounts;
    if (refcounts === undefined) return ok();
    const released = refcounts.release();
    if (!released.ok) return released;
    this.#isFlushed = false;
    const flushed = this.flush();
    return flushed.ok ? this.#mark(false) : flushed;
  }
}
