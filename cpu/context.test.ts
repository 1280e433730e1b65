/** Code is found in another address space exactly where the architecture lets a translation be used there. */
import * as assert from 'uvu/assert';
import { TestRandom } from '../test/drivers/fp-operands.js';
import { spec } from '../test/harness/spec.js';
import { jumpCacheEntry, jumpCacheNeighbour } from './code-cache-index.js';
import { CodePages } from './code-pages.js';
import { Contexts, SHARED_CONTEXT } from './context.js';
import { CpuState } from './cpu-state.js';
import { RECORD_PAGE_BYTES } from './interpreter/record.js';
import { AddressSpace, type Invalidation } from './mmu/address-space.js';
import { SLOTS } from './mmu/tlb.js';
import type { PhysicalMemory } from './mmu/translator.js';
import { JUMP_CACHE, STATE, VCPU_AREA_BYTES } from './state.js';
import { SLOT } from './sysreg/registers.js';
import { memoryFill } from './wasm/memory-fill.js';

const test = spec('contexts');
const STATE_AT = 65_536;
const ARENA_AT = STATE_AT + Math.ceil(VCPU_AREA_BYTES / 65_536) * 65_536;
const CODE_AT = 0x1000;
const ARENA_PAGES = 16;
const initial = Math.ceil((ARENA_AT + ARENA_PAGES * RECORD_PAGE_BYTES) / 65_536);
const memory = new WebAssembly.Memory({ initial, maximum: initial, shared: true });
const NOTHING: PhysicalMemory = { frame: () => -1, read: () => undefined, write: () => false };
/** Half of them below, half above. */
const PAGES = Array.from({ length: 12 }, (_, n) => ({
  lo: (n * 0x21_3000) | 0,
  hi: n % 2 === 0 ? 0x55 : 0xffff_8000 | 0,
}));
const ASIDS = 20;
const FORMS: readonly Invalidation[] = ['all', 'asid', 'asid', 'asid', 'va', 'va-last'];

/** A vCPU's address space with what generated code would find. */
class Bench {
  readonly state = new CpuState(memory.buffer, STATE_AT);
  readonly pages: CodePages;
  readonly space: AddressSpace;
  asid = 0;
  el = 1;

  constructor() {
    const fill = memoryFill(memory);
    fill(STATE_AT, 0, 4096);
    const arenaBytes = ARENA_PAGES * RECORD_PAGE_BYTES;
    this.pages = new CodePages(memory.buffer, fill, STATE_AT, ARENA_AT, arenaBytes, () => []);
    // 16-bit ASIDs.
    this.state.set32(SLOT.tcr + 4, 16);
    this.space = new AddressSpace(this.state, NOTHING, this.pages, fill);
    this.go(1, 0);
  }

  go(el: number, asid: number): void {
    this.asid = asid;
    this.el = el;
    this.state.set32(SLOT.ttbr0 + 4, asid << 16);
    this.space.tablesChanged();
    this.state.set32(STATE.el, el);
    this.space.contextChanged();
  }

  get context(): number {
    return this.state.get32(STATE.context);
  }

  /** Code page `frame` is executed at page `n`, and so is a region that has slot `frame` + 1. */
  enter(n: number, frame: number, ofAsid: boolean): void {
    const { lo, hi } = PAGES[n]!;
    if (this.el !== 0 && ofAsid) this.space.keepKernelsApart();
    this.pages.bind(lo, hi, this.context, this.pages.pageAt(CODE_AT + frame * 4096));
    this.pages.jumpCache.enter(lo | 8, hi, this.context, frame + 1);
  }

  /** The frames that page cache and jump cache lead to from page `n`. */
  found(n: number): readonly (number | undefined)[] {
    const { lo, hi } = PAGES[n]!;
    const page = this.pages.bound(lo, hi, this.context);
    const { view } = this.state;
    const place = jumpCacheEntry(lo | 8, hi, this.context);
    const entry = [place, jumpCacheNeighbour(place)].find(
      (at) =>
        view.getInt32(STATE_AT + at, true) === (lo | 8) &&
        view.getInt32(STATE_AT + at + 4, true) === hi &&
        view.getInt32(STATE_AT + at + JUMP_CACHE.context, true) === this.context,
    );
    return [
      page && (page.host - CODE_AT) / 4096,
      entry === undefined ? undefined : view.getInt32(STATE_AT + entry + JUMP_CACHE.slot, true) - 1,
    ];
  }
}

test('what random spaces execute is found where it may be and nowhere else', () => {
  let shared = 0;
  for (let seed = 1; seed <= 40; seed++) {
    const random = new TestRandom(seed);
    const bench = new Bench();
    // In some runs EL1 executes nothing that belongs to an ASID.
    const keepsToGlobal = seed % 3 !== 0;
    const isGlobal = PAGES.map(() => random.below(2) === 0);
    const known = new Map<string, number>();
    const keyOf = (n: number): string => `${n} ${bench.el} ${isGlobal[n] === true ? '*' : bench.asid}`;
    const forget = (goes: (n: number, asid: string) => boolean): void => {
      for (const key of known.keys()) {
        const [n = '', , asid = ''] = key.split(' ');
        if (goes(Number(n), asid)) known.delete(key);
      }
    };
    for (let step = 0; step < 600; step++) {
      const n = random.below(PAGES.length);
      switch (random.below(8)) {
        case 0:
        case 1:
          bench.go(random.below(2), random.below(ASIDS));
          break;
        case 2: {
          const what = FORMS[random.below(FORMS.length)] ?? 'all';
          const asid = random.below(ASIDS);
          const { lo, hi } = PAGES[n]!;
          const operand = what === 'asid' ? 0 : (lo >>> 12) | (hi << 20);
          bench.space.invalidate(what, operand | 0, (asid << 16) | ((hi >>> 12) & 0xfff));
          if (what === 'all') forget(() => true);
          else if (what === 'asid') forget((_, of) => of === String(asid));
          else forget((of) => of === n);
          // What a page is may change only while no translation of it is left.
          if (what !== 'asid') isGlobal[n] = random.below(2) === 0;
          break;
        }
        default: {
          if (bench.el === 1 && keepsToGlobal && isGlobal[n] !== true) break;
          const frame = known.get(keyOf(n)) ?? random.below(ARENA_PAGES - 1);
          bench.enter(n, frame, isGlobal[n] !== true);
          known.set(keyOf(n), frame);
          assert.equal(bench.found(n), [frame, frame], 'what was just entered is there');
        }
      }
      for (let page = 0; page < PAGES.length; page++) {
        const frame = known.get(keyOf(page));
        for (const found of bench.found(page)) {
          if (found === undefined) continue;
          assert.is(found, frame, `seed ${seed}, step ${step}, page ${page}, EL${bench.el}, ASID ${bench.asid}`);
          if (bench.el === 1 && isGlobal[page] === true && keepsToGlobal) shared++;
        }
      }
    }
  }
  assert.ok(shared > 10_000, `EL1 finds global code in all spaces: ${shared}`);
});

test('EL1 finds global code after any number of processes', () => {
  const bench = new Bench();
  bench.enter(1, 3, false);
  for (let asid = 1; asid < 400; asid++) {
    bench.go(0, asid);
    assert.equal(bench.found(1), [undefined, undefined]);
    bench.enter(0, 4, true);
    bench.space.invalidate('asid', 0, asid << 16);
    assert.equal(bench.found(0), [undefined, undefined]);
    bench.go(1, asid);
    assert.equal(bench.found(1), [3, 3]);
    assert.is(bench.context, SHARED_CONTEXT);
  }
});

test('once EL1 executes what is not global it finds what its ASID has, until all is dropped', () => {
  const bench = new Bench();
  bench.enter(1, 3, false);
  bench.enter(3, 5, true);
  assert.equal(bench.found(3), [5, 5]);
  bench.go(1, 7);
  assert.equal(bench.found(3), [undefined, undefined]);
  bench.enter(3, 6, true);
  bench.go(1, 0);
  assert.equal(bench.found(3), [5, 5]);
  bench.space.flush();
  assert.is(bench.context, SHARED_CONTEXT);
  for (const n of [1, 3]) assert.equal(bench.found(n), [undefined, undefined]);
});

test('keys are never those of another slot, and begin anew when they run out', () => {
  let restarts = 0;
  const contexts = new Contexts(() => restarts++);
  contexts.setApart();
  const used = new Set<number>();
  let before = restarts;
  for (let n = 0; n < 3000; n++) {
    const slot = n % SLOTS;
    contexts.renew(slot);
    const keys = contexts.keysOf(slot);
    if (restarts !== before) used.clear();
    before = restarts;
    for (const [place, key] of [[slot + 1, keys[0]] as const, [slot + 1, keys[1]] as const]) {
      assert.ok(key > SHARED_CONTEXT && key < 1023 && !used.has(key));
      used.add(key);
      assert.is(contexts.placeOf(key), place);
    }
    assert.equal([...contexts.keysAt(slot + 1)], [...keys]);
    assert.equal(contexts.keysOf(slot), keys, 'they stay');
  }
  assert.is(restarts, Math.floor((3000 * 2) / 1021));
  contexts.renew(0);
  assert.is(contexts.placeOf(0), -1);
});

test.run();
