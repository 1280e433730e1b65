/** Random programs on two CPUs end under `wurley run` with what they end with under QEMU, on whatever interleaving. */
import * as assert from 'uvu/assert';
import { qemuSystemVersion, runUnderQemu } from '../drivers/qemu-system.js';
import { runUnderWurley } from '../drivers/wurley.js';
import { spec } from '../harness/spec.js';
import { missingImageTool } from './image.js';
import { buildPairsImage, pairProgram } from './pairs.js';

const PAIRS = Number(process.env['WURLEY_PAIRS'] ?? 1000);
const SEED = Number(process.env['WURLEY_SEED'] ?? 1);
const DEADLINE_MS = 400_000;

const test = spec('system-programs on two CPUs');
const missing = missingImageTool() ?? (qemuSystemVersion() === undefined ? 'qemu-system-aarch64' : undefined);
const title = `${PAIRS} random pairs of programs on two vCPUs: wurley run = qemu-system-aarch64`;

/** How often pairs that differed are run again. */
const REPEATS = 4;

/** Those of `seeds` whose programs end differently. */
async function differingOf(seeds: readonly number[]): Promise<number[]> {
  const image = buildPairsImage([...seeds]);
  try {
    const run = { cpus: 2, memoryMiB: 256, bootargs: '', deadlineMs: DEADLINE_MS };
    const qemu = await runUnderQemu({ ...run, image: image.file, cpu: 'neoverse-n1' });
    const expected = digests('QEMU', qemu.ok ? qemu.value.console : qemu.error.console + qemu.error.text);
    assert.is(expected.length, seeds.length);
    const wurley = await runUnderWurley({ ...run, boot: ['--kernel', image.file] });
    const ours = digests('wurley', wurley.ok ? wurley.value.console : wurley.error.console + wurley.error.text);
    return seeds.filter((_, i) => ours[i] !== expected[i]);
  } finally {
    image.dispose();
  }
}

/** The console's lines without the closing `done`. */
function digests(place: string, console: string): string[] {
  const lines = console.trimEnd().split('\n');
  if (lines.at(-1) !== 'done') throw new Error(`${place}: the image ended with ${JSON.stringify(lines.slice(-6))}`);
  return lines.slice(0, -1);
}

if (missing !== undefined) test.skip(title, `${missing} is absent`);
else {
  test(
    title,
    async () => {
      const seeds = Array.from({ length: PAIRS }, (_, i) => SEED + i);
      let differing = await differingOf(seeds);
      // A known fault (docs/SPECIFICATION.md): about one pair in two thousand ends differently once and not again. It is said, and
      // what differs every time fails.
      if (differing.length > 0) process.stdout.write(`  differed once: pairs ${differing.join()}\n`);
      for (let again = 0; again < REPEATS && differing.length > 0; again++) differing = await differingOf(differing);
      const [seed] = differing;
      if (seed !== undefined) {
        const [first, second] = pairProgram(seed);
        assert.unreachable(
          `pairs ${differing.join()} differ; ${seed}:\n${first.join('\n')}\n---\n${second.join('\n')}`,
        );
      }
    },
    { deadlineMs: 3 * DEADLINE_MS },
  );
}

test.run();
