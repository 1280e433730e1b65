/** A campaign from the command line; prints what differs and how to run it again. */
import { setFlagsFromString } from 'node:v8';
import { detectFeatures, featureKey } from '../../cpu/wasm/features.js';
import { InterpreterDriver } from '../drivers/interpreter-driver.js';
import { missingQemuTool, QemuDriver } from '../drivers/qemu-driver.js';
import { campaignOptions, wholeNumber } from '../harness/campaign-options.js';
import { runCampaign } from './campaign.js';

const values = campaignOptions(
  'npm run differential --',
  'Our interpreter, our JIT and qemu-aarch64 on random cases.',
  {
    seed: { help: 'of the cases', value: '1' },
    cases: { help: 'how many', value: '1000000' },
    block: { help: 'instructions of a case, at most', value: '1' },
    only: { help: 'parts of pattern names: those, and not those with a minus, separated by commas', value: '' },
    cpu: { help: "QEMU's model", value: 'max,pauth=off,sve=off' },
    sets: { help: 'cases of each word', value: '16' },
    jit: { help: 'compare regions alone with the handlers' },
    fused: { help: "generate code with the host's fused multiply-add, if it has one" },
    alone: { help: 'compare our own drivers only, without QEMU' },
  },
);
const [seed, cases, setsPerWord, blockWords] = (['seed', 'cases', 'sets', 'block'] as const).map((name) =>
  wholeNumber(name, values[name], 1),
) as [number, number, number, number];
if (values.fused) {
  setFlagsFromString('--experimental-wasm-relaxed-simd'); // Node 22 has it without
  detectFeatures();
  process.stdout.write(`generated code: ${featureKey()}\n`);
}
const missing = values.alone ? undefined : missingQemuTool();
if (missing !== undefined) process.stdout.write(`${missing} is absent: only our own drivers are compared\n`);
const qemu = values.alone || missing !== undefined ? undefined : new QemuDriver(values.cpu);
const started = performance.now();
const result = runCampaign({
  seed,
  cases,
  casesPerEntryMin: 0,
  only: values.only,
  setsPerWord,
  blockWords,
  drivers: values.jit ? [new InterpreterDriver('jit')] : [new InterpreterDriver('loop'), new InterpreterDriver('jit')],
  qemu,
});
qemu?.close();
for (const line of result.differences) process.stdout.write(`${line}\n`);
const fewest = [...result.perEntry].sort((a, b) => a[1] - b[1])[0];
process.stdout.write(
  `${result.cases} cases of ${result.perEntry.size} patterns in ${((performance.now() - started) / 1000).toFixed(1)} s, ` +
    `fewest ${fewest?.[1]} (${fewest?.[0]}), ${result.reviewed} reviewed, ${result.differences.length} differences; ` +
    `seed ${values.seed}\n`,
);
process.exitCode = result.differences.length === 0 ? 0 : 1;
