import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { soonUsedByKernel, soonUsedByProcessor, TouchAhead } from './touch-ahead.js';

const test = spec('memory touched ahead');
const MIB = 1 << 20;

test('a kernel is about to use what lies behind its images and the end of memory, of memories that are large enough', () => {
  const ram = { at: 100 * MIB, bytes: 512 * MIB };
  assert.equal(soonUsedByKernel(ram, 134 * MIB), [
    { at: 134 * MIB, bytes: 24 * MIB },
    { at: 602 * MIB, bytes: 10 * MIB },
  ]);
  // Images up to the end leave less, or nothing.
  assert.equal(soonUsedByKernel(ram, 600 * MIB)[0], { at: 600 * MIB, bytes: 2 * MIB });
  assert.equal(soonUsedByKernel(ram, 610 * MIB), []);
  assert.equal(soonUsedByKernel({ at: 0, bytes: 128 * MIB }, MIB), []);
  assert.equal(soonUsedByProcessor({ at: MIB, bytes: 16 * MIB }), { at: MIB, bytes: 16 * MIB });
  assert.is(soonUsedByProcessor({ at: MIB, bytes: 160 * MIB }).bytes, 24 * MIB);
});

test('what is touched stays as it is, ranges in turn, and an end ends it', async () => {
  const memory = new WebAssembly.Memory({ initial: 256, maximum: 256, shared: true });
  const words = new Int32Array(memory.buffer);
  words.fill(0x5a5a5a5a);
  const seen: number[] = [];
  const { or } = Atomics;
  // Every touch is one of these, and writes nothing.
  Atomics.or = ((array: Int32Array, index: number, value: number) => {
    assert.is(array.buffer, memory.buffer);
    assert.is(value, 0);
    seen.push(index * 4);
    return or(array, index, value);
  }) as typeof or;
  try {
    const ranges = [
      { at: MIB, bytes: 5 * MIB },
      { at: 8 * MIB, bytes: 2 * MIB },
    ];
    const touches = new TouchAhead(memory, ranges);
    touches.begin();
    for (let n = 0; n < 200 && seen.length < 4; n++) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal(seen, [MIB, 8 * MIB, 3 * MIB, 5 * MIB]);
    assert.ok(words.every((word) => word === 0x5a5a5a5a));
    const ended = new TouchAhead(memory, ranges);
    ended.end();
    ended.begin();
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.is(seen.length, 4);
  } finally {
    Atomics.or = or;
  }
});
test.run();
