/**
 * The guest programs on QEMU: the suite passes, programs print what is expected, benchmark kernels have their
 * checksums, and the committed images are what the sources give.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { qemuSystemVersion, runUnderQemu } from '../drivers/qemu-system.js';
import { spec } from '../harness/spec.js';
import { type GuestName, guestImage, guestsFolder, parseBench, parseSuite } from './reports.js';

const test = spec('guests');
const testOnQemu = (title: string, body: () => Promise<void>, deadlineMs: number): void => {
  if (qemuSystemVersion() === undefined) test.skip(title, 'qemu-system-aarch64 is not installed');
  else test(title, body, { deadlineMs });
};

/** Architectural behaviour that QEMU 7.2 lacks; README.md describes each. */
const QEMU_DEVIATIONS = 'deviations=sp-alignment,device-alignment,level-0-block,daifset-syndrome,aarch32-return';

/** The console of an image that must end by itself. */
async function consoleOf(name: GuestName, cpu: string, cpus: number, bootargs: string): Promise<string> {
  const run = { image: guestImage(name), cpus, memoryMiB: 256, bootargs, cpu, deadlineMs: 110_000 };
  const outcome = await runUnderQemu(run);
  if (!outcome.ok) throw new Error(`${name}: ${outcome.error.text}\n${outcome.error.console}`);
  return outcome.value.console;
}

for (const [cpu, cpus] of [
  ['cortex-a53', 2],
  ['cortex-a53', 1],
  ['max', 2],
] as const) {
  testOnQemu(
    `the guest suite passes on ${cpu} with ${cpus} CPU(s)`,
    async () => {
      const report = parseSuite(await consoleOf('suite', cpu, cpus, QEMU_DEVIATIONS));
      assert.ok(report !== undefined, 'the suite reached its end');
      assert.equal(report.failures, []);
      assert.ok(report.passed - report.skipped.length >= 70, `${report.passed} passed`);
    },
    120_000,
  );
}

testOnQemu(
  'the guest suite notices what the deviations hide',
  async () => {
    const report = parseSuite(await consoleOf('suite', 'cortex-a53', 1, 'only=alignment'));
    assert.ok(report !== undefined && report.passed > 0, 'the suite reached its end');
    assert.is(report.passed + report.failed, 5);
  },
  60_000,
);

for (const level of [0, 1, 2, 3] as const) {
  testOnQemu(
    `programs at -O${level} print what is expected`,
    async () => {
      const expected = readFileSync(join(guestsFolder, 'expected', `programs-O${level}.txt`), 'utf8');
      assert.is(await consoleOf(`programs-O${level}`, 'cortex-a53', 1, ''), expected);
    },
    60_000,
  );
}

testOnQemu(
  'every benchmark kernel has its checksum',
  async () => {
    const lines = parseBench(await consoleOf('bench', 'cortex-a53', 2, 'ms=5'));
    assert.ok(lines !== undefined, 'the benchmark reached its end');
    const expected = readFileSync(join(guestsFolder, 'expected', 'bench.txt'), 'utf8');
    assert.is(lines.map((line) => `${line.name} ${line.checksum}\n`).join(''), expected);
    for (const line of lines) assert.ok(line.iterations > 0 && line.ns > 0, line.name);
  },
  120_000,
);

const build = (folder: string) => spawnSync('sh', [join(guestsFolder, 'build.sh'), folder], { encoding: 'utf8' });
const COMPILER = 'aarch64-linux-gnu-gcc';
const compiler = spawnSync(COMPILER, ['--version'], { encoding: 'utf8' });
if (compiler.status !== 0) {
  test.skip('building twice gives the same images', `${COMPILER} is not installed`);
} else {
  test(
    'building twice gives the same images, and the committed ones with the same compiler',
    () => {
      const folders = [mkdtempSync(join(tmpdir(), 'guests-a-')), mkdtempSync(join(tmpdir(), 'guests-b-'))] as const;
      try {
        for (const folder of folders) assert.is(build(folder).status, 0);
        const recorded = readFileSync(join(guestsFolder, 'bin', 'compiler.txt'), 'utf8');
        const same = readFileSync(join(folders[0], 'compiler.txt'), 'utf8') === recorded;
        for (const file of readdirSync(folders[0])) {
          const image = readFileSync(join(folders[0], file));
          assert.ok(image.equals(readFileSync(join(folders[1], file))), `${file} is the same twice`);
          assert.ok(!image.includes(guestsFolder), `${file} names no build path`);
          const committed = join(guestsFolder, file === 'lab.elf' ? '../../cli/lab/guests' : 'bin', file);
          if (same) assert.ok(image.equals(readFileSync(committed)), `${file} is current`);
        }
      } finally {
        for (const folder of folders) rmSync(folder, { recursive: true, force: true });
      }
    },
    { deadlineMs: 120_000 },
  );
}

test.run();
