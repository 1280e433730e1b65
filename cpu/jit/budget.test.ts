/** How soon a run ends: interrupts are taken between runs, so this bounds how long they wait, in any loop. */
import * as assert from 'uvu/assert';
import { BareMetalMachine } from '../../test/drivers/bare-metal-machine.js';
import { spec } from '../../test/harness/spec.js';
import { EXIT, STATE, WORK } from '../state.js';

const test = spec('budget');

const CODE = 0x4008_0000;
const NOP = 0xd503201f;
/** Instructions of one region, or what interpreted code does between two counts, at most. */
const SLACK = 1_100;
const BUDGET = 20_000;
const SHORT_ROUNDS = 2_000;
const BODY = 200;
const LONG_ROUNDS = 20;

/**
 * X0 counts rounds of three instructions, X1 rounds of some 200 behind them, over and over: the loop changes its pace.
 * Cross-page: X2 counts rounds through two pages of 600 instructions without a loop in either.
 */
function program(): Uint32Array {
  const words = new Uint32Array(4096).fill(NOP);
  const long = 5;
  const again = long + BODY + 4;
  words.set([
    0xd2800000 | (SHORT_ROUNDS << 5) | 10, // MOVZ X10, #rounds
    0x91000400, // short: ADD X0, X0, #1
    0xd100054a, // SUB X10, X10, #1
    (0xb5000000 | ((-2 & 0x7ffff) << 5) | 10) >>> 0, // CBNZ X10, short
    0xd2800000 | (LONG_ROUNDS << 5) | 11, // MOVZ X11, #rounds
  ]);
  words.set([0x91000421, 0xd100056b, (0xb5000000 | (((-BODY - 2) & 0x7ffff) << 5) | 11) >>> 0], again - 4); // long:
  words[again - 1] = (0x14000000 | (-(again - 1) & 0x3ffffff)) >>> 0; // B to the start
  words.set([0x91000442], 1024); // ADD X2, X2, #1
  words[1024 + 600] = (0x14000000 | 424) >>> 0; // B to the next page
  words[2048 + 600] = (0x14000000 | (-1624 & 0x3ffffff)) >>> 0; // B to the start
  return words;
}

function machine(jit: boolean, entry: number): BareMetalMachine {
  const made = new BareMetalMachine(64, { jit });
  made.load(CODE, new Uint8Array(program().buffer));
  made.core.reset(BigInt(CODE + entry * 4), 0n);
  return made;
}

for (const jit of [true, false]) {
  test(`a run ends within its budget when a loop changes its pace, ${jit ? 'compiled' : 'interpreted'}`, () => {
    const { core } = machine(jit, 0);
    const executed = (): number => Number(core.get64(0)) * 3 + Number(core.get64(8)) * (BODY + 3);
    let most = 0;
    for (let run = 0; run < 3_000; run++) {
      const budget = 500 + ((run * 7919) % 20_000);
      const before = executed();
      assert.is(core.run(budget), EXIT.pause);
      const took = executed() - before;
      assert.ok(took <= budget + SLACK, `${took} instructions with a budget of ${budget}`);
      most = Math.max(most, took / budget);
    }
    if (jit) {
      assert.ok((core.jit?.counters.regions ?? 0) > 0);
      assert.ok(most > 0.5, 'compiled loops use what they are given');
    }
  });

  test(`a run ends soon in code without loops, ${jit ? 'compiled' : 'interpreted'}`, () => {
    const { core } = machine(jit, 1024);
    for (let run = 0; run < 300; run++) {
      const before = core.get64(16);
      assert.is(core.run(20_000), EXIT.pause);
      const took = Number(core.get64(16) - before) * 1202;
      assert.ok(took <= 8 * 20_000 + 2 * SLACK, `${took} instructions`);
    }
    if (jit) assert.ok((core.jit?.counters.regions ?? 0) > 0);
  });
}

/** `body` and a count of rounds in X0, over and over. */
function loop(body: readonly number[], jit: boolean): BareMetalMachine {
  const words = [...body, 0x91000400]; // ADD X0, X0, #1
  words.push((0x14000000 | (-words.length & 0x3ffffff)) >>> 0);
  const made = new BareMetalMachine(64, { jit });
  made.load(CODE, new Uint8Array(Uint32Array.from(words).buffer));
  made.core.reset(BigInt(CODE), 0n);
  return made;
}

for (const jit of [true, false]) {
  const how = jit ? 'compiled' : 'interpreted';
  test(`accesses that the TLB does not allow count for as long as they take, ${how}`, () => {
    // LDR X20, [X19]; ADD X19, X19, #4096; AND X19, X19, #0xffffffffff7fffff: 8 MiB, twice what the TLB holds.
    const { core } = loop([0xf9400274, 0x91400673, 0x9268fa73], jit);
    core.set64(19 * 8, 0x4100_0000n);
    const most = BUDGET / WORK.slowAccess + SLACK / 5;
    for (let run = 0; run < 300; run++) {
      const before = core.get64(0);
      assert.is(core.run(BUDGET), EXIT.pause);
      const rounds = Number(core.get64(0) - before);
      assert.ok(rounds > 0 && rounds <= most, `${rounds} accesses with a budget of ${BUDGET}`);
    }
    assert.ok(core.work.takeCharged() > 0);
    if (jit) assert.ok((core.jit?.counters.regions ?? 0) > 0);
  });

  test(`operations that empty the TLB count for as long as they take, ${how}`, () => {
    const { core } = loop([0xd508871f], jit); // TLBI VMALLE1
    for (let run = 0; run < 300; run++) {
      const before = core.get64(0);
      assert.is(core.run(BUDGET), EXIT.pause);
      const rounds = Number(core.get64(0) - before);
      assert.ok(rounds > 0 && rounds <= BUDGET / WORK.flush + 2, `${rounds} with a budget of ${BUDGET}`);
    }
  });
}

test('code that was never met is left when decoding it took as long as the budget, an instruction further on', () => {
  const made = new BareMetalMachine(64, { jit: false });
  const words = Uint32Array.from({ length: 4096 }, (_, n) => (0xd2800001 | (n << 5)) >>> 0); // MOVZ X1, #n
  made.load(CODE, new Uint8Array(words.buffer));
  const { core } = made;
  core.reset(BigInt(CODE), 0n);
  for (let run = 0; run < 200; run++) {
    const before = core.get64(STATE.pc);
    assert.is(core.run(run % 2 === 0 ? BUDGET : 1), EXIT.pause);
    const words = Number(core.get64(STATE.pc) - before) / 4;
    assert.ok(words >= 0 && words <= BUDGET / WORK.decode + 1, `${words} instructions`);
  }
  assert.ok(core.get64(STATE.pc) > BigInt(CODE + 4 * 900));
});

test.run();
