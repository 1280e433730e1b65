/**
 * Booting Debian 6.1-cloud to the line its /init prints, and an idle machine at the prompt: `wurley run` against
 * qemu-system-aarch64 (TCG, thread=multi) with the same kernel, initial RAM disk, command line and memory, in turn.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheFolder } from '../../cli/cache-folder.js';
import { READY_MARKER } from '../../cli/image/initramfs.js';
import { findImage, type StoredImage } from '../../cli/image/store.js';
import { launcherEnvironment, launcherOptions } from '../../test/drivers/launcher.js';
import { qemuSystemVersion } from '../../test/drivers/qemu-system.js';
import { cacheIsReady } from '../code-cache.js';
import type { Bench, BenchSuite, Target } from '../report.js';

const MAIN = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'cli', 'main.js');
const QEMU = 'qemu-system-aarch64';
const IMAGE = 'debian:6.1-cloud';
const MEMORY_MIB = 512;
const ARGUMENTS = 'console=ttyAMA0 panic=-1 quiet wurley_plain=1';
/** Boots of each side, in turn; the best counts. A shared host is up to twice as fast in one minute as in the next, and two of each may all but miss it. */
const ROUNDS = 5;
const DEADLINE_MS = 90_000;
/** What the boot left to translate is translated by then. */
const SETTLE_MS = 8_000;
/** Boots that fill the cache: the second finds what the first left out. */
const WARM_UP_BOOTS = 2;
const IDLE_MS = 10_000;
/** Linux's clock ticks of /proc/PID/stat are 10 ms. */
const TICK_MS = 10;
const atMost = (bound: number): Target => ({ op: '<=', bound });

type Side = 'wurley' | 'qemu';

/** With the translation cache, and where its files are; undefined: without. */
type Cache = string | undefined;

function start(side: Side, image: StoredImage, cpus: number, cache: Cache = undefined): ChildProcess {
  const stdio = ['pipe', 'pipe', 'ignore'] as const;
  const env = { ...process.env, ...launcherEnvironment(), WURLEY_CODE_CACHE: cache === undefined ? 'off' : 'on' };
  if (side === 'wurley') {
    const args = [...launcherOptions(), MAIN, 'run', IMAGE, '--cpus', `${cpus}`, '--memory', `${MEMORY_MIB}M`];
    return spawn(process.execPath, args, { env, stdio: [...stdio] });
  }
  const args = ['-M', 'virt,gic-version=3', '-cpu', 'cortex-a53', '-accel', 'tcg,thread=multi', '-smp', `${cpus}`];
  args.push(
    '-m',
    `${MEMORY_MIB}`,
    '-display',
    'none',
    '-serial',
    'stdio',
    '-monitor',
    'none',
    '-net',
    'none',
    '-no-reboot',
  );
  args.push('-kernel', image.kernelPath, '-initrd', image.initrdPath, '-append', ARGUMENTS);
  return spawn(QEMU, args, { stdio: [...stdio] });
}

/** Milliseconds from the start of the command to the marker; the process goes on. */
function bootTime(child: ChildProcess): Promise<number | undefined> {
  const from = performance.now();
  return new Promise((resolve) => {
    let output = '';
    const timer = setTimeout(() => resolve(undefined), DEADLINE_MS);
    const done = (ms: number | undefined): void => {
      clearTimeout(timer);
      resolve(ms);
    };
    child.stdout?.on('data', (chunk: Buffer) => {
      output = (output + chunk.toString('latin1')).slice(-8192);
      if (output.includes(READY_MARKER)) done(performance.now() - from);
    });
    child.once('exit', () => done(undefined));
  });
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Processor time a process has used, in milliseconds, all its threads together. */
function processorMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

/** Resident memory in MiB. */
function residentMib(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
}

interface Measured {
  readonly bootMs: number;
  readonly idleShare: number | undefined;
  readonly residentMib: number;
}

async function measure(
  side: Side,
  image: StoredImage,
  cpus: number,
  idle: boolean,
  cache: Cache = undefined,
): Promise<Measured | undefined> {
  const child = start(side, image, cpus, cache);
  try {
    const bootMs = await bootTime(child);
    const { pid } = child;
    if (bootMs === undefined || pid === undefined) return undefined;
    if (!idle) return { bootMs, idleShare: undefined, residentMib: residentMib(pid) };
    await sleep(SETTLE_MS);
    const before = processorMs(pid);
    await sleep(IDLE_MS);
    return { bootMs, idleShare: (processorMs(pid) - before) / IDLE_MS, residentMib: residentMib(pid) };
  } finally {
    child.kill('SIGKILL');
  }
}

/** Boots with the cache, to the end, so that the cache learns what there was to learn. */
async function bootToTheEnd(image: StoredImage, folder: string): Promise<void> {
  const child = start('wurley', image, 1, folder);
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.stdin?.end('poweroff -f\n');
  await ended;
  await cacheIsReady(folder);
}

/** The second boot of a kernel: what earlier ones compiled is there. Against QEMU's boot, which has nothing kept. */
async function measureWarm(bench: Bench, image: StoredImage): Promise<void> {
  const folder = join(cacheFolder(), 'code');
  for (let boot = 0; boot < WARM_UP_BOOTS; boot++) await bootToTheEnd(image, folder);
  const [ours, theirs]: [number[], number[]] = [[], []];
  for (let round = 0; round < ROUNDS; round++) {
    const qemu = await measure('qemu', image, 1, false);
    const wurley = await measure('wurley', image, 1, false, folder);
    if (qemu !== undefined) theirs.push(qemu.bootMs);
    if (wurley !== undefined) ours.push(wurley.bootMs);
  }
  if (ours.length === 0 || theirs.length === 0) return bench.note('boot.warm: the marker was not reached');
  const [mine, other] = [Math.min(...ours), Math.min(...theirs)];
  bench.ratio('boot.warm', mine, 'ms', `QEMU TCG, ${other.toFixed(0)} ms`, mine / other, atMost(1));
}

async function run(bench: Bench): Promise<void> {
  const image = await findImage(cacheFolder(), IMAGE);
  if (image === undefined) return bench.note(`skipped: ${IMAGE} is not here (wurley image pull ${IMAGE})`);
  if (qemuSystemVersion() === undefined) return bench.note('skipped: qemu-system-aarch64 is not installed');
  for (const cpus of [1, 2]) {
    const best: Partial<Record<Side, Measured>> = {};
    for (let round = 0; round < ROUNDS; round++) {
      for (const side of ['qemu', 'wurley'] as const) {
        const measured = await measure(side, image, cpus, round === 0);
        const known = best[side];
        if (measured === undefined) bench.note(`boot.${cpus}: ${side} did not reach the marker`);
        else if (known === undefined) best[side] = measured;
        else best[side] = { ...known, bootMs: Math.min(known.bootMs, measured.bootMs) };
      }
    }
    const { wurley, qemu } = best;
    if (wurley === undefined || qemu === undefined) continue;
    const against = `QEMU TCG, ${qemu.bootMs.toFixed(0)} ms`;
    bench.ratio(`boot.${cpus}`, wurley.bootMs, 'ms', against, wurley.bootMs / qemu.bootMs, atMost(2));
    if (cpus === 1 && wurley.idleShare !== undefined) {
      bench.ratio('idle.cpu', wurley.idleShare * 100, '% of a core', 'one core', wurley.idleShare, atMost(0.02));
    }
    if (cpus === 2) {
      const other = `QEMU, ${qemu.residentMib.toFixed(0)} MiB; both with the guest's own pages`;
      bench.ratio('host.memory', wurley.residentMib, 'MiB', other, wurley.residentMib / qemu.residentMib, atMost(2));
    }
  }
  await measureWarm(bench, image);
}

const suite: BenchSuite = {
  title: 'Debian boots and idles, against QEMU TCG',
  ids: ['boot.1', 'boot.2', 'boot.warm', 'idle.cpu', 'host.memory'],
  run,
};
export default suite;
