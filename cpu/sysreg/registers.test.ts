import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { STATE, STATE_BYTES } from '../state.js';
import { sysregKey, sysregName } from './encoding.js';
import { REGISTER_BY_KEY, SYSTEM_REGISTERS, sysregKeyOf, sysregSlot } from './registers.js';

const test = spec('sysreg/registers');

test('no two rows have the same encoding or name', () => {
  assert.is(new Set(SYSTEM_REGISTERS.map((row) => row.key)).size, SYSTEM_REGISTERS.length);
  assert.is(new Set(SYSTEM_REGISTERS.map((row) => row.name)).size, SYSTEM_REGISTERS.length);
  assert.is(REGISTER_BY_KEY.size, SYSTEM_REGISTERS.length);
});

test('stored registers have places of their own inside the state block', () => {
  const places = SYSTEM_REGISTERS.filter((row) => row.at >= 0).map((row) => row.at);
  assert.is(new Set(places).size, places.length);
  for (const at of places) assert.ok(at >= STATE.sysregs && at + 8 <= STATE_BYTES && at % 8 === 0);
});

test('what generated code accesses inline has storage, no effect and no reserved bits', () => {
  for (const row of SYSTEM_REGISTERS.filter((r) => r.plain)) {
    assert.ok(row.at >= 0 && row.effect === 'none', row.name);
    assert.is(row.writable, 2n ** 64n - 1n, row.name);
  }
});

test('reset values contain the bits that are always one, and only bits that exist', () => {
  for (const row of SYSTEM_REGISTERS.filter((r) => r.at >= 0 && r.write !== 'never')) {
    assert.is(row.reset & row.ones, row.ones, row.name);
    assert.is(row.reset & ~(row.writable | row.ones), 0n, row.name);
  }
});

test('the whole identification space can be read at EL1 and not at EL0', () => {
  for (let crm = 1; crm < 8; crm++) {
    for (let op2 = 0; op2 < 8; op2++) {
      const row = REGISTER_BY_KEY.get(sysregKey(3, 0, 0, crm, op2));
      assert.ok(row !== undefined && row.read === 1 && row.write === 'never', `C${crm} ${op2}`);
    }
  }
});

test('keys are the encoding in a trap syndrome', () => {
  // MRS of CNTVCT_EL0 from EL0 with Rt = 3, as the Arm ARM lays the fields out.
  assert.is(sysregKeyOf('CNTVCT_EL0') | (3 << 5) | 1, (3 << 20) | (2 << 17) | (3 << 14) | (14 << 10) | (3 << 5) | 1);
  assert.is(sysregName(sysregKeyOf('TTBR1_EL1')), 'S3_0_C2_C0_1');
  assert.throws(() => sysregSlot('MIDR_EL1'));
});

test.run();
