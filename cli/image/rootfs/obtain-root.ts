/** The root file system of a name, made on the way when it is not there. */
import { ok, type Result } from '../../../bus/result.js';
import { type BootFault, refuse } from '../../../devices/machine/boot-fault.js';
import type { PullOptions } from '../pull.js';
import { buildRoot, type OnInterrupt, type RootOptions } from './build-root.js';
import { findRoot, rootPath, type StoredRoot } from './root-store.js';

/** What the roots that `wurley run` makes are like. */
const DEFAULTS: Omit<RootOptions, keyof PullOptions | 'output' | 'onInterrupt'> = {
  ...{ format: 'qcow2', sizeBytes: 8 * 2 ** 30, variant: 'standard', include: [] },
  ...{ hostname: 'debian', password: 'none', sshKeys: undefined, replaces: true },
};

/** Finds or makes the root called `name`. */
export async function obtainRoot(
  name: string,
  options: PullOptions & { readonly onInterrupt: OnInterrupt },
): Promise<Result<StoredRoot, BootFault>> {
  const found = await findRoot(options.cache, name);
  if (found !== undefined) return ok(found);
  const built = await buildRoot(name, { ...options, ...DEFAULTS, output: rootPath(options.cache, name) });
  if (!built.ok) return built;
  const made = await findRoot(options.cache, name);
  return made === undefined ? refuse(name, 'cache', 'could not be read back') : ok(made);
}
