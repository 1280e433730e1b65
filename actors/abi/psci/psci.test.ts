/** PSCI by its table: identifiers, answers and errors of DEN 0022. */
import * as assert from 'uvu/assert';
import { spec } from '../../../test/harness/spec.js';
import { NO_RETURN, PSCI_FUNCTIONS, type PsciServices } from './psci.js';

const test = spec('psci');

function services(calls: string[], takesAnyReset = false): PsciServices {
  const ids = new Set(PSCI_FUNCTIONS.map((row) => row.id));
  return {
    self: 0,
    cpuOf: (mpidr) => (mpidr < 2n ? Number(mpidr) : -1),
    power: (cpu) => (cpu === 0 ? 0 : 1),
    powerOn(cpu) {
      calls.push(`on ${cpu}`);
      return cpu === 1;
    },
    isMemory: (ipa) => ipa >= 0x4000_0000n,
    end: (reason) => calls.push(`end ${reason}`),
    endByReset: ({ type, cookie, isWide }) => calls.push(`reset ${type} ${cookie} ${isWide}`),
    takesAnyReset,
    powerOff: () => calls.push('off'),
    suspend: () => calls.push('suspend'),
    implements: (id) => ids.has(id),
  };
}

function call(id: number, args: readonly bigint[] = [], takesAny = false): { answer: unknown; calls: string[] } {
  const calls: string[] = [];
  const found = PSCI_FUNCTIONS.find((row) => row.id === id);
  assert.ok(found !== undefined, `function ${id.toString(16)} exists`);
  const [a = 0n, b = 0n, c = 0n] = args;
  return { answer: found?.handle(services(calls, takesAny), [a, b, c]), calls };
}

test('identifiers are unsigned and unique', () => {
  const ids = PSCI_FUNCTIONS.map((row) => row.id);
  assert.is(new Set(ids).size, ids.length);
  assert.ok(ids.every((id) => id >= 0x8400_0000 && id <= 0xc400_001f));
});
test('CPU_ON', () => {
  assert.equal(call(0xc400_0003, [1n, 0x4020_0000n, 5n]), { answer: 0, calls: ['on 1'] });
  assert.is(call(0xc400_0003, [0n, 0x4020_0000n]).answer, -4);
  assert.is(call(0xc400_0003, [7n, 0x4020_0000n]).answer, -2);
  assert.is(call(0xc400_0003, [1n << 31n, 0x4020_0000n]).answer, -2);
  assert.is(call(0xc400_0003, [1n, 0x1000n]).answer, -9);
});
test('AFFINITY_INFO', () => {
  assert.is(call(0xc400_0004, [0n, 0n]).answer, 0);
  assert.is(call(0xc400_0004, [1n, 0n]).answer, 1);
  assert.is(call(0xc400_0004, [2n, 0n]).answer, -2);
  assert.is(call(0xc400_0004, [0n, 4n]).answer, -2);
});
test('features, version, migration', () => {
  assert.is(call(0x8400_0000).answer, 0x1_0001);
  assert.is(call(0x8400_0006).answer, 2);
  assert.is(call(0x8400_000a, [0xc400_0003n]).answer, 0);
  assert.is(call(0x8400_000a, [0x8400_001fn]).answer, -1);
});
test('ends', () => {
  assert.equal(call(0x8400_0008), { answer: NO_RETURN, calls: ['end 1'] });
  assert.equal(call(0x8400_0009), { answer: NO_RETURN, calls: ['end 2'] });
  assert.equal(call(0xc400_0012, [0n]), { answer: NO_RETURN, calls: ['reset 0 0 true'] });
  assert.is(call(0xc400_0012, [5n]).answer, -2);
  assert.equal(call(0x8400_0002), { answer: NO_RETURN, calls: ['off'] });
});
test('SYSTEM_RESET2: where any type is taken, it and the cookie are told', () => {
  const wide = call(0xc400_0012, [0x1_8000_0007n, 5n << 40n], true);
  assert.equal(wide, { answer: NO_RETURN, calls: [`reset ${0x8000_0007} ${5n << 40n} true`] });
  assert.equal(call(0x8400_0012, [9n, 6n], true), { answer: NO_RETURN, calls: ['reset 9 6 false'] });
  assert.is(call(0x8400_0012, [0x8000_0007n, 6n]).answer, -1);
});
test('CPU_SUSPEND refuses reserved bits', () => {
  assert.equal(call(0xc400_0001, [0n]), { answer: 0, calls: ['suspend'] });
  assert.is(call(0xc400_0001, [0x8000_0000n]).answer, -2);
});
test.run();
