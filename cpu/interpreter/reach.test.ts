/**
 * Accesses that generated code makes by walking itself against the same ones made by the core: random translation tables (rights, blocks,
 * devices, holes), address spaces and maintenance; two machines, of which one has no map of frames, must never differ.
 */
import * as assert from 'uvu/assert';
import { BareMetalMachine } from '../../test/drivers/bare-metal-machine.js';
import { spec } from '../../test/harness/spec.js';
import { PSTATE } from '../cpu-state.js';
import { STATE } from '../state.js';
import { SLOT } from '../sysreg/registers.js';

const test = spec('reach');
const BASE = 0x4000_0000;
const CODE = BASE;
/** One table of each level for either half, the leaves' two side by side. */
const TABLES = BASE + 0x10_0000;
const [LEVEL1, LEVEL2, LEVEL3] = [TABLES + 0x1000, TABLES + 0x2000, TABLES + 0x3000];
const FRAMES = BASE + 0x20_0000;
const FRAME_COUNT = 8;
/** What the second table of leaves is of, and behind it blocks. */
const AREA = 0x8000_0000;
const WORDS = [
  0xf9400020, // ldr x0, [x1]
  0xf9000020, // str x0, [x1]
  0x39400020, // ldrb w0, [x1]
  0x79000020, // strh w0, [x1]
  0xa9400823, // ldp x3, x2, [x1]
  0xa9000823, // stp x3, x2, [x1]
  0xad400420, // ldp q0, q1, [x1]
  0xad000420, // stp q0, q1, [x1]
  0x3dc00022, // ldr q2, [x1]
  0x4c40a020, // ld1 {v0.16b, v1.16b}, [x1]
  0xf8400820, // ldtr x0, [x1]
  0xf8000820, // sttr x0, [x1]
  0xc85f7c20, // ldxr x0, [x1]
  0xf8200023, // ldadd x0, x3, [x1]
  0xc8dffc20, // ldar x0, [x1]
  0xc89ffc20, // stlr x0, [x1]
  0xd50b7421, // dc zva, x1
  0xd50b7a21, // dc cvac, x1
  0xd50b7b21, // dc cvau, x1
  0xd50b7e21, // dc civac, x1
  0xd50b7521, // ic ivau, x1
];

function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** A machine at EL1 with the MMU on, tables as `fill` writes them. */
function makeMachine(mapped: boolean): BareMetalMachine {
  const machine = new BareMetalMachine(8, { jit: false, mapped });
  machine.load(CODE, new Uint8Array(Uint32Array.from(WORDS).buffer));
  const { core } = machine;
  core.reset(BigInt(CODE), 0n);
  core.set64(SLOT.vbar, BigInt(CODE));
  core.set64(SLOT.mair, 0x04ffn); // 0: normal, 1: device
  core.set64(SLOT.cpacr, 3n << 20n);
  core.set64(SLOT.ttbr0, BigInt(TABLES) | (1n << 48n));
  core.set64(SLOT.ttbr1, BigInt(TABLES));
  return machine;
}

/** A leaf's descriptor: mostly memory that may be used. */
function randomLeaf(draw: (below: number) => number): bigint {
  if (draw(12) === 0) return 0n;
  const frame = draw(16) === 0 ? 0x900_0000 : FRAMES + draw(FRAME_COUNT) * 4096;
  const flag = (odds: number, bit: bigint): bigint => (draw(odds) === 0 ? 1n << bit : 0n);
  const accessed = draw(12) === 0 ? 0n : 1n << 10n;
  return BigInt(frame) | 3n | accessed | flag(2, 6n) | flag(4, 7n) | flag(12, 2n) | flag(40, 46n);
}

test('an access by generated code is what it would be by the core', () => {
  const draw = generator(0x5eed);
  const machines = [makeMachine(true), makeMachine(false)];
  const [ours, other] = [machines[0]!.core, machines[1]!.core];
  let reached = 0;
  for (let round = 0; round < 40; round++) {
    const tables = new BigUint64Array(6 * 512);
    const at = (table: number, index: number): number => (table - TABLES) / 8 + index;
    const limits = (): bigint => (draw(4) === 0 ? BigInt(draw(4)) << 61n : 0n);
    for (const index of [0, 511]) tables[at(TABLES, index)] = BigInt(LEVEL1) | 3n | limits();
    // 1 GiB of identity for the code; the area's table; a block of 1 GiB.
    tables[at(LEVEL1, 1)] = BigInt(BASE) | 1n | (1n << 10n);
    tables[at(LEVEL1, 2)] = BigInt(LEVEL2) | 3n | limits();
    tables[at(LEVEL1, 3)] = BigInt(BASE) | 1n | (1n << 10n) | (BigInt(draw(4)) << 6n);
    for (const n of [0, 1]) tables[at(LEVEL2, n)] = BigInt(LEVEL3 + n * 4096) | 3n | limits();
    tables[at(LEVEL2, 2)] = BigInt(FRAMES) | 1n | (1n << 10n) | (BigInt(draw(4)) << 6n);
    for (let n = 0; n < 1024; n++) tables[at(LEVEL3, n)] = randomLeaf(draw);
    const bytes = new Uint8Array(tables.buffer);
    const inputBits = [16, 16, 20, 25][draw(4)]!;
    // T0SZ, TBI0, E0PD0 and AS as drawn, granules of 4 KiB; tables of shorter walks begin in the middle, which is all the same.
    const tcr = BigInt(inputBits | (inputBits << 16) | (2 << 30)) & 0xffff_ffffn;
    const high = BigInt(
      5 | (draw(2) << 5) | (draw(2) << 4) | (draw(8) === 0 ? 1 << 23 : 0) | (draw(8) === 0 ? 1 << 9 : 0),
    );
    const uci = BigInt(draw(2)) << 26n;
    for (const machine of machines) {
      machine.load(TABLES, bytes);
      machine.core.set64(SLOT.tcr, tcr | (high << 32n));
      machine.core.set64(SLOT.sctlr, 0x30d0_1805n | uci);
      if (inputBits === 25) machine.core.set64(SLOT.ttbr0, BigInt(LEVEL1) | (1n << 48n));
      else machine.core.set64(SLOT.ttbr0, BigInt(TABLES) | (1n << 48n));
      machine.core.space.regimeChanged();
    }
    for (let access = 0; access < 150; access++) {
      const word = draw(WORDS.length);
      const near = draw(3) === 0 ? 4096 - draw(40) : draw(4096);
      const within = draw(8) === 0 ? draw(0x60_0000) & ~0xfff : draw(24) * 4096;
      const place = BigInt((draw(20) === 0 ? 0xc000_0000 : AREA) + within + (draw(2) === 0 ? near & ~7 : near));
      const top = [0n, 0n, 0n, 0xffffn << 48n, 0x5a00n << 48n, 0x5affn << 48n][draw(6)]!;
      const [level, pan, flush] = [draw(4) === 0 ? 0 : 1, draw(3) === 0, draw(30)];
      const page = BigInt(draw(24));
      for (const { core } of machines) {
        if (flush === 0) core.space.flush();
        if (flush < 3) core.space.invalidate('va', Number((BigInt(AREA) >> 12n) + page), 0);
        core.set32(STATE.el, level);
        core.set32(STATE.pstate, PSTATE.spsel | (pan ? PSTATE.pan : 0));
        core.space.contextChanged();
        core.set64(STATE.pc, BigInt(CODE + word * 4));
        core.set64(8, place | top);
        core.set64(0, BigInt(access) * 0x0101_0101_0307n);
        core.step();
      }
      const what = `round ${round}, access ${access}, word ${word} at ${(place | top).toString(16)}`;
      for (const field of [
        STATE.pc,
        0,
        2 * 8,
        3 * 8,
        SLOT.esr,
        SLOT.far,
        SLOT.elr,
        STATE.v,
        STATE.v + 8,
        STATE.v + 40,
      ]) {
        assert.is(ours.get64(field), other.get64(field), `${what}: field ${field}`);
      }
    }
    const memory = machines.map((machine) => {
      const from = machine.frame(FRAMES / 4096);
      return machine.bytes.slice(from, from + FRAME_COUNT * 4096);
    });
    assert.equal(memory[0], memory[1]);
    reached = ours.space.tlb.fills;
  }
  const slow = { ours: ours.access.counters.slow, other: other.access.counters.slow };
  assert.ok(reached > 1000 && slow.ours < slow.other - 500, JSON.stringify({ reached, ...slow }));
});

test.run();
