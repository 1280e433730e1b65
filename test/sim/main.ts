/** `npm run sim -- --seed N [--runs M]`: replays simulated runs and says what happened in each. */
import { runScenario } from './scenario.js';

/** The whole number after `--name`, or `otherwise`. */
function option(name: string, otherwise: number): number {
  const at = process.argv.indexOf(`--${name}`);
  const value = at < 0 ? otherwise : Number(process.argv[at + 1]);
  if (!Number.isSafeInteger(value) || value < 0) {
    process.stderr.write(`sim: --${name} takes a whole number\n`);
    process.exit(64);
  }
  return value;
}

const first = option('seed', 1);
const runs = option('runs', 1);
let failed = 0;
for (let seed = first; seed < first + runs; seed++) {
  const run = await runScenario(seed);
  const faults = [...run.injected].map(([fault, count]) => `${fault} ${count}`).join(', ') || 'none';
  process.stdout.write(
    `seed ${seed}: ${run.steps} steps, ${run.simulatedMs.toFixed(1)} ms simulated, ${run.deaths} deaths, ` +
      `${run.restarts} restarts\n  faults: ${faults}\n  trace ${run.traceHash}\n`,
  );
  for (const problem of run.problems) process.stdout.write(`  PROBLEM: ${problem}\n`);
  failed += run.problems.length > 0 ? 1 : 0;
}
process.exitCode = failed > 0 ? 1 : 0;
