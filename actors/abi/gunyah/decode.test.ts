/** Call forms and identification (gunyah.md 1.1, 1.3): what is a hypercall, what a service, what nothing. */
import * as assert from 'uvu/assert';
import { GuestBench } from '../../../test/fixtures/gunyah/guest-bench.js';
import { spec } from '../../../test/harness/spec.js';
import { HYPERCALLS } from './calls.js';
import { decodeCall } from './decode.js';

const test = spec('gunyah call forms');
const NOTHING = { is: 'nothing' };

test('the native form is an immediate of HVC from 0x6000 to 0x61ff', () => {
  assert.equal(decodeCall('hvc', 0x6000, 5), { is: 'hypercall', n: 0, shift: 0 });
  assert.equal(decodeCall('hvc', 0x61ff, 5), { is: 'hypercall', n: 0x1ff, shift: 0 });
  assert.equal(decodeCall('hvc', 0x5fff, 0xc600_8000), NOTHING);
  assert.equal(decodeCall('hvc', 0x6200, 0xc600_8000), NOTHING);
  assert.equal(decodeCall('smc', 0x6000, 0xc600_8000), NOTHING);
});
test('the SMCCC form is 0xC6008000 | n by HVC #0 and SMC #0, fast and 64-bit, with bits 23:17 zero', () => {
  for (const instruction of ['hvc', 'smc'] as const) {
    assert.equal(decodeCall(instruction, 0, 0xc600_801b), { is: 'hypercall', n: 0x1b, shift: 1 });
    assert.equal(decodeCall(instruction, 0, 0xc601_801b), { is: 'hypercall', n: 0x1b, shift: 1 }); // SVE hint
    assert.equal(decodeCall(instruction, 0, 0xc602_801b), NOTHING);
    assert.equal(decodeCall(instruction, 0, 0x8600_801b), NOTHING); // not 64-bit
    assert.equal(decodeCall(instruction, 0, 0x4600_801b), NOTHING); // not fast
    assert.equal(decodeCall(instruction, 0, 0xc600_401b), NOTHING); // class 01 is unused
  }
});
test('service and platform calls are fast and 32-bit', () => {
  assert.equal(decodeCall('hvc', 0, 0x8600_ff01), { is: 'service', id: 0x8600_ff01 });
  assert.equal(decodeCall('hvc', 0, 0xc600_ff01), NOTHING);
  assert.equal(decodeCall('smc', 0, 0x8600_0006), { is: 'platform', id: 0x8600_0006 });
  assert.equal(decodeCall('hvc', 0, 0x8500_ff01), { is: 'service', id: 0x8500_ff01 });
  assert.equal(decodeCall('hvc', 0, 0x8400_0000), { is: 'arch', id: 0x8400_0000 });
  assert.equal(decodeCall('hvc', 0, 0x8200_0000), NOTHING);
});
test('numbers of the table are unique and inside the native range', () => {
  assert.is(new Set(HYPERCALLS.map(({ n }) => n)).size, HYPERCALLS.length);
  assert.ok(HYPERCALLS.every(({ n }) => n >= 0 && n < 0x200));
  assert.is(new Set(HYPERCALLS.map(({ name }) => name)).size, HYPERCALLS.length);
});
test('identify answers API version 1 and the features there are', () => {
  const bench = new GuestBench();
  const [info, flags0, flags1, flags2] = bench.caller(bench.vm()).call(0);
  assert.is(info & 0x3fff, 1);
  assert.is(info & 0x8000, 0x8000);
  // partitions, doorbell, message queue, VIC, VPM, vCPU, memory extents, trace, watchdog, virtio-mmio, PRNG, vcpu_run
  assert.is(flags0, 0x1000_0fffn);
  assert.equal([flags1, flags2], [0n, 0n]);
});
test('numbers nobody has, and calls the public hypervisor does not have, answer UNIMPLEMENTED', () => {
  const bench = new GuestBench();
  const caller = bench.caller(bench.vm());
  for (const n of [0x01, 0x08, 0x0e, 0x0f, 0x16, 0x1e, 0x24, 0x33, 0x35, 0x36, 0x37, 0x49, 0x69, 0x6a, 0x1ff, 0x3fff]) {
    assert.is(caller.call(n, 1, 2, 3)[0], -1, n.toString(16));
  }
});
test.run();
