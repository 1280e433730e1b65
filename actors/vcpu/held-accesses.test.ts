/** Accesses that a runner answers: held, answered, tried again, refused (gunyah.md 2.7, 2.9). */
import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { VM_BLOCK_BYTES } from '../shared-state/vm/vm-block.js';
import { VmmioRanges } from '../shared-state/vm/vmmio-ranges.js';
import { HeldAccesses } from './held-accesses.js';

const test = spec('held accesses');
/** `ldr w0, [x1]`, and what has no full syndrome: `ldp`, post-indexed `ldr`, `ldxr`, `ldadd`, `ldr q0`. */
const LOAD = 0xb940_0020;
const NOT_DECODABLE = [0xa940_0440, 0xf840_8420, 0xc85f_7c20, 0xb820_0020, 0x3dc0_0020];
/** Register offset, unscaled, LDAR, STR and byte loads have one. */
const DECODABLE = [LOAD, 0xf862_6820, 0xf840_1020, 0x88df_fc20, 0xf900_0020, 0x3940_0020];

function make(pageFaults = false, proxied = true) {
  const ranges = new VmmioRanges(new SharedArrayBuffer(VM_BLOCK_BYTES), { at: 0 });
  ranges.replace([{ base: 0x1000, bytes: 0x1000 }]);
  return new HeldAccesses({ ranges, isProxied: () => proxied, isUnmapped: (ipa) => ipa < 0x8000, pageFaults });
}

test('a read leaves, and gives what was answered when it is executed again', () => {
  const held = make();
  assert.is(held.read(0x1040, 4), undefined);
  assert.ok(held.isHeld);
  assert.equal(held.take(LOAD), { state: 4, data: [0x1040n, 4n, 0n] });
  assert.not.ok(held.isHeld);
  held.resume(0x1_2345_6789n, 0);
  assert.is(held.read(0x1040, 4), 0x2345_6789n);
  assert.is(held.read(0x1040, 4), undefined, 'the answer is for one access');
});

test('an answer outlives a turn that ended before the instruction was executed again', () => {
  const held = make();
  held.read(0x1040, 4);
  held.take(LOAD);
  held.resume(7n, 0);
  held.resume(0n, 0); // the next turn, after an exit that asked nothing
  assert.is(held.read(0x1040, 4), 7n);
});

test('a write leaves with its value; retry asks again; fault is an abort', () => {
  const held = make();
  assert.not.ok(held.write(0x1000, 8, 77n));
  assert.equal(held.take(LOAD), { state: 5, data: [0x1000n, 8n, 77n] });
  held.resume(0n, 1);
  assert.not.ok(held.write(0x1000, 8, 77n));
  assert.ok(held.isHeld);
  held.take(LOAD);
  held.resume(0n, 2);
  assert.not.ok(held.write(0x1000, 8, 77n));
  assert.not.ok(held.isHeld, 'an abort of the guest');
  held.write(0x1000, 8, 78n);
  held.take(LOAD);
  held.resume(0n, 0);
  assert.ok(held.write(0x1000, 8, 78n));
});

test('only loads and stores of one register without write-back are told', () => {
  for (const word of DECODABLE) {
    const held = make();
    held.read(0x1000, 4);
    assert.is(held.take(word)?.state, 4, word.toString(16));
  }
  for (const word of NOT_DECODABLE) {
    const held = make();
    held.read(0x1000, 4);
    assert.is(held.take(word), undefined, word.toString(16));
    assert.is(held.read(0x1000, 4), undefined);
    assert.not.ok(held.isHeld, 'its second execution aborts');
  }
});

test('outside the ranges there are page faults under P17, and aborts otherwise', () => {
  assert.not.ok(make().read(0x5000, 4) !== undefined || make().isHeld);
  const held = make(true);
  assert.not.ok(held.write(0x5008, 4, 1n));
  assert.equal(held.take(undefined), { state: 7, data: [0x5008n, 1n, 0n] });
  held.resume(0n, 0);
  assert.ok(held.holds(0x6000, 2), 'an instruction fetch');
  assert.equal(held.take(undefined), { state: 7, data: [0x6000n, 0n, 0n] });
  held.resume(0n, 2);
  assert.not.ok(held.holds(0x6000, 2), 'the runner wants the fault delivered');
  held.read(0x9000, 4);
  assert.not.ok(held.isHeld, 'memory that is there without the right is an abort');
  const alone = make(true, false);
  alone.read(0x1000, 4);
  assert.not.ok(alone.isHeld || alone.holds(0x5000, 2), 'nobody runs it');
});
test.run();
