/**
 * Folders as capabilities. Whoever starts an actor opens the folder and hands over a token; the actor reaches what is below
 * that folder, within the rights it was opened with, and nothing else: no `..`, no symbolic link and no absolute name leads
 * out of it, whoever changes the folder meanwhile.
 *
 * A place is where something is or may be, and moves along when its folder is renamed through the handle. Operations are
 * synchronous; names are bytes, and faults carry the host's error name (`ENOENT`); what the rights forbid is `noRight`.
 */
import type { Result } from '../../bus/result.js';
import type { FileFault, FileHandle, FileRights } from './files.js';

/** A place below the folder; made by {@link FolderHandle.place}, alive until it is released as often as it was made. */
export interface FolderPlace {
  readonly name: Uint8Array;
  /** The folder it is in; the root's is the root. */
  readonly parent: FolderPlace;
}

/** What is at a place. Times are in nanoseconds since 1970. */
export interface ObjectStatus {
  /** File type and permission bits, as Linux numbers them (st_mode). */
  readonly mode: number;
  readonly inode: bigint;
  readonly device: bigint;
  readonly links: bigint;
  readonly uid: number;
  readonly gid: number;
  /** The device a device file stands for. */
  readonly special: bigint;
  readonly sizeBytes: bigint;
  /** In units of 512 bytes. */
  readonly blocks: bigint;
  readonly accessedNs: bigint;
  readonly modifiedNs: bigint;
  readonly changedNs: bigint;
}

/** How a file is opened. */
export interface OpenChoice {
  readonly rights: FileRights;
  /** Every write goes to the end of the file. */
  readonly append: boolean;
  readonly truncate: boolean;
  /** Writes are durable when they return. */
  readonly sync: boolean;
}

/** Times to set, in nanoseconds; `now`: the host's clock; absent: as they are. */
export interface TimeChoice {
  readonly accessedNs?: bigint | 'now';
  readonly modifiedNs?: bigint | 'now';
}

/** An open file of a folder; it stays usable when its name is removed. */
export interface OpenFile extends FileHandle {
  status(): Result<ObjectStatus, FileFault>;
  /** As {@link FolderHandle.setMode}. */
  setMode(mode: number): Result<undefined, FileFault>;
  setTimes(times: TimeChoice): Result<undefined, FileFault>;
  close(): void;
}

/** One name of a folder. */
export interface FolderEntry {
  readonly name: Uint8Array;
  readonly status: ObjectStatus;
}

/** The names of a folder, one after another, `.` and `..` left out. */
export interface FolderStream {
  /** The next name; undefined at the end. Names that vanish meanwhile are passed over. */
  next(): Result<FolderEntry | undefined, FileFault>;
  /** Starts again at the first name. */
  rewind(): Result<undefined, FileFault>;
  status(): Result<ObjectStatus, FileFault>;
  /** Returns when the names are on stable storage. */
  sync(): Result<undefined, FileFault>;
  close(): void;
}

/** The file system a place is on. */
export interface FolderSpace {
  readonly blockBytes: bigint;
  readonly blocks: bigint;
  readonly freeBlocks: bigint;
  readonly availableBlocks: bigint;
  readonly files: bigint;
  readonly freeFiles: bigint;
}

/** See the head of this file. */
export interface FolderHandle {
  readonly rights: FileRights;
  /** Who makes what is made here: the user this process runs as. */
  readonly owner: { readonly uid: number; readonly gid: number };
  readonly root: FolderPlace;
  /** The place called `name` in the folder at `parent`; undefined when that can be no name. To be released. */
  place(parent: FolderPlace, name: Uint8Array): FolderPlace | undefined;
  /** Makes `place` need one release more. */
  hold(place: FolderPlace): void;
  release(place: FolderPlace): void;
  status(place: FolderPlace): Result<ObjectStatus, FileFault>;
  readLink(place: FolderPlace): Result<Uint8Array, FileFault>;
  /** Opens a regular file; anything else is refused and not opened (`EISDIR`, `ELOOP`, `ENXIO`). */
  open(place: FolderPlace, choice: OpenChoice): Result<OpenFile, FileFault>;
  list(place: FolderPlace): Result<FolderStream, FileFault>;
  space(place: FolderPlace): Result<FolderSpace, FileFault>;
  /** Makes an empty regular file that was not there; set-user-ID and set-group-ID bits of `mode` are dropped. */
  create(place: FolderPlace, mode: number, choice: OpenChoice): Result<OpenFile, FileFault>;
  makeFolder(place: FolderPlace, mode: number): Result<undefined, FileFault>;
  makeLink(place: FolderPlace, target: Uint8Array): Result<undefined, FileFault>;
  /** Gives what is at `from` a second name. */
  link(from: FolderPlace, to: FolderPlace): Result<undefined, FileFault>;
  rename(from: FolderPlace, to: FolderPlace): Result<undefined, FileFault>;
  remove(place: FolderPlace, what: 'file' | 'folder'): Result<undefined, FileFault>;
  /** Sets permission bits; set-user-ID and set-group-ID bits are dropped but for a folder's. */
  setMode(place: FolderPlace, mode: number): Result<undefined, FileFault>;
  setTimes(place: FolderPlace, times: TimeChoice): Result<undefined, FileFault>;
  /** Makes the regular file there `sizeBytes` long. */
  resize(place: FolderPlace, sizeBytes: number): Result<undefined, FileFault>;
}

/** The longest name, in bytes. */
export const NAME_BYTES_MAX = 255;

const DOT = 0x2e;

/** Whether `name` can be a name in a folder: not empty, `.` or `..`, without `/` and NUL, not too long. */
export function isName(name: Uint8Array): boolean {
  const { length } = name;
  if (length === 0 || length > NAME_BYTES_MAX || name.includes(0) || name.includes(0x2f)) return false;
  return !(name[0] === DOT && (length === 1 || (length === 2 && name[1] === DOT)));
}
