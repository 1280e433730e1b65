/**
 * Runs a bare-metal image under `qemu-system-aarch64 -M virt,gic-version=3` with TCG: the second machine of every guest
 * test and the yardstick of the CPU benchmarks. The image is an ELF file that ends by PSCI SYSTEM_OFF.
 */
import { spawn, spawnSync } from 'node:child_process';
import { err, ok, type Result } from '../../bus/result.js';

const QEMU = 'qemu-system-aarch64';
const CONSOLE_BYTES_MAX = 4 << 20;

/** What to run and on what machine. */
export interface QemuRun {
  /** Path of the ELF file. */
  readonly image: string;
  /** Number of vCPUs, 1 to 8. */
  readonly cpus: number;
  readonly memoryMiB: number;
  /** Goes to /chosen/bootargs of the device tree. */
  readonly bootargs: string;
  /** QEMU's CPU model; the benchmarks' yardstick is `cortex-a53`. */
  readonly cpu: string;
  /** Wall-clock limit in milliseconds; the run is then killed. */
  readonly deadlineMs: number;
  /** All vCPUs in turn on one thread: a guest's YIELD and WFE go on with the next, so that one that waits costs next to nothing. */
  readonly oneThread?: boolean;
}

/** A run that ended by itself. */
export interface QemuOutcome {
  /** What the guest wrote to its PL011, carriage returns removed. */
  readonly console: string;
  /** Wall-clock time from start to end in milliseconds, QEMU's own start included. */
  readonly ms: number;
}

/** Why there is no outcome: no QEMU here, the deadline passed, or QEMU ended with an error. */
export interface QemuFailure {
  readonly kind: 'absent' | 'deadline' | 'failed';
  /** A sentence for a person. */
  readonly text: string;
  /** What the guest had written by then. */
  readonly console: string;
}

/** The first line of `qemu-system-aarch64 --version`, or undefined where it is not installed. */
export function qemuSystemVersion(): string | undefined {
  const probe = spawnSync(QEMU, ['--version'], { encoding: 'utf8' });
  return probe.status === 0 ? probe.stdout.split('\n')[0] : undefined;
}

/** Runs one image to its end. Never throws; stops only the process it started. */
export function runUnderQemu(run: QemuRun): Promise<Result<QemuOutcome, QemuFailure>> {
  const args = [
    ...[
      '-M',
      'virt,gic-version=3',
      '-accel',
      run.oneThread === true ? 'tcg,thread=single' : 'tcg',
      '-cpu',
      run.cpu,
      '-smp',
      String(run.cpus),
      '-m',
      `${run.memoryMiB}M`,
    ],
    ...['-nodefaults', '-no-reboot', '-display', 'none', '-monitor', 'none', '-serial', 'stdio'],
    ...['-kernel', run.image, '-append', run.bootargs],
  ];
  return new Promise((resolve) => {
    const started = performance.now();
    const child = spawn(QEMU, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const chunks: Buffer[] = [];
    let bytes = 0;
    let complaint = '';
    let expired = false;
    const console = (): string => Buffer.concat(chunks).toString('latin1').replaceAll('\r', '');
    const timer = setTimeout(() => {
      expired = true;
      child.kill('SIGKILL');
    }, run.deadlineMs);
    child.stdout.on('data', (chunk: Buffer) => {
      if (bytes < CONSOLE_BYTES_MAX) chunks.push(chunk);
      bytes += chunk.length;
    });
    child.stderr.on('data', (chunk: Buffer) => {
      if (complaint.length < 4096) complaint += chunk.toString('utf8');
    });
    child.on('error', (error) => {
      clearTimeout(timer);
      resolve(err({ kind: 'absent', text: `${QEMU} does not start: ${error.message}`, console: '' }));
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      if (expired) {
        const text = `the guest did not power off within ${run.deadlineMs} ms`;
        resolve(err({ kind: 'deadline', text, console: console() }));
      } else if (code !== 0) {
        const text = `${QEMU} ended with ${code ?? signal}: ${complaint.trim()}`;
        resolve(err({ kind: 'failed', text, console: console() }));
      } else {
        resolve(ok({ console: console(), ms: performance.now() - started }));
      }
    });
  });
}
