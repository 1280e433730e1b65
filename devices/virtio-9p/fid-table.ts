/**
 * What a client's fids stand for: a place below the shared folder each, and the file or the listing that was opened there.
 * Both kinds are limited, so that a guest cannot use up this process's memory or descriptors.
 */
import type { FileFault } from '../../actors/runtime/files.js';
import type { FolderEntry, FolderHandle, FolderPlace, FolderStream, OpenFile } from '../../actors/runtime/folders.js';
import { err, ok, type Result } from '../../bus/result.js';

/** Fids of one client: a cache in the guest keeps one for every name it knows. */
export const FIDS_MAX = 1 << 18;
/** Files and listings open at once. */
export const OPEN_MAX = 1024;

/** One fid. */
export interface Fid {
  place: FolderPlace;
  file?: OpenFile | undefined;
  listing?: Listing | undefined;
}

/** A listing being read: `position` entries were given out, `.` and `..` included; `next` was read and did not fit. */
export interface Listing {
  readonly stream: FolderStream;
  position: number;
  next: FolderEntry | undefined;
}

/** See the head of this file. */
export class FidTable {
  readonly #folder: FolderHandle;
  readonly #fids = new Map<number, Fid>();
  #open = 0;

  constructor(folder: FolderHandle) {
    this.#folder = folder;
  }

  get size(): number {
    return this.#fids.size;
  }
  get openCount(): number {
    return this.#open;
  }

  get(fid: number): Fid | undefined {
    return this.#fids.get(fid);
  }

  /** Whether `fid` may be made. */
  canAdd(fid: number): Result<undefined, string> {
    if (this.#fids.has(fid)) return err('EINVAL');
    return this.#fids.size < FIDS_MAX ? ok(undefined) : err('ENFILE');
  }

  /** Makes `fid` stand for `place`, whose hold becomes the fid's. */
  add(fid: number, place: FolderPlace): void {
    this.#fids.set(fid, { place });
  }

  /** Whether one more may be opened. */
  get canOpen(): boolean {
    return this.#open < OPEN_MAX;
  }

  /** Gives an open file or listing to `fid`, which has none. */
  opened(fid: Fid, what: { readonly file?: OpenFile; readonly listing?: Listing }): void {
    fid.file = what.file;
    fid.listing = what.listing;
    this.#open++;
  }

  /** Ends `fid`. */
  remove(fid: number): void {
    const found = this.#fids.get(fid);
    if (found === undefined) return;
    this.#fids.delete(fid);
    if (found.file !== undefined || found.listing !== undefined) this.#open--;
    found.file?.close();
    found.listing?.stream.close();
    this.#folder.release(found.place);
  }

  /** Ends all: the client begins anew. */
  clear(): void {
    for (const fid of this.#fids.keys()) this.remove(fid);
  }
}

/** The error name of a fault as a client sees it. */
export function nameOf({ reason, detail }: FileFault): string {
  return reason === 'noRight' ? 'EROFS' : detail;
}
