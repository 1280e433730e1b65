/** Damaged files through the whole of `wurley run`: one sentence that names the file, exit code 65, soon. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import * as assert from 'uvu/assert';
import { planBoot } from '../../devices/machine/boot-plan.js';
import { machineTree } from '../../devices/machine/device-tree/machine-tree.js';
import { writeTree } from '../../devices/machine/device-tree/write-tree.js';
import { SAMPLE_ELF, SAMPLE_REQUEST, sampleImage } from '../../test/harness/kernel-samples.js';
import { mutate, seededRandom } from '../../test/harness/mutations.js';
import { spec } from '../../test/harness/spec.js';
import { hostUnpackers } from '../image/unpackers.js';

const test = spec('damaged files through wurley run');
const MAIN = join(dirname(fileURLToPath(import.meta.url)), '..', 'main.js');
const EACH = 6;
/** The largest file that is read at all has 512 MiB. */
const BYTES_MAX_KIB = 1024 * 1024;

interface End {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
  /** Greatest resident memory that was seen, in KiB. */
  readonly peakKib: number;
}

/** Runs `wurley run` and watches its memory. */
function run(args: readonly string[]): Promise<End> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [MAIN, 'run', ...args, '--timeout', '20'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [out, err] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      err += chunk.toString();
    });
    let peakKib = 0;
    const sampling = setInterval(() => {
      const seen = residentKib(child.pid ?? 0);
      peakKib = Math.max(peakKib, seen);
    }, 50);
    child.on('close', (code) => {
      clearInterval(sampling);
      resolve({ code, out, err, peakKib });
    });
  });
}

/** Resident memory of a process in KiB; 0 where that cannot be known. */
function residentKib(pid: number): number {
  try {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

/** `count` damaged copies of `sample` that the planner refuses: what the command must say something about. */
async function refusedCopies(sample: Uint8Array, field: 'kernel' | 'deviceTree', count: number): Promise<Uint8Array[]> {
  const random = seededRandom(sample.length);
  const copies: Uint8Array[] = [];
  while (copies.length < count) {
    const bytes = mutate(sample, random, 64);
    if (bytes.length === 0) continue;
    const plan = await planBoot({ ...SAMPLE_REQUEST, acpi: 'off', [field]: { file: 'bad', bytes } }, hostUnpackers);
    if (!plan.ok) copies.push(bytes);
  }
  return copies;
}

const folder = mkdtempSync(join(tmpdir(), 'wurley-damaged-'));
const good = join(folder, 'good');
writeFileSync(good, sampleImage());

async function refuses(option: string, bytes: Uint8Array): Promise<void> {
  const bad = join(folder, 'bad');
  writeFileSync(bad, bytes);
  const args = option === '--kernel' || option === '--firmware' ? [option, bad] : ['--kernel', good, option, bad];
  const { code, out, err, peakKib } = await run(args);
  assert.is(code, 65, `${option}: ${out}${err}`);
  assert.is(out, '');
  assert.match(err, /^wurley: [^\n]{5,400}\.\n$/);
  assert.ok(err.includes(bad), err);
  assert.ok(peakKib < BYTES_MAX_KIB, `${peakKib} KiB`);
}

const tree = writeTree(machineTree(SAMPLE_REQUEST.machine, { bootArguments: '' }));
const kinds: readonly (readonly [string, string, () => Promise<readonly Uint8Array[]>])[] = [
  ['Image', '--kernel', () => refusedCopies(sampleImage(), 'kernel', EACH)],
  ['ELF', '--kernel', () => refusedCopies(SAMPLE_ELF, 'kernel', EACH)],
  ['gzip', '--kernel', () => refusedCopies(gzipSync(sampleImage()), 'kernel', EACH)],
  ['device tree', '--dtb', () => refusedCopies(tree, 'deviceTree', EACH)],
  ['gzip bomb', '--kernel', async () => [gzipSync(Buffer.alloc(1 << 30), { level: 1 })]],
  [
    'initial RAM disk that does not fit',
    '--initrd',
    async () => [new Uint8Array(600 << 20), new Uint8Array(511 << 20)],
  ],
  ['firmware that does not fit', '--firmware', async () => [new Uint8Array(200 << 20)]],
];
for (const [name, option, make] of kinds) {
  test(
    `${name}: refused in a sentence`,
    async () => {
      for (const bytes of await make()) await refuses(option, bytes);
    },
    { deadlineMs: 240_000 },
  );
}
test('the folder goes', () => rmSync(folder, { recursive: true }));
test.run();
