/** Files a user names on the command line, read whole but not without bound: what is no file is refused in a sentence. */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { err, ok, type Result } from '../../bus/result.js';
import type { NamedBytes } from '../../devices/machine/boot-plan.js';
import { errnoOf } from '../host-reasons.js';
import { type LateFiles, readInto } from './late-files.js';

/** What a pipe may bring: there is no telling beforehand. */
const PIPE_BYTES_MAX = 512 << 20;
const CHUNK_BYTES = 1 << 20;

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EISDIR: 'is a folder, not a file',
  EACCES: 'may not be read (permission denied)',
  EPERM: 'may not be read (permission denied)',
  ELOOP: 'is a loop of symbolic links',
  ENAMETOOLONG: 'is too long a name',
};

/**
 * Reads `file`, which is the user's `what` (kernel, initrd, ...) and cannot be of use when it is larger than `bytesMax`, the
 * machine's memory. The error is a sentence that names both. With `late`, only the beginning of a file that will be used as it
 * is may have been read.
 */
export async function readBootFile(
  file: string,
  what: string,
  bytesMax: number,
  late?: LateFiles,
): Promise<Result<NamedBytes, string>> {
  let handle: FileHandle | undefined;
  try {
    const opened = await open(file, constants.O_RDONLY);
    handle = opened;
    const bytes = await readWhole(opened, bytesMax, (size) => late?.begin({ file, what, size, handle: opened }));
    if (!bytes.ok) return err(`${file}: ${what}: ${bytes.error}; give another file`);
    return ok({ file, bytes: bytes.value });
  } catch (problem) {
    const code = errnoOf(problem) ?? 'unknown reason';
    return err(`${file}: ${what}: ${REASONS[code] ?? `cannot be read (${code})`}; give another path`);
  } finally {
    if (handle !== undefined && late?.keeps(handle) !== true) await handle.close();
  }
}

async function readWhole(
  handle: FileHandle,
  bytesMax: number,
  begin: (size: number) => Promise<Uint8Array | undefined> | undefined,
): Promise<Result<Uint8Array, string>> {
  const found = await handle.stat();
  if (found.isDirectory()) return err('is a folder, not a file');
  if (found.isFile()) {
    if (found.size > bytesMax) return err(`has ${found.size} bytes, more than the machine's memory of ${bytesMax}`);
    if (found.size > 0) return ok((await begin(found.size)) ?? (await readExactly(handle, found.size)));
  } else if (!found.isFIFO() && !found.isSocket()) return err('is a device, not a file');
  // A pipe, or a file of /proc, which says that it is empty.
  const parts: Buffer[] = [];
  let total = 0;
  for (;;) {
    const part = Buffer.allocUnsafe(CHUNK_BYTES);
    const { bytesRead } = await handle.read(part, 0, CHUNK_BYTES, null);
    if (bytesRead === 0) break;
    total += bytesRead;
    if (total > PIPE_BYTES_MAX) return err(`brings more than ${PIPE_BYTES_MAX} bytes`);
    parts.push(part.subarray(0, bytesRead));
  }
  return total === 0 ? err('is empty') : ok(new Uint8Array(Buffer.concat(parts)));
}

/** A regular file's bytes; shorter when it shrinks meanwhile. */
async function readExactly(handle: FileHandle, size: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(size);
  const read = await readInto(handle, bytes, 0);
  return read === size ? bytes : bytes.slice(0, read);
}
