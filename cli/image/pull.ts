/** `wurley image pull`: from a name to a kernel and an initial RAM disk in the user's cache. */
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ok, type Result } from '../../bus/result.js';
import { type BootFault, refuse } from '../../devices/machine/boot-fault.js';
import { aptSource, hasApt } from './apt-source.js';
import { BUSYBOX_PACKAGE, CATALOG, type CatalogEntry, findCatalogEntry, folderName } from './catalog.js';
import { type PackagedFile, readDeb } from './deb.js';
import { hostFault, roomFor } from './host-fault.js';
import { httpsSource } from './https-source.js';
import { buildInitramfs } from './initramfs.js';
import { closeOver, type KernelModule, moduleName, readModule, WANTED_MODULES } from './modules.js';
import { kernelDependency, newest, type PackageRecord } from './package-index.js';
import { type PackageSource, type Report, sha256OfFile } from './package-source.js';
import { alonePulling } from './pull-lock.js';
import { findImage, type StoredImage, storeImage } from './store.js';
import { hostUnpackers } from './unpackers.js';

/** How to pull. */
export interface PullOptions {
  /** The cache folder; see cacheFolder. */
  readonly cache: string;
  readonly env: NodeJS.ProcessEnv;
  readonly report: Report;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** `auto` takes apt where there is one. */
  readonly via: 'auto' | 'apt' | 'https';
}

/** An image, and what the user should know about how it was verified. */
export interface Pulled {
  readonly image: StoredImage;
  /** Undefined when another process has pulled it meanwhile. */
  readonly via: PackageSource['kind'] | undefined;
  readonly caveat: string | undefined;
}

/** What faults of the cache folder are about. */
const CACHE_FIELD = 'image cache';
/** A pull's package lists, packages while they come, and image: Debian's largest kernel takes 120 MiB, and a part twice for a moment. */
const PULL_BYTES = 192 * 1024 * 1024;
const MODULE_BYTES_MAX = 64 * 1024 * 1024;
/** Module folders with drivers for hardware this machine never has, and nothing that others depend on. */
const FOREIGN_HARDWARE =
  /\/kernel\/(sound|drivers\/(gpu|media|infiniband|staging|iio|usb|hwmon|mtd|net\/(wireless|ethernet|can|usb)))\//;

/** The newest kernel of the wanted kind, and busybox. */
async function choosePackages(
  source: PackageSource,
  entry: CatalogEntry,
): Promise<Result<{ kernel: PackageRecord; busybox: PackageRecord }, BootFault>> {
  const found = await source.find([entry.metaPackage, BUSYBOX_PACKAGE]);
  if (!found.ok) return found;
  const meta = newest(found.value, (r) => r.name === entry.metaPackage && r.version.startsWith(entry.versionPrefix));
  const busybox = newest(found.value, (record) => record.name === BUSYBOX_PACKAGE);
  const kernelName = meta && kernelDependency(meta);
  if (kernelName === undefined || busybox === undefined)
    return refuse(
      entry.name,
      entry.metaPackage,
      `has no version ${entry.versionPrefix}* in ${entry.suites.map((s) => s.suite).join(', ')}`,
    );
  const kernels = await source.find([kernelName]);
  if (!kernels.ok) return kernels;
  const kernel = newest(kernels.value, (r) => r.name === kernelName && r.version.startsWith(entry.versionPrefix));
  return kernel === undefined ? refuse(entry.name, kernelName, 'is not in the package lists') : ok({ kernel, busybox });
}

/** The package's bytes: from the cache when they are there and right, otherwise downloaded. */
async function obtain(
  source: PackageSource,
  record: PackageRecord,
  options: PullOptions,
): Promise<Result<Uint8Array, BootFault>> {
  const folder = join(options.cache, 'packages');
  await mkdir(folder, { recursive: true });
  const path = join(folder, `${record.sha256.slice(0, 16)}-${record.name}.deb`);
  if ((await sha256OfFile(path)) !== record.sha256) {
    await rm(path, { force: true });
    const downloaded = await source.download(record, path, options.report);
    if (!downloaded.ok) return downloaded;
  }
  return ok(new Uint8Array(await readFile(path)));
}

/** Unpacks the wanted modules of a kernel package and everything they depend on. */
async function chooseModules(
  files: readonly PackagedFile[],
  prefix: string,
): Promise<Result<readonly KernelModule[], BootFault>> {
  const byName = new Map(files.filter((f) => /\.ko(\.xz)?$/.test(f.path)).map((f) => [moduleName(f.path), f]));
  const read = new Map<string, KernelModule>();
  const pending = [...WANTED_MODULES];
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    const file = byName.get(name);
    if (file === undefined || read.has(name)) continue;
    const isPacked = file.path.endsWith('.xz');
    const unpacked = isPacked ? await hostUnpackers.xz(file.bytes, MODULE_BYTES_MAX) : ok(file.bytes);
    if (!unpacked.ok) return refuse(file.path, 'xz data', unpacked.error);
    const module = readModule(file.path.slice(prefix.length).replace(/\.xz$/, ''), unpacked.value);
    if (!module.ok) return module;
    read.set(name, module.value);
    pending.push(...module.value.depends);
  }
  const needed = closeOver(WANTED_MODULES, (name) => read.get(name)?.depends);
  return ok([...read.values()].filter((module) => needed.has(module.name)).sort((a, b) => (a.path < b.path ? -1 : 1)));
}

/** Kernel and initial RAM disk out of the two packages. */
async function assemble(
  kernel: { readonly record: PackageRecord; readonly bytes: Uint8Array },
  busybox: { readonly record: PackageRecord; readonly bytes: Uint8Array },
): Promise<Result<{ release: string; vmlinuz: Uint8Array; initrd: Uint8Array }, BootFault>> {
  const name = kernel.record.name;
  // Which modules are needed is known only when all have been read; those of hardware we never have need no reading.
  const wanted = (path: string): boolean =>
    /^boot\/vmlinuz-/.test(path) ||
    (/\.ko(\.xz)?$/.test(path) && !FOREIGN_HARDWARE.test(path)) ||
    path.endsWith('/modules.builtin');
  const files = await readDeb(name, kernel.bytes, wanted);
  if (!files.ok) return files;
  const vmlinuz = files.value.find((file) => file.path.startsWith('boot/vmlinuz-'));
  const release = vmlinuz?.path.slice('boot/vmlinuz-'.length) ?? '';
  if (vmlinuz === undefined || !/^[0-9][\w.+~-]*$/.test(release)) return refuse(name, 'boot/vmlinuz-*', 'is missing');
  const builtin = files.value.find((file) => file.path.endsWith('/modules.builtin'));
  const prefix = builtin?.path.slice(0, -'modules.builtin'.length) ?? `lib/modules/${release}/`;
  const modules = await chooseModules(files.value, prefix);
  if (!modules.ok) return modules;
  const tools = await readDeb(busybox.record.name, busybox.bytes, (path) => /^(usr\/)?bin\/busybox$/.test(path));
  if (!tools.ok) return tools;
  const binary = tools.value[0];
  if (binary === undefined) return refuse(busybox.record.name, 'bin/busybox', 'is missing');
  const initrd = buildInitramfs({
    release,
    busybox: binary.bytes,
    modules: modules.value,
    builtin: builtin?.bytes ?? new Uint8Array(0),
  });
  return ok({ release, vmlinuz: vmlinuz.bytes, initrd });
}

/** apt where there is one, HTTPS otherwise. `name` gives apt a state folder of its own. */
export async function chooseSource(name: string, options: PullOptions): Promise<PackageSource> {
  const useApt = options.via === 'apt' || (options.via === 'auto' && (await hasApt()));
  return useApt
    ? aptSource(join(options.cache, 'apt', folderName(name)), options.env)
    : httpsSource(join(options.cache, 'https'), options.env, options.now);
}

/** Pulls the image `name`. Run again after an interruption, it goes on where it stopped. */
export async function pullImage(name: string, options: PullOptions): Promise<Result<Pulled, BootFault>> {
  const entry = findCatalogEntry(name);
  if (entry === undefined)
    return refuse(name, 'image name', `is none of ${CATALOG.map((known) => known.name).join(', ')}`);
  try {
    return await alonePulling(options.cache, options.report, async (hasWaited) => {
      const pulled = hasWaited ? await findImage(options.cache, name) : undefined;
      if (pulled !== undefined) return ok({ image: pulled, via: undefined, caveat: undefined });
      // apt waits for ever where it has no room.
      const room = roomFor(options.cache, CACHE_FIELD, options.cache, PULL_BYTES);
      if (!room.ok) return room;
      return pullEntry(entry, options);
    });
  } catch (problem) {
    return hostFault(problem, options.cache, CACHE_FIELD);
  }
}

/** Gets and verifies the packages of `entry`, and stores the image. */
async function pullEntry(entry: CatalogEntry, options: PullOptions): Promise<Result<Pulled, BootFault>> {
  const { name } = entry;
  const source = await chooseSource(name, options);
  const refreshed = await source.refresh(entry.suites, options.report);
  if (!refreshed.ok) return refreshed;
  const packages = await choosePackages(source, entry);
  if (!packages.ok) return packages;
  const { kernel, busybox } = packages.value;
  const kernelBytes = await obtain(source, kernel, options);
  if (!kernelBytes.ok) return kernelBytes;
  const busyboxBytes = await obtain(source, busybox, options);
  if (!busyboxBytes.ok) return busyboxBytes;
  options.report('unpacking');
  const parts = await assemble(
    { record: kernel, bytes: kernelBytes.value },
    { record: busybox, bytes: busyboxBytes.value },
  );
  if (!parts.ok) return parts;
  const { release, vmlinuz, initrd } = parts.value;
  const manifest = {
    format: 1,
    name,
    release,
    kernelPackage: `${kernel.name} ${kernel.version}`,
    busyboxPackage: `${busybox.name} ${busybox.version}`,
    pulledAt: options.now(),
  } as const;
  await storeImage(options.cache, manifest, vmlinuz, initrd);
  const image = await findImage(options.cache, name);
  return image === undefined
    ? refuse(name, 'cache', 'could not be read back')
    : ok({ image, via: source.kind, caveat: source.caveat() });
}
