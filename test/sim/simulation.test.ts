import * as assert from 'uvu/assert';
import { spec } from '../harness/spec.js';
import { runScenario } from './scenario.js';

const test = spec('deterministic simulation');
const SEEDS = 500;

test(
  `${SEEDS} seeds, each run twice, have equal traces and break no invariant`,
  async () => {
    const injected = new Map<string, number>();
    const hashes = new Set<string>();
    let deaths = 0;
    let simulatedMs = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const first = await runScenario(seed);
      const second = await runScenario(seed);
      assert.is(second.traceHash, first.traceHash, `seed ${seed} does not replay`);
      assert.equal(first.problems, [], `seed ${seed} (npm run sim -- --seed ${seed})`);
      for (const [fault, count] of first.injected) injected.set(fault, (injected.get(fault) ?? 0) + count);
      hashes.add(first.traceHash);
      deaths += first.deaths;
      simulatedMs += first.simulatedMs;
    }
    assert.is(hashes.size, SEEDS, 'different seeds are different runs');
    assert.is(injected.size, 13, `every kind of fault was injected: ${[...injected.keys()].join(', ')}`);
    assert.ok(deaths > SEEDS, `${deaths} deaths`);
    const counts = [...injected].map(([fault, count]) => `${fault} ${count}`).join(', ');
    process.stdout.write(`  ${Math.round(simulatedMs / 1000)} s simulated, ${deaths} deaths; faults: ${counts}\n`);
  },
  { deadlineMs: 240_000 },
);

test.run();
