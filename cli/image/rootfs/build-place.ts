/** Where a root file system is made on the host: whether it can be, whether there is room, and what killed builds left there. */
import { constants, statfsSync } from 'node:fs';
import { access, mkdir, readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ok, type Result } from '../../../bus/result.js';
import { type BootFault, refuse } from '../../../devices/machine/boot-fault.js';
import { errnoOf } from '../../host-reasons.js';

/** Begins the name of a working folder, which lies beside the output; the process that works there and letters of its own follow. */
export const WORK = '.wurley-rootfs-';
const MIB = 2 ** 20;
/** What dpkg writes on top of the packages' files: its records, caches, certificates, byte code. */
const GROWTH = 1.25;
/** A file system with less than that left counts as full. */
const LEFT_BYTES_MIN = 16 * MIB;
const FIELD = 'disk image';
/** What the host says of a file, for a person. */
const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: 'no space is left there',
  EDQUOT: 'the quota is used up',
  EACCES: 'it may not be written',
  EPERM: 'it may not be written',
  EROFS: 'the file system there is read-only',
  ENOTDIR: 'a part of the path is no folder',
  EEXIST: 'a part of the path is no folder',
  EFBIG: 'the file system there takes no file so large',
};

/** A failure of the host's file system as a sentence about `output`; anything else is thrown again. */
export function hostFault(problem: unknown, output: string): Result<never, BootFault> {
  const code = errnoOf(problem);
  if (code === undefined || !/^E[A-Z0-9]+$/.test(code)) throw problem;
  const path = problem instanceof Error && 'path' in problem ? ` (${code} at ${String(problem.path)})` : ` (${code})`;
  return refuse(output, FIELD, `cannot be written: ${REASONS[code] ?? 'the host refuses'}${path}`);
}

/** Whether `output` can be made; its folder is, where it is missing. */
export async function checkPlace(output: string, replaces: boolean): Promise<Result<undefined, BootFault>> {
  try {
    await mkdir(dirname(output), { recursive: true });
    await access(dirname(output), constants.W_OK | constants.X_OK);
  } catch (problem) {
    return hostFault(problem, output);
  }
  const found = await stat(output).catch(() => undefined);
  if (found === undefined) return ok();
  if (!found.isFile()) return refuse(output, FIELD, 'is there and no file');
  return replaces ? ok() : refuse(output, FIELD, 'is there already; --force replaces it');
}

/** Whether the file system of `output`'s folder takes the packages' `bytes` once they are installed. */
export function checkRoom(output: string, bytes: number): Result<undefined, BootFault> {
  const { bavail, bsize } = statfsSync(dirname(output));
  const [free, needed] = [bavail * bsize, Math.max(LEFT_BYTES_MIN, bytes * GROWTH)];
  if (free >= needed) return ok();
  const sizes = `${Math.floor(free / MIB)} MiB are free there and ${Math.ceil(needed / MIB)} MiB needed`;
  return refuse(output, FIELD, `no space: ${sizes}`);
}

/** Takes away the working folders of processes that were killed. */
export async function removeLeftOvers(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const pid = name.startsWith(WORK) ? Number(name.slice(WORK.length).split('-')[0]) : Number.NaN;
    if (Number.isInteger(pid) && !isAlive(pid)) await rm(join(folder, name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (problem) {
    // Another user's process may not be signalled, and lives.
    return errnoOf(problem) === 'EPERM';
  }
}
