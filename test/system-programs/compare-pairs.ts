/** Pairs of programs on two vCPUs under `wurley run` and under QEMU, and what is wrong with the results. */
import { runUnderQemu } from '../drivers/qemu-system.js';
import { runUnderWurley } from '../drivers/wurley.js';
import { buildPairsImage, type Halves, type PairResult, pairProgram, pairResults } from './pairs.js';

const DEADLINE_MS = 400_000;

/** Runs `pairs` on both machines, `qemu` only where its results are wanted. */
export async function runPairs(
  pairs: readonly Halves[],
  qemu = true,
): Promise<{ readonly ours: readonly PairResult[]; readonly qemus: readonly PairResult[] }> {
  const image = buildPairsImage(pairs);
  try {
    const run = { cpus: 2, memoryMiB: 256, bootargs: '', deadlineMs: DEADLINE_MS };
    // No interleaving changes a digest, so QEMU may have the vCPUs in turn.
    const [oracle, wurley] = await Promise.all([
      qemu ? runUnderQemu({ ...run, image: image.file, cpu: 'neoverse-n1', oneThread: true }) : undefined,
      runUnderWurley({ ...run, boot: ['--kernel', image.file] }),
    ]);
    const text = (ran: typeof wurley | NonNullable<typeof oracle>): string =>
      ran.ok ? ran.value.console : ran.error.console + ran.error.text;
    return {
      ours: resultsOf('wurley', text(wurley), pairs.length),
      qemus: oracle === undefined ? [] : resultsOf('QEMU', text(oracle), pairs.length),
    };
  } finally {
    image.dispose();
  }
}

function resultsOf(place: string, console: string, count: number): PairResult[] {
  const results = pairResults(console);
  if (results?.length === count) return results;
  throw new Error(`${place}: the image ended with ${JSON.stringify(console.trimEnd().split('\n').slice(-6))}`);
}

/**
 * What is wrong with the pairs of `seeds`, a line each. QEMU up to 7.2 itself lets a LDAR overtake an earlier STLR (it puts no
 * barrier between them), which is why those outcomes are in no digest.
 */
export async function comparePairs(seeds: readonly number[]): Promise<string[]> {
  const { ours, qemus } = await runPairs(seeds.map(pairProgram));
  const wrong: string[] = [];
  for (const [i, seed] of seeds.entries()) {
    const [our, qemu] = [ours[i], qemus[i]];
    if (our === undefined || qemu === undefined) continue;
    if (our.digest !== qemu.digest) wrong.push(`pair ${seed}: ${our.digest}, under QEMU ${qemu.digest}`);
    if (our.forbidden !== 0) wrong.push(`pair ${seed}: ${our.forbidden} forbidden outcomes`);
    if (our.overtaken !== 0) wrong.push(`pair ${seed}: LDAR overtook STLR ${our.overtaken} times`);
    if (qemu.forbidden !== 0) wrong.push(`pair ${seed}: ${qemu.forbidden} forbidden outcomes under QEMU`);
  }
  return wrong;
}

/** The assembly of both halves of a pair, for a report. */
export function listPair(seed: number): string {
  return pairProgram(seed)
    .map((half) => half.join('\n'))
    .join('\n---\n');
}
