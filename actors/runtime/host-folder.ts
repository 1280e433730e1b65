/**
 * The host's folders behind {@link FolderHandle}. Node has no openat(2); a name below an open folder N is
 * `/proc/self/fd/N/NAME` instead, which the kernel resolves from the folder itself, wherever that is by now. So a path is
 * walked one name at a time, each opened with O_NOFOLLOW: a symbolic link put in the way is an error (ENOTDIR, ELOOP), not a
 * way out. Whatever acts on an object pins it first with O_PATH, looks what it is, and acts on the pinned object.
 *
 * Folders on the way stay open, the last used ones; every other descriptor lives for one call or belongs to an open file.
 */
import {
  chmodSync,
  closeSync,
  constants,
  type Dir,
  fchmodSync,
  fstatSync,
  fsyncSync,
  futimesSync,
  linkSync,
  lstatSync,
  mkdirSync,
  opendirSync,
  openSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  statfsSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
} from 'node:fs';
import { assert } from '../../bus/assert.js';
import { err, type Result } from '../../bus/result.js';
import type { FileFault, FileRights, FolderToken } from './files.js';
import {
  type FolderEntry,
  type FolderHandle,
  type FolderPlace,
  type FolderSpace,
  type FolderStream,
  isName,
  type ObjectStatus,
  type OpenChoice,
  type OpenFile,
  type TimeChoice,
} from './folders.js';
import { attempt, O_PATH, useHostFile } from './host-files.js';

const { O_NOFOLLOW, O_DIRECTORY, O_CREAT, O_EXCL, O_RDONLY, O_WRONLY, O_RDWR, O_APPEND, O_TRUNC, O_SYNC } = constants;
/** Folders kept open on behalf of places. */
const OPEN_FOLDERS_MAX = 256;
/** Folders one inside another. */
const DEPTH_MAX = 512;
/** Names read ahead by a stream. */
const STREAM_NAMES = 64;
const SET_ID_BITS = 0o6000;
const MODE_BITS = 0o7777;
const TYPE_BITS = 0o170000;
const FOLDER_TYPE = 0o040000;
const NS = 1e9;

/** A place; see folders.ts. */
class Place implements FolderPlace {
  readonly children = new Map<string, Place>();
  holds = 0;
  /** Descriptor of the folder here, or -1; and what it is. */
  fd = -1;
  inode = 0n;
  device = 0n;
  /** Removed or replaced through the handle: nothing is here any more, whatever the name leads to. */
  isGone = false;
  #parent: Place | undefined;
  #name: Buffer;
  key: string;

  constructor(parent: Place | undefined, name: Uint8Array) {
    this.#parent = parent;
    this.#name = Buffer.from(name);
    this.key = this.#name.toString('latin1');
  }
  get parent(): Place {
    return this.#parent ?? this;
  }
  get name(): Buffer {
    return this.#name;
  }
  moveTo(parent: Place, name: Buffer): void {
    this.#parent = parent;
    this.#name = name;
    this.key = name.toString('latin1');
  }
}

function failure(code: string): Error {
  return Object.assign(new Error(code), { code });
}

/** The name of an open descriptor. */
const self = (fd: number): string => `/proc/self/fd/${fd}`;
/** The name of `name` in the open folder `fd`. */
const inside = (fd: number, name: Buffer): Buffer => Buffer.concat([Buffer.from(`/proc/self/fd/${fd}/`), name]);

function statusOf(found: ReturnType<typeof readStatus>): ObjectStatus {
  return {
    mode: Number(found.mode),
    inode: found.ino,
    device: found.dev,
    links: found.nlink,
    uid: Number(found.uid),
    gid: Number(found.gid),
    special: found.rdev,
    sizeBytes: found.size,
    blocks: found.blocks,
    accessedNs: found.atimeNs,
    modifiedNs: found.mtimeNs,
    changedNs: found.ctimeNs,
  };
}

/** Status of a descriptor. */
function readStatus(fd: number): import('node:fs').BigIntStats {
  return fstatSync(fd, { bigint: true });
}

function openFlags({ rights, append, truncate, sync }: OpenChoice, writesOnly: boolean): number {
  const access = rights === 'read' ? O_RDONLY : writesOnly ? O_WRONLY : O_RDWR;
  return access | (append ? O_APPEND : 0) | (truncate ? O_TRUNC : 0) | (sync ? O_SYNC : 0);
}

/** Seconds for utimes(2): what it is not told to change it gets as it is. */
function secondsOf(
  { accessedNs, modifiedNs }: TimeChoice,
  { accessedNs: accessed, modifiedNs: modified }: ObjectStatus,
) {
  const now = Date.now() / 1000;
  const seconds = (wanted: bigint | 'now' | undefined, is: bigint): number =>
    wanted === 'now' ? now : Number(wanted ?? is) / NS;
  return [seconds(accessedNs, accessed), seconds(modifiedNs, modified)] as const;
}

/** Permission bits that may be given to an object of the type in `typed`. */
function allowedMode(mode: number, typed: number): number {
  return mode & MODE_BITS & ((typed & TYPE_BITS) === FOLDER_TYPE ? MODE_BITS : ~SET_ID_BITS);
}

/** An open descriptor of a regular file. */
function openFile(fd: number, rights: FileRights, label: string): OpenFile {
  const file = useHostFile({ file: fd, rights, label });
  let isOpen = true;
  return {
    ...file,
    status: () => attempt(() => statusOf(readStatus(fd))),
    setMode: (mode) => attempt(() => fchmodSync(fd, allowedMode(mode, 0)) as undefined),
    setTimes: (times) => attempt(() => futimesSync(fd, ...secondsOf(times, statusOf(readStatus(fd)))) as undefined),
    close() {
      if (isOpen) closeSync(fd);
      isOpen = false;
    },
  };
}

/** The names of the open folder `fd`, which is closed with the stream. */
class HostFolderStream implements FolderStream {
  readonly #fd: number;
  #names: Dir;

  constructor(fd: number) {
    this.#fd = fd;
    this.#names = this.#open();
  }
  #open(): Dir {
    // WHY: Node's types know `buffer` as an encoding for readdir only; opendir takes it as well, and then names are bytes.
    return opendirSync(self(this.#fd), { encoding: 'buffer' as BufferEncoding, bufferSize: STREAM_NAMES });
  }
  next(): Result<FolderEntry | undefined, FileFault> {
    return attempt(() => {
      for (;;) {
        const entry = this.#names.readSync();
        if (entry === null) return undefined;
        // WHY: see #open.
        const name = entry.name as unknown as Buffer;
        const found = lstatSync(inside(this.#fd, name), { bigint: true, throwIfNoEntry: false });
        if (found !== undefined) return { name, status: statusOf(found) };
      }
    });
  }
  rewind(): Result<undefined, FileFault> {
    return attempt(() => {
      const again = this.#open();
      this.#names.closeSync();
      this.#names = again;
      return undefined;
    });
  }
  status(): Result<ObjectStatus, FileFault> {
    return attempt(() => statusOf(readStatus(this.#fd)));
  }
  sync(): Result<undefined, FileFault> {
    return attempt(() => {
      const fd = openSync(self(this.#fd), O_RDONLY | O_DIRECTORY);
      try {
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
      return undefined;
    });
  }
  close(): void {
    this.#names.closeSync();
    closeSync(this.#fd);
  }
}

/** See the head of this file. */
class HostFolder implements FolderHandle {
  readonly rights: FileRights;
  readonly owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  readonly root: Place;
  readonly #label: string;
  /** Places with an open folder, the last used one last. */
  readonly #open = new Set<Place>();

  constructor({ file, rights, label }: FolderToken) {
    this.rights = rights;
    this.#label = label;
    this.root = new Place(undefined, new Uint8Array(0));
    this.root.fd = file;
  }

  place(parent: FolderPlace, name: Uint8Array): FolderPlace | undefined {
    if (!isName(name)) return undefined;
    const above = placeOf(parent);
    const key = Buffer.from(name).toString('latin1');
    let place = above.children.get(key);
    if (place === undefined) {
      place = new Place(above, name);
      above.children.set(key, place);
    }
    place.holds++;
    return place;
  }

  hold(place: FolderPlace): void {
    placeOf(place).holds++;
  }

  release(place: FolderPlace): void {
    const released = placeOf(place);
    if (released === this.root) return;
    assert(released.holds > 0, 'a place is not released more often than it was made');
    released.holds--;
    this.#prune(released);
  }

  /** Forgets places that nobody holds and nothing is below. */
  #prune(from: Place): void {
    for (let place = from; place !== this.root && place.holds === 0 && place.children.size === 0; ) {
      const { parent } = place;
      if (parent.children.get(place.key) === place) parent.children.delete(place.key);
      this.#shut(place);
      place = parent;
    }
  }

  #shut(place: Place): void {
    if (!this.#open.delete(place)) return;
    closeSync(place.fd);
    place.fd = -1;
  }

  /** Descriptor of the folder at `place`, good for this call. */
  #folder(place: Place): number {
    const closed: Place[] = [];
    for (let at = place; at.fd < 0; at = at.parent) {
      if (at.isGone || at === at.parent) throw failure('ENOENT');
      if (closed.push(at) > DEPTH_MAX) throw failure('ENAMETOOLONG');
    }
    for (const at of closed.toReversed()) {
      at.fd = openSync(inside(at.parent.fd, at.name), O_PATH | O_DIRECTORY | O_NOFOLLOW);
      const { ino, dev } = readStatus(at.fd);
      [at.inode, at.device] = [ino, dev];
      this.#open.add(at);
    }
    if (this.#open.delete(place)) this.#open.add(place);
    return place.fd;
  }

  /** Runs a call; folders opened by earlier ones are closed first, so that none is while the call needs it. */
  #call<T>(body: () => T): Result<T, FileFault> {
    if (this.#open.size > OPEN_FOLDERS_MAX) {
      for (const place of this.#open) {
        if (this.#open.size <= OPEN_FOLDERS_MAX / 2) break;
        this.#shut(place);
      }
    }
    return attempt(body);
  }

  /** The same for a call that changes something. */
  #change<T>(body: () => T): Result<T, FileFault> {
    return this.rights === 'read' ? err({ reason: 'noRight', detail: this.#label }) : this.#call(body);
  }

  /** The name of `place` in its open folder. */
  #path(place: Place): Buffer {
    if (place === this.root) throw failure('EBUSY');
    if (place.isGone) throw failure('ENOENT');
    return inside(this.#folder(place.parent), place.name);
  }

  /** Runs `body` with a descriptor that names what is at `place`, without having opened it. */
  #pinned<T>(place: Place, body: (fd: number, found: import('node:fs').BigIntStats) => T): T {
    if (place === this.root) return body(place.fd, readStatus(place.fd));
    const fd = openSync(this.#path(place), O_PATH | O_NOFOLLOW);
    try {
      return body(fd, readStatus(fd));
    } finally {
      closeSync(fd);
    }
  }

  /** The same for a regular file. */
  #pinnedFile<T>(place: Place, body: (fd: number) => T): T {
    return this.#pinned(place, (fd, found) => {
      if (found.isDirectory()) throw failure('EISDIR');
      if (found.isSymbolicLink()) throw failure('ELOOP');
      if (!found.isFile()) throw failure('ENXIO');
      return body(fd);
    });
  }

  status(place: FolderPlace): Result<ObjectStatus, FileFault> {
    const at = placeOf(place);
    return this.#call(() => {
      if (at === this.root) return statusOf(readStatus(at.fd));
      const found = lstatSync(this.#path(at), { bigint: true });
      // Somebody else has put another folder there.
      if (at.fd >= 0 && (at.inode !== found.ino || at.device !== found.dev)) this.#shut(at);
      return statusOf(found);
    });
  }

  readLink(place: FolderPlace): Result<Uint8Array, FileFault> {
    return this.#call(() => readlinkSync(this.#path(placeOf(place)), { encoding: 'buffer' }));
  }

  open(place: FolderPlace, choice: OpenChoice): Result<OpenFile, FileFault> {
    const body = (): OpenFile =>
      this.#pinnedFile(placeOf(place), (fd) => openFile(openOrWrite(self(fd), choice), choice.rights, this.#label));
    return choice.rights === 'read' && !choice.truncate ? this.#call(body) : this.#change(body);
  }

  list(place: FolderPlace): Result<FolderStream, FileFault> {
    return this.#call(() => {
      const fd = openSync(self(this.#folder(placeOf(place))), O_PATH | O_DIRECTORY);
      try {
        return new HostFolderStream(fd);
      } catch (refused) {
        closeSync(fd);
        throw refused;
      }
    });
  }

  space(place: FolderPlace): Result<FolderSpace, FileFault> {
    return this.#call(() =>
      this.#pinned(placeOf(place), (fd) => {
        const found = statfsSync(self(fd), { bigint: true });
        return {
          blockBytes: found.bsize,
          blocks: found.blocks,
          freeBlocks: found.bfree,
          availableBlocks: found.bavail,
          files: found.files,
          freeFiles: found.ffree,
        };
      }),
    );
  }

  create(place: FolderPlace, mode: number, choice: OpenChoice): Result<OpenFile, FileFault> {
    return this.#change(() => {
      const at = placeOf(place);
      const flags = openFlags(choice, false) | O_CREAT | O_EXCL | O_NOFOLLOW;
      const fd = openSync(this.#path(at), flags, 0o600);
      fchmodSync(fd, allowedMode(mode, 0));
      return openFile(fd, choice.rights, this.#label);
    });
  }

  makeFolder(place: FolderPlace, mode: number): Result<undefined, FileFault> {
    return this.#change(() => {
      const at = placeOf(place);
      mkdirSync(this.#path(at), { mode: 0o700 });
      // Pinned, so that it is a folder whose bits are set and nothing that was put there meanwhile.
      this.#pinned(at, (fd, found) => found.isDirectory() && chmodSync(self(fd), allowedMode(mode, FOLDER_TYPE)));
      return undefined;
    });
  }

  makeLink(place: FolderPlace, target: Uint8Array): Result<undefined, FileFault> {
    return this.#change(() => {
      if (target.includes(0)) throw failure('EINVAL');
      symlinkSync(Buffer.from(target), this.#path(placeOf(place)));
      return undefined;
    });
  }

  link(from: FolderPlace, to: FolderPlace): Result<undefined, FileFault> {
    // link(2) does not follow a symbolic link.
    return this.#change(() => linkSync(this.#path(placeOf(from)), this.#path(placeOf(to))) as undefined);
  }

  rename(from: FolderPlace, to: FolderPlace): Result<undefined, FileFault> {
    return this.#change(() => {
      const [moved, target] = [placeOf(from), placeOf(to)];
      renameSync(this.#path(moved), this.#path(target));
      if (moved === target) return undefined;
      const [before, after, name] = [moved.parent, target.parent, target.name];
      this.#forget(target);
      before.children.delete(moved.key);
      let above = after;
      for (let depth = 0; above !== moved && above !== this.root && depth <= DEPTH_MAX; depth++) above = above.parent;
      if (above === this.root) {
        moved.moveTo(after, name);
        after.children.set(moved.key, moved);
      } else {
        // The host's folders are no longer as we know them, or too deep.
        moved.isGone = true;
        this.#shut(moved);
      }
      this.#prune(moved);
      this.#prune(before);
      return undefined;
    });
  }

  remove(place: FolderPlace, what: 'file' | 'folder'): Result<undefined, FileFault> {
    return this.#change(() => {
      const at = placeOf(place);
      const path = this.#path(at);
      if (what === 'folder') rmdirSync(path);
      else unlinkSync(path);
      this.#forget(at);
      return undefined;
    });
  }

  /** Nothing is at `place` any more; who still holds it finds nothing there, and a new place may get its name. */
  #forget(place: Place): void {
    if (place.parent.children.get(place.key) === place) place.parent.children.delete(place.key);
    place.isGone = true;
    this.#shut(place);
  }

  setMode(place: FolderPlace, mode: number): Result<undefined, FileFault> {
    return this.#change(() =>
      this.#pinned(
        placeOf(place),
        (fd, found) => chmodSync(self(fd), allowedMode(mode, Number(found.mode))) as undefined,
      ),
    );
  }

  setTimes(place: FolderPlace, times: TimeChoice): Result<undefined, FileFault> {
    return this.#change(() =>
      this.#pinned(
        placeOf(place),
        (fd, found) => utimesSync(self(fd), ...secondsOf(times, statusOf(found))) as undefined,
      ),
    );
  }

  resize(place: FolderPlace, sizeBytes: number): Result<undefined, FileFault> {
    return this.#change(() => this.#pinnedFile(placeOf(place), (fd) => truncateSync(self(fd), sizeBytes) as undefined));
  }
}

/** A file for writing is opened for reading as well (a guest's cache reads what it writes in parts), if the host lets us. */
function openOrWrite(path: string, choice: OpenChoice): number {
  try {
    return openSync(path, openFlags(choice, false));
  } catch (refused) {
    if (choice.rights === 'read' || !(refused instanceof Error && 'code' in refused && refused.code === 'EACCES')) {
      throw refused;
    }
    return openSync(path, openFlags(choice, true));
  }
}

function placeOf(place: FolderPlace): Place {
  assert(place instanceof Place, 'a place comes from its folder');
  return place;
}

/** Uses a folder that some thread of this process opened. */
export function useHostFolder(token: FolderToken): FolderHandle {
  return new HostFolder(token);
}
