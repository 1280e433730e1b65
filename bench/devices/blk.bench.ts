/**
 * A virtio block device on a raw image: test/guests/disk under Debian 6.1-cloud, `wurley run` against qemu-system-aarch64
 * (TCG, virtio-mmio, default cache mode), in turn, with the same kernel, initial RAM disk and size. The guest's clock counts.
 */
import { existsSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StoredImage } from '../../cli/image/store.js';
import type { Bench, BenchSuite, Target } from '../report.js';
import { guestImage, type Host, startGuest, writeInitrd } from './linux-guest.js';

const MODULES = ['virtio_mmio', 'virtio_blk'];
const DISK_BYTES = 256 << 20;
const ROUNDS = 2;
const DEADLINE_MS = 180_000;
const atLeast = (bound: number): Target => ({ op: '>=', bound });

/** Nanoseconds per pattern, by name. */
type Times = ReadonlyMap<string, { readonly ns: number; readonly bytes: number; readonly requests: number }>;

/** Runs a guest to the end of its program; what that reported. */
async function times(host: Host, image: StoredImage, initrd: string, devices: readonly string[]): Promise<Times> {
  const guest = startGuest(host, image, initrd, devices, DEADLINE_MS);
  // A guest that ended otherwise has reported less, which shows below.
  await guest.expect(/disk done/).catch(() => undefined);
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
    const drive = ['-drive', `file=${disk},format=raw,if=none,id=d`, '-device', 'virtio-blk-device,drive=d'];
    let ours: Times | undefined;
    let theirs: Times | undefined;
    for (let round = 0; round < ROUNDS; round++) {
      theirs = best(theirs, await times('qemu-system-aarch64', image, initrd, drive));
      ours = best(ours, await times('wurley', image, initrd, ['--disk', `${disk},format=raw`]));
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
