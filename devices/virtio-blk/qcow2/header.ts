/**
 * The header of a qcow2 image (QEMU's docs/interop/qcow2.txt), versions 2 and 3: read, checked, and made for new images. All
 * integers are big-endian, which is why this is no `struct()`.
 */
import { err, ok, type Result } from '../../../bus/result.js';

/** First bytes of an image. */
export const QCOW2_MAGIC: readonly number[] = [0x51, 0x46, 0x49, 0xfb];

/** Bytes of a header's fixed part, by version; more may follow. */
const HEADER_BYTES = { v2: 72, v3: 104 } as const;
/** Offsets of fields, in bytes. */
export const HEADER = {
  version: 4,
  backingOffset: 8,
  backingBytes: 16,
  clusterBits: 20,
  sizeBytes: 24,
  encryption: 32,
  l1Entries: 36,
  l1Offset: 40,
  refcountTableOffset: 48,
  refcountTableClusters: 56,
  snapshots: 60,
  snapshotsOffset: 64,
  incompatible: 72,
  compatible: 80,
  autoclear: 88,
  refcountOrder: 96,
  headerBytes: 100,
} as const;
/** Incompatible features: bits of the low word. */
export const INCOMPATIBLE = { dirty: 1, corrupt: 2, externalData: 4, compression: 8, extendedL2: 16 } as const;

const EXTENSION_BACKING_FORMAT = 0xe279_2aca;
/** An image is read this far to find its header, extensions and backing name. */
export const HEADER_AREA_BYTES = 4096;
const BACKING_NAME_MAX = 1023;
/** Limits of QEMU's own driver: 32 MiB of L1 table, 8 MiB of refcount table, 65,536 snapshots. */
const L1_BYTES_MAX = 32 << 20;
const REFCOUNT_TABLE_BYTES_MAX = 8 << 20;
const SNAPSHOTS_MAX = 65_536;

/** A header that was checked. Sizes and offsets are bytes. */
export interface Qcow2Header {
  readonly version: 2 | 3;
  readonly clusterBits: number;
  readonly sizeBytes: number;
  readonly l1Entries: number;
  readonly l1Offset: number;
  readonly refcountTableOffset: number;
  readonly refcountTableClusters: number;
  /** A refcount has 2^refcountOrder bits. */
  readonly refcountOrder: number;
  readonly snapshots: number;
  readonly snapshotsOffset: number;
  readonly isDirty: boolean;
  /** As it stands in the image. */
  readonly backingFile: string | undefined;
  readonly backingFormat: string | undefined;
}

/** Whether `head`, the start of a file, is that of a qcow2 image. */
export function isQcow2(head: Uint8Array): boolean {
  return QCOW2_MAGIC.every((byte, i) => head[i] === byte);
}

/** Reads the header in `head`, the first {@link HEADER_AREA_BYTES} (or all) of a file. The error says field and reason. */
export function readHeader(head: Uint8Array): Result<Qcow2Header, string> {
  if (!isQcow2(head)) return err('is no qcow2 image');
  if (head.byteLength < HEADER_BYTES.v2) return err('ends within its header');
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const version = view.getUint32(HEADER.version);
  if (version !== 2 && version !== 3) return err(`has qcow2 version ${version}; 2 and 3 are known`);
  const v3 = version === 3;
  if (v3 && head.byteLength < HEADER_BYTES.v3) return err('ends within its header');
  const headerBytes = v3 ? view.getUint32(HEADER.headerBytes) : HEADER_BYTES.v2;
  if (
    headerBytes < (v3 ? HEADER_BYTES.v3 : HEADER_BYTES.v2) ||
    headerBytes > HEADER_AREA_BYTES ||
    headerBytes % 8 !== 0
  )
    return err(`header length ${headerBytes} is out of range`);
  const clusterBits = view.getUint32(HEADER.clusterBits);
  if (clusterBits < 9 || clusterBits > 21) return err(`cluster size 2^${clusterBits} is out of range`);
  if (view.getUint32(HEADER.encryption) !== 0) return err('is encrypted, which is not supported');
  const incompatible = v3 ? view.getUint32(HEADER.incompatible + 4) : 0;
  if (v3 && view.getUint32(HEADER.incompatible) !== 0) return err('needs features that are not known here');
  const unsupported = incompatible & ~(INCOMPATIBLE.dirty | INCOMPATIBLE.corrupt);
  if ((unsupported & INCOMPATIBLE.externalData) !== 0)
    return err('keeps its data in another file, which is not supported');
  if ((unsupported & INCOMPATIBLE.compression) !== 0) return err('is compressed by another method than zlib');
  if ((unsupported & INCOMPATIBLE.extendedL2) !== 0)
    return err('has subclusters (extended_l2), which are not supported');
  if (unsupported !== 0) return err('needs features that are not known here');
  if ((incompatible & INCOMPATIBLE.corrupt) !== 0) return err('is marked corrupt; qemu-img check -r all may repair it');
  const refcountOrder = v3 ? view.getUint32(HEADER.refcountOrder) : 4;
  if (refcountOrder > 6) return err(`refcounts of 2^${refcountOrder} bits are out of range`);
  const fields = tables(view, clusterBits);
  if (!fields.ok) return fields;
  const backing = backingOf(view, head, headerBytes, clusterBits);
  if (!backing.ok) return backing;
  const isDirty = (incompatible & INCOMPATIBLE.dirty) !== 0;
  return ok({ version, clusterBits, refcountOrder, isDirty, ...fields.value, ...backing.value });
}

type Tables = Pick<
  Qcow2Header,
  | 'sizeBytes'
  | 'l1Entries'
  | 'l1Offset'
  | 'refcountTableOffset'
  | 'refcountTableClusters'
  | 'snapshots'
  | 'snapshotsOffset'
>;

function tables(view: DataView, clusterBits: number): Result<Tables, string> {
  const clusterBytes = 2 ** clusterBits;
  const sizeBytes = number64(view, HEADER.sizeBytes);
  const l1Entries = view.getUint32(HEADER.l1Entries);
  const l1Offset = number64(view, HEADER.l1Offset);
  const refcountTableOffset = number64(view, HEADER.refcountTableOffset);
  const refcountTableClusters = view.getUint32(HEADER.refcountTableClusters);
  const snapshots = view.getUint32(HEADER.snapshots);
  const snapshotsOffset = number64(view, HEADER.snapshotsOffset);
  if (!(sizeBytes <= Number.MAX_SAFE_INTEGER)) return err('virtual size is out of range');
  if (l1Entries * 8 > L1_BYTES_MAX) return err(`L1 table of ${l1Entries} entries is too large`);
  const needed = Math.ceil(sizeBytes / (clusterBytes * (clusterBytes / 8)));
  if (l1Entries < needed) return err(`L1 table of ${l1Entries} entries is too small for the virtual size`);
  const places: readonly (readonly [string, number])[] = [
    ['L1 table', l1Offset],
    ['refcount table', refcountTableOffset],
    ['snapshot table', snapshotsOffset],
  ];
  for (const [name, offset] of places) {
    if (!(offset <= 2 ** 52) || offset % clusterBytes !== 0) return err(`offset of the ${name} is out of range`);
  }
  if (l1Entries > 0 && l1Offset === 0) return err('offset of the L1 table is out of range');
  if (refcountTableOffset === 0) return err('offset of the refcount table is out of range');
  if (
    refcountTableClusters < 1 ||
    refcountTableClusters * clusterBytes > Math.max(REFCOUNT_TABLE_BYTES_MAX, clusterBytes)
  )
    return err(`refcount table of ${refcountTableClusters} clusters is out of range`);
  if (snapshots > SNAPSHOTS_MAX) return err(`has ${snapshots} snapshots, which is too many`);
  return ok({
    sizeBytes,
    l1Entries,
    l1Offset,
    refcountTableOffset,
    refcountTableClusters,
    snapshots,
    snapshotsOffset,
  });
}

type Backing = Pick<Qcow2Header, 'backingFile' | 'backingFormat'>;

function backingOf(
  view: DataView,
  head: Uint8Array,
  headerBytes: number,
  clusterBits: number,
): Result<Backing, string> {
  const text = (from: number, bytes: number): string => new TextDecoder().decode(head.slice(from, from + bytes));
  const nameOffset = number64(view, HEADER.backingOffset);
  const nameBytes = view.getUint32(HEADER.backingBytes);
  const area = Math.min(head.byteLength, 2 ** clusterBits);
  let backingFile: string | undefined;
  if (nameOffset !== 0) {
    if (nameBytes < 1 || nameBytes > BACKING_NAME_MAX || !(nameOffset + nameBytes <= area))
      return err('name of the backing file is out of range');
    backingFile = text(nameOffset, nameBytes);
  }
  let backingFormat: string | undefined;
  const end = nameOffset !== 0 ? Math.min(area, nameOffset) : area;
  for (let at = headerBytes; at + 8 <= end; ) {
    const type = view.getUint32(at);
    const bytes = view.getUint32(at + 4);
    if (type === 0) break;
    if (at + 8 + bytes > end) return err('a header extension is out of range');
    if (type === EXTENSION_BACKING_FORMAT) backingFormat = text(at + 8, bytes);
    at += 8 + Math.ceil(bytes / 8) * 8;
  }
  return ok({ backingFile, backingFormat });
}

/** The 64-bit number at `at`, exact up to 2^53; larger ones are larger than any size that is allowed. */
export function number64(view: DataView, at: number): number {
  return view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4);
}

/** Stores a number below 2^53 at `at`. */
export function setNumber64(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / 2 ** 32));
  view.setUint32(at + 4, value >>> 0);
}

const NEW = { clusterBits: 16, refcountOrder: 4 } as const;

/** The first bytes of a new, empty image of `sizeBytes`: header, refcount table, refcount block, L1 table. */
export function emptyImage(sizeBytes: number): Uint8Array {
  const cluster = 2 ** NEW.clusterBits;
  const l1Entries = Math.max(1, Math.ceil(sizeBytes / (cluster * (cluster / 8))));
  const l1Clusters = Math.ceil((l1Entries * 8) / cluster);
  const image = new Uint8Array((3 + l1Clusters) * cluster);
  const view = new DataView(image.buffer);
  image.set(QCOW2_MAGIC);
  view.setUint32(HEADER.version, 3);
  view.setUint32(HEADER.clusterBits, NEW.clusterBits);
  setNumber64(view, HEADER.sizeBytes, sizeBytes);
  view.setUint32(HEADER.l1Entries, l1Entries);
  setNumber64(view, HEADER.l1Offset, 3 * cluster);
  setNumber64(view, HEADER.refcountTableOffset, cluster);
  view.setUint32(HEADER.refcountTableClusters, 1);
  view.setUint32(HEADER.refcountOrder, NEW.refcountOrder);
  view.setUint32(HEADER.headerBytes, HEADER_BYTES.v3);
  setNumber64(view, cluster, 2 * cluster);
  for (let used = 0; used < 3 + l1Clusters; used++) view.setUint16(2 * cluster + used * 2, 1);
  return image;
}
