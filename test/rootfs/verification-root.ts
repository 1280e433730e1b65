/** The root file system that the campaign and the benchmarks use: made once, kept in the user's cache, used through overlays. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { err, ok, type Result } from '../../bus/result.js';
import { cacheFolder } from '../../cli/cache-folder.js';
import { rootBootArchive } from '../../cli/image/initramfs.js';
import { buildRoot } from '../../cli/image/rootfs/build-root.js';
import { findImage, type StoredImage } from '../../cli/image/store.js';
import { faultSentence } from '../../devices/machine/boot-fault.js';

const NAME = 'debian:bookworm';
const KERNEL = 'debian:6.1-cloud';

/** The disk, the key that may log in over ssh, and what boots it. */
export interface VerificationRoot {
  readonly disk: string;
  readonly key: string;
  readonly kernel: StoredImage;
}

const folder = join(cacheFolder(), 'roots');
const [disk, key] = [join(folder, 'verification.qcow2'), join(folder, 'verification.key')];

/** The root, where it was made; undefined: `npm run verify:rootfs` makes it. */
export async function findVerificationRoot(): Promise<VerificationRoot | undefined> {
  const kernel = await findImage(cacheFolder(), KERNEL);
  return kernel === undefined || !existsSync(disk) ? undefined : { disk, key, kernel };
}

/** Finds it or makes it; the error is a sentence. */
export async function verificationRoot(report: (line: string) => void): Promise<Result<VerificationRoot, string>> {
  const cache = cacheFolder();
  mkdirSync(folder, { recursive: true });
  if (!existsSync(key)) {
    const made = spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'verification', '-f', key]);
    if (made.status !== 0) return err('ssh-keygen is not installed (openssh-client)');
  }
  if (!existsSync(disk)) {
    report(`${NAME} with gcc and python3 is made first: ${disk}`);
    const built = await buildRoot(NAME, {
      ...{ cache, env: process.env, report, now: () => Date.now(), via: 'auto' },
      ...{ output: disk, format: 'qcow2', sizeBytes: 4 * 2 ** 30, variant: 'minimal', hostname: 'debian' },
      ...{ include: ['gcc', 'libc6-dev', 'python3'], password: 'none', sshKeys: readFileSync(`${key}.pub`, 'utf8') },
      replaces: false,
      onInterrupt: () => () => undefined,
    });
    if (!built.ok) return err(faultSentence(built.error));
  }
  const made = await findVerificationRoot();
  return made === undefined ? err(`${KERNEL} is not here (wurley image pull ${KERNEL})`) : ok(made);
}

/**
 * A root that somebody has made by `wurley image rootfs ... --include gcc,libc6-dev,python3 --ssh-key KEY.pub`; the error is a sentence.
 * Nothing is written to it.
 */
export async function givenRoot(given: string, privateKey: string): Promise<Result<VerificationRoot, string>> {
  const missing = [given, privateKey].find((path) => !existsSync(path));
  if (missing !== undefined) return err(`${missing} is not there`);
  const kernel = await findImage(cacheFolder(), KERNEL);
  if (kernel === undefined) return err(`${KERNEL} is not here (wurley image pull ${KERNEL})`);
  return ok({ disk: resolve(given), key: resolve(privateKey), kernel });
}

/** The initial RAM disk that boots a root, for a machine that is not ours. */
export function rootInitrd(kernel: StoredImage): Uint8Array {
  return Buffer.concat([readFileSync(kernel.initrdPath), rootBootArchive()]);
}

/** An image that keeps what is written beside `base`; the error is a sentence. */
export function overlayOf(base: string, path: string): Result<string, string> {
  const made = spawnSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', base, '-F', 'qcow2', path], {
    encoding: 'utf8',
  });
  return made.status === 0 ? ok(path) : err(`qemu-img: ${made.error?.message ?? made.stderr}`);
}

/** The machine for a root in QEMU: the processor, memory and devices that `wurley run` gives it. */
export function qemuArguments(
  { kernel }: VerificationRoot,
  disk: string,
  initrd: string,
  bootArguments: string,
): readonly string[] {
  return [
    ...['-M', 'virt,gic-version=3', '-cpu', 'cortex-a53', '-accel', 'tcg,thread=multi', '-smp', '2', '-m', '1024'],
    ...['-global', 'virtio-mmio.force-legacy=false', '-display', 'none', '-serial', 'stdio', '-monitor', 'none'],
    ...['-net', 'none', '-no-reboot', '-kernel', kernel.kernelPath, '-initrd', initrd, '-append', bootArguments],
    ...['-drive', `file=${disk},format=qcow2,if=none,id=root`, '-device', 'virtio-blk-device,drive=root'],
  ];
}
