/**
 * Files as handles. Whoever starts an actor opens the file and hands over a token; the actor can use that file, within
 * the rights it was opened with, and no other. (An open descriptor also works where Node's permission model denies paths.)
 */
import { assert } from '../../bus/assert.js';
import type { Result } from '../../bus/result.js';

/** What a file was opened for. */
export type FileRights = 'read' | 'read-write';

/** Names an open file; plain data, for spawn configs and messages. */
export interface FileToken {
  /** The host's descriptor, or the simulator's number. */
  readonly file: number;
  readonly rights: FileRights;
  /** What a person calls it, for messages. */
  readonly label: string;
}

/** Names an open folder; plain data, for spawn configs. */
export interface FolderToken extends FileToken {
  readonly isFolder: true;
}

/** Why a file operation failed: the host's error name (`ENOSPC`, `EIO` ...). */
export interface FileFault {
  readonly reason: 'noRight' | 'failed';
  readonly detail: string;
}

/** An open file. Offsets and sizes are in bytes; operations are synchronous. */
export interface FileHandle {
  readonly rights: FileRights;
  sizeBytes(): Result<number, FileFault>;
  /** Fills `into` from `offset` on; answers how many bytes there were (fewer only at the end of the file). */
  read(offset: number, into: Uint8Array): Result<number, FileFault>;
  /** Writes all of `from` at `offset`, extending the file if needed. */
  write(offset: number, from: Uint8Array): Result<undefined, FileFault>;
  /** As read, into several places one after another. */
  readInto(offset: number, into: readonly Uint8Array[]): Result<number, FileFault>;
  /** As write, from several places one after another. */
  writeFrom(offset: number, from: readonly Uint8Array[]): Result<undefined, FileFault>;
  /** Makes the file `sizeBytes` long; what is added reads as zeros. */
  resize(sizeBytes: number): Result<undefined, FileFault>;
  /** Returns when what was written is on stable storage. */
  sync(): Result<undefined, FileFault>;
  /** As sync, without what only says when the file was changed (fdatasync). */
  syncData(): Result<undefined, FileFault>;
}

/** The host's files as the runtime sees them; the simulator has its own. */
export interface FileStore {
  open(path: string, rights: FileRights): Result<FileToken, FileFault>;
  /** Opens a folder, to be handed to an actor. */
  openFolder(path: string, rights: FileRights): Result<FolderToken, FileFault>;
  use(token: FileToken): FileHandle;
  close(token: FileToken): void;
  /** Files opened and not closed. */
  readonly openCount: number;
}

/** Files in memory, for the simulator and for tests. */
export class MemoryFiles implements FileStore {
  readonly #contents = new Map<string, Uint8Array>();
  readonly #open = new Map<number, string>();
  #next = 1;

  get openCount(): number {
    return this.#open.size;
  }

  /** Creates or replaces a file. */
  put(path: string, contents: Uint8Array): void {
    this.#contents.set(path, contents.slice());
  }

  open(path: string, rights: FileRights): Result<FileToken, FileFault> {
    if (!this.#contents.has(path)) return { ok: false, error: { reason: 'failed', detail: 'ENOENT' } };
    const file = this.#next++;
    this.#open.set(file, path);
    return { ok: true, value: { file, rights, label: path } };
  }

  openFolder(): Result<FolderToken, FileFault> {
    return { ok: false, error: { reason: 'failed', detail: 'ENOTSUP' } };
  }

  use(token: FileToken): FileHandle {
    const current = (): Uint8Array => {
      const path = this.#open.get(token.file);
      const contents = path === undefined ? undefined : this.#contents.get(path);
      assert(path !== undefined && contents !== undefined, `file ${token.label} is not open`);
      return contents;
    };
    const replace = (sizeBytes: number, change: (contents: Uint8Array) => void): Result<undefined, FileFault> => {
      if (token.rights === 'read') return { ok: false, error: { reason: 'noRight', detail: token.label } };
      const changed = new Uint8Array(sizeBytes);
      changed.set(current().subarray(0, sizeBytes));
      change(changed);
      const path = this.#open.get(token.file);
      if (path !== undefined) this.#contents.set(path, changed);
      return { ok: true, value: undefined };
    };
    const read = (offset: number, into: Uint8Array): number => {
      const part = current().subarray(offset, offset + into.byteLength);
      into.set(part);
      return part.byteLength;
    };
    const write = (offset: number, from: Uint8Array): Result<undefined, FileFault> =>
      replace(Math.max(current().byteLength, offset + from.byteLength), (contents) => contents.set(from, offset));
    return {
      rights: token.rights,
      sizeBytes: () => ({ ok: true, value: current().byteLength }),
      read: (offset, into) => ({ ok: true, value: read(offset, into) }),
      write,
      readInto(offset, into) {
        let done = 0;
        for (const part of into) done += read(offset + done, part);
        return { ok: true, value: done };
      },
      writeFrom: (offset, from) => write(offset, Buffer.concat(from)),
      resize: (sizeBytes) => replace(sizeBytes, () => undefined),
      sync: () => ({ ok: true, value: undefined }),
      syncData: () => ({ ok: true, value: undefined }),
    };
  }

  close(token: FileToken): void {
    this.#open.delete(token.file);
  }
}
