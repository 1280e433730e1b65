/** Every entry of the instruction table against qemu-aarch64. WURLEY_CASES and WURLEY_SEED set size and seed. */
import * as assert from 'uvu/assert';
import { InterpreterDriver } from '../drivers/interpreter-driver.js';
import { missingQemuTool, QemuDriver } from '../drivers/qemu-driver.js';
import { spec } from '../harness/spec.js';
import { runCampaign, testable } from './campaign.js';

const CASES = Number(process.env['WURLEY_CASES'] ?? 1_000_000);
const SEED = Number(process.env['WURLEY_SEED'] ?? 0x5eed);
const CASES_PER_ENTRY_MIN = 1000;
const BLOCK_WORDS = 8;

const test = spec('differential/instructions');
const missing = missingQemuTool();
if (missing !== undefined) test.skip('handlers = loop = qemu-aarch64', `${missing} is absent`);
else {
  test(
    `handlers = loop = regions = qemu-aarch64 on ${CASES} cases`,
    () => {
      const qemu = new QemuDriver();
      const drivers = [new InterpreterDriver('loop'), new InterpreterDriver('jit')];
      const result = runCampaign({ seed: SEED, cases: CASES, only: '', blockWords: 1, drivers, qemu });
      qemu.close();
      assert.equal(result.differences, []);
      assert.ok(result.cases >= CASES);
      for (const { name } of testable('')) {
        const ran = result.perEntry.get(name) ?? 0;
        assert.ok(ran >= Math.min(CASES_PER_ENTRY_MIN, CASES / 1000), `${name} ran only ${ran} times`);
      }
    },
    { deadlineMs: 600_000 },
  );
  test(
    `the same on ${CASES / 4} blocks of up to ${BLOCK_WORDS} instructions`,
    () => {
      const qemu = new QemuDriver();
      const drivers = [new InterpreterDriver('loop'), new InterpreterDriver('jit')];
      const result = runCampaign({ seed: SEED, cases: CASES / 4, only: '', blockWords: BLOCK_WORDS, drivers, qemu });
      qemu.close();
      assert.equal(result.differences, []);
    },
    { deadlineMs: 600_000 },
  );
}

test.run();
