/**
 * Counts the users of every cluster from the tables themselves and sets refcounts and COPIED flags to that: after a crash
 * (the image is marked dirty) or the death of a worker, whose changes to refcounts were in memory only.
 */
import type { FileHandle } from '../../../actors/runtime/files.js';
import { err, ok, type Result } from '../../../bus/result.js';
import { type Done, failed, type ImageFault } from '../disk-image.js';
import { COPIED, compressedRange, ENTRY_BYTES, kindOf, offsetOf } from './entry.js';
import { number64, type Qcow2Header } from './header.js';
import type { Refcounts } from './refcounts.js';

/** Clusters of an image that is recounted here, at most: 4 TiB of 64 KiB. */
const CLUSTERS_MAX = 1 << 26;
const L1_ENTRIES_MAX = (32 << 20) / ENTRY_BYTES;
/** Snapshot table entry (docs/interop/qcow2.txt, "Snapshots"): fixed part, in bytes. */
const SNAPSHOT_BYTES = 40;

const damaged = (detail: string): Result<never, ImageFault> => err({ reason: 'damaged', detail });

/** See the head of this file. `l1` is the active L1 table, which is corrected too. */
export function recount(file: FileHandle, header: Qcow2Header, l1: DataView, refcounts: Refcounts): Done {
  const counter = new Counter(file, header, refcounts.end);
  const counted = counter.all(l1, refcounts);
  if (!counted.ok) return counted;
  for (let cluster = 0; cluster < counter.counts.length; cluster++) {
    const count = counter.counts[cluster] ?? 0;
    const old = refcounts.get(cluster);
    if (!old.ok) return old;
    if (old.value === count) continue;
    const set = refcounts.set(cluster, count);
    if (!set.ok) return set;
  }
  const flagged = counter.correctFlags(l1);
  if (!flagged.ok) return flagged;
  const written = refcounts.writeBack();
  if (!written.ok) return written;
  const durable = file.syncData();
  return durable.ok ? ok() : err(failed(durable.error));
}

class Counter {
  readonly counts: Uint32Array;
  readonly #file: FileHandle;
  readonly #header: Qcow2Header;
  readonly #clusterBytes: number;
  readonly #isTooLarge: boolean;

  constructor(file: FileHandle, header: Qcow2Header, clusters: number) {
    this.#file = file;
    this.#header = header;
    this.#clusterBytes = 2 ** header.clusterBits;
    this.#isTooLarge = clusters > CLUSTERS_MAX;
    this.counts = new Uint32Array(this.#isTooLarge ? 0 : clusters);
  }

  all(l1: DataView, refcounts: Refcounts): Done {
    if (this.#isTooLarge) return damaged('is too large to be repaired here; qemu-img check -r all does it');
    const { table, blocks } = refcounts.places;
    this.#add(0, 1);
    if (!this.#add(table.first, table.count)) return damaged('the refcount table lies outside the file');
    for (const block of blocks) if (!this.#add(block, 1)) return damaged('a refcount block lies outside the file');
    const active = this.#table(this.#header.l1Offset, l1);
    if (!active.ok) return active;
    const snapshots = this.#snapshots();
    if (!snapshots.ok) return snapshots;
    // Counts are about to be written there.
    const shared = [table.first, ...blocks].some((cluster) => (this.counts[cluster] ?? 0) !== 1);
    return shared ? damaged('refcounts and something else lie in the same cluster') : ok();
  }

  /** One user more of each cluster; false when one is outside the file. */
  #add(first: number, count: number): boolean {
    if (!Number.isInteger(first) || first < 0 || first + count > this.counts.length) return false;
    for (let cluster = first; cluster < first + count; cluster++)
      this.counts[cluster] = (this.counts[cluster] ?? 0) + 1;
    return true;
  }

  #read(offset: number, bytes: number): Result<DataView, ImageFault> {
    const into = new Uint8Array(bytes);
    const got = this.#file.read(offset, into);
    if (!got.ok) return err(failed(got.error));
    return got.value < bytes ? damaged('a table lies outside the file') : ok(new DataView(into.buffer));
  }

  /** An L1 table at `offset` and everything below it. */
  #table(offset: number, l1: DataView): Done {
    const clusters = Math.ceil(l1.byteLength / this.#clusterBytes);
    if (!this.#add(offset / this.#clusterBytes, clusters)) return damaged('an L1 table lies outside the file');
    for (let at = 0; at < l1.byteLength; at += ENTRY_BYTES) {
      const host = offsetOf(l1.getUint32(at), l1.getUint32(at + 4));
      if (host === 0) continue;
      if (!this.#add(host / this.#clusterBytes, 1)) return damaged('an L2 table lies outside the file');
      const l2 = this.#read(host, this.#clusterBytes);
      if (!l2.ok) return l2;
      for (let entry = 0; entry < this.#clusterBytes; entry += ENTRY_BYTES) {
        const done = this.#entry(l2.value.getUint32(entry), l2.value.getUint32(entry + 4));
        if (!done.ok) return done;
      }
    }
    return ok();
  }

  #entry(high: number, low: number): Done {
    if (kindOf(high, low, this.#header.version) === 'compressed') {
      const { offset, bytes } = compressedRange(high, low, this.#header.clusterBits);
      const first = Math.floor(offset / this.#clusterBytes);
      const last = Math.floor((offset + bytes - 1) / this.#clusterBytes);
      // The last sectors a compressed cluster claims may lie behind the end of the file.
      const there = Math.min(last, this.counts.length - 1);
      return this.#add(first, there - first + 1) ? ok() : damaged('a compressed cluster lies outside the file');
    }
    const host = offsetOf(high, low);
    return host === 0 || this.#add(host / this.#clusterBytes, 1) ? ok() : damaged('data lie outside the file');
  }

  #snapshots(): Done {
    const { snapshots, snapshotsOffset } = this.#header;
    let at = snapshotsOffset;
    for (let i = 0; i < snapshots; i++) {
      const head = this.#read(at, SNAPSHOT_BYTES);
      if (!head.ok) return head;
      const offset = number64(head.value, 0);
      const entries = head.value.getUint32(8);
      const variable = head.value.getUint16(12) + head.value.getUint16(14) + head.value.getUint32(36);
      if (entries > L1_ENTRIES_MAX) return damaged(`snapshot ${i} has too large an L1 table`);
      const l1 = this.#read(offset, entries * ENTRY_BYTES);
      if (!l1.ok) return l1;
      const counted = this.#table(offset, l1.value);
      if (!counted.ok) return counted;
      at += Math.ceil((SNAPSHOT_BYTES + variable) / 8) * 8;
    }
    if (snapshots === 0) return ok();
    const clusters = Math.ceil((at - snapshotsOffset) / this.#clusterBytes);
    return this.#add(snapshotsOffset / this.#clusterBytes, clusters)
      ? ok()
      : damaged('the snapshot table lies outside');
  }

  /** COPIED where the count is 1, and nowhere else, in the active tables. */
  correctFlags(l1: DataView): Done {
    for (let at = 0; at < l1.byteLength; at += ENTRY_BYTES) {
      const host = offsetOf(l1.getUint32(at), l1.getUint32(at + 4));
      if (host === 0) continue;
      if (this.#correct(l1, at)) {
        const entry = new Uint8Array(l1.buffer, at, ENTRY_BYTES);
        const done = this.#file.write(this.#header.l1Offset + at, entry);
        if (!done.ok) return err(failed(done.error));
      }
      const l2 = this.#read(host, this.#clusterBytes);
      if (!l2.ok) return l2;
      let changed = false;
      for (let entry = 0; entry < this.#clusterBytes; entry += ENTRY_BYTES) {
        const [high, low] = [l2.value.getUint32(entry), l2.value.getUint32(entry + 4)];
        if (kindOf(high, low, this.#header.version) === 'compressed') continue;
        if (this.#correct(l2.value, entry)) changed = true;
      }
      if (!changed) continue;
      const done = this.#file.write(host, new Uint8Array(l2.value.buffer));
      if (!done.ok) return err(failed(done.error));
    }
    return ok();
  }

  #correct(table: DataView, at: number): boolean {
    const high = table.getUint32(at);
    const host = offsetOf(high, table.getUint32(at + 4));
    if (host === 0) return false;
    const isOwn = this.counts[host / this.#clusterBytes] === 1;
    if (isOwn === ((high & COPIED) !== 0)) return false;
    table.setUint32(at, isOwn ? high | COPIED : high & ~COPIED);
    return true;
  }
}
