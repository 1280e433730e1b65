/**
 * A virtio block device on a raw image: test/guests/disk under Debian 6.1-cloud, `wurley run` against qemu-system-aarch64
 * (TCG, virtio-mmio, default cache mode), in turn, with the same kernel, initial RAM disk and size. The guest's clock counts.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeCpio } from '../../cli/image/cpio.js';
import { cacheFolder, findImage, type StoredImage } from '../../cli/image/store.js';
import { qemuSystemVersion } from '../../test/drivers/qemu-system.js';
import type { Bench, BenchSuite, Target } from '../report.js';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');
const MAIN = join(ROOT, 'dist', 'cli', 'main.js');
const PROGRAM = join(ROOT, 'test', 'guests', 'bin', 'disk.elf');
const IMAGE = 'debian:6.1-cloud';
const ARGUMENTS = 'console=ttyAMA0 panic=-1 quiet';
const MEMORY_MIB = 512;
const DISK_BYTES = 256 << 20;
const ROUNDS = 2;
const DEADLINE_MS = 180_000;
const atLeast = (bound: number): Target => ({ op: '>=', bound });

const INIT = `#!/bin/sh
export PATH=/bin:/sbin
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev
modprobe virtio_mmio; modprobe virtio_blk
/disk /dev/vda
poweroff -f
`;

/** Nanoseconds per pattern, by name. */
type Times = ReadonlyMap<string, { readonly ns: number; readonly bytes: number; readonly requests: number }>;

/** Runs a command to its end; what the guest's program reported. */
function times(command: string, args: readonly string[]): Promise<Times> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'] });
    const timer = setTimeout(() => child.kill('SIGKILL'), DEADLINE_MS);
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString('latin1');
    });
    child.once('close', () => {
      clearTimeout(timer);
      const lines = output.matchAll(/^disk (\S+) bytes (\d+) requests (\d+) ns (\d+)/gm);
      const found = [...lines].map(([, name = '', bytes, requests, ns]) => {
        const measured = { ns: Number(ns), bytes: Number(bytes), requests: Number(requests) };
        return [name, measured] as const;
      });
      resolve(new Map(found));
    });
  });
}

function wurley(image: StoredImage, initrd: string, disk: string): Promise<Times> {
  const boot = ['--kernel', image.kernelPath, '--initrd', initrd, '--append', ARGUMENTS];
  return times(process.execPath, [MAIN, 'run', ...boot, '--memory', `${MEMORY_MIB}M`, '--disk', `${disk},format=raw`]);
}

function qemu(image: StoredImage, initrd: string, disk: string): Promise<Times> {
  const machine = [
    '-M',
    'virt,gic-version=3',
    '-cpu',
    'cortex-a53',
    '-accel',
    'tcg,thread=multi',
    '-m',
    `${MEMORY_MIB}`,
  ];
  const boot = ['-kernel', image.kernelPath, '-initrd', initrd, '-append', ARGUMENTS];
  const none = ['-display', 'none', '-serial', 'stdio', '-monitor', 'none', '-net', 'none', '-no-reboot'];
  const drive = ['-drive', `file=${disk},format=raw,if=none,id=d`, '-device', 'virtio-blk-device,drive=d'];
  return times('qemu-system-aarch64', [
    ...machine,
    '-global',
    'virtio-mmio.force-legacy=false',
    ...boot,
    ...none,
    ...drive,
  ]);
}

/** The better of two runs, pattern by pattern: other work on the machine only ever adds. */
function best(a: Times | undefined, b: Times): Times {
  if (a === undefined) return b;
  return new Map(
    [...a].map(([name, one]) => [name, (b.get(name)?.ns ?? one.ns) < one.ns ? (b.get(name) ?? one) : one]),
  );
}

const FIGURES: readonly (readonly [string, string, number])[] = [
  ['seq-write', 'blk.seq.write', 0.8],
  ['seq-read', 'blk.seq.read', 0.8],
  ['rand-1', 'blk.rand.1', 0.7],
  ['rand-32', 'blk.rand.32', 0.7],
];

async function run(bench: Bench): Promise<void> {
  const image = await findImage(cacheFolder(), IMAGE);
  if (image === undefined) return bench.note(`skipped: ${IMAGE} is not here (wurley image pull ${IMAGE})`);
  if (qemuSystemVersion() === undefined) return bench.note('skipped: qemu-system-aarch64 is not installed');
  // In memory where there is such a place: how long the host's own disk takes to sync is not the matter here.
  const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'wurley-blk-'));
  try {
    const disk = join(folder, 'disk.raw');
    writeFileSync(disk, '');
    truncateSync(disk, DISK_BYTES);
    const more = writeCpio([
      { kind: 'file', path: 'init', mode: 0o755, bytes: new TextEncoder().encode(INIT) },
      { kind: 'file', path: 'disk', mode: 0o755, bytes: readFileSync(PROGRAM) },
    ]);
    const initrd = join(folder, 'initrd.cpio');
    writeFileSync(initrd, Buffer.concat([readFileSync(image.initrdPath), more]));
    let ours: Times | undefined;
    let theirs: Times | undefined;
    for (let round = 0; round < ROUNDS; round++) {
      theirs = best(theirs, await qemu(image, initrd, disk));
      ours = best(ours, await wurley(image, initrd, disk));
    }
    for (const [name, id, bound] of FIGURES) {
      const [a, b] = [ours?.get(name), theirs?.get(name)];
      if (a === undefined || b === undefined)
        bench.note(`${id}: ${a === undefined ? 'wurley' : 'QEMU'} gave no figure`);
      else if (id.startsWith('blk.seq')) {
        const rate = (t: { ns: number; bytes: number }): number => (t.bytes / t.ns) * (1e9 / 2 ** 20);
        bench.ratio(id, rate(a), 'MiB/s', `QEMU TCG, ${rate(b).toFixed(0)} MiB/s`, rate(a) / rate(b), atLeast(bound));
      } else {
        const rate = (t: { ns: number; requests: number }): number => (t.requests / t.ns) * 1e9;
        bench.ratio(id, rate(a), '/s', `QEMU TCG, ${rate(b).toFixed(0)} /s`, rate(a) / rate(b), atLeast(bound));
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const suite: BenchSuite = {
  title: 'a virtio disk: sequential, and random 4 KiB reads, against QEMU TCG',
  ids: ['blk.seq', 'blk.rand'],
  run,
};
export default suite;
