import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { codeBudgetOf, suitedArena, suitedBudget } from './code-budget.js';

const test = spec('bound on compiled code');
const MIB = 1 << 20;
/** Two mappings a module; the rest of 65,530 is the process's own. */
const MODULES_MAX = 30_000;

test('it grows with the memory, and the modules of all processors leave a process its mappings', () => {
  for (const mib of [64, 256]) {
    assert.equal(suitedBudget({ cpus: 1, ramBytes: mib * MIB }), { bytesMax: 9 * MIB, modulesMax: 720 });
  }
  const gigabyte = suitedBudget({ cpus: 1, ramBytes: 1024 * MIB });
  assert.ok(gigabyte.bytesMax > 40 * MIB && gigabyte.modulesMax > 3_000);
  for (let cpus = 1; cpus <= 8; cpus++) {
    for (const mib of [64, 256, 1024, 3072]) {
      const { bytesMax, modulesMax } = suitedBudget({ cpus, ramBytes: mib * MIB });
      assert.ok(bytesMax <= 64 * MIB && modulesMax >= 720 && modulesMax * cpus <= MODULES_MAX, `${cpus} ${mib}`);
    }
  }
});

test('decoded code has room as the memory allows, and all of it fits what generated code can address', () => {
  assert.is(suitedArena({ cpus: 1, ramBytes: 512 * MIB }), 96 * MIB);
  assert.is(suitedArena({ cpus: 2, ramBytes: 1024 * MIB }), 192 * MIB);
  for (let cpus = 1; cpus <= 8; cpus++) {
    const arena = suitedArena({ cpus, ramBytes: 3072 * MIB });
    assert.ok(arena >= 96 * MIB && arena * cpus + 3072 * MIB <= 3840 * MIB && arena % 4096 === 0, `${cpus}`);
  }
});

test('a budget given as text is KiB and modules', () => {
  assert.equal(codeBudgetOf('64:3'), { bytesMax: 65_536, modulesMax: 3 });
  assert.equal(codeBudgetOf('12288'), { bytesMax: 12 * MIB, modulesMax: 1000 });
  for (const text of [undefined, '', 'x', '1:', '12345678', '1:99999']) assert.is(codeBudgetOf(text), undefined, text);
});

test.run();
