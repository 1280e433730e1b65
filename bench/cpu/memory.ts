/**
 * Memory of compiled code: a guest that runs 60,000 blocks, all of them hot, and then writes and runs others, in four places by turns.
 * The process with compiled code against the same without at the same time: guest memory and decoded instructions grow in both.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { launcherEnvironment, launcherOptions } from '../../test/drivers/launcher.js';
import { guestImage } from '../../test/guests/reports.js';
import type { Bench } from '../report.js';

const MAIN = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'cli', 'main.js');
/** Runs of each block: enough to be compiled. */
const EACH = 1_100;
/** What is left of one when another follows is seen in the second and third. */
const GENERATIONS = 3;
const DEADLINE_MS = 300_000;
const MIB = 1024;

function residentMib(pid: number | undefined): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / MIB;
}

/** Resident memory at the end of each of the first `generations` generations of code. Ends the process then. */
function generationsOf(generations: number, each: number, more: readonly string[]): Promise<readonly number[]> {
  const append = `run=cpu.cold ms=1 each=${each} generations=${GENERATIONS}`;
  const args = [
    ...launcherOptions(),
    MAIN,
    'run',
    '--kernel',
    guestImage('bench'),
    '--memory',
    '256M',
    '--append',
    append,
    ...more,
  ];
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

/** Reports `cpu.memory`: the most of three generations; a note has each. */
export async function measureMemory(bench: Bench): Promise<void> {
  // Without compiled code the memory does not depend on how often a block runs. The first start after a build takes some more.
  await generationsOf(1, 1, ['--no-jit']);
  const plain = await generationsOf(GENERATIONS, 1, ['--no-jit']);
  const compiled = await generationsOf(GENERATIONS, EACH, []);
  if (plain.length < GENERATIONS || compiled.length < GENERATIONS) {
    bench.note('cpu.memory: the guest did not get to its end');
    return;
  }
  const more = compiled.map((mib, n) => mib - (plain[n] ?? 0));
  const most = Math.max(...more);
  const text = (all: readonly number[]): string => all.map((mib) => mib.toFixed(0)).join(', ');
  bench.ratio('cpu.memory', most, 'MiB', `150 MB; ${text(plain)} MiB without compiled code`, most / 143, {
    op: '<=',
    bound: 1,
  });
  bench.note(`cpu.memory: ${text(more)} MiB after each 60,000 blocks`);
}
