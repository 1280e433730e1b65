/**
 * Files of the translation cache: compiled regions of earlier runs (`.code`), records of instruction words (`.records`), and what is to be
 * compiled (`.todo`).
 *
 * A `.code` file: magic, SHA-256 of the rest, lengths of the index (in words), of the WebAssembly module and of V8's machine
 * code for it, then these three (see SavedVolume for the index). It is machine code that will be executed, so it is
 * read only where the user alone can have put it: see {@link isOurs} and docs/adr/0051.
 */
import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isSavedIndex, type SavedVolume } from '../../cpu/jit/saved-code.js';
import { deserialisedOf } from './native-modules.js';

const MAGIC = 'wurley-code-003\n';
const CHECKSUM_BYTES = 32;
const LENGTHS_BYTES = 16;
const HEADER_BYTES = MAGIC.length + CHECKSUM_BYTES + LENGTHS_BYTES;
/** Bytes of the whole folder; files not used for longest go first. */
const FOLDER_BYTES_MAX = 512 << 20;
/** A larger file is not ours. */
const FILE_BYTES_MAX = 160 << 20;

/**
 * Whether `path` belongs to the user who runs this process (or to root) and nobody else may write it. Hosts without user
 * numbers have folders of the user that others cannot write.
 */
export function isOurs(path: string, kind: 'file' | 'folder'): boolean {
  const stat = lstatSync(path);
  if (kind === 'file' ? !stat.isFile() : !stat.isDirectory()) return false;
  const user = process.getuid?.();
  return user === undefined || ((stat.uid === user || stat.uid === 0) && (stat.mode & 0o022) === 0);
}

/** Makes the folder, for the user alone. */
export function makeOwnFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
}

/** Writes a file whole or not at all, for the user alone. */
export function putFile(path: string, parts: readonly Uint8Array[]): void {
  makeOwnFolder(dirname(path));
  const fresh = `${path}.new-${process.pid}`;
  writeFileSync(fresh, Buffer.concat(parts), { mode: 0o600, flag: 'wx' });
  renameSync(fresh, path);
}

/** The content of a `.code` file. */
export function codeFile(index: Uint32Array, wire: Uint8Array, native: ArrayBuffer): readonly Uint8Array[] {
  const lengths = Buffer.alloc(LENGTHS_BYTES);
  lengths.writeUInt32LE(index.length, 0);
  lengths.writeUInt32LE(wire.length, 4);
  lengths.writeUInt32LE(native.byteLength, 8);
  const payload = [
    lengths,
    new Uint8Array(index.buffer, index.byteOffset, index.byteLength),
    wire,
    new Uint8Array(native),
  ];
  return framed(MAGIC, payload);
}

/** Content with what lets a reader recognise it: magic, then SHA-256 of the content. */
function framed(magic: string, content: readonly Uint8Array[]): readonly Uint8Array[] {
  const hash = createHash('sha256');
  for (const part of content) hash.update(part);
  return [Buffer.from(magic, 'latin1'), hash.digest(), ...content];
}

/** Whether a file begins as {@link framed} has it, for content with this checksum. */
function isFrameOf(head: Buffer, magic: string, checksum: Buffer): boolean {
  const contentAt = magic.length + CHECKSUM_BYTES;
  return hasMagic(head, magic) && checksum.equals(head.subarray(magic.length, contentAt));
}

const hasMagic = (head: Buffer, magic: string): boolean => head.toString('latin1', 0, magic.length) === magic;

/** What a `.code` file holds, read and checked but not made a module of yet. */
export interface CodeFileParts {
  readonly index: Uint32Array;
  readonly wire: Uint8Array;
  readonly native: ArrayBuffer;
}

/** The volume; undefined where V8 does not take the machine code. */
export function volumeOf({ index, wire, native }: CodeFileParts): SavedVolume | undefined {
  const module = deserialisedOf(native, wire);
  return module && { module, index };
}

/**
 * The content of a `.code` file; undefined for whatever is not exactly what this build on this host wrote. The file counts
 * as used now.
 */
export async function readCodeFile(path: string): Promise<CodeFileParts | undefined> {
  let file: FileHandle | undefined;
  try {
    if (!isOurs(path, 'file')) return undefined;
    file = await open(path, 'r');
    const { size } = await file.stat();
    const head = Buffer.alloc(HEADER_BYTES);
    if (size > FILE_BYTES_MAX || (await file.read(head, 0, HEADER_BYTES, 0)).bytesRead < HEADER_BYTES) return undefined;
    if (!hasMagic(head, MAGIC)) return undefined;
    const lengths = head.subarray(HEADER_BYTES - LENGTHS_BYTES);
    const indexBytes = lengths.readUInt32LE(0) * 4;
    const [wireBytes, nativeBytes] = [lengths.readUInt32LE(4), lengths.readUInt32LE(8)];
    if (size !== HEADER_BYTES + indexBytes + wireBytes + nativeBytes) return undefined;
    // Each part goes where it will be used: a copy of it all costs as much as reading it.
    const index = new Uint32Array(new SharedArrayBuffer(indexBytes));
    const [wire, native] = [new Uint8Array(wireBytes), new Uint8Array(nativeBytes)];
    const hash = createHash('sha256').update(lengths);
    let at = HEADER_BYTES;
    for (const part of [new Uint8Array(index.buffer), wire, native]) {
      if ((await file.read(part, 0, part.length, at)).bytesRead !== part.length) return undefined;
      hash.update(part);
      at += part.length;
    }
    if (!isFrameOf(head, MAGIC, hash.digest())) return undefined;
    if (!isSavedIndex(index)) return undefined;
    const now = new Date();
    await file.utimes(now, now).catch(() => undefined);
    return { index, wire, native: native.buffer };
  } catch {
    return undefined;
  } finally {
    await file?.close();
  }
}

/** Removes the files of the folder (those that `concerns` answers for) that were not used for longest, until they are small enough. */
export function trimFolder(
  folder: string,
  bytesMax = FOLDER_BYTES_MAX,
  concerns: (name: string) => boolean = () => true,
): void {
  const files = readdirSync(folder).flatMap((name) => {
    if (!concerns(name)) return [];
    const path = join(folder, name);
    try {
      const { size, mtimeMs } = statSync(path);
      return [{ path, size, mtimeMs }];
    } catch {
      return [];
    }
  });
  let total = files.reduce((sum, { size }) => sum + size, 0);
  for (const { path, size } of files.sort((a, b) => a.mtimeMs - b.mtimeMs)) {
    if (total <= bytesMax) return;
    rmSync(path, { force: true });
    total -= size;
  }
}

const RECORDS_MAGIC = 'wurley-records1\n';

/** The content of a `.records` file: magic, SHA-256 of the rest, the table of a DecodeMemo. */
export function recordsFile(table: Uint8Array): readonly Uint8Array[] {
  return framed(RECORDS_MAGIC, [table]);
}

/** Reads a `.records` file into `table`; false, and `table` as it was, for whatever is not exactly what this build wrote. */
export async function readRecordsFile(path: string, table: Uint8Array): Promise<boolean> {
  try {
    if (!isOurs(path, 'file')) return false;
    const file = await readFile(path);
    const content = file.subarray(RECORDS_MAGIC.length + CHECKSUM_BYTES);
    if (content.length !== table.length) return false;
    if (!isFrameOf(file, RECORDS_MAGIC, createHash('sha256').update(content).digest())) return false;
    table.set(content);
    return true;
  } catch {
    return false;
  }
}
