/**
 * A Linux guest that runs one program of test/guests and ends: Debian 6.1-cloud under `wurley run` or qemu-system-aarch64 (TCG,
 * virtio-mmio), with the same kernel, initial RAM disk and memory.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheFolder } from '../../cli/cache-folder.js';
import { writeCpio } from '../../cli/image/cpio.js';
import { findImage, type StoredImage } from '../../cli/image/store.js';
import { ConsoleSession } from '../../test/drivers/console-session.js';
import { qemuSystemVersion } from '../../test/drivers/qemu-system.js';
import type { Bench } from '../report.js';

const PROGRAMS = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..', 'test', 'guests', 'bin');
const IMAGE = 'debian:6.1-cloud';
const ARGUMENTS = 'console=ttyAMA0 panic=-1 quiet';
const MEMORY_MIB = 512;

/** Who runs the guest. */
export type Host = 'wurley' | 'qemu-system-aarch64';

/** The image, or undefined where something is missing, which the report then says. */
export async function guestImage(bench: Bench, name = IMAGE): Promise<StoredImage | undefined> {
  const image = await findImage(cacheFolder(), name);
  if (image === undefined) bench.note(`skipped: ${name} is not here (wurley image pull ${name})`);
  else if (qemuSystemVersion() === undefined) bench.note('skipped: qemu-system-aarch64 is not installed');
  else return image;
  return undefined;
}

/** An initial RAM disk at `path` that loads `modules`, runs `commands` with test/guests' `program` at /, and switches off. */
export function writeInitrd(
  image: StoredImage,
  path: string,
  program: string,
  modules: readonly string[],
  commands: readonly string[],
): void {
  const init = [
    '#!/bin/sh',
    'export PATH=/bin:/sbin',
    'mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev',
    ...modules.map((module) => `modprobe ${module}`),
    ...commands,
    'poweroff -f',
  ];
  const more = writeCpio([
    { kind: 'file', path: 'init', mode: 0o755, bytes: new TextEncoder().encode(`${init.join('\n')}\n`) },
    { kind: 'file', path: program, mode: 0o755, bytes: readFileSync(join(PROGRAMS, `${program}.elf`)) },
  ]);
  writeFileSync(path, Buffer.concat([readFileSync(image.initrdPath), more]));
}

/** Starts a guest of one vCPU; `devices` are the host's own arguments. */
export function startGuest(
  host: Host,
  image: StoredImage,
  initrd: string,
  devices: readonly string[],
  deadlineMs: number,
): ConsoleSession {
  if (host === 'wurley') {
    const boot = ['--kernel', image.kernelPath, '--initrd', initrd, '--append', ARGUMENTS];
    const args = [...boot, '--memory', `${MEMORY_MIB}M`, ...devices];
    return new ConsoleSession({ command: host, args, deadlineMs });
  }
  const machine = ['-M', 'virt,gic-version=3', '-cpu', 'cortex-a53', '-accel', 'tcg,thread=multi'];
  const boot = ['-m', `${MEMORY_MIB}`, '-kernel', image.kernelPath, '-initrd', initrd, '-append', ARGUMENTS];
  const plain = ['-display', 'none', '-serial', 'stdio', '-monitor', 'none', '-nodefaults', '-no-reboot'];
  const virtio = ['-global', 'virtio-mmio.force-legacy=false'];
  return new ConsoleSession({
    command: host,
    args: [...machine, ...virtio, ...boot, ...plain, ...devices],
    deadlineMs,
  });
}

/** Starts a lab of guests like those of {@link startGuest}, by name with their initial RAM disks, on one switch; `folder` keeps its file. */
export function startLab(
  image: StoredImage,
  folder: string,
  initrds: Readonly<Record<string, string>>,
  deadlineMs: number,
): ConsoleSession {
  const vms = Object.entries(initrds).map(([name, initrd]) => {
    const boot = { kernel: image.kernelPath, initrd, append: ARGUMENTS, memory: `${MEMORY_MIB}M` };
    return [name, { ...boot, networks: ['switch:lan'] }];
  });
  const file = join(folder, 'lab.yaml');
  // JSON is YAML.
  writeFileSync(file, JSON.stringify({ name: `bench-${process.pid}`, vms: Object.fromEntries(vms) }));
  return new ConsoleSession({ command: 'wurley up', args: [file], deadlineMs });
}
