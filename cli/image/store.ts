/** Where pulled images live: one folder per image below the user's cache, complete or not there at all. */
import { readFileSync, statSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ok, type Result } from '../../bus/result.js';
import { type BootFault, refuse } from '../../devices/machine/boot-fault.js';
import { folderName } from './catalog.js';

/** What an image folder says about itself (`image.json`). */
export interface ImageManifest {
  readonly format: 1;
  readonly name: string;
  /** Kernel release, as `uname -r` says it. */
  readonly release: string;
  readonly kernelPackage: string;
  readonly busyboxPackage: string;
  /** Milliseconds since the epoch. */
  readonly pulledAt: number;
  /** What was stored, in bytes: a file of another size is damaged. Absent in images of earlier versions. */
  readonly kernelBytes?: number;
  readonly initrdBytes?: number;
}

/** An image that is there. */
export interface StoredImage {
  readonly manifest: ImageManifest;
  readonly kernelPath: string;
  readonly initrdPath: string;
  readonly sizeBytes: number;
}

const imagesFolder = (cache: string): string => join(cache, 'images');

function isManifest(value: unknown): value is ImageManifest {
  if (typeof value !== 'object' || value === null) return false;
  const texts = ['name', 'release', 'kernelPackage', 'busyboxPackage'];
  const fields = new Map<string, unknown>(Object.entries(value));
  return (
    fields.get('format') === 1 &&
    typeof fields.get('pulledAt') === 'number' &&
    texts.every((key) => typeof fields.get(key) === 'string')
  );
}

/** The image called `name`, or undefined when it was not pulled (or its folder is damaged, which a pull repairs). */
export async function findImage(cache: string, name: string): Promise<StoredImage | undefined> {
  const folder = join(imagesFolder(cache), folderName(name));
  try {
    // Not by other threads, as a start waits for each answer.
    const manifest: unknown = JSON.parse(readFileSync(join(folder, 'image.json'), 'utf8'));
    if (!isManifest(manifest) || manifest.name !== name) return undefined;
    const kernelPath = join(folder, 'vmlinuz');
    const initrdPath = join(folder, 'initrd.cpio');
    const [kernel, initrd] = [statSync(kernelPath).size, statSync(initrdPath).size];
    const { kernelBytes = kernel, initrdBytes = initrd } = manifest;
    if (kernel !== kernelBytes || initrd !== initrdBytes) return undefined;
    const sizeBytes = kernel + initrd;
    return { manifest, kernelPath, initrdPath, sizeBytes };
  } catch {
    return undefined;
  }
}

/** All images, by name. */
export async function listImages(cache: string): Promise<readonly StoredImage[]> {
  const folders = await readdir(imagesFolder(cache)).catch((): string[] => []);
  const images: StoredImage[] = [];
  for (const folder of folders.sort()) {
    const text = await readFile(join(imagesFolder(cache), folder, 'image.json'), 'utf8').catch(() => '');
    const name = /"name": "([^"]+)"/.exec(text)?.[1];
    const image = name === undefined ? undefined : await findImage(cache, name);
    if (image !== undefined) images.push(image);
  }
  return images;
}

/** Puts an image in place: written beside, then renamed, so that a half-written image is never found. */
export async function storeImage(
  cache: string,
  manifest: ImageManifest,
  kernel: Uint8Array,
  initrd: Uint8Array,
): Promise<void> {
  const folder = join(imagesFolder(cache), folderName(manifest.name));
  const fresh = `${folder}.new-${process.pid}`;
  await rm(fresh, { recursive: true, force: true });
  await mkdir(fresh, { recursive: true });
  await writeFile(join(fresh, 'vmlinuz'), kernel);
  await writeFile(join(fresh, 'initrd.cpio'), initrd);
  const sizes = { kernelBytes: kernel.byteLength, initrdBytes: initrd.byteLength };
  await writeFile(join(fresh, 'image.json'), `${JSON.stringify({ ...manifest, ...sizes }, null, 2)}\n`);
  await rm(folder, { recursive: true, force: true });
  await rename(fresh, folder);
}

/** Removes an image; the error says that there is none. */
export async function removeImage(cache: string, name: string): Promise<Result<undefined, BootFault>> {
  const folder = join(imagesFolder(cache), folderName(name));
  if ((await stat(folder).catch(() => undefined)) === undefined)
    return refuse(name, 'image', 'was never pulled; `wurley image ls` lists what is there');
  await rm(folder, { recursive: true, force: true });
  return ok();
}
