/**
 * Memory of compiled code: a guest that runs 60,000 blocks, all of them hot, and then writes and runs others in their place.
 * The process with compiled code against the same without, which runs what it can of it.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { launcherEnvironment } from '../../test/drivers/launcher.js';
import { guestImage } from '../../test/guests/reports.js';
import type { Bench } from '../report.js';

const MAIN = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'cli', 'main.js');
/** Runs of each block: enough to be compiled. */
const EACH = 1_100;
const DEADLINE_MS = 300_000;
const MIB = 1024;

function residentMib(pid: number | undefined): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / MIB;
}

/** Resident memory at the end of each generation of code. Ends the process after `generations`. */
function generationsOf(generations: number, each: number, more: readonly string[]): Promise<readonly number[]> {
  const append = `run=cpu.cold ms=1 each=${each} generations=${Math.max(3, generations)}`;
  const args = [MAIN, 'run', '--kernel', guestImage('bench'), '--memory', '256M', '--append', append, ...more];
  const env = { ...process.env, ...launcherEnvironment(), WURLEY_CODE_CACHE: 'off' };
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'ignore'] });
  const resident: number[] = [];
  let text = '';
  return new Promise((resolve) => {
    const timer = setTimeout(() => child.kill('SIGKILL'), DEADLINE_MS);
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
        const line = text.slice(0, end);
        text = text.slice(end + 1);
        if (line.startsWith('# cold: generation ') && resident.length < generations)
          resident.push(residentMib(child.pid));
        if (resident.length === generations) child.kill('SIGKILL');
      }
    });
    child.once('exit', () => {
      clearTimeout(timer);
      resolve(resident);
    });
  });
}

/** Reports `cpu.memory` and how much more there is after further generations. */
export async function measureMemory(bench: Bench): Promise<void> {
  // Without compiled code the memory does not depend on how often a block runs.
  const [plain] = await generationsOf(1, 1, ['--no-jit']);
  const compiled = await generationsOf(3, EACH, []);
  const [first] = compiled;
  const last = compiled[2];
  if (plain === undefined || first === undefined || last === undefined) {
    bench.note('cpu.memory: the guest did not get to its end');
    return;
  }
  const most = Math.max(...compiled) - plain;
  bench.ratio('cpu.memory', most, 'MiB', `150 MB; ${plain.toFixed(0)} MiB without compiled code`, most / 143, {
    op: '<=',
    bound: 1,
  });
  bench.note(`cpu.memory: ${compiled.map((mib) => (mib - plain).toFixed(0)).join(', ')} MiB after each 60,000 blocks`);
}
