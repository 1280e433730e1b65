/** The jump cache forgets what leads to regions that are gone, and nothing else that can be told apart from it. */
import * as assert from 'uvu/assert';
import { spec } from '../test/harness/spec.js';
import { jumpCacheEntry } from './code-cache-index.js';
import { JumpCache } from './jump-cache.js';
import { JUMP_CACHE, VCPU_AREA_BYTES } from './state.js';
import { memoryFill } from './wasm/memory-fill.js';

const test = spec('jump cache');
/** Above 2 GiB, where addresses are negative as 32-bit numbers. */
const STATE_AT = 0x9000_0000;
const memory = new WebAssembly.Memory({ initial: 65_536, maximum: 65_536, shared: true });
const view = new DataView(memory.buffer);
assert.ok(STATE_AT + VCPU_AREA_BYTES < memory.buffer.byteLength);

function make(): JumpCache {
  const cache = new JumpCache(view, memoryFill(memory), STATE_AT, () => true);
  cache.flush();
  return cache;
}

/** The slot that generated code would find for an address, or undefined. */
function found(lo: number, hi: number, context: number): number | undefined {
  const at = STATE_AT + jumpCacheEntry(lo, hi, context);
  const isKnown =
    view.getInt32(at + JUMP_CACHE.address, true) === lo && view.getInt32(at + JUMP_CACHE.address + 4, true) === hi;
  return isKnown && view.getInt32(at + JUMP_CACHE.context, true) === context
    ? view.getInt32(at + JUMP_CACHE.slot, true)
    : undefined;
}

test('regions that are gone are forgotten, others stay', () => {
  const cache = make();
  for (let n = 1; n <= 300; n++) cache.enter(n * 0x1_0004, 5, 1, n);
  const present = Array.from({ length: 300 }, (_, n) => n + 1).filter((n) => found(n * 0x1_0004, 5, 1) === n);
  assert.ok(present.length > 200);
  const gone = present.filter((n) => n % 3 === 0);
  cache.forgetSlots([...gone, 100_000]);
  for (const n of present) assert.is(found(n * 0x1_0004, 5, 1), n % 3 === 0 ? undefined : n, `slot ${n}`);
});

test('a region that was entered at several addresses is forgotten at all of them', () => {
  const cache = make();
  cache.enter(0x4000, 0, 1, 7);
  cache.enter(0x4000, 0, 2, 7);
  cache.enter(0x5000, 0, 3, 7);
  cache.forgetSlots([7]);
  assert.equal([found(0x4000, 0, 1), found(0x4000, 0, 2), found(0x5000, 0, 3)], [undefined, undefined, undefined]);
});

test('an entry that leads to another region by now stays, and a slot is used again', () => {
  const cache = make();
  cache.enter(0x4000, 0, 1, 7);
  cache.enter(0x4000, 0, 1, 9_999);
  cache.forgetSlots([7]);
  assert.is(found(0x4000, 0, 1), 9_999);
  cache.enter(0x8000, 0, 1, 7);
  cache.forgetSlots([9_999]);
  assert.is(found(0x4000, 0, 1), undefined);
  assert.is(found(0x8000, 0, 1), 7);
  cache.flush();
  assert.is(found(0x8000, 0, 1), undefined);
  cache.forgetSlots([7]);
});

test.run();
