/** Where a root file system is made on the host: whether it can be, whether there is room, and what killed builds left there. */
import { constants } from 'node:fs';
import { access, mkdir, readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ok, type Result } from '../../../bus/result.js';
import { type BootFault, refuse } from '../../../devices/machine/boot-fault.js';
import { errnoOf } from '../../host-reasons.js';
import { hostFault, roomFor } from '../host-fault.js';

/** Begins the name of a working folder, which lies beside the output; the process that works there and letters of its own follow. */
export const WORK = '.wurley-rootfs-';
const MIB = 2 ** 20;
/** What dpkg writes on top of the packages' files: its records, caches, certificates, byte code. */
const GROWTH = 1.25;
/** A file system with less than that left counts as full. */
const LEFT_BYTES_MIN = 16 * MIB;
/** What faults of {@link hostFault} are about here. */
export const FIELD = 'disk image';

/** Whether `output` can be made; its folder is, where it is missing. */
export async function checkPlace(output: string, replaces: boolean): Promise<Result<undefined, BootFault>> {
  try {
    await mkdir(dirname(output), { recursive: true });
    await access(dirname(output), constants.W_OK | constants.X_OK);
  } catch (problem) {
    return hostFault(problem, output, FIELD);
  }
  const found = await stat(output).catch(() => undefined);
  if (found === undefined) return ok();
  if (!found.isFile()) return refuse(output, FIELD, 'is there and no file');
  return replaces ? ok() : refuse(output, FIELD, 'is there already; --force replaces it');
}

/** Whether the file system of `output`'s folder takes the packages' `bytes` once they are installed. */
export function checkRoom(output: string, bytes: number): Result<undefined, BootFault> {
  return roomFor(output, FIELD, dirname(output), Math.max(LEFT_BYTES_MIN, bytes * GROWTH));
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
