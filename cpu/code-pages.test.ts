/** Which pages keep their records when the arena is full. */
import * as assert from 'uvu/assert';
import { spec } from '../test/harness/spec.js';
import { type CodePage, CodePages } from './code-pages.js';
import { SHARED_CONTEXT } from './context.js';
import { RECORD_PAGE_BYTES } from './interpreter/record.js';
import { VCPU_AREA_BYTES } from './state.js';
import { memoryFill } from './wasm/memory-fill.js';

const test = spec('code pages');
const PAGES = 8;
const CODE = 0x10_0000;

test('a full arena makes room by a quarter: the pages that were not entered for longest', () => {
  const memory = new WebAssembly.Memory({ initial: 1024, maximum: 1024, shared: true });
  const dropped: number[] = [];
  const arena = Math.ceil((CODE + 64 * 4096 + VCPU_AREA_BYTES) / 4096) * 4096;
  const state = CODE + 64 * 4096;
  const note = (page: CodePage): readonly number[] => {
    dropped.push((page.host - CODE) / 4096);
    return [];
  };
  const pages = new CodePages(memory.buffer, memoryFill(memory), state, arena, PAGES * RECORD_PAGE_BYTES, note);
  const enter = (n: number): CodePage => {
    const page = pages.pageAt(CODE + n * 4096);
    pages.bind(n * 4096, 0, 0, page);
    return page;
  };
  const first = Array.from({ length: PAGES }, (_, n) => enter(n));
  pages.flushPageCache();
  for (const n of [0, 1, 2, 4, 6, 7]) enter(n);
  assert.equal(dropped, []);

  const ninth = enter(8);
  assert.equal(dropped, [3, 5]);
  assert.is(pages.size, PAGES - 1);
  assert.is(pages.find(CODE + 3 * 4096), undefined);
  assert.is(pages.find(CODE), first[0]);
  assert.is(pages.pageOf(ninth.records), ninth);
  assert.is(pages.bound(0, 0, 0), undefined, 'every page is looked up again');

  // The records that were freed are used before more is dropped.
  const tenth = enter(9);
  assert.not.equal(tenth.records, ninth.records);
  assert.equal(dropped, [3, 5]);
  for (let n = 10; n < 40; n++) {
    enter(n);
    pages.flushPageCache();
  }
  assert.is(pages.find(CODE + 39 * 4096)?.host, CODE + 39 * 4096);
  assert.ok(pages.size <= PAGES);
});

test('a page that keeps being written is not found any more, in whatever context, and others are', () => {
  const memory = new WebAssembly.Memory({ initial: 1024, maximum: 1024, shared: true });
  const arena = Math.ceil((CODE + 64 * 4096 + VCPU_AREA_BYTES) / 4096) * 4096;
  const state = CODE + 64 * 4096;
  const pages = new CodePages(memory.buffer, memoryFill(memory), state, arena, PAGES * RECORD_PAGE_BYTES, () => []);
  const contexts = [SHARED_CONTEXT, ...pages.contexts.keysOf(0), ...pages.contexts.keysOf(3)];
  const [written, other] = [pages.pageAt(CODE), pages.pageAt(CODE + 4096)];
  for (const context of contexts) {
    pages.bind(0x7000, 1, context, written);
    pages.bind(0x9000, 1, context, written);
    pages.bind(0x8000, 1, context, other);
  }
  for (let n = 0; n < 100; n++) pages.written(CODE + 8, 8);
  assert.is(pages.find(CODE), undefined);
  for (const context of contexts) {
    assert.equal([pages.bound(0x7000, 1, context), pages.bound(0x9000, 1, context)], [undefined, undefined]);
    assert.is(pages.bound(0x8000, 1, context), other);
  }
});

test.run();
