/** The root file systems that `wurley run` boots by name: one disk image each below the user's cache, complete or not there. */
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ok, type Result } from '../../../bus/result.js';
import { type BootFault, refuse } from '../../../devices/machine/boot-fault.js';
import { folderName } from '../catalog.js';
import { ROOT_CATALOG } from './root-catalog.js';

/** A root file system that is there. */
export interface StoredRoot {
  readonly name: string;
  /** A qcow2 image; it is never written after it was made. */
  readonly path: string;
  readonly sizeBytes: number;
  /** Milliseconds since the epoch. */
  readonly madeAt: number;
}

/** Where the root called `name` is or will be. */
export function rootPath(cache: string, name: string): string {
  return join(cache, 'roots', `${folderName(name)}.qcow2`);
}

/** The root called `name`; undefined when it was not made. */
export async function findRoot(cache: string, name: string): Promise<StoredRoot | undefined> {
  const path = rootPath(cache, name);
  const found = await stat(path).catch(() => undefined);
  return found === undefined ? undefined : { name, path, sizeBytes: found.blocks * 512, madeAt: found.mtimeMs };
}

/** All that are there. */
export async function listRoots(cache: string): Promise<readonly StoredRoot[]> {
  const found = await Promise.all(ROOT_CATALOG.map(({ name }) => findRoot(cache, name)));
  return found.filter((root) => root !== undefined);
}

/** Removes a root; the error says that there is none. */
export async function removeRoot(cache: string, name: string): Promise<Result<undefined, BootFault>> {
  const found = await findRoot(cache, name);
  if (found === undefined)
    return refuse(name, 'root file system', 'was never made; `wurley image ls` lists what is there');
  await rm(found.path, { force: true });
  return ok();
}
