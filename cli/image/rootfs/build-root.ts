/**
 * `wurley image rootfs`: a Debian root file system on a disk image, made without rights on the host. Packages are chosen from the
 * signed indexes and fetched as for `wurley image pull`; a machine of ours makes the file system and lets dpkg install them.
 */
import { randomInt } from 'node:crypto';
import { rmSync } from 'node:fs';
import { mkdir, mkdtemp, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { ok, type Result } from '../../../bus/result.js';
import { type BootFault, refuse } from '../../../devices/machine/boot-fault.js';
import { emptyImage } from '../../../devices/virtio-blk/qcow2/header.js';
import type { CpioEntry } from '../cpio.js';
import { readDeb } from '../deb.js';
import { hostFault } from '../host-fault.js';
import type { PackageRecord } from '../package-index.js';
import { type PackageSource, sha256OfFile } from '../package-source.js';
import { chooseSource, type PullOptions, pullImage } from '../pull.js';
import { alonePulling } from '../pull-lock.js';
import { findImage, type StoredImage } from '../store.js';
import { type OnInterrupt as OnMachineInterrupt, runBuildMachine } from './build-machine.js';
import { checkPlace, checkRoom, FIELD, removeLeftOvers, WORK } from './build-place.js';
import { buildEntries } from './build-script.js';
import { PackagePool } from './dependencies.js';
import { type PackageFile, writePayload } from './payload.js';
import { basePackages, findRootEntry, ROOT_CATALOG, type RootEntry, suitesOf, type Variant } from './root-catalog.js';
import { rootFiles } from './root-files.js';

/** See {@link RootOptions.onInterrupt}. */
export type OnInterrupt = (stop: () => boolean) => () => void;

/** What to make. */
export interface RootOptions extends PullOptions {
  readonly output: string;
  /** Whether a disk image that is there is replaced. */
  readonly replaces: boolean;
  readonly format: 'raw' | 'qcow2';
  /** A multiple of 1 MiB. */
  readonly sizeBytes: number;
  readonly variant: Variant;
  /** Names of further packages. */
  readonly include: readonly string[];
  readonly hostname: string;
  readonly password: 'none' | 'locked' | 'random';
  /** Content of an authorized_keys file for root; undefined: none. */
  readonly sshKeys: string | undefined;
  /**
   * Calls `stop` when the user asks to end; answers what takes that back. `stop` answers whether an orderly end is on its way; where
   * none is, the process may simply exit: what it leaves behind is taken away as it does.
   */
  readonly onInterrupt: OnInterrupt;
}

/** What was made, and what the user should know. */
export interface BuiltRoot {
  readonly packages: number;
  /** The password that was made up, where one was asked for. */
  readonly password: string | undefined;
  readonly caveat: string | undefined;
}

const PASSWORD_LETTERS = 'abcdefghijkmnpqrstuvwxyz23456789';
const PASSWORD_LENGTH = 16;
/** Packages whose programs the initial RAM disk gets: busybox makes no ext4, and its tar takes thirty calls for a file. */
const TOOL_PACKAGES = ['e2fsprogs', 'tar'];
const LIBRARIES = ['ld-linux-aarch64', 'libc', 'libext2fs', 'libe2p', 'libcom_err', 'libblkid', 'libuuid'];
const MORE_LIBRARIES = ['libacl', 'libselinux', 'libpcre2-8'];
/** Of these and what they need: programs and libraries, without the links. */
const TOOL = new RegExp(
  `(?:^|/)(sbin/(?:mke2fs|e2fsck)|bin/tar|etc/mke2fs\\.conf|lib/aarch64-linux-gnu/(?:${[...LIBRARIES, ...MORE_LIBRARIES].join('|')})\\.so\\.[0-9.]+)$`,
);

/** Names of the packages to begin with. */
function rootsOf(pool: PackagePool, entry: RootEntry, options: RootOptions): readonly string[] {
  const required = pool.names(({ priority, isEssential }) => priority === 'required' || isEssential);
  const important = options.variant === 'standard' ? pool.names(({ priority }) => priority === 'important') : [];
  return [...new Set([...basePackages(entry), ...required, ...important, ...options.include])];
}

interface ChosenPackages {
  readonly all: readonly PackageRecord[];
  /** The packages of the tools, and what they need. */
  readonly tools: ReadonlySet<string>;
}

function choose(pool: PackagePool, entry: RootEntry, options: RootOptions): Result<ChosenPackages, BootFault> {
  const all = pool.close(rootsOf(pool, entry, options));
  if (!all.ok) return refuse(entry.name, 'packages', all.error);
  const tools = pool.close(TOOL_PACKAGES);
  if (!tools.ok) return refuse(entry.name, 'packages', tools.error);
  return ok({ all: [...all.value.values()], tools: new Set(tools.value.keys()) });
}

/** The packages' files in the cache; what is missing or wrong is fetched. */
async function obtainAll(
  source: PackageSource,
  records: readonly PackageRecord[],
  { cache, report }: PullOptions,
): Promise<Result<readonly PackageFile[], BootFault>> {
  const folder = join(cache, 'packages');
  await mkdir(folder, { recursive: true });
  const pathOf = ({ sha256, name }: PackageRecord): string => join(folder, `${sha256.slice(0, 16)}-${name}.deb`);
  const missing: PackageRecord[] = [];
  for (const record of records) {
    if ((await sha256OfFile(pathOf(record))) === record.sha256) continue;
    await rm(pathOf(record), { force: true });
    missing.push(record);
  }
  if (missing.length > 0) {
    const fetched = await source.downloadAll(missing, pathOf, report);
    if (!fetched.ok) return fetched;
  }
  return ok(records.map((record) => ({ record, path: pathOf(record) })));
}

/** mke2fs and e2fsck with what they need, for the initial RAM disk. */
async function toolEntries(files: readonly PackageFile[]): Promise<Result<readonly CpioEntry[], BootFault>> {
  const entries: CpioEntry[] = [];
  for (const { record, path } of files) {
    const found = await readDeb(record.name, new Uint8Array(await readFile(path)), (name) => TOOL.test(name));
    if (!found.ok) return found;
    for (const { path: name, bytes } of found.value) {
      const isLibrary = name.includes('/aarch64-linux-gnu/');
      // /bin/tar is busybox's, and so is what looks there first.
      const place = isLibrary
        ? `lib/${basename(name)}`
        : (TOOL.exec(name)?.[1] ?? name).replace('bin/tar', 'sbin/gnu-tar');
      entries.push({ kind: 'file', path: place, mode: 0o755, bytes });
      // The loader asks for the first number only, which in the package is a link.
      const short = /^(lib\/[^/]+\.so\.\d+)\.[\d.]+$/.exec(place)?.[1];
      if (short !== undefined) entries.push({ kind: 'symlink', path: short, target: basename(place) });
    }
  }
  return entries.some(({ path }) => path === 'sbin/mke2fs')
    ? ok(entries)
    : refuse('e2fsprogs', 'sbin/mke2fs', 'is missing');
}

function madeUpPassword(): string {
  return Array.from({ length: PASSWORD_LENGTH }, () => PASSWORD_LETTERS[randomInt(PASSWORD_LETTERS.length)]).join('');
}

/** An empty disk image of its full size at `path`. */
async function emptyDisk(path: string, { format, sizeBytes }: RootOptions): Promise<void> {
  await writeFile(path, format === 'qcow2' ? emptyImage(sizeBytes) : '', { mode: 0o600 });
  if (format === 'qcow2') return;
  const file = await open(path, 'r+');
  await file.truncate(sizeBytes);
  await file.close();
}

/** What is written is on the host's disk before it gets its name. */
async function settle(part: string, output: string): Promise<void> {
  const file = await open(part, 'r+');
  await file.sync();
  await file.close();
  await rename(part, output);
}

async function kernelOf(entry: RootEntry, options: RootOptions): Promise<Result<StoredImage, BootFault>> {
  const found = await findImage(options.cache, entry.kernelImage);
  if (found !== undefined) return ok(found);
  const pulled = await pullImage(entry.kernelImage, options);
  return pulled.ok ? ok(pulled.value.image) : pulled;
}

/** Makes the root file system `name`. Run again after an interruption, it fetches only what is missing. */
export async function buildRoot(name: string, options: RootOptions): Promise<Result<BuiltRoot, BootFault>> {
  const entry = findRootEntry(name);
  if (entry === undefined)
    return refuse(name, 'root file system', `is none of ${ROOT_CATALOG.map((known) => known.name).join(', ')}`);
  const output = resolve(options.output);
  // A build takes long: what would spoil its end is looked for before its beginning.
  const place = await checkPlace(output, options.replaces);
  if (!place.ok) return place;
  let machine: (() => void) | undefined;
  const release = options.onInterrupt(() => {
    machine?.();
    return machine !== undefined;
  });
  const onInterrupt: OnMachineInterrupt = (stop) => {
    machine = stop;
    return () => void (machine = undefined);
  };
  try {
    return await build(entry, { ...options, output }, onInterrupt);
  } catch (problem) {
    return hostFault(problem, output, FIELD);
  } finally {
    release();
  }
}

/** The packages of a root, and the tools that make it. */
interface Fetched {
  readonly files: readonly PackageFile[];
  readonly tools: readonly CpioEntry[];
  readonly caveat: string | undefined;
}

async function fetchPackages(entry: RootEntry, options: RootOptions): Promise<Result<Fetched, BootFault>> {
  const source = await chooseSource(entry.name, options);
  const refreshed = await source.refresh(suitesOf(entry), options.report);
  if (!refreshed.ok) return refreshed;
  options.report('choosing packages');
  const records = await source.all();
  if (!records.ok) return records;
  const chosen = choose(new PackagePool(records.value), entry, options);
  if (!chosen.ok) return chosen;
  const { all, tools } = chosen.value;
  const files = await obtainAll(source, all, options);
  if (!files.ok) return files;
  const toolFiles = await toolEntries(files.value.filter(({ record }) => tools.has(record.name)));
  if (!toolFiles.ok) return toolFiles;
  return ok({ files: files.value, tools: toolFiles.value, caveat: source.caveat() });
}

/** Chooses and fetches the packages, and makes the root of them. */
async function build(
  entry: RootEntry,
  options: RootOptions,
  onInterrupt: OnMachineInterrupt,
): Promise<Result<BuiltRoot, BootFault>> {
  const { report, output } = options;
  const kernel = await kernelOf(entry, options);
  if (!kernel.ok) return kernel;
  const fetched = await alonePulling(options.cache, report, () => fetchPackages(entry, options));
  if (!fetched.ok) return fetched;
  const { files, tools, caveat } = fetched.value;
  const folder = dirname(output);
  await removeLeftOvers(folder);
  const work = await mkdtemp(join(folder, `${WORK}${process.pid}-`));
  const remove = (): void => rmSync(work, { recursive: true, force: true });
  process.once('exit', remove);
  try {
    const more = { work, output, caveat, onInterrupt };
    return await install(entry, kernel.value, files, tools, { ...options, ...more });
  } finally {
    process.off('exit', remove);
    remove();
  }
}

/** What is known when the packages are here. */
interface Install {
  readonly work: string;
  readonly caveat: string | undefined;
  readonly onInterrupt: OnMachineInterrupt;
}

/** Lets a machine make the file system and install the packages. */
async function install(
  entry: RootEntry,
  kernel: StoredImage,
  files: readonly PackageFile[],
  tools: readonly CpioEntry[],
  options: Omit<RootOptions, 'onInterrupt'> & Install,
): Promise<Result<BuiltRoot, BootFault>> {
  const { work, output, report } = options;
  const [payloadPath, part] = [join(work, 'packages'), join(work, 'root')];
  const payload = await writePayload(payloadPath, files, rootFiles(entry, options.hostname, options.sshKeys), report);
  if (!payload.ok) return payload;
  const room = checkRoom(output, payload.value.bytes);
  if (!room.ok) return room;
  await emptyDisk(part, options);
  const password = options.password === 'random' ? madeUpPassword() : undefined;
  const entries = buildEntries({
    label: entry.codename,
    payload: payload.value,
    password: options.password === 'random' ? `set:${password}` : options.password,
    tools,
  });
  const built = await runBuildMachine({
    ...{ cache: options.cache, kernel, entries, report, onInterrupt: options.onInterrupt },
    disk: { path: part, isReadOnly: false, format: options.format, anyBacking: false },
    payload: payloadPath,
    work: { packages: files.length, preinsts: payload.value.preinsts.length, payloadBytes: payload.value.bytes },
  });
  if (!built.ok) {
    const left = checkRoom(output, 0);
    return left.ok ? refuse(entry.name, 'root file system', built.error) : left;
  }
  await settle(part, output);
  return ok({ packages: files.length, password, caveat: options.caveat });
}
