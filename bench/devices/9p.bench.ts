/**
 * A shared folder: busybox' dd and cat over 9p under Debian 6.1, `wurley run` against qemu-system-aarch64 (TCG, virtio-mmio), in turn, with
 * the same kernel, initial RAM disk, folder and msize, nothing cached by the guest. The guest's clock counts.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cacheFolder } from '../../cli/cache-folder.js';
import type { StoredImage } from '../../cli/image/store.js';
import { cacheIsReady } from '../code-cache.js';
import type { Bench, BenchSuite, Target } from '../report.js';
import { guestImage, type Host, startGuest, writeInitrd } from './linux-guest.js';

/** The cloud kernels have no 9p. */
const IMAGE = 'debian:6.1';
const MODULES = ['virtio_mmio', '9pnet_virtio', '9p'];
const MIB = 96;
const FILES = 500;
const FILE_BYTES = 3_000;
/** Enough for the code of the guest to be compiled: the best one counts. A read needs six or seven of them. */
const TIMES = 10;
const ROUNDS = 2;
/** As a disk's random reads. */
const TARGET: Target = { op: '>=', bound: 0.7 };
const DEADLINE_MS = 120_000;
const HOSTS: readonly Host[] = ['qemu-system-aarch64', 'wurley'];

/** What is measured: its command, the amount, and the unit of an amount in a second. */
const WORK = {
  read: { command: 'dd if=/s/large of=/dev/null bs=512k 2>/dev/null', amount: MIB, unit: 'MiB/s' },
  write: { command: `dd if=/dev/zero of=/s/made bs=512k count=${MIB * 2} 2>/dev/null`, amount: MIB, unit: 'MiB/s' },
  files: { command: 'cat /s/many/* >/dev/null', amount: FILES, unit: 'files/s' },
} as const;
type What = keyof typeof WORK;
const KINDS = Object.keys(WORK) as readonly What[];

const COMMANDS = [
  'mkdir /s; mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 share /s',
  ...KINDS.flatMap((what) =>
    Array.from({ length: TIMES }, () => {
      const clock = '$(cut -d" " -f1 /proc/uptime)';
      return `from=${clock}; ${WORK[what].command}; echo "share ${what} $from ${clock}"`;
    }),
  ),
  'echo share done',
];

const deviceOf = (host: Host, folder: string): readonly string[] =>
  host === 'wurley'
    ? ['--share', `${folder},rw`]
    : [
        '-fsdev',
        `local,id=f,path=${folder},security_model=none`,
        '-device',
        'virtio-9p-device,fsdev=f,mount_tag=share',
      ];

/** Amounts a second of one guest, into the best so far. */
async function measure(host: Host, image: StoredImage, initrd: string, folder: string, rates: Map<What, number>) {
  const guest = startGuest(host, image, initrd, deviceOf(host, folder), DEADLINE_MS);
  // A guest that ended otherwise has reported less, which shows below.
  await guest.expect(/share done/).catch(() => undefined);
  // As its user would end it, so that the code it was seen to run is there at the next start.
  if (host === 'wurley') await guest.interrupt();
  guest.kill();
  await guest.ended;
  if (host === 'wurley') await cacheIsReady(join(cacheFolder(), 'code'));
  for (const [, name, from, to] of guest.text.matchAll(/^share (\w+) ([\d.]+) ([\d.]+)$/gm)) {
    const what = KINDS.find((kind) => kind === name);
    const seconds = Number(to) - Number(from);
    if (what !== undefined && seconds > 0) rates.set(what, Math.max(rates.get(what) ?? 0, WORK[what].amount / seconds));
  }
}

async function run(bench: Bench): Promise<void> {
  const image = await guestImage(bench, IMAGE);
  if (image === undefined) return;
  const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'wurley-9p-'));
  try {
    const shared = join(folder, 'shared');
    mkdirSync(join(shared, 'many'), { recursive: true });
    writeFileSync(join(shared, 'large'), Buffer.alloc(MIB << 20, 7));
    for (let n = 0; n < FILES; n++) writeFileSync(join(shared, 'many', `${n}`), Buffer.alloc(FILE_BYTES, n));
    const initrd = join(folder, 'initrd.cpio');
    writeInitrd(image, initrd, 'disk', MODULES, COMMANDS);
    const all = new Map<Host, Map<What, number>>(HOSTS.map((host) => [host, new Map()]));
    for (let round = 0; round < ROUNDS; round++) {
      for (const [host, rates] of all) await measure(host, image, initrd, shared, rates);
    }
    const [theirs, ours] = HOSTS.map((host) => all.get(host));
    for (const what of KINDS) {
      const [mine, peer] = [ours?.get(what), theirs?.get(what)];
      const { unit } = WORK[what];
      if (mine === undefined || peer === undefined) bench.note(`9p.${what}: no figure`);
      else bench.ratio(`9p.${what}`, mine, unit, `QEMU's virtio-9p, ${peer.toFixed(0)} ${unit}`, mine / peer, TARGET);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const suite: BenchSuite = {
  title: 'a shared folder over 9p: large reads and writes, small files, against QEMU TCG',
  ids: ['9p.read', '9p.write', '9p.files'],
  run,
};
export default suite;
