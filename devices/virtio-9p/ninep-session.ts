/** What a 9P client has here, and how the things of the host look to it; shared by the handlers of its questions. */
import type { FileFault } from '../../actors/runtime/files.js';
import type { FolderHandle, FolderPlace, ObjectStatus } from '../../actors/runtime/folders.js';
import type { Result } from '../../bus/result.js';
import { type Fid, FidTable } from './fid-table.js';
import { type MessageReader, type MessageWriter, MODE, QID } from './ninep.wire.js';

/** What a handler answers: nothing, or the name of an error. */
export type Outcome = string | undefined;

/** What a handler works with. */
export interface Request {
  readonly session: NinepSession;
  readonly ask: MessageReader;
  readonly answer: MessageWriter;
}

/** Devices below one folder that are told apart by their qids. */
const DEVICES_MAX = 256;
/** Who owns what belongs to the host's root. */
const NOBODY = 65_534;

/** See the head of this file. */
export class NinepSession {
  readonly folder: FolderHandle;
  readonly fids: FidTable;
  readonly #devices: bigint[] = [];

  constructor(folder: FolderHandle) {
    this.folder = folder;
    this.fids = new FidTable(folder);
  }

  /** What is at the place of a fid: the open file if there is one, which may have no name any more. */
  statusOf(fid: Fid): Result<ObjectStatus, FileFault> {
    return fid.file?.status() ?? fid.listing?.stream.status() ?? this.folder.status(fid.place);
  }

  /** Writes the qid of an object: inode numbers, told apart by device where there is more than one. */
  qid(answer: MessageWriter, { mode, inode, device, modifiedNs, sizeBytes }: ObjectStatus): void {
    const type = mode & MODE.type;
    answer.u8(type === MODE.folder ? QID.folder : type === MODE.link ? QID.link : QID.file);
    answer.u32(Number(BigInt.asUintN(32, (modifiedNs / 1_000_000_000n) ^ (sizeBytes << 8n))));
    let index = this.#devices.indexOf(device);
    if (index < 0 && this.#devices.length < DEVICES_MAX) index = this.#devices.push(device) - 1;
    answer.u64(inode ^ (BigInt(Math.max(index, 0)) << 56n));
  }

  /** The host's number of an owner as the guest sees it: our user is the guest's root, the host's root nobody. */
  shownOwner(host: number, ours: number): number {
    if (host === ours) return 0;
    return host === 0 ? NOBODY : host;
  }

  /** As {@link FolderHandle.place}; an error name when it can be no name. */
  placeIn(fid: Fid | undefined, name: Uint8Array): FolderPlace | string {
    if (fid === undefined) return 'EBADF';
    const place = this.folder.place(fid.place, name);
    if (place !== undefined) return place;
    return name.byteLength > 255 ? 'ENAMETOOLONG' : name.byteLength === 0 ? 'ENOENT' : 'EINVAL';
  }
}
