/** The host's files behind {@link FileStore}; with host-folder.ts the only importer of node:fs below cli/. */
import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  readvSync,
  writeSync,
  writevSync,
} from 'node:fs';
import { err, ok, type Result } from '../../bus/result.js';
import type { FileFault, FileHandle, FileRights, FileStore, FileToken, FolderToken } from './files.js';

/** Linux: a descriptor that names an object without opening it. Node has no name for it. */
export const O_PATH = 0o10000000;

/** Runs a file operation and turns the host's exception into a fault. */
export function attempt<T>(operation: () => T): Result<T, FileFault> {
  try {
    return { ok: true, value: operation() };
  } catch (thrown) {
    const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : String(thrown);
    return { ok: false, error: { reason: 'failed', detail: code } };
  }
}

/** What remains of `views` behind their first `bytes`; a view that is empty is left out. */
function behind(views: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  let skip = bytes;
  let first = 0;
  for (; first < views.length; first++) {
    const length = views[first]?.byteLength ?? 0;
    if (length > skip) break;
    skip -= length;
  }
  const rest = views.slice(first);
  if (rest[0] !== undefined && skip > 0) rest[0] = rest[0].subarray(skip);
  return rest;
}

/** Uses a descriptor that some thread of this process opened. */
export function useHostFile(token: FileToken): FileHandle {
  return {
    rights: token.rights,
    sizeBytes: () => attempt(() => fstatSync(token.file).size),
    read: (offset, into) =>
      attempt(() => {
        let done = 0;
        while (done < into.byteLength) {
          const got = readSync(token.file, into, done, into.byteLength - done, offset + done);
          if (got === 0) break;
          done += got;
        }
        return done;
      }),
    write(offset, from) {
      if (token.rights === 'read') return err({ reason: 'noRight', detail: token.label });
      return attempt(() => {
        for (let done = 0; done < from.byteLength; ) {
          done += writeSync(token.file, from, done, from.byteLength - done, offset + done);
        }
        return undefined;
      });
    },
    readInto: (offset, into) =>
      attempt(() => {
        let views = into;
        for (let done = 0; ; ) {
          const got = views.length === 0 ? 0 : readvSync(token.file, views, offset + done);
          done += got;
          if (got === 0) return done;
          views = behind(views, got);
        }
      }),
    writeFrom(offset, from) {
      if (token.rights === 'read') return err({ reason: 'noRight', detail: token.label });
      return attempt(() => {
        let views = from;
        for (let at = offset; views.length > 0; ) {
          const put = writevSync(token.file, views, at);
          at += put;
          views = behind(views, put);
        }
        return undefined;
      });
    },
    resize(sizeBytes) {
      if (token.rights === 'read') return err({ reason: 'noRight', detail: token.label });
      return attempt(() => ftruncateSync(token.file, sizeBytes) as undefined);
    },
    sync: () => attempt(() => fsyncSync(token.file) as undefined),
    syncData: () => attempt(() => fdatasyncSync(token.file) as undefined),
  };
}

/** Opens files of the host and keeps count of them. */
export class HostFiles implements FileStore {
  readonly #open = new Set<number>();

  get openCount(): number {
    return this.#open.size;
  }

  open(path: string, rights: FileRights): Result<FileToken, FileFault> {
    const opened = attempt(() => openSync(path, rights === 'read' ? 'r' : 'r+'));
    if (!opened.ok) return opened;
    this.#open.add(opened.value);
    return ok({ file: opened.value, rights, label: path });
  }

  use(token: FileToken): FileHandle {
    return useHostFile(token);
  }

  close(token: FileToken): void {
    if (this.#open.delete(token.file)) closeSync(token.file);
  }

  /** Opens a folder, to be handed to an actor. */
  openFolder(path: string, rights: FileRights): Result<FolderToken, FileFault> {
    const opened = attempt(() => openSync(path, O_PATH | constants.O_DIRECTORY));
    if (!opened.ok) return opened;
    this.#open.add(opened.value);
    return ok({ file: opened.value, rights, label: path, isFolder: true });
  }
}
