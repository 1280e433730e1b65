/**
 * Booting Debian 6.1-cloud to the line its /init prints, and an idle machine at the prompt: `wurley run` against
 * qemu-system-aarch64 (TCG, thread=multi) with the same kernel, initial RAM disk, command line and memory, in turn.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { READY_MARKER } from '../../cli/image/initramfs.js';
import { cacheFolder, findImage, type StoredImage } from '../../cli/image/store.js';
import { qemuSystemVersion } from '../../test/drivers/qemu-system.js';
import type { Bench, BenchSuite, Target } from '../report.js';

const MAIN = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'cli', 'main.js');
const QEMU = 'qemu-system-aarch64';
const IMAGE = 'debian:6.1-cloud';
const MEMORY_MIB = 512;
const ARGUMENTS = 'console=ttyAMA0 panic=-1 quiet wurley_plain=1';
const ROUNDS = 2;
const DEADLINE_MS = 90_000;
/** What the boot left to translate is translated by then. */
const SETTLE_MS = 8_000;
const IDLE_MS = 10_000;
/** Linux's clock ticks of /proc/PID/stat are 10 ms. */
const TICK_MS = 10;
const atMost = (bound: number): Target => ({ op: '<=', bound });

type Side = 'wurley' | 'qemu';

function start(side: Side, image: StoredImage, cpus: number): ChildProcess {
  const stdio = ['pipe', 'pipe', 'ignore'] as const;
  if (side === 'wurley') {
    const args = [MAIN, 'run', IMAGE, '--cpus', `${cpus}`, '--memory', `${MEMORY_MIB}M`];
    return spawn(process.execPath, args, { stdio: [...stdio] });
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

async function measure(side: Side, image: StoredImage, cpus: number, idle: boolean): Promise<Measured | undefined> {
  const child = start(side, image, cpus);
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
}

const suite: BenchSuite = {
  title: 'Debian boots and idles, against QEMU TCG',
  ids: ['boot.1', 'boot.2', 'idle.cpu', 'host.memory'],
  run,
};
export default suite;
