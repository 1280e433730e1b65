/**
 * Every entry of the instruction table: our interpreter's handlers, its loop, compiled regions and qemu-aarch64 agree.
 * WURLEY_CASES and WURLEY_SEED set size and seed; compiled code meets the interpreter on ten times as many cases.
 */
import * as assert from 'uvu/assert';
import { InterpreterDriver } from '../drivers/interpreter-driver.js';
import { missingQemuTool, QemuDriver } from '../drivers/qemu-driver.js';
import { spec } from '../harness/spec.js';
import { type CampaignResult, runCampaign, testable } from './campaign.js';

const CASES = Number(process.env['WURLEY_CASES'] ?? 1_000_000);
/** Cases of compiled code against the interpreter, as many in every run. */
const REGION_CASES = 10 * CASES;
const SEED = Number(process.env['WURLEY_SEED'] ?? 0x5eed);
/** Least number of cases of each entry under QEMU, for a whole run. */
const CASES_PER_ENTRY_MIN = Math.min(1000, Math.floor(CASES / 1000));
const BLOCK_WORDS = 8;
const DEADLINE_MS = 1_200_000;

const test = spec('differential/instructions');
const drivers = () => [new InterpreterDriver('loop'), new InterpreterDriver('jit')];

function reportsNothing(result: CampaignResult, casesMin: number): void {
  assert.equal(result.differences, []);
  assert.ok(result.cases >= casesMin, `${result.cases} cases`);
}

const missing = missingQemuTool();
if (missing !== undefined) test.skip('handlers = loop = regions = qemu-aarch64', `${missing} is absent`);
else {
  test(
    `handlers = loop = regions = qemu-aarch64 on ${CASES} cases, ${CASES_PER_ENTRY_MIN} of each pattern`,
    () => {
      const qemu = new QemuDriver();
      const casesPerEntryMin = CASES_PER_ENTRY_MIN;
      const what = { seed: SEED, cases: CASES, casesPerEntryMin, only: '', setsPerWord: 16, blockWords: 1 };
      const result = runCampaign({ ...what, drivers: drivers(), qemu });
      qemu.close();
      reportsNothing(result, CASES);
      for (const { name } of testable('')) {
        const ran = result.perEntry.get(name) ?? 0;
        assert.ok(ran >= casesPerEntryMin, `${name} ran only ${ran} times`);
      }
    },
    { deadlineMs: DEADLINE_MS },
  );
  test(
    `the same on ${CASES / 4} blocks of up to ${BLOCK_WORDS} instructions`,
    () => {
      const qemu = new QemuDriver();
      const what = {
        seed: SEED,
        cases: CASES / 4,
        casesPerEntryMin: 0,
        only: '',
        setsPerWord: 16,
        blockWords: BLOCK_WORDS,
      };
      const result = runCampaign({ ...what, drivers: drivers(), qemu });
      qemu.close();
      reportsNothing(result, CASES / 4);
    },
    { deadlineMs: DEADLINE_MS },
  );
}

test(
  `handlers = regions on ${REGION_CASES} further cases`,
  () => {
    const what = { seed: SEED + 1, cases: REGION_CASES, casesPerEntryMin: 0, only: '', setsPerWord: 64, blockWords: 1 };
    const result = runCampaign({ ...what, drivers: [new InterpreterDriver('jit')], qemu: undefined });
    reportsNothing(result, REGION_CASES);
  },
  { deadlineMs: DEADLINE_MS },
);

test.run();
