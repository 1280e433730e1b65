/** `wurley image pull|ls|rm`: Debian's kernels with a busybox initial RAM disk, in the user's cache. */
import { Option } from 'commander';
import { faultSentence } from '../../devices/machine/boot-fault.js';
import { CATALOG } from '../image/catalog.js';
import { progressLine } from '../image/progress-line.js';
import { pullImage } from '../image/pull.js';
import { cacheFolder, listImages, removeImage } from '../image/store.js';
import type { Terminal, Verb } from '../program.js';

/** Exit code when an image could not be had, was refused, or is not there (sysexits.h EX_DATAERR). */
const EXIT_FAILED = 65;
const NAMES = CATALOG.map((entry) => entry.name).join(', ');

const mib = (bytes: number): string => `${(bytes / 1048576).toFixed(1)} MiB`;

async function pull(name: string, via: 'auto' | 'apt' | 'https', terminal: Terminal): Promise<number> {
  const stream = { isTTY: terminal.isTTY, columns: terminal.columns, write: (text: string) => terminal.err(text) };
  const { report, done } = progressLine(stream, () => performance.now());
  const pulled = await pullImage(name, { cache: cacheFolder(), env: process.env, report, now: () => Date.now(), via });
  done();
  if (!pulled.ok) {
    terminal.err(`wurley: ${faultSentence(pulled.error)}\n`);
    return EXIT_FAILED;
  }
  const { image, caveat } = pulled.value;
  if (caveat !== undefined) terminal.err(`wurley: note: ${caveat}\n`);
  terminal.out(`${name}: Linux ${image.manifest.release}, ${mib(image.sizeBytes)}\n`);
  return 0;
}

async function list(terminal: Terminal): Promise<number> {
  const images = await listImages(cacheFolder());
  for (const { manifest, sizeBytes } of images) {
    const day = new Date(manifest.pulledAt).toISOString().slice(0, 10);
    const columns = [manifest.name.padEnd(20), manifest.release.padEnd(32), mib(sizeBytes).padStart(10), ` ${day}`];
    terminal.out(`${columns.join(' ')}\n`);
  }
  if (images.length === 0) terminal.err(`no images; pull one of ${NAMES}\n`);
  return 0;
}

async function remove(names: readonly string[], terminal: Terminal): Promise<number> {
  let exitCode = 0;
  for (const name of names) {
    const removed = await removeImage(cacheFolder(), name);
    if (removed.ok) continue;
    terminal.err(`wurley: ${faultSentence(removed.error)}\n`);
    exitCode = EXIT_FAILED;
  }
  return exitCode;
}

/** Adds the `image` verb to the program. */
export const addImage: Verb = (program, terminal, done) => {
  const image = program.command('image').description('kernels and initial RAM disks to run');
  const via = new Option('--via <source>', 'where packages come from')
    .choices(['auto', 'apt', 'https'])
    .default('auto');
  image
    .command('pull')
    .argument('<name>', `one of ${NAMES}`)
    .addOption(via)
    .description("get Debian's kernel and busybox, verify them, build an initial RAM disk")
    .action(async (name: string, options: { readonly via: 'auto' | 'apt' | 'https' }) => {
      done(await pull(name, options.via, terminal));
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
