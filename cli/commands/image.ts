/** `wurley image pull|ls|rm`: Debian's kernels with a busybox initial RAM disk, in the user's cache; `rootfs`: a disk with Debian. */
import { Argument, Option } from 'commander';
import { faultSentence } from '../../devices/machine/boot-fault.js';
import { cacheFolder } from '../cache-folder.js';
import { CATALOG } from '../image/catalog.js';
import { progressLine } from '../image/progress-line.js';
import { pullImage } from '../image/pull.js';
import { buildRoot } from '../image/rootfs/build-root.js';
import { findRootEntry, ROOT_CATALOG } from '../image/rootfs/root-catalog.js';
import { checkRoot, type RootText } from '../image/rootfs/root-options.js';
import { listRoots, removeRoot } from '../image/rootfs/root-store.js';
import { listImages, removeImage } from '../image/store.js';
import { EXIT_USAGE, type Terminal, type Verb } from '../program.js';
import { interruptible } from '../terminal/raw-terminal.js';

/** Exit code when an image could not be had, was refused, or is not there (sysexits.h EX_DATAERR). */
const EXIT_FAILED = 65;
const KERNELS = CATALOG.map((entry) => entry.name);
const ROOTS = ROOT_CATALOG.map((entry) => entry.name);

type Via = 'auto' | 'apt' | 'https';

const mib = (bytes: number): string => `${(bytes / 1048576).toFixed(1)} MiB`;

async function pull(name: string, via: Via, terminal: Terminal): Promise<number> {
  const stream = { isTTY: terminal.isTTY, columns: terminal.columns, write: (text: string) => terminal.err(text) };
  const { report, done } = progressLine(stream, () => performance.now());
  const pulled = await pullImage(name, { cache: cacheFolder(), env: process.env, report, now: () => Date.now(), via });
  done();
  if (!pulled.ok) {
    terminal.err(`wurley: ${faultSentence(pulled.error)}.\n`);
    return EXIT_FAILED;
  }
  const { image, caveat } = pulled.value;
  if (caveat !== undefined) terminal.err(`wurley: note: ${caveat}.\n`);
  terminal.out(`${name}: Linux ${image.manifest.release}, ${mib(image.sizeBytes)}\n`);
  return 0;
}

async function rootfs(name: string, text: RootText & { readonly via: Via }, terminal: Terminal): Promise<number> {
  const checked = checkRoot(text);
  if (!checked.ok) {
    terminal.err(`wurley: ${checked.error}.\n`);
    return EXIT_USAGE;
  }
  const stream = { isTTY: terminal.isTTY, columns: terminal.columns, write: (line: string) => terminal.err(line) };
  const { report, done } = progressLine(stream, () => performance.now());
  let asked: number | undefined;
  const built = await buildRoot(name, {
    ...{ cache: cacheFolder(), env: process.env, report, now: () => Date.now(), via: text.via },
    ...checked.value,
    onInterrupt: interruptible((exitCode) => void (asked = exitCode)),
  });
  done();
  if (!built.ok) {
    terminal.err(`wurley: ${faultSentence(built.error)}.\n`);
    return asked ?? EXIT_FAILED;
  }
  const { packages, password, caveat } = built.value;
  if (caveat !== undefined) terminal.err(`wurley: note: ${caveat}.\n`);
  terminal.out(`${text.output}: ${name}, ${packages} packages\n`);
  if (password !== undefined) terminal.out(`password of root: ${password}\n`);
  return 0;
}

async function list(terminal: Terminal): Promise<number> {
  const images = await listImages(cacheFolder());
  for (const { manifest, sizeBytes } of images) {
    const day = new Date(manifest.pulledAt).toISOString().slice(0, 10);
    const columns = [manifest.name.padEnd(20), manifest.release.padEnd(32), mib(sizeBytes).padStart(10), ` ${day}`];
    terminal.out(`${columns.join(' ')}\n`);
  }
  const roots = await listRoots(cacheFolder());
  for (const { name, sizeBytes, madeAt } of roots) {
    const day = new Date(madeAt).toISOString().slice(0, 10);
    terminal.out(
      `${[name.padEnd(20), 'root file system'.padEnd(32), mib(sizeBytes).padStart(10), ` ${day}`].join(' ')}\n`,
    );
  }
  if (images.length + roots.length === 0) terminal.err(`wurley: no images; pull one of ${KERNELS.join(', ')}.\n`);
  return 0;
}

async function remove(names: readonly string[], terminal: Terminal): Promise<number> {
  let exitCode = 0;
  for (const name of names) {
    const remove = findRootEntry(name) === undefined ? removeImage : removeRoot;
    const removed = await remove(cacheFolder(), name);
    if (removed.ok) continue;
    terminal.err(`wurley: ${faultSentence(removed.error)}.\n`);
    exitCode = EXIT_FAILED;
  }
  return exitCode;
}

const oneOf = (names: readonly string[]): Argument => new Argument('<name>', 'which one').choices(names);

/** Adds the `image` verb to the program. */
export const addImage: Verb = (program, terminal, done) => {
  const image = program.command('image').description('kernels and initial RAM disks to run');
  const via = new Option('--via <source>', 'where packages come from')
    .choices(['auto', 'apt', 'https'])
    .default('auto');
  image
    .command('pull')
    .addArgument(oneOf(KERNELS))
    .addOption(via)
    .description("get Debian's kernel and busybox, verify them, build an initial RAM disk")
    .action(async (name: string, options: { readonly via: Via }) => {
      done(await pull(name, options.via, terminal));
    });
  image
    .command('rootfs')
    .addArgument(oneOf(ROOTS))
    .requiredOption('-o, --output <file>', 'the disk image to make: .qcow2 or .img')
    .option('--format <name>', 'qcow2 or raw, whatever the name says')
    .option('--size <size>', 'size of the disk', '4G')
    .option('--variant <name>', "standard: Debian's required and important packages; minimal: fewer", 'standard')
    .option('--include <packages>', 'further packages, by commas (may be repeated)', (names, before: string[] = []) => [
      ...before,
      names,
    ])
    .option('--hostname <name>', 'name of the machine', 'debian')
    .option('--root-password <what>', 'none: the console asks for none; random: made up and printed; locked', 'none')
    .option('--ssh-key <file>', 'public keys that may log in as root over ssh')
    .option('--force', 'replace the disk image when it is there')
    .addOption(via)
    .description('make a bootable disk with a Debian root file system')
    .action(async (name: string, options: RootText & { readonly via: Via }) => {
      done(await rootfs(name, options, terminal));
    });
  image
    .command('ls')
    .description('list the images that were pulled')
    .action(async () => done(await list(terminal)));
  image
    .command('rm')
    .argument('<names...>', 'images to remove')
    .description('remove images')
    .action(async (names: readonly string[]) => done(await remove(names, terminal)));
};
