/** `wurley image pull|ls|rm`: Debian's kernels with a busybox initial RAM disk, in the user's cache. */
import type { Command } from 'commander';
import { faultSentence } from '../../devices/machine/boot-fault.js';
import { CATALOG } from '../image/catalog.js';
import { progressLine } from '../image/progress-line.js';
import { pullImage } from '../image/pull.js';
import { cacheFolder, listImages, removeImage } from '../image/store.js';

/** Exit codes (sysexits.h): 65 for input that was refused or could not be had, 64 for a wrong option. */
const EXIT = { failed: 65, usage: 64 } as const;

const mib = (bytes: number): string => `${(bytes / 1048576).toFixed(1)} MiB`;

async function pull(name: string, options: { readonly via: string }): Promise<void> {
  const via = (['auto', 'apt', 'https'] as const).find((known) => known === options.via);
  if (via === undefined) {
    process.stderr.write('wurley: --via: is none of auto, apt, https\n');
    process.exitCode = EXIT.usage;
    return;
  }
  const { report, done } = progressLine(process.stderr, () => performance.now());
  const pulled = await pullImage(name, { cache: cacheFolder(), env: process.env, report, now: () => Date.now(), via });
  done();
  if (!pulled.ok) {
    process.stderr.write(`wurley: ${faultSentence(pulled.error)}\n`);
    process.exitCode = EXIT.failed;
    return;
  }
  const { image, caveat } = pulled.value;
  if (caveat !== undefined) process.stderr.write(`wurley: note: ${caveat}\n`);
  process.stdout.write(`${name}: Linux ${image.manifest.release}, ${mib(image.sizeBytes)}\n`);
}

async function list(): Promise<void> {
  const images = await listImages(cacheFolder());
  for (const { manifest, sizeBytes } of images) {
    const day = new Date(manifest.pulledAt).toISOString().slice(0, 10);
    process.stdout.write(
      `${manifest.name.padEnd(20)} ${manifest.release.padEnd(32)} ${mib(sizeBytes).padStart(10)}  ${day}\n`,
    );
  }
  if (images.length === 0)
    process.stderr.write(`no images; pull one of ${CATALOG.map((entry) => entry.name).join(', ')}\n`);
}

async function remove(names: readonly string[]): Promise<void> {
  for (const name of names) {
    const removed = await removeImage(cacheFolder(), name);
    if (removed.ok) continue;
    process.stderr.write(`wurley: ${faultSentence(removed.error)}\n`);
    process.exitCode = EXIT.failed;
  }
}

/** Adds the `image` verb to the program. */
export function addImageCommand(program: Command): void {
  const image = program.command('image').description('kernels and initial RAM disks to run');
  image
    .command('pull')
    .argument('<name>', `one of ${CATALOG.map((entry) => entry.name).join(', ')}`)
    .option('--via <source>', 'where packages come from: apt, https, or auto (apt where there is one)', 'auto')
    .description("get Debian's kernel and busybox, verify them, build an initial RAM disk")
    .action(pull);
  image.command('ls').description('list the images that were pulled').action(list);
  image.command('rm').argument('<names...>', 'images to remove').description('remove images').action(remove);
}
