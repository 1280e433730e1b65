import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { CpuState } from '../cpu-state.js';
import { STATE } from '../state.js';
import { SLOT } from '../sysreg/registers.js';
import { Regime } from './regime.js';
import { AS, type As, FAULT, newTranslation, type PhysicalMemory, WANT, type Want } from './translator.js';
import { Walker } from './walker.js';

const test = spec('mmu/walker');

const MEMORY_BYTES = 8 << 20;
const STATE_AT = 0;
/** Host address of intermediate physical address 0. */
const RAM_AT = 1 << 20;
const RAM_BYTES = MEMORY_BYTES - RAM_AT;
const AF = 1n << 10n;
const USER = 1n << 6n;
const READ_ONLY = 1n << 7n;
const UXN = 1n << 54n;
const PXN = 1n << 53n;

/** A machine with RAM at 0 and a walker; tables are made by hand, each test takes them from `table()`. */
class Bench implements PhysicalMemory {
  readonly state = new CpuState(new SharedArrayBuffer(MEMORY_BYTES), STATE_AT);
  readonly regime = new Regime();
  readonly walker = new Walker(this.state, this.regime, this);
  readonly result = newTranslation();
  reads = 0;
  #next = 0;

  constructor(tcr: bigint, ttbr: (bench: Bench) => bigint, upper = false) {
    this.state.set64(SLOT.tcr, tcr);
    this.state.set64(SLOT.sctlr, 1n);
    this.state.set64(SLOT.mair, 0xff00n); // attribute 0 device, 1 normal
    this.state.set32(STATE.el, 1);
    this.state.set64(upper ? SLOT.ttbr1 : SLOT.ttbr0, ttbr(this));
    this.regime.load(this.state);
  }
  frame(page: number): number {
    this.reads++;
    return page * 4096 < RAM_BYTES ? RAM_AT + page * 4096 : -1;
  }
  read(): undefined {
    return undefined;
  }
  write(): boolean {
    return false;
  }
  /** Allocates `bytes`, aligned to its size. */
  table(bytes = 4096): number {
    this.#next = Math.ceil(this.#next / bytes) * bytes;
    this.#next += bytes;
    return this.#next - bytes;
  }
  set(table: number, index: number, descriptor: bigint): void {
    this.state.view.setBigUint64(RAM_AT + table + index * 8, descriptor, true);
  }
  go(va: bigint, want: Want = WANT.read, as: As = AS.el1NoPan): number {
    const lo = Number(BigInt.asIntN(32, va));
    const hi = Number(BigInt.asIntN(32, va >> 32n));
    return this.walker.translateAs(lo, hi, want, as, this.result) ? this.result.ipa : -1 - this.result.syndrome;
  }
}
const fault = (kind: number, level: number): number => -1 - (kind | level);

/** TCR with T0SZ = T1SZ = 16, the granules as encoded, 40 bits of output. */
const tcr = (tg0: bigint, tg1: bigint): bigint => 16n | (16n << 16n) | (tg0 << 14n) | (tg1 << 30n) | (2n << 32n);
const PAGE = 3n | (1n << 2n) | AF;
const BLOCK = 1n | (1n << 2n) | AF;

for (const [granule, tg0, first, blockLevels] of [
  [12, 0n, 0, [1, 2]],
  [14, 2n, 0, [2]],
  [16, 1n, 1, [2]],
] as const) {
  const bytes = 2 ** granule;
  const stride = granule - 3;
  const lsb = (level: number): number => granule + (3 - level) * stride;

  test(`${bytes / 1024} KiB granule: pages, blocks at each allowed level, faults at every level`, () => {
    const tables: number[] = [];
    const bench = new Bench(tcr(tg0, 0n), (b) => {
      for (let level: number = first; level <= 3; level++) tables[level] = b.table(bytes);
      return BigInt(tables[first] ?? 0);
    });
    // One chain of tables at index 1 of every level (index 0 stays invalid).
    let va = 0n;
    for (let level: number = first; level < 3; level++) {
      bench.set(tables[level] ?? 0, 1, BigInt(tables[level + 1] ?? 0) | 3n);
      va |= 1n << BigInt(lsb(level));
    }
    bench.set(tables[3] ?? 0, 5, (7n << BigInt(granule)) | PAGE);
    const page = va | (5n << BigInt(granule));
    assert.is(bench.go(page + 0x123n), 7 * bytes + 0x123);
    assert.is(bench.result.blockLog2, granule);
    assert.is(bench.go(va), fault(FAULT.translation, 3));
    for (let level: number = first; level < 3; level++) {
      // The same prefix, but at this level the unused index 2.
      const above = va & ~((1n << BigInt(lsb(level) + stride)) - 1n);
      const hole = above | (2n << BigInt(lsb(level)));
      if (hole < 1n << 48n) assert.is(bench.go(hole), fault(FAULT.translation, level), `level ${level}`);
      bench.set(tables[level] ?? 0, 3, BLOCK | (1n << 7n));
      const block = above | (3n << BigInt(lsb(level)));
      if (block >= 1n << 48n) continue;
      const allowed = (blockLevels as readonly number[]).includes(level);
      assert.is(bench.go(block + 0x7008n), allowed ? 0x7008 : fault(FAULT.translation, level));
      if (allowed) assert.is(bench.result.blockLog2, lsb(level));
    }
  });
}

/** One 4 KiB-granule chain to level 3 whose entry 0 is `descriptor`; va 0 leads there. */
function onePage(descriptor: bigint, tableBits = 0n, extraTcr = 0n): Bench {
  return new Bench(tcr(0n, 2n) | extraTcr, (b) => {
    const [l0, l1, l2, l3] = [b.table(), b.table(), b.table(), b.table()];
    b.set(l0, 0, BigInt(l1) | 3n);
    b.set(l1, 0, BigInt(l2) | 3n);
    b.set(l2, 0, BigInt(l3) | 3n | tableBits);
    b.set(l3, 0, descriptor);
    return BigInt(l0);
  });
}
const allowed = (bench: Bench, want: Want, as: As): boolean => {
  const result = bench.go(0n, want, as);
  assert.ok(result >= 0 || result === fault(FAULT.permission, 3), `${result}`);
  return result >= 0;
};

test('an entry that says it is one of a contiguous set translates as by itself', () => {
  const bench = onePage((5n << 12n) | PAGE | (1n << 52n));
  assert.is(bench.go(0x123n), 0x5123);
  assert.is(bench.result.blockLog2, 12);
  assert.is(bench.go(0x1000n), fault(FAULT.translation, 3), 'what its neighbours say is theirs');
});

test('permissions of pages: every combination of AP, UXN and PXN', () => {
  for (let bits = 0; bits < 16; bits++) {
    const user = (bits & 1) !== 0;
    const readOnly = (bits & 2) !== 0;
    const uxn = (bits & 4) !== 0;
    const pxn = (bits & 8) !== 0;
    const bench = onePage(
      0x5000n | PAGE | (user ? USER : 0n) | (readOnly ? READ_ONLY : 0n) | (uxn ? UXN : 0n) | (pxn ? PXN : 0n),
    );
    assert.is(allowed(bench, WANT.read, AS.el0), user);
    assert.is(allowed(bench, WANT.write, AS.el0), user && !readOnly);
    assert.is(allowed(bench, WANT.execute, AS.el0), !uxn);
    assert.is(allowed(bench, WANT.read, AS.el1NoPan), true);
    assert.is(allowed(bench, WANT.write, AS.el1NoPan), !readOnly);
    assert.is(allowed(bench, WANT.read, AS.el1), !user, 'PAN');
    assert.is(allowed(bench, WANT.execute, AS.el1), !pxn && !(user && !readOnly));
    bench.regime.writeExecuteNever = true;
    assert.is(allowed(bench, WANT.execute, AS.el1), !pxn && readOnly, 'WXN');
    assert.is(allowed(bench, WANT.execute, AS.el0), !uxn && !(user && !readOnly), 'WXN at EL0');
  }
});

test('table descriptors limit what lies below, unless HPD says otherwise', () => {
  const page = 0x5000n | PAGE | USER;
  assert.is(allowed(onePage(page, 1n << 62n), WANT.write, AS.el1NoPan), false);
  assert.is(allowed(onePage(page, 1n << 61n), WANT.read, AS.el0), false);
  assert.is(allowed(onePage(page | READ_ONLY, 1n << 60n), WANT.execute, AS.el0), false);
  assert.is(allowed(onePage(page | READ_ONLY, 1n << 59n), WANT.execute, AS.el1), false);
  assert.is(allowed(onePage(page, 1n << 62n, 1n << 41n), WANT.write, AS.el1NoPan), true);
});

test('access flag, address size and external aborts have their own status codes', () => {
  assert.is(onePage(0x5003n).go(0n), fault(FAULT.accessFlag, 3));
  assert.is(onePage(PAGE | (1n << 44n)).go(0n), fault(FAULT.addressSize, 3));
  assert.is(onePage(PAGE).go(1n << 47n), fault(FAULT.translation, 0));
  const outside = new Bench(tcr(0n, 2n), () => 0x80_0000_0000n - 4096n);
  assert.is(outside.go(0n), fault(FAULT.externalOnWalk, 0));
  const tooHigh = new Bench(tcr(0n, 2n), () => 1n << 44n);
  assert.is(tooHigh.go(0n), fault(FAULT.addressSize, 0));
});

test('addresses outside both halves, EPD and E0PD fault at level 0', () => {
  const bench = onePage(PAGE | 0x5000n);
  for (const va of [1n << 48n, 1n << 54n, 0x00ff_0000_0000_0000n, 0xfffe_0000_0000_0000n, 0xab00_0000_0000_0000n]) {
    assert.is(bench.go(va), fault(FAULT.translation, 0), va.toString(16));
  }
  assert.is(onePage(PAGE | 0x5000n, 0n, 1n << 7n).go(0n), fault(FAULT.translation, 0), 'EPD0');
  const shut = onePage(PAGE | 0x5000n | USER, 0n, 1n << 55n);
  assert.is(shut.go(0n, WANT.read, AS.el0), fault(FAULT.translation, 0), 'E0PD0');
  assert.is(shut.go(0n), 0x5000);
});

test('TBI ignores the top byte of its half only', () => {
  const bench = onePage(PAGE | 0x5000n, 0n, 1n << 37n);
  assert.is(bench.go(0xab00_0000_0000_0010n), 0x5010);
  assert.is(bench.go(0xab80_0000_0000_0010n), fault(FAULT.translation, 0));
});

test('the upper half walks TTBR1 with its own size, from the level that the size says', () => {
  const t1sz = 39n; // 25 bits: level 2 and 3 only
  const bench = new Bench(
    (tcr(0n, 2n) & ~(63n << 16n)) | (t1sz << 16n),
    (b) => {
      const [l2, l3] = [b.table(), b.table()];
      b.set(l2, 15, BigInt(l3) | 3n);
      b.set(l3, 511, 0x9000n | PAGE);
      return BigInt(l2);
    },
    true,
  );
  assert.is(bench.go(0xffff_ffff_ffff_f008n), 0x9008);
  assert.is(bench.go(0xffff_ffff_fe00_0000n), fault(FAULT.translation, 2));
  assert.is(bench.go(0xffff_ffff_fdff_f000n), fault(FAULT.translation, 0));
});

test('device memory is told apart, and with the MMU off everything is device memory', () => {
  const bench = onePage(0x5000n | (PAGE & ~(7n << 2n)));
  bench.go(0n);
  assert.is(bench.result.device, true);
  bench.state.set32(SLOT.sctlr, 0);
  bench.regime.load(bench.state);
  assert.is(bench.go(0x1234n), 0x1234);
  assert.is(bench.result.device, true);
  assert.is(bench.go(1n << 41n), fault(FAULT.addressSize, 0));
});

test('remembered tables save reads until they are forgotten', () => {
  const bench = onePage(PAGE | 0x5000n);
  bench.go(0n);
  bench.reads = 0;
  assert.is(bench.go(0n), 0x5000);
  const cached = bench.reads;
  bench.walker.forgetTables();
  bench.reads = 0;
  bench.go(0n);
  assert.is(bench.reads, cached + 3);
});

test('another ASID does not see what was remembered under this one', () => {
  const bench = onePage(PAGE | 0x5000n);
  bench.go(0n);
  bench.regime.asid = 7;
  bench.reads = 0;
  bench.go(0n);
  assert.ok(bench.reads >= 4);
});

test.run();
