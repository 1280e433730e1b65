import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { type CodePage, CodePages } from '../code-pages.js';
import { Decoder } from '../decode/decoder.js';
import { RECORD, RECORD_BYTES, RECORD_PAGE_BYTES, REGION_BIT } from '../interpreter/record.js';
import { INSTRUCTIONS } from '../isa/table.js';
import { VCPU_AREA_BYTES } from '../state.js';
import { memoryFill } from '../wasm/memory-fill.js';
import { compileBatch } from './compile-batch.js';
import { type BackgroundCompiler, type FinishedBatch, Jit, UNASKED } from './jit.js';
import type { CodeBudget } from './region-store.js';
import type { EntryPoint } from './translate.js';

const test = spec('jit');
const decoder = new Decoder(INSTRUCTIONS);
const PAGES = 64;
const CODE = 2 << 20;
const ADD = 0x91000400; // add x0, x0, #1
const RET = 0xd65f03c0;
/** Pauses until a silent background is given up, and then some. */
const LONG = 450_000;

/** A background that works when it is told to. */
class Background implements BackgroundCompiler {
  readonly asked: { readonly ticket: number; readonly entries: readonly EntryPoint[] }[] = [];
  readonly #done: FinishedBatch[] = [];
  last: FinishedBatch | undefined;
  #nextId = 1;
  readonly #view: DataView;
  constructor(view: DataView) {
    this.#view = view;
  }
  send(ticket: number, entries: readonly EntryPoint[]): void {
    this.asked.push({ ticket, entries });
  }
  receive(): FinishedBatch | undefined {
    return this.#done.shift();
  }
  /** Finishes the oldest batch it has. */
  work(): void {
    const request = this.asked.shift();
    assert.ok(request !== undefined, 'it was asked for something');
    const { modules, instructions, refusals } = compileBatch(this.#view, decoder, request.entries);
    const numbered = modules.map((module) => ({ id: this.#nextId++, ...module }));
    this.give({ ticket: request.ticket, instructions, refused: refusals.length, modules: numbered });
  }
  /** Hands over what somebody made. */
  give(batch: FinishedBatch): void {
    this.last = batch;
    this.#done.push(batch);
  }
}

/** A Jit with pages of `add x0, x0, #1; ret` over and over, without a core. */
class Bench {
  readonly memory = new WebAssembly.Memory({ initial: 65_536, maximum: 65_536, shared: true });
  readonly view = new DataView(this.memory.buffer);
  readonly table = new WebAssembly.Table({ element: 'anyfunc', initial: 1 });
  readonly background = new Background(this.view);
  readonly pages: CodePages;
  readonly jit: Jit;
  flushes = 0;

  constructor(options: { readonly alone?: boolean; readonly budget?: CodeBudget } = {}) {
    const { memory, view, table } = this;
    const arena = Math.ceil(VCPU_AREA_BYTES / 4096) * 4096;
    const fill = memoryFill(memory);
    const arenaBytes = PAGES * RECORD_PAGE_BYTES;
    const drop = (page: CodePage): readonly number[] => this.jit.drop(page);
    this.pages = new CodePages(memory.buffer, fill, 0, arena, arenaBytes, drop, (page) => this.jit.onPage(page));
    for (let at = 0; at < PAGES * 4096; at += 8) {
      view.setUint32(CODE + at, ADD, true);
      view.setUint32(CODE + at + 4, RET, true);
    }
    this.jit = new Jit({
      ...{ memory, view, state: 0, table, decoder, step: () => 0 },
      background: options.alone === true ? undefined : this.background,
      budget: options.budget,
      findPage: (host) => this.pages.find(host),
      dropCode: () => this.pages.dropAll(),
      jumpCache: { enter: (...entry) => this.pages.jumpCache.enter(...entry), flush: () => this.flushes++ },
    });
  }

  page(n: number): CodePage {
    return this.pages.pageAt(CODE + n * 4096);
  }
  /** Whether the interpreter would leave for a region at byte `offset` of `page`. */
  marked(page: CodePage, offset: number): boolean {
    const handler = this.view.getUint16(page.records + (offset >> 2) * RECORD_BYTES + RECORD.handler, true);
    return (handler & REGION_BIT) !== 0;
  }
}

test('the background translates what is reported, and the vCPU goes on meanwhile', () => {
  const { jit, background, ...bench } = new Bench();
  const page = bench.pages.pageAt(CODE);
  jit.report(page, 8);
  jit.onPause();
  assert.is(background.asked.length, 1);
  for (let i = 0; i < 100; i++) jit.onPause();
  assert.is(jit.counters.regions, 0);
  background.work();
  jit.onPause();
  assert.is(jit.counters.regions, 1);
  assert.ok(jit.enter(page, 8));
  assert.not(jit.enter(page, 0));
});

test('the background is asked for what the interpreter comes to most often first, and not for what it has made already', () => {
  const { jit, background, ...bench } = new Bench();
  const page = bench.pages.pageAt(CODE);
  jit.request(page, 0);
  jit.onPause();
  for (let n = 1; n <= 40; n++) {
    jit.request(page, n * 8);
    bench.view.setUint16(page.records + n * 2 * RECORD_BYTES + RECORD.count, 1_000 + (n % 10), true);
  }
  background.work();
  jit.onPause();
  jit.onPause();
  const wanted = (): number[] =>
    (background.asked[0]?.entries ?? []).flatMap((e) => (e.isBeside ? [] : [e.offset / 8]));
  const first = wanted();
  assert.is(first.length, 24);
  const isHotter = first.every((n) => n % 10 >= 4);
  assert.ok(isHotter, String(first));
  jit.store.install(page, 10 * 8, jit.store.add(1), null, 1);
  background.work();
  for (let n = 0; n < 5; n++) jit.onPause();
  const second = wanted();
  assert.is(second.length, 15, 'the other sixteen, but for the one that is there');
  assert.not.ok(second.includes(10) || second.some((n) => first.includes(n)));
});

/** Another vCPU, which has had three regions in two pages compiled. */
function hasCompiledThree(): Bench {
  const bench = new Bench();
  bench.jit.request(bench.page(0), 0);
  bench.jit.request(bench.page(0), 8);
  bench.jit.request(bench.page(1), 0);
  bench.jit.onPause();
  bench.background.work();
  return bench;
}

test('what was made for another vCPU is there when the guest comes to it, and not before', () => {
  const first = hasCompiledThree();
  const modules = first.background.last?.modules ?? [];

  const bench = new Bench();
  const { jit, background } = bench;
  const page = bench.page(0);
  assert.not(bench.marked(page, 8));
  background.give({ ticket: UNASKED, instructions: 0, refused: 0, modules });
  jit.onPause();
  assert.ok(bench.marked(page, 0) && bench.marked(page, 8) && !bench.marked(page, 16));
  assert.equal([jit.counters.modules, jit.counters.offered], [0, 0], 'nothing is opened yet');
  // A page that gets records later has it too.
  const other = bench.page(1);
  assert.ok(bench.marked(other, 0));
  assert.ok(jit.enter(page, 8));
  assert.ok(jit.enter(other, 0));
  assert.equal([jit.counters.modules, jit.counters.offered], [1, 2]);
  // The page holds other code by now, though nobody has said so.
  bench.view.setUint32(CODE, RET, true);
  assert.not(jit.enter(page, 0));
  assert.not(bench.marked(page, 0));
  assert.is(jit.counters.offered, 2);
  assert.not(jit.enter(page, 0));
});

test('what is offered is bounded: the oldest goes, and a mark that leads nowhere is taken away', () => {
  const first = new Bench();
  const made = [0, 1, 2].map((n) => {
    first.jit.request(first.page(n), 0);
    first.jit.onPause();
    first.background.work();
    first.jit.onPause();
    return first.background.last?.modules ?? [];
  });
  const bytesMax = made.flat().reduce((sum, { bytes }) => sum + bytes, 0) - 1;
  const bench = new Bench({ budget: { bytesMax, modulesMax: 100 } });
  const pages = [0, 1, 2].map((n) => bench.page(n));
  for (const modules of made) {
    bench.background.give({ ticket: UNASKED, instructions: 0, refused: 0, modules });
    bench.jit.onPause();
  }
  assert.equal(
    pages.map((page) => bench.jit.enter(page, 0)),
    [false, true, true],
  );
  assert.equal(
    pages.map((page) => bench.marked(page, 0)),
    [false, true, true],
  );
});

test('a batch is taken in a few regions at a time, and a page that changes meanwhile has none of it', () => {
  const bench = new Bench();
  const { jit, background } = bench;
  const pages = Array.from({ length: 20 }, (_, n) => bench.page(n));
  for (const page of pages) jit.request(page, 0);
  jit.onPause();
  background.work();
  const steps: number[] = [];
  jit.onPause();
  steps.push(jit.counters.regions);
  bench.pages.invalidate(CODE + 19 * 4096);
  jit.request(bench.page(30), 0);
  while (background.asked.length === 0) {
    jit.onPause();
    steps.push(jit.counters.regions);
    assert.ok(steps.length < 10);
  }
  assert.equal(steps, [8, 16, 19], 'the next batch is asked for when this one is in place');
  assert.equal(
    pages.map((page) => jit.enter(page, 0)),
    pages.map((_, n) => n < 19),
  );
  assert.equal([jit.counters.stale, jit.counters.rejected, jit.counters.modules], [1, 0, 1]);
});

test('a module that another vCPU has is opened once, and what is in it besides is used as well', () => {
  const first = hasCompiledThree();
  const { last } = first.background;
  assert.is(last?.modules[0]?.regions.length, 3);

  const bench = new Bench();
  const { jit, background } = bench;
  const page = bench.page(0);
  jit.request(page, 0);
  jit.onPause();
  background.asked.length = 0;
  background.give({ ticket: 1, instructions: 0, refused: 0, modules: last?.modules ?? [] });
  jit.onPause();
  // Nothing is known of page 1 here.
  assert.equal([jit.counters.modules, jit.counters.regions, jit.counters.beside], [1, 2, 1]);
  const other = bench.page(1);
  jit.request(page, 8);
  jit.request(other, 0);
  jit.onPause();
  assert.equal(background.asked[0]?.entries, [{ host: other.host, offset: 0 }], 'it has the one of page 0 already');
  background.give({ ticket: 2, instructions: 0, refused: 0, modules: last?.modules ?? [] });
  jit.onPause();
  assert.equal([jit.counters.modules, jit.counters.regions, jit.counters.rejected], [1, 3, 0]);
});

test('an entry point in the middle of a region comes with a region for both, which takes the first one’s place', () => {
  const bench = new Bench({ alone: true });
  const { jit, view, table } = bench;
  view.setUint32(CODE + 4, ADD, true);
  const page = bench.page(0);
  jit.request(page, 0);
  jit.compileQueue();
  const first = table.get(1);
  assert.type(first, 'function');
  jit.request(page, 4);
  jit.compileQueue();
  const { regions, replaced, beside } = jit.counters;
  assert.equal([regions, replaced, beside], [3, 1, 1]);
  assert.is(table.get(1), table.get(2), 'one function for both');
  assert.is.not(table.get(1), first, 'in the slot that the jump cache may know');
  assert.is(jit.store.modules, 1, 'the first one’s module is not kept');
  bench.pages.invalidate(CODE);
  assert.is(jit.store.modules, 0);
});

test('what the interpreter came to now and then becomes an entry of a region that is made anyway', () => {
  const bench = new Bench({ alone: true });
  const { jit, view } = bench;
  const page = bench.page(0);
  for (const offset of [4, 8, 12]) view.setUint16(page.records + (offset >> 2) * RECORD_BYTES + RECORD.count, 60, true);
  jit.request(page, 0);
  jit.compileQueue();
  assert.equal(
    [0, 4, 8, 12].map((offset) => bench.marked(page, offset)),
    [true, true, false, false],
  );
});

test('a result for code that has changed is thrown away: the page was dropped', () => {
  const bench = new Bench();
  const { jit, background } = bench;
  const page = bench.page(0);
  jit.report(page, 0);
  jit.onPause();
  background.work();
  bench.pages.invalidate(CODE);
  jit.onPause();
  assert.is(jit.counters.stale, 1);
  assert.not(bench.marked(page, 0));
  jit.report(page, 0);
  jit.onPause();
  background.work();
  jit.onPause();
  assert.ok(bench.marked(page, 0), 'what is there now is translated when it gets hot');
});

test('a result for code that has changed is thrown away: the words differ', () => {
  const bench = new Bench();
  const { jit, background, view } = bench;
  const page = bench.page(0);
  jit.report(page, 0);
  jit.onPause();
  background.work();
  view.setUint32(CODE, 0x91000800, true);
  jit.onPause();
  assert.is(jit.counters.stale, 1);
  assert.not(jit.enter(page, 0));
  jit.report(page, 0);
  jit.onPause();
  background.work();
  jit.onPause();
  assert.ok(jit.enter(page, 0));
});

test('when the background is silent the vCPU translates for itself, and asks again once there is an answer', () => {
  const bench = new Bench();
  const { jit, background } = bench;
  const page = bench.page(0);
  jit.report(page, 0);
  for (let i = 0; i < LONG; i++) jit.onPause();
  assert.is(jit.counters.regions, 0);
  for (let report = 0; report < 8; report++) jit.report(page, 16);
  for (let i = 0; i < LONG; i++) jit.onPause();
  assert.ok(bench.marked(page, 16));
  assert.is(background.asked.length, 1);
  background.work();
  jit.onPause();
  assert.ok(bench.marked(page, 0));
  jit.report(page, 32);
  jit.onPause();
  assert.is(background.asked.length, 1);
});

test('what cannot be translated stays with the interpreter', () => {
  const bench = new Bench();
  const { jit, background, view } = bench;
  view.setUint32(CODE + 64, 0, true); // UDF
  const page = bench.page(0);
  jit.report(page, 64);
  jit.onPause();
  background.work();
  jit.onPause();
  assert.is(jit.counters.rejected, 1);
  assert.not(jit.enter(page, 64));
});

test('compiled code is bounded: modules not entered for longest go, slots are used again', () => {
  const budget = { bytesMax: 1 << 20, modulesMax: 8 };
  const bench = new Bench({ alone: true, budget });
  const { jit } = bench;
  const kept = bench.page(0);
  jit.request(kept, 0);
  jit.compileQueue();
  for (let n = 1; n < PAGES; n++) {
    const page = bench.page(n);
    for (let offset = 0; offset < 32; offset += 8) jit.request(page, offset);
    jit.compileQueue();
    assert.ok(jit.enter(kept, 0), `in use: still there after ${n} modules`);
    assert.ok(jit.enter(page, 8), 'the newest is there');
    assert.ok(jit.store.modules <= budget.modulesMax);
  }
  const { evictedModules, evictedRegions, evictions } = jit.store.counters;
  assert.ok(evictedModules >= PAGES - budget.modulesMax && evictions < evictedModules);
  assert.ok(bench.flushes >= evictions, 'the jump cache is emptied each time');
  assert.ok(jit.store.slots < 4 * 2 * budget.modulesMax, `${jit.store.slots} slots`);
  const first = bench.page(1);
  assert.not(bench.marked(first, 0), 'what was evicted is interpreted');
  assert.not(jit.enter(first, 0));
  assert.is(jit.counters.regions - evictedRegions, (jit.store.modules - 1) * 4 + 1);
  jit.request(first, 0);
  jit.compileQueue();
  assert.ok(bench.marked(first, 0), 'and translated again when it gets hot again');
});

test('a module counts until the last page with its regions is dropped', () => {
  const bench = new Bench({ alone: true });
  const { jit } = bench;
  for (const n of [0, 1]) jit.request(bench.page(n), 0);
  jit.compileQueue();
  assert.is(jit.store.modules, 1);
  bench.pages.invalidate(CODE);
  assert.is(jit.store.modules, 1);
  assert.ok(jit.store.bytes > 0);
  bench.pages.invalidate(CODE + 4096);
  assert.is(jit.store.modules, 0);
  assert.is(jit.store.bytes, 0);
});

test('an instruction that writes into its own page finds its operands afterwards', () => {
  const bench = new Bench({ alone: true });
  const { jit, view } = bench;
  const page = bench.page(0);
  const record = page.records + 3 * RECORD_BYTES;
  for (let at = 0; at < RECORD_BYTES; at++) view.setUint8(record + at, 0x41 + at);
  jit.request(page, 0);
  jit.compileQueue();
  bench.pages.written(CODE + 512, 4);
  assert.not(bench.marked(page, 0), 'regions may cover any word: they are gone');
  assert.is(view.getUint16(record + RECORD.handler, true), 0);
  assert.is(view.getUint16(record + RECORD.count, true), 0);
  for (const at of [2, 3, 4, 5, 8, 15]) assert.is(view.getUint8(record + at), 0x41 + at);
});

test.run();
