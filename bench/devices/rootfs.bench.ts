/**
 * A whole Debian (bookworm, systemd) from its disk: how long until the login prompt, and how long gcc takes for a C file of 2,000
 * lines. `wurley run` against qemu-system-aarch64 (TCG) with the same kernel, initial RAM disk and image, 2 vCPUs, in turn, twice; the
 * second guest of ours has the code that the first one was seen to run, as in the other suites. The image is that of `npm run verify:rootfs`; making it takes longer than a suite may.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cacheFolder } from '../../cli/cache-folder.js';
import { ConsoleSession } from '../../test/drivers/console-session.js';
import { qemuSystemVersion } from '../../test/drivers/qemu-system.js';
import {
  findVerificationRoot,
  overlayOf,
  qemuArguments,
  rootInitrd,
  type VerificationRoot,
} from '../../test/rootfs/verification-root.js';
import { cacheIsReady } from '../code-cache.js';
import type { Bench, BenchSuite, Target } from '../report.js';

const ROUNDS = 2;
const DEADLINE_MS = 120_000;
const COMPILATIONS = 2;
const ARGUMENTS = 'root=/dev/vda quiet';
const atMost = (bound: number): Target => ({ op: '<=', bound });

/** Makes a C file of 2,000 lines in the guest: 200 functions of ten lines that use integers, pointers, floating point and calls. */
const MAKE_SOURCE = `awk 'BEGIN { print "#include <stdio.h>\\n#include <string.h>"; for (i = 0; i < 199; i++) {
printf "static double f%d(unsigned *p, int n, double x) {\\n  unsigned a = n * %du;\\n  for (int i = 0; i < n; i++) {\\n", i, i + 3;
printf "    if (p[i] %% %d == 1) a ^= p[i] << (i & 7);\\n    else x += a / (double)(p[i] + 1);\\n    p[i] = a + (unsigned)x;\\n  }\\n", i + 2;
printf "  if (a & 1) memmove(p, p + 1, (n - 1) * sizeof *p);\\n  return x * %d.5 + a;\\n}\\n", i; }
print "int main(void) {\\n  unsigned p[64] = {1, 2, 3};\\n  double x = 0;";
for (i = 0; i < 2; i++) printf "  x += f%d(p, 64, x);\\n", i;
print "  printf(\\"%g\\\\n\\", x);\\n  return 0;\\n}" }' > /root/big.c; wc -l < /root/big.c`;

type Side = 'wurley' | 'qemu';

interface Measured {
  readonly bootMs: number;
  readonly compileMs: number;
}

/**
 * Boots once, compiles, and takes the best of some compilations. The disk keeps nothing. A guest of ours is switched off as a user does, so
 * that the code it was seen to run is there at the next start.
 */
async function measure(side: Side, root: VerificationRoot, folder: string): Promise<Measured> {
  const disk = overlayOf(root.disk, join(folder, `${side}.qcow2`));
  if (!disk.ok) throw new Error(disk.error);
  const initrd = join(folder, 'initrd.cpio');
  writeFileSync(initrd, rootInitrd(root.kernel));
  const started = performance.now();
  const guest =
    side === 'qemu'
      ? new ConsoleSession({
          command: 'qemu-system-aarch64',
          args: qemuArguments(root, disk.value, initrd, `console=ttyAMA0 panic=-1 ${ARGUMENTS}`),
          deadlineMs: DEADLINE_MS,
        })
      : new ConsoleSession({
          command: 'wurley',
          args: [
            ...['debian:6.1-cloud', '--cpus', '2', '--memory', '1G', '--append', ARGUMENTS],
            ...['--disk', `${disk.value},backing=any`],
          ],
          deadlineMs: DEADLINE_MS,
        });
  try {
    await guest.expect(/login: $/);
    const bootMs = performance.now() - started;
    guest.type('\n');
    await guest.logIn();
    // What the boot left to do is done then, and the compiler is in the page cache.
    await guest.run('systemctl is-system-running --wait');
    const lines = Number((await guest.run(MAKE_SOURCE)).output.trim());
    if (lines !== 2000) throw new Error(`the C file has ${lines} lines`);
    await guest.run('gcc -O2 -c -o /root/big.o /root/big.c');
    let compileMs = Number.POSITIVE_INFINITY;
    for (let n = 0; n < COMPILATIONS; n++) {
      const command = 'a=$(date +%s%N); gcc -O2 -c -o /root/big.o /root/big.c && echo $(($(date +%s%N) - a))';
      compileMs = Math.min(compileMs, Number((await guest.run(command)).output.trim()) / 1e6);
    }
    if (side === 'wurley') {
      await guest.powerOff();
      await cacheIsReady(join(cacheFolder(), 'code'));
    }
    return { bootMs, compileMs };
  } finally {
    guest.kill();
  }
}

async function run(bench: Bench): Promise<void> {
  if (qemuSystemVersion() === undefined) return bench.note('skipped: qemu-system-aarch64 is not installed');
  if ('error' in spawnSync('qemu-img', ['--version'])) return bench.note('skipped: qemu-img is not installed');
  const root = await findVerificationRoot();
  if (root === undefined) return bench.note('skipped: there is no root to boot (npm run verify:rootfs makes it)');
  const folder = mkdtempSync(join(tmpdir(), 'wurley-rootfs-bench-'));
  const best: Partial<Record<Side, Measured>> = {};
  try {
    for (let round = 0; round < ROUNDS; round++) {
      for (const side of ['qemu', 'wurley'] as const) {
        const { bootMs, compileMs } = await measure(side, root, folder);
        if (side === 'wurley' && round === 0)
          bench.note(
            `our first guest took ${bootMs.toFixed(0)} ms to boot and ${compileMs.toFixed(0)} ms to compile; later ones have the code that it compiled`,
          );
        const { bootMs: bootBestMs = bootMs, compileMs: compileBestMs = compileMs } = best[side] ?? {};
        best[side] = { bootMs: Math.min(bootMs, bootBestMs), compileMs: Math.min(compileMs, compileBestMs) };
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const { wurley, qemu } = best;
  if (wurley === undefined || qemu === undefined) return;
  const figure = (id: string, ours: number, theirs: number, bound: number): void =>
    bench.ratio(id, ours, 'ms', `QEMU TCG, ${theirs.toFixed(0)} ms`, ours / theirs, atMost(bound));
  figure('rootfs.boot', wurley.bootMs, qemu.bootMs, 2);
  figure('gcc.compile', wurley.compileMs, qemu.compileMs, 1.2);
}

const suite: BenchSuite = {
  title: 'Debian from a disk: to the login prompt, and gcc, against QEMU TCG',
  ids: ['rootfs.boot', 'gcc.compile'],
  run,
};
export default suite;
