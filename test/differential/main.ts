/**
 * A campaign from the command line; prints what differs and how to run it again.
 *
 * Usage: node dist/test/differential/main.js [--seed N] [--cases N] [--block WORDS-MAX] [--only PART,PART,-PART] [--cpu QEMU-CPU] [--no-qemu] [--jit] [--sets N] [--fused]
 * --jit compares regions alone with the handlers; --sets: cases of each word.
 * --fused generates code with the host's fused multiply-add, if it has one.
 */
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { detectFeatures, featureKey } from '../../cpu/wasm/features.js';
import { InterpreterDriver } from '../drivers/interpreter-driver.js';
import { missingQemuTool, QemuDriver } from '../drivers/qemu-driver.js';
import { runCampaign } from './campaign.js';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    cases: { type: 'string', default: '1000000' },
    block: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
    cpu: { type: 'string', default: 'max,pauth=off,sve=off' },
    'no-qemu': { type: 'boolean', default: false },
    fused: { type: 'boolean', default: false },
    sets: { type: 'string', default: '16' },
    jit: { type: 'boolean', default: false },
  },
});
if (values.fused) {
  setFlagsFromString('--experimental-wasm-relaxed-simd'); // Node 22 has it without
  detectFeatures();
  process.stdout.write(`generated code: ${featureKey()}\n`);
}
const missing = values['no-qemu'] ? undefined : missingQemuTool();
if (missing !== undefined) process.stdout.write(`${missing} is absent: only our own drivers are compared\n`);
const qemu = values['no-qemu'] || missing !== undefined ? undefined : new QemuDriver(values.cpu);
const started = performance.now();
const result = runCampaign({
  seed: Number(values.seed),
  cases: Number(values.cases),
  casesPerEntryMin: 0,
  only: values.only,
  setsPerWord: Number(values.sets),
  blockWords: Number(values.block),
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
