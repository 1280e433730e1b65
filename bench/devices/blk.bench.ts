/**
 * A virtio block device on a raw image: test/guests/disk under Debian 6.1-cloud, `wurley run` against qemu-system-aarch64
 * (TCG, virtio-mmio, default cache mode: both go through the host's page cache, and a guest's flush is fdatasync), in turn, with the same
 * kernel, initial RAM disk and size. The guest's clock counts; the best of 24 rounds of 128 MiB in three guests each, as code is compiled in
 * the first ones. Then random reads, for orientation, from a qcow2 image that has some of its clusters and finds the others in its backing
 * file.
 */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cacheFolder } from '../../cli/cache-folder.js';
import type { StoredImage } from '../../cli/image/store.js';
import { cacheIsReady } from '../code-cache.js';
import type { Bench, BenchSuite, Target } from '../report.js';
import { guestImage, type Host, startGuest, writeInitrd } from './linux-guest.js';

const MODULES = ['virtio_mmio', 'virtio_blk'];
const DISK_BYTES = 256 << 20;
/** Guests of each host; one more on the raw image, whose first one of ours has nothing kept. */
const ROUNDS = { raw: 3, backed: 2 } as const;
const DEADLINE_MS = 180_000;
const atLeast = (bound: number): Target => ({ op: '>=', bound });

/** Nanoseconds per pattern, by name. */
type Times = ReadonlyMap<string, { readonly ns: number; readonly bytes: number; readonly requests: number }>;

/** Runs a guest to the end of its program; what that reported. */
async function times(host: Host, image: StoredImage, initrd: string, devices: readonly string[]): Promise<Times> {
  const guest = startGuest(host, image, initrd, devices, DEADLINE_MS);
  // A guest that ended otherwise has reported less, which shows below.
  await guest.expect(/disk done/).catch(() => undefined);
  // As its user would end it, so that the code it was seen to run is there at the next start.
  if (host === 'wurley') await guest.interrupt();
  guest.kill();
  await guest.ended;
  const lines = guest.text.matchAll(/^disk (\S+) bytes (\d+) requests (\d+) ns (\d+)/gm);
  const found = [...lines].map(([, name = '', bytes, requests, ns]) => {
    const measured = { ns: Number(ns), bytes: Number(bytes), requests: Number(requests) };
    return [name, measured] as const;
  });
  return new Map(found);
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

/** For orientation only. */
const CHAIN_FIGURES: readonly (readonly [string, string, number])[] = [
  ['rand-1', 'blk.backed.1', 0],
  ['rand-32', 'blk.backed.32', 0],
];

/** A qcow2 image over another that is full: the upper one has every fourth MiB. False when qemu-img is not there. */
function makeChain(folder: string): string | undefined {
  const [content, base, top] = ['content.raw', 'base.qcow2', 'top.qcow2'].map((name) => join(folder, name));
  if (content === undefined || base === undefined || top === undefined) return undefined;
  writeFileSync(content, randomBytes(DISK_BYTES));
  const writes = Array.from({ length: DISK_BYTES >> 22 }, (_, n) => ['-c', `write -P 90 ${n * 4}M 1M`]).flat();
  const steps: readonly (readonly [string, readonly string[]])[] = [
    ['qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', content, base]],
    ['qemu-img', ['create', '-q', '-f', 'qcow2', '-b', base, '-F', 'qcow2', top]],
    ['qemu-io', ['-f', 'qcow2', ...writes, top]],
  ];
  const isMade = steps.every(([program, args]) => spawnSync(program, args, { stdio: 'ignore' }).status === 0);
  rmSync(content);
  return isMade ? top : undefined;
}

/** Runs both hosts in turn on the same image. */
async function inTurn(image: StoredImage, initrd: string, qemuDrive: string, ourDisk: string, rounds: number) {
  let ours: Times | undefined;
  let theirs: Times | undefined;
  const drive = ['-drive', `${qemuDrive},if=none,id=d`, '-device', 'virtio-blk-device,drive=d'];
  for (let round = 0; round < rounds; round++) {
    // Each guest begins with what the ones before were seen to run; nobody is compiled for while QEMU is measured.
    if (round > 0) await cacheIsReady(join(cacheFolder(), 'code'));
    theirs = best(theirs, await times('qemu-system-aarch64', image, initrd, drive));
    ours = best(ours, await times('wurley', image, initrd, ['--disk', ourDisk]));
  }
  return { ours, theirs };
}

function report(bench: Bench, figures: typeof FIGURES, ours: Times | undefined, theirs: Times | undefined): void {
  for (const [name, id, bound] of figures) {
    const [a, b] = [ours?.get(name), theirs?.get(name)];
    if (a === undefined || b === undefined) bench.note(`${id}: ${a === undefined ? 'wurley' : 'QEMU'} gave no figure`);
    else if (id.startsWith('blk.seq')) {
      const rate = (t: { ns: number; bytes: number }): number => (t.bytes / t.ns) * (1e9 / 2 ** 20);
      bench.ratio(id, rate(a), 'MiB/s', `QEMU TCG, ${rate(b).toFixed(0)} MiB/s`, rate(a) / rate(b), atLeast(bound));
    } else {
      const rate = (t: { ns: number; requests: number }): number => (t.requests / t.ns) * 1e9;
      const peer = `QEMU TCG, ${rate(b).toFixed(0)} /s`;
      if (bound > 0) bench.ratio(id, rate(a), '/s', peer, rate(a) / rate(b), atLeast(bound));
      else {
        bench.value(id, rate(a), '/s');
        bench.note(`${id}: ${(rate(a) / rate(b)).toFixed(2)} x ${peer}`);
      }
    }
  }
}

async function run(bench: Bench): Promise<void> {
  const image = await guestImage(bench);
  if (image === undefined) return;
  // In memory where there is such a place: how long the host's own disk takes to sync is not the matter here.
  const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'wurley-blk-'));
  try {
    const disk = join(folder, 'disk.raw');
    writeFileSync(disk, '');
    truncateSync(disk, DISK_BYTES);
    const initrd = join(folder, 'initrd.cpio');
    writeInitrd(image, initrd, 'disk', MODULES, ['/disk /dev/vda']);
    const raw = await inTurn(image, initrd, `file=${disk},format=raw`, `${disk},format=raw`, ROUNDS.raw);
    report(bench, FIGURES, raw.ours, raw.theirs);
    rmSync(disk);
    const chain = makeChain(folder);
    await cacheIsReady(join(cacheFolder(), 'code'));
    if (chain === undefined) return bench.note('blk.backed: skipped: qemu-utils is not installed');
    writeInitrd(image, initrd, 'disk', MODULES, ['/disk /dev/vda keep']);
    const backed = await inTurn(image, initrd, `file=${chain},format=qcow2`, `${chain},format=qcow2`, ROUNDS.backed);
    report(bench, CHAIN_FIGURES, backed.ours, backed.theirs);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const suite: BenchSuite = {
  title: 'a virtio disk: sequential, and random 4 KiB reads, against QEMU TCG',
  ids: ['blk.seq', 'blk.rand', 'blk.backed'],
  run,
};
export default suite;
