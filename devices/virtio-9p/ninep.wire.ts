/**
 * What 9P2000.L puts on the wire, as Linux's client speaks it (include/net/9p/9p.h and net/9p/client.c; the base protocol is
 * Plan 9's intro(5)). A message is size[4] type[1] tag[2] and a body; answers have the type of the question plus one.
 */
import { FieldReader } from '../../bus/layout/field-reader.js';

/** Bytes before a message's body. */
export const HEAD_BYTES = 7;
/** Answer with an errno instead of what was asked for. */
export const ERROR_ANSWER = 7;
/** The one dialect we speak. */
export const DIALECT = '9P2000.L';
/** The answer to a client that speaks none of ours. */
export const UNKNOWN_DIALECT = 'unknown';
/** "No file": the authentication file of a client that has none. */
export const NO_FID = 0xffff_ffff;

/** Types of questions. */
export const ASK = {
  statfs: 8,
  lopen: 12,
  lcreate: 14,
  symlink: 16,
  mknod: 18,
  rename: 20,
  readlink: 22,
  getattr: 24,
  setattr: 26,
  xattrwalk: 30,
  xattrcreate: 32,
  readdir: 40,
  fsync: 50,
  lock: 52,
  getlock: 54,
  link: 70,
  mkdir: 72,
  renameat: 74,
  unlinkat: 76,
  version: 100,
  auth: 102,
  attach: 104,
  flush: 108,
  walk: 110,
  read: 116,
  write: 118,
  clunk: 120,
  remove: 122,
} as const;

/** Types in a qid, which is type[1] version[4] path[8]. */
export const QID = { folder: 0x80, link: 0x02, file: 0 } as const;

/** Open flags on the wire: those of Linux's generic numbering, whatever the host's are. */
export const OPEN = {
  access: 3,
  write: 1,
  readWrite: 2,
  create: 0o100,
  exclusive: 0o200,
  truncate: 0o1000,
  append: 0o2000,
  dataSync: 0o10000,
  folder: 0o200000,
  sync: 0o4000000,
} as const;

/** What a getattr answer holds: all that stat(2) does, and neither birth time, generation nor data version. */
export const BASIC_STATUS = 0x7ffn;
/** Bits of setattr's `valid`. */
export const SET = {
  mode: 1,
  uid: 2,
  gid: 4,
  size: 8,
  accessed: 0x10,
  modified: 0x20,
  accessedGiven: 0x80,
  modifiedGiven: 0x100,
} as const;

/** Flag of unlinkat: the name is a folder's. */
export const REMOVE_FOLDER = 0x200;
/** Answers to lock, and the type that says nobody holds a lock. */
export const LOCK = { success: 0, free: 2 } as const;
/** What statfs says the file system is (V9FS_MAGIC). */
export const NINEP_MAGIC = 0x01021997;

/** File types in a mode. */
export const MODE = { type: 0o170000, folder: 0o040000, file: 0o100000, link: 0o120000 } as const;

/** Linux's number for each error a host may name; one it does not name is EIO. */
const ERRNO: Readonly<Record<string, number>> = {
  ...{ EPERM: 1, ENOENT: 2, EINTR: 4, EIO: 5, ENXIO: 6, EBADF: 9, EAGAIN: 11, ENOMEM: 12, EACCES: 13, EBUSY: 16 },
  ...{ EEXIST: 17, EXDEV: 18, ENODEV: 19, ENOTDIR: 20, EISDIR: 21, EINVAL: 22, ENFILE: 23, EMFILE: 24, ENOTTY: 25 },
  ...{ ETXTBSY: 26, EFBIG: 27, ENOSPC: 28, ESPIPE: 29, EROFS: 30, EMLINK: 31, EPIPE: 32, ERANGE: 34 },
  ...{ ENAMETOOLONG: 36, ENOTEMPTY: 39, ELOOP: 40, ENODATA: 61, EOVERFLOW: 75, EMSGSIZE: 90 },
  ...{ ENOTSUP: 95, EOPNOTSUPP: 95, ESTALE: 116, EDQUOT: 122 },
};

/** The number of the error the host calls `name`. */
export function errnoOf(name: string): number {
  return ERRNO[name] ?? 5;
}

const text = new TextDecoder('latin1');

/** Reads a message's body in order. What is not there reads as nothing, and `isWhole` is false from then on. */
export class MessageReader extends FieldReader {
  /** A string as bytes of its own. */
  stringBytes(): Uint8Array {
    return this.bytes(this.u16());
  }
  /** A string that is compared, not shown. */
  string(): string {
    return text.decode(this.stringBytes());
  }
}

/** Writes an answer's body in order; `isFull` when something did not fit. */
export class MessageWriter {
  isFull = false;
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  #at = HEAD_BYTES;
  #end: number;

  /** `sizeBytes` of room, head included. */
  constructor(sizeBytes: number) {
    this.bytes = new Uint8Array(sizeBytes);
    this.#view = new DataView(this.bytes.buffer);
    this.#end = sizeBytes;
  }

  /** Starts an answer of at most `bytesMax` bytes. */
  begin(bytesMax: number): void {
    this.#at = HEAD_BYTES;
    this.#end = Math.min(bytesMax, this.bytes.byteLength);
    this.isFull = false;
  }
  /** Bytes so far. */
  get length(): number {
    return this.#at;
  }
  #room(count: number): number {
    const at = this.#at;
    if (at + count > this.#end) {
      this.isFull = true;
      return -1;
    }
    this.#at += count;
    return at;
  }
  u8(value: number): void {
    const at = this.#room(1);
    if (at >= 0) this.#view.setUint8(at, value);
  }
  u16(value: number): void {
    const at = this.#room(2);
    if (at >= 0) this.#view.setUint16(at, value, true);
  }
  u32(value: number): void {
    const at = this.#room(4);
    if (at >= 0) this.#view.setUint32(at, value, true);
  }
  u64(value: bigint): void {
    const at = this.#room(8);
    if (at >= 0) this.#view.setBigUint64(at, BigInt.asUintN(64, value), true);
  }
  string(value: Uint8Array): void {
    const at = this.#room(2 + value.byteLength);
    if (at < 0) return;
    this.#view.setUint16(at, value.byteLength, true);
    this.bytes.set(value, at + 2);
  }
  /** Sets a word written before. */
  patch32(at: number, value: number): void {
    this.#view.setUint32(at, value, true);
  }
  /** Takes back what was written after the first `length` bytes. */
  cut(length: number): void {
    this.#at = length;
  }
  /** The finished message; `moreBytes` follow that are written elsewhere. */
  finish(type: number, tag: number, moreBytes = 0): Uint8Array {
    this.#view.setUint32(0, this.#at + moreBytes, true);
    this.#view.setUint8(4, type);
    this.#view.setUint16(5, tag, true);
    return this.bytes.subarray(0, this.#at);
  }
}
