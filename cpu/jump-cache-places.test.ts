import { equal, is } from 'uvu/assert';
import { spec } from '../test/harness/spec.js';
import { jumpCacheEntry, jumpCacheNeighbour } from './code-cache-index.js';
import { JumpCache } from './jump-cache.js';
import { JUMP_CACHE, PAGE_CACHE } from './state.js';

const test = spec('places in the jump cache');
const STATE = 4096;
const PAGE_HI = 0xffff;

function cache() {
  const bytes = new Uint8Array(STATE + JUMP_CACHE.at + (1 << (JUMP_CACHE.entriesLog2 + JUMP_CACHE.entryBytesLog2)));
  const view = new DataView(bytes.buffer);
  const jumps = new JumpCache(
    view,
    (at, value, count) => void bytes.fill(value, at, at + count),
    STATE,
    () => true,
  );
  jumps.flush();
  /** The slots that generated code would find. */
  const found = (lo: number, context: number): readonly number[] => {
    const at = STATE + jumpCacheEntry(lo, PAGE_HI, context);
    return [at, STATE + jumpCacheNeighbour(at - STATE)].flatMap((entry) =>
      view.getInt32(entry, true) === (lo | 0) &&
      view.getInt32(entry + 4, true) === PAGE_HI &&
      view.getInt32(entry + JUMP_CACHE.context, true) === context
        ? [view.getInt32(entry + JUMP_CACHE.slot, true)]
        : [],
    );
  };
  return {
    jumps,
    found,
    enter: (lo: number, context: number, slot: number) => jumps.enter(lo, PAGE_HI, context, slot),
  };
}

/** Addresses in different pages that share the place of the first one in context 0. */
function rivals(count: number): readonly number[] {
  const place = jumpCacheEntry(0x1000, PAGE_HI, 0);
  const all = [0x1000];
  for (let lo = 0x2000; all.length < count; lo += 4) if (jumpCacheEntry(lo, PAGE_HI, 0) === place) all.push(lo);
  return all;
}

test('places of a pair lie side by side in one group', () => {
  is((STATE + JUMP_CACHE.at) % (2 << JUMP_CACHE.entryBytesLog2), 0);
  is(PAGE_CACHE.at < JUMP_CACHE.at, true);
});

test('two addresses with one place are both known; a third one makes the oldest go', () => {
  const { enter, found } = cache();
  const [a = 0, b = 0, c = 0] = rivals(3);
  enter(a, 0, 1);
  enter(b, 0, 2);
  equal([found(a, 0), found(b, 0)], [[1], [2]]);
  enter(c, 0, 3);
  is(found(c, 0).length, 1);
  is([a, b].filter((lo) => found(lo, 0).length > 0).length, 1);
});

test('an address is known once, wherever it was entered before', () => {
  const { enter, found } = cache();
  const addresses = rivals(4);
  for (let n = 0; n < 200; n++) {
    const lo = addresses[(n * 7 + (n >> 2)) % 4] ?? 0;
    enter(lo, 0, n + 1);
    equal(found(lo, 0), [n + 1]);
    for (const other of addresses) is(found(other, 0).length <= 1, true);
  }
});

test('what was moved is forgotten with its region, and what took its place is not', () => {
  const { jumps, enter, found } = cache();
  const [a = 0, b = 0, c = 0] = rivals(3);
  enter(a, 0, 1);
  enter(b, 0, 2);
  enter(c, 0, 3);
  // The first one is beside its place now.
  equal([found(a, 0), found(b, 0), found(c, 0)], [[1], [], [3]]);
  jumps.forgetSlots([2, 1]);
  equal([found(a, 0), found(c, 0)], [[], [3]]);
  jumps.forgetSlots([3]);
  equal(found(c, 0), []);
});

test('what was moved is forgotten with its page and with all', () => {
  const { jumps, enter, found } = cache();
  const [a = 0, b = 0] = rivals(2);
  for (const forget of [() => jumps.forgetPage(a, PAGE_HI), () => jumps.flush()]) {
    enter(a, 0, 1);
    enter(b, 0, 2);
    enter(b + 4, 0, 3);
    forget();
    equal(found(a, 0), []);
  }
  equal(found(b, 0), []);
});

test.run();
