/**
 * The questions of 9P2000.L beside version, read and write: one handler each, in the order of a client's life. A handler
 * reads its arguments first and acts only when all were there. Ownership: what is made belongs to the user we run as, whom the
 * guest sees as its root; nothing can be given away.
 */
import type { FileFault } from '../../actors/runtime/files.js';
import type { FolderPlace, ObjectStatus, OpenChoice, TimeChoice } from '../../actors/runtime/folders.js';
import { ok, type Result } from '../../bus/result.js';
import { type Fid, type Listing, nameOf } from './fid-table.js';
import {
  ASK,
  BASIC_STATUS,
  LOCK,
  type MessageReader,
  type MessageWriter,
  MODE,
  NINEP_MAGIC,
  NO_FID,
  OPEN,
  REMOVE_FOLDER,
  SET,
} from './ninep.wire.js';
import type { NinepSession, Outcome, Request } from './ninep-session.js';

type Handler = (request: Request) => Outcome;

/** Names of one walk (Plan 9's MAXWELEM). */
const WALK_NAMES_MAX = 16;
const LINK_BYTES_MAX = 4095;
const NAME_BYTES_MAX = 255;
const NS = 1_000_000_000n;
const NO_CHANGE = 0xffff_ffff;
const DOT = new TextEncoder().encode('.');
const DOTS = new TextEncoder().encode('..');
/** Types in a listing (DT_DIR and so on): the file type bits of a mode, shifted. */
const listedType = (mode: number): number => (mode & MODE.type) >> 12;

const outcome = (done: Result<unknown, FileFault>): Outcome => (done.ok ? undefined : nameOf(done.error));

/** Runs `act` on the place called `name` in the folder of `fid`, then lets the place go. */
function within(
  session: NinepSession,
  fid: Fid | undefined,
  name: Uint8Array,
  act: (place: FolderPlace) => Outcome,
): Outcome {
  const place = session.placeIn(fid, name);
  if (typeof place === 'string') return place;
  try {
    return act(place);
  } finally {
    session.folder.release(place);
  }
}

/** Answers the qid of what is at `place`, after `done`. */
function answerQid({ session, answer }: Request, done: Result<unknown, FileFault>, place: FolderPlace): Outcome {
  if (!done.ok) return nameOf(done.error);
  const status = session.folder.status(place);
  if (!status.ok) return nameOf(status.error);
  session.qid(answer, status.value);
  return undefined;
}

const attach: Handler = (request) => {
  const { session, ask } = request;
  const [fid, authentication] = [ask.u32(), ask.u32()];
  ask.stringBytes();
  const tree = ask.string();
  ask.u32();
  if (!ask.isWhole) return 'EINVAL';
  if (authentication !== NO_FID) return 'EINVAL';
  if (tree !== '' && tree !== '/') return 'ENOENT';
  const may = session.fids.canAdd(fid);
  if (!may.ok) return may.error;
  const { root } = session.folder;
  const answered = answerQid(request, ok(undefined), root);
  if (answered === undefined) session.fids.add(fid, root);
  return answered;
};

/** Takes up to sixteen steps from a fid; all of them, or the new fid is not made. */
const walk: Handler = ({ session, ask, answer }) => {
  const { fids, folder } = session;
  const [from, to, count] = [ask.u32(), ask.u32(), ask.u16()];
  if (count > WALK_NAMES_MAX) return 'EINVAL';
  const names = Array.from({ length: count }, () => ask.stringBytes());
  if (!ask.isWhole) return 'EINVAL';
  const start = fids.get(from);
  if (start === undefined) return 'EBADF';
  if (from !== to) {
    const may = fids.canAdd(to);
    if (!may.ok) return may.error;
  } else if (start.file !== undefined || start.listing !== undefined) return 'EBUSY';
  const countAt = answer.length;
  answer.u16(0);
  let steps = 0;
  let place = start.place;
  folder.hold(place);
  let failed: Outcome;
  for (const name of names) {
    const next = step(session, place, name);
    if (typeof next === 'string') {
      failed = next;
      break;
    }
    folder.release(place);
    place = next;
    const status = folder.status(place);
    if (!status.ok) {
      failed = nameOf(status.error);
      break;
    }
    session.qid(answer, status.value);
    steps++;
  }
  if (failed !== undefined) {
    folder.release(place);
    if (steps === 0) return failed;
  } else {
    if (from === to) fids.remove(from);
    fids.add(to, place);
  }
  answer.bytes[countAt] = steps;
  return undefined;
};

/** The place one name further, held; `..` of the root is the root. */
function step(session: NinepSession, place: FolderPlace, name: Uint8Array): FolderPlace | string {
  const isDots = name.byteLength === 2 && name[0] === 0x2e && name[1] === 0x2e;
  if (!isDots) return session.placeIn({ place }, name);
  session.folder.hold(place.parent);
  return place.parent;
}

const clunk: Handler = ({ session, ask }) => {
  const fid = ask.u32();
  if (session.fids.get(fid) === undefined) return 'EBADF';
  session.fids.remove(fid);
  return undefined;
};

function choiceOf(flags: number): OpenChoice {
  const access = flags & OPEN.access;
  return {
    rights: access === OPEN.write || access === OPEN.readWrite ? 'read-write' : 'read',
    append: (flags & OPEN.append) !== 0,
    truncate: (flags & OPEN.truncate) !== 0,
    sync: (flags & (OPEN.sync | OPEN.dataSync)) !== 0,
  };
}

/** Opens what is at a fid's place for the fid. */
function openHere({ session, answer }: Request, fid: Fid, choice: OpenChoice): Outcome {
  const { folder, fids } = session;
  if (fid.file !== undefined || fid.listing !== undefined) return 'EBUSY';
  if (!fids.canOpen) return 'EMFILE';
  const status = folder.status(fid.place);
  if (!status.ok) return nameOf(status.error);
  if ((status.value.mode & MODE.type) === MODE.folder) {
    if (choice.rights !== 'read') return 'EISDIR';
    const stream = folder.list(fid.place);
    if (!stream.ok) return nameOf(stream.error);
    fids.opened(fid, { listing: { stream: stream.value, position: 0, next: undefined } });
  } else {
    const file = folder.open(fid.place, choice);
    if (!file.ok) return nameOf(file.error);
    fids.opened(fid, { file: file.value });
  }
  session.qid(answer, status.value);
  answer.u32(0); // iounit: as much as fits into a message
  return undefined;
}

const lopen: Handler = (request) => {
  const fid = request.session.fids.get(request.ask.u32());
  const flags = request.ask.u32();
  if (!request.ask.isWhole) return 'EINVAL';
  return fid === undefined ? 'EBADF' : openHere(request, fid, choiceOf(flags));
};

/** Makes a file in the folder of a fid, which then stands for the open file. */
const lcreate: Handler = (request) => {
  const { session, ask, answer } = request;
  const { fids, folder } = session;
  const fid = fids.get(ask.u32());
  const [name, flags, mode] = [ask.stringBytes(), ask.u32(), ask.u32()];
  ask.u32();
  if (!ask.isWhole) return 'EINVAL';
  if (fid === undefined || fid.file !== undefined || fid.listing !== undefined) return 'EBADF';
  if (!fids.canOpen) return 'EMFILE';
  const place = session.placeIn(fid, name);
  if (typeof place === 'string') return place;
  const choice = choiceOf(flags);
  const made = folder.create(place, mode, choice);
  const before = fid.place;
  let failed: Outcome;
  if (made.ok) {
    const status = made.value.status();
    if (status.ok) {
      session.qid(answer, status.value);
      answer.u32(0);
      fids.opened(fid, { file: made.value });
    } else {
      failed = nameOf(status.error);
      made.value.close();
    }
  } else if (made.error.detail === 'EEXIST' && (flags & OPEN.exclusive) === 0) {
    fid.place = place;
    failed = openHere(request, fid, choice);
    fid.place = before;
  } else failed = nameOf(made.error);
  if (failed === undefined) fid.place = place;
  folder.release(failed === undefined ? before : place);
  return failed;
};

const getattr: Handler = ({ session, ask, answer }) => {
  const fid = session.fids.get(ask.u32());
  ask.u64();
  if (!ask.isWhole) return 'EINVAL';
  if (fid === undefined) return 'EBADF';
  const found = session.statusOf(fid);
  if (!found.ok) return nameOf(found.error);
  const { value } = found;
  const { owner } = session.folder;
  answer.u64(BASIC_STATUS);
  session.qid(answer, value);
  answer.u32(value.mode);
  answer.u32(session.shownOwner(value.uid, owner.uid));
  answer.u32(session.shownOwner(value.gid, owner.gid));
  for (const word of [value.links, value.special, value.sizeBytes, 4096n, value.blocks]) answer.u64(word);
  for (const time of [value.accessedNs, value.modifiedNs, value.changedNs, 0n]) putTime(answer, time);
  answer.u64(0n);
  answer.u64(0n);
  return undefined;
};

function putTime(answer: MessageWriter, ns: bigint): void {
  const rest = ((ns % NS) + NS) % NS;
  answer.u64((ns - rest) / NS);
  answer.u64(rest);
}

const setattr: Handler = ({ session, ask }) => {
  const fid = session.fids.get(ask.u32());
  const [valid, mode, uid, gid, size] = [ask.u32(), ask.u32(), ask.u32(), ask.u32(), Number(ask.u64())];
  const [accessed, modified] = [takeTime(ask), takeTime(ask)];
  if (!ask.isWhole) return 'EINVAL';
  if (fid === undefined) return 'EBADF';
  const { folder } = session;
  if (folder.rights === 'read') return 'EROFS';
  const { file, place } = fid;
  if ((valid & (SET.uid | SET.gid)) !== 0) {
    const found = session.statusOf(fid);
    if (!found.ok) return nameOf(found.error);
    const wanted = { uid: (valid & SET.uid) !== 0 ? uid : NO_CHANGE, gid: (valid & SET.gid) !== 0 ? gid : NO_CHANGE };
    if (!keepsOwner(session, found.value, wanted)) return 'EPERM';
  }
  if ((valid & SET.mode) !== 0) {
    const done = file === undefined ? folder.setMode(place, mode) : file.setMode(mode);
    if (!done.ok) return nameOf(done.error);
  }
  if ((valid & SET.size) !== 0) {
    if (!Number.isSafeInteger(size)) return 'EFBIG';
    const done = file?.rights === 'read-write' ? file.resize(size) : folder.resize(place, size);
    if (!done.ok) return nameOf(done.error);
  }
  const times: TimeChoice = {
    ...((valid & SET.accessed) === 0 ? {} : { accessedNs: (valid & SET.accessedGiven) === 0 ? 'now' : accessed }),
    ...((valid & SET.modified) === 0 ? {} : { modifiedNs: (valid & SET.modifiedGiven) === 0 ? 'now' : modified }),
  };
  if (Object.keys(times).length === 0) return undefined;
  return outcome(file === undefined ? folder.setTimes(place, times) : file.setTimes(times));
};

const takeTime = (ask: MessageReader): bigint => BigInt.asIntN(64, ask.u64()) * NS + ask.u64();

/** Whether an object already belongs to the wanted owner: it can be given to no other. */
function keepsOwner(
  session: NinepSession,
  status: ObjectStatus,
  { uid, gid }: { readonly uid: number; readonly gid: number },
): boolean {
  const { owner } = session.folder;
  return (
    (uid === NO_CHANGE || uid === session.shownOwner(status.uid, owner.uid)) &&
    (gid === NO_CHANGE || gid === session.shownOwner(status.gid, owner.gid))
  );
}

/** Entries from a position on, as many as fit. */
const readdir: Handler = ({ session, ask, answer }) => {
  const fid = session.fids.get(ask.u32());
  const [offset, count] = [Number(ask.u64()), ask.u32()];
  if (!ask.isWhole) return 'EINVAL';
  const listing = fid?.listing;
  if (fid === undefined || listing === undefined) return 'EBADF';
  const sought = seek(listing, offset);
  if (sought !== undefined) return sought;
  const countAt = answer.length;
  answer.u32(0);
  const from = answer.length;
  const to = from + count;
  for (;;) {
    const entry = peek(session, fid, listing);
    if (!entry.ok) return answer.length > from ? finishListing(answer, countAt) : nameOf(entry.error);
    if (entry.value === undefined) break;
    const before = answer.length;
    session.qid(answer, entry.value.status);
    answer.u64(BigInt(listing.position + 1));
    answer.u8(listedType(entry.value.status.mode));
    answer.string(entry.value.name);
    if (answer.isFull || answer.length > to) {
      answer.isFull = false;
      answer.cut(before);
      // A client that has no room for one name would take it for the end.
      if (before === from) return 'EINVAL';
      break;
    }
    listing.position++;
    listing.next = undefined;
  }
  return finishListing(answer, countAt);
};

function finishListing(answer: MessageWriter, countAt: number): Outcome {
  answer.patch32(countAt, answer.length - countAt - 4);
  return undefined;
}

/** Brings a listing to position `offset`: where it is already, or from the start. */
function seek(listing: Listing, offset: number): Outcome {
  if (offset === listing.position) return undefined;
  const again = listing.stream.rewind();
  if (!again.ok) return nameOf(again.error);
  listing.position = Math.min(offset, 2);
  listing.next = undefined;
  while (listing.position < offset) {
    const passed = listing.stream.next();
    if (!passed.ok) return nameOf(passed.error);
    if (passed.value === undefined) break;
    listing.position++;
  }
  return undefined;
}

/** The entry at a listing's position. */
function peek(
  session: NinepSession,
  { place }: Fid,
  listing: Listing,
): Result<{ readonly name: Uint8Array; readonly status: ObjectStatus } | undefined, FileFault> {
  if (listing.position < 2) {
    const isSelf = listing.position === 0;
    const status = isSelf ? listing.stream.status() : session.folder.status(place.parent);
    return status.ok ? ok({ name: isSelf ? DOT : DOTS, status: status.value }) : status;
  }
  if (listing.next !== undefined) return ok(listing.next);
  const entry = listing.stream.next();
  if (entry.ok) listing.next = entry.value;
  return entry;
}

const readlink: Handler = ({ session, ask, answer }) => {
  const fid = session.fids.get(ask.u32());
  if (fid === undefined) return 'EBADF';
  const target = session.folder.readLink(fid.place);
  if (!target.ok) return nameOf(target.error);
  answer.string(target.value);
  return undefined;
};

const symlink: Handler = (request) => {
  const { session, ask } = request;
  const folder = session.fids.get(ask.u32());
  const [name, target] = [ask.stringBytes(), ask.stringBytes()];
  ask.u32();
  if (!ask.isWhole) return 'EINVAL';
  if (target.byteLength > LINK_BYTES_MAX) return 'ENAMETOOLONG';
  return within(session, folder, name, (place) => answerQid(request, session.folder.makeLink(place, target), place));
};

/** Regular files only: a device, pipe or socket of the guest's means nothing on the host. */
const mknod: Handler = (request) => {
  const { session, ask } = request;
  const folder = session.fids.get(ask.u32());
  const [name, mode] = [ask.stringBytes(), ask.u32()];
  for (let i = 0; i < 3; i++) ask.u32();
  if (!ask.isWhole) return 'EINVAL';
  if ((mode & MODE.type) !== MODE.file && (mode & MODE.type) !== 0) return 'EPERM';
  return within(session, folder, name, (place) => {
    const choice = { rights: 'read-write', append: false, truncate: false, sync: false } as const;
    const made = session.folder.create(place, mode, choice);
    if (made.ok) made.value.close();
    return answerQid(request, made, place);
  });
};

const mkdir: Handler = (request) => {
  const { session, ask } = request;
  const folder = session.fids.get(ask.u32());
  const [name, mode] = [ask.stringBytes(), ask.u32()];
  ask.u32();
  if (!ask.isWhole) return 'EINVAL';
  return within(session, folder, name, (place) => answerQid(request, session.folder.makeFolder(place, mode), place));
};

const link: Handler = ({ session, ask }) => {
  const [folder, fid] = [session.fids.get(ask.u32()), session.fids.get(ask.u32())];
  const name = ask.stringBytes();
  if (!ask.isWhole) return 'EINVAL';
  if (fid === undefined) return 'EBADF';
  return within(session, folder, name, (place) => outcome(session.folder.link(fid.place, place)));
};

const rename: Handler = ({ session, ask }) => {
  const [fid, folder] = [session.fids.get(ask.u32()), session.fids.get(ask.u32())];
  const name = ask.stringBytes();
  if (!ask.isWhole) return 'EINVAL';
  if (fid === undefined) return 'EBADF';
  return within(session, folder, name, (place) => outcome(session.folder.rename(fid.place, place)));
};

const renameat: Handler = ({ session, ask }) => {
  const [from, oldName] = [session.fids.get(ask.u32()), ask.stringBytes()];
  const [to, newName] = [session.fids.get(ask.u32()), ask.stringBytes()];
  if (!ask.isWhole) return 'EINVAL';
  return within(session, from, oldName, (old) =>
    within(session, to, newName, (place) => outcome(session.folder.rename(old, place))),
  );
};

const unlinkat: Handler = ({ session, ask }) => {
  const folder = session.fids.get(ask.u32());
  const [name, flags] = [ask.stringBytes(), ask.u32()];
  if (!ask.isWhole) return 'EINVAL';
  const what = (flags & REMOVE_FOLDER) !== 0 ? 'folder' : 'file';
  return within(session, folder, name, (place) => outcome(session.folder.remove(place, what)));
};

/** Removes what a fid stands for; the fid is gone whatever comes of it. */
const remove: Handler = ({ session, ask }) => {
  const number = ask.u32();
  const fid = session.fids.get(number);
  if (fid === undefined) return 'EBADF';
  const { place } = fid;
  const status = session.folder.status(place);
  const isFolder = status.ok && (status.value.mode & MODE.type) === MODE.folder;
  const done = status.ok ? session.folder.remove(place, isFolder ? 'folder' : 'file') : status;
  session.fids.remove(number);
  return outcome(done);
};

const fsync: Handler = ({ session, ask }) => {
  const fid = session.fids.get(ask.u32());
  const dataOnly = ask.u32() !== 0;
  if (!ask.isWhole) return 'EINVAL';
  if (fid?.listing !== undefined) return outcome(fid.listing.stream.sync());
  if (fid?.file === undefined) return 'EBADF';
  return outcome(dataOnly ? fid.file.syncData() : fid.file.sync());
};

/** Locks stay among the guest's own processes, where its kernel has already granted them. */
const lock: Handler = ({ session, ask, answer }) => {
  const fid = session.fids.get(ask.u32());
  ask.u8();
  ask.u32();
  takeRange(ask);
  ask.stringBytes();
  if (!ask.isWhole) return 'EINVAL';
  if (fid?.file === undefined && fid?.listing === undefined) return 'EBADF';
  answer.u8(LOCK.success);
  return undefined;
};

const getlock: Handler = ({ session, ask, answer }) => {
  const fid = session.fids.get(ask.u32());
  ask.u8();
  const { start, length, process } = takeRange(ask);
  const client = ask.stringBytes();
  if (!ask.isWhole || client.byteLength > NAME_BYTES_MAX) return 'EINVAL';
  if (fid?.file === undefined && fid?.listing === undefined) return 'EBADF';
  answer.u8(LOCK.free);
  answer.u64(start);
  answer.u64(length);
  answer.u32(process);
  answer.string(client);
  return undefined;
};

function takeRange(ask: MessageReader): { readonly start: bigint; readonly length: bigint; readonly process: number } {
  return { start: ask.u64(), length: ask.u64(), process: ask.u32() };
}

const statfs: Handler = ({ session, ask, answer }) => {
  const fid = session.fids.get(ask.u32());
  if (fid === undefined) return 'EBADF';
  const found = session.folder.space(fid.place);
  if (!found.ok) return nameOf(found.error);
  const { blockBytes, blocks, freeBlocks, availableBlocks, files, freeFiles } = found.value;
  answer.u32(NINEP_MAGIC);
  answer.u32(Number(blockBytes));
  for (const word of [blocks, freeBlocks, availableBlocks, files, freeFiles, 0n]) answer.u64(word);
  answer.u32(NAME_BYTES_MAX);
  return undefined;
};

/** By message type. Every question was answered before the next was read: there is nothing to flush. */
export const REQUESTS: Readonly<Record<number, Handler>> = {
  [ASK.attach]: attach,
  [ASK.walk]: walk,
  [ASK.clunk]: clunk,
  [ASK.lopen]: lopen,
  [ASK.lcreate]: lcreate,
  [ASK.getattr]: getattr,
  [ASK.setattr]: setattr,
  [ASK.readdir]: readdir,
  [ASK.readlink]: readlink,
  [ASK.symlink]: symlink,
  [ASK.mknod]: mknod,
  [ASK.mkdir]: mkdir,
  [ASK.link]: link,
  [ASK.rename]: rename,
  [ASK.renameat]: renameat,
  [ASK.unlinkat]: unlinkat,
  [ASK.remove]: remove,
  [ASK.fsync]: fsync,
  [ASK.lock]: lock,
  [ASK.getlock]: getlock,
  [ASK.statfs]: statfs,
  [ASK.flush]: () => undefined,
  [ASK.auth]: () => 'EOPNOTSUPP',
  [ASK.xattrwalk]: () => 'EOPNOTSUPP',
  [ASK.xattrcreate]: () => 'EOPNOTSUPP',
};
