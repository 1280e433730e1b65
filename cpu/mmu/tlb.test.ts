import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { CpuState } from '../cpu-state.js';
import { STATE, TLB, VCPU_AREA_BYTES } from '../state.js';
import { memoryFill } from '../wasm/memory-fill.js';
import { SLOTS, SoftwareTlb } from './tlb.js';
import { AS, type As } from './translator.js';

const test = spec('mmu/tlb');
const STATE_AT = 65536;

class Bench {
  readonly memory: WebAssembly.Memory;
  readonly state: CpuState;
  readonly tlb: SoftwareTlb;
  forgotten = 0;

  constructor(pages = 128) {
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    this.state = new CpuState(this.memory.buffer, STATE_AT);
    this.tlb = new SoftwareTlb(this.state, memoryFill(this.memory), () => this.forgotten++);
    assert.ok(STATE_AT + VCPU_AREA_BYTES < this.memory.buffer.byteLength);
    this.tlb.select(0);
  }
  /** What generated code would find for `va` in the bank that `as` and the current slot select: host address or -1. */
  find(va: number, as: As, write = false): number {
    this.tlb.selectBanks(as === AS.el1 ? 1 : 0, 0);
    const bank = this.state.get32(as === AS.el0 ? STATE.tlbUser : STATE.tlb);
    const entry = bank + (((va >>> 12) & ((1 << TLB.entriesLog2) - 1)) << TLB.entryBytesLog2);
    const { view } = this.state;
    const tag = view.getBigInt64(entry + (write ? TLB.writeTag : TLB.readTag), true);
    if (tag !== BigInt(Math.floor(va / 4096)) * 4096n) return -1;
    return (view.getInt32(entry + TLB.addend, true) + va) >>> 0;
  }
  fill(va: number, frame: number, options: { as?: As; write?: boolean; blockLog2?: number } = {}): void {
    const { as = AS.el1, write = false, blockLog2 = 12 } = options;
    this.tlb.fill(as, va | 0, Math.floor(va / 2 ** 32), frame, write, blockLog2);
  }
}

test('an entry is found in its own bank and slot, with its rights', () => {
  const bench = new Bench();
  bench.fill(0x12345_6000, 0x3f_f000, { write: true });
  assert.is(bench.find(0x12345_6123, AS.el1), 0x3f_f123);
  assert.is(bench.find(0x12345_6123, AS.el1, true), 0x3f_f123);
  assert.is(bench.find(0x12345_6123, AS.el0), -1);
  assert.is(bench.find(0x12345_6123, AS.el1NoPan), -1);
  assert.is(bench.find(0x2345_6123, AS.el1), -1, 'the upper half counts');
  bench.fill(0x7000, 0x2000);
  assert.is(bench.find(0x7000, AS.el1, true), -1);
});

test('a change of ASID flushes nothing, and the least recently used slot is taken over', () => {
  const bench = new Bench();
  for (let asid = 0; asid < SLOTS; asid++) {
    bench.tlb.select(asid);
    bench.fill(0x5000, asid * 4096);
  }
  for (let asid = 0; asid < SLOTS; asid++) {
    bench.tlb.select(asid);
    assert.is(bench.find(0x5000, AS.el1), asid * 4096);
  }
  bench.tlb.select(0);
  assert.is(bench.forgotten, 0);
  bench.tlb.select(100); // takes the slot of ASID 1
  assert.is(bench.forgotten, 1);
  assert.is(bench.find(0x5000, AS.el1), -1);
  bench.tlb.select(0);
  assert.is(bench.find(0x5000, AS.el1), 0);
  bench.tlb.select(1);
  assert.is(bench.find(0x5000, AS.el1), -1);
});

test('flushing a page removes it from every slot and leaves its neighbours', () => {
  const bench = new Bench();
  for (const asid of [0, 1]) {
    bench.tlb.select(asid);
    for (const as of [AS.el1, AS.el0, AS.el1NoPan]) for (const va of [0x5000, 0x6000]) bench.fill(va, va, { as });
  }
  assert.is(bench.tlb.flushPage(0x5abc, 0), false);
  for (const asid of [0, 1]) {
    bench.tlb.select(asid);
    for (const as of [AS.el1, AS.el0, AS.el1NoPan]) {
      assert.is(bench.find(0x5000, as), -1);
      assert.is(bench.find(0x6000, as), 0x6000);
    }
  }
});

test('flushing a page ignores the tag in the top byte', () => {
  const bench = new Bench();
  bench.tlb.fill(AS.el1, 0x5000, 0xab000000 | 0, 0x1000, false, 12);
  bench.tlb.flushPage(0x5000, 0);
  const entry = bench.state.at + (bench.state.get32(STATE.tlbSpace) - bench.state.at) + (5 << TLB.entryBytesLog2);
  assert.is(bench.state.view.getBigInt64(entry + TLB.readTag, true), -1n);
});

test('flushing any address of a block removes every page made from it, whatever its size', () => {
  for (const blockLog2 of [14, 16, 21, 25, 29, 30]) {
    const bench = new Bench();
    const base = 0x40_0000_0000;
    const size = 2 ** blockLog2;
    const inside = [0, size / 2, size - 4096].map((offset) => base + offset);
    const outside = base + size + 0x3000;
    bench.fill(outside, 0x9000);
    for (const va of inside) bench.fill(va, 0x8000, { blockLog2 });
    const middle = base + size / 2 + 4096;
    assert.is(bench.tlb.flushPage(middle | 0, Math.floor(middle / 2 ** 32)), true, `${blockLog2}`);
    for (const va of inside) assert.is(bench.find(va, AS.el1), -1, `${blockLog2} ${va.toString(16)}`);
    // The neighbour may share an index with one of the pages inside, or go with a large block's whole bank.
    if (blockLog2 < 22) assert.is(bench.find(outside, AS.el1), 0x9000, `${blockLog2}`);
    assert.is(bench.tlb.flushPage(middle | 0, Math.floor(middle / 2 ** 32)), false, 'the block is forgotten');
  }
});

test('flushing an ASID leaves the others', () => {
  const bench = new Bench();
  bench.fill(0x5000, 0x1000);
  bench.tlb.select(9);
  bench.fill(0x5000, 0x2000);
  assert.ok(bench.tlb.flushAsid(9) >= 0);
  assert.is(bench.tlb.flushAsid(55), -1);
  assert.is(bench.find(0x5000, AS.el1), -1);
  bench.tlb.select(0);
  assert.is(bench.find(0x5000, AS.el1), 0x1000);
});

test('the right to write a frame is taken back from every alias', () => {
  for (const aliases of [1, 2, 5]) {
    const bench = new Bench();
    for (let i = 0; i < aliases; i++) bench.fill(0x5000 + i * 4096, 0x3000, { write: true });
    bench.fill(0x90_0000, 0x4000, { write: true });
    bench.tlb.retractWrites(0x3000);
    for (let i = 0; i < aliases; i++) {
      assert.is(bench.find(0x5000 + i * 4096, AS.el1, true), -1);
      assert.is(bench.find(0x5000 + i * 4096, AS.el1), 0x3000);
    }
    assert.is(bench.find(0x90_0000, AS.el1, true), 0x4000);
  }
});

test('an entry that replaced a writable one keeps its own right', () => {
  const bench = new Bench();
  bench.fill(0x5000, 0x3000, { write: true });
  bench.fill(0x5000 + (1 << 22), 0x6000, { write: true }); // the same index
  bench.tlb.retractWrites(0x3000);
  assert.is(bench.find(0x5000 + (1 << 22), AS.el1, true), 0x6000);
});

// A host's memory has 4 GiB, and the number of its frames was computed with 32 bits: nothing was ever taken back there.
test('the right to write is taken back all over a memory of 4 GiB, from one frame alone', () => {
  for (const frame of [0x3000, 0x7fff_f000, 0x8000_0000, 0xf000_3000]) {
    for (const aliases of [1, 2, 3]) {
      const bench = new Bench(65_536);
      const [near, far] = [(frame ^ 0x4000_0000) >>> 0, (frame ^ 0x1000_0000) >>> 0];
      bench.fill(0x2000, near, { write: true });
      for (let i = 0; i < aliases; i++) bench.fill(0x5000 + i * 4096, frame, { write: true });
      bench.fill(0x90_0000, far, { write: true });
      bench.tlb.retractWrites(frame);
      for (let i = 0; i < aliases; i++) {
        assert.is(bench.find(0x5000 + i * 4096, AS.el1, true), -1, `${frame.toString(16)} ${aliases}`);
        assert.is(bench.find(0x5000 + i * 4096, AS.el1), frame);
      }
      assert.is(bench.find(0x2000, AS.el1, true), near);
      assert.is(bench.find(0x90_0000, AS.el1, true), far);
      bench.tlb.retractWrites(near);
      assert.is(bench.find(0x2000, AS.el1, true), -1);
      assert.is(bench.find(0x90_0000, AS.el1, true), far);
      bench.tlb.retractWrites(far);
      assert.is(bench.find(0x90_0000, AS.el1, true), -1);
    }
  }
});

test.run();
