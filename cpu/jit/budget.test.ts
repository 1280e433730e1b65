/** How soon a run ends: interrupts are taken between runs, so this bounds how long they wait, in any loop. */
import * as assert from 'uvu/assert';
import { BareMetalMachine } from '../../test/drivers/bare-metal-machine.js';
import { spec } from '../../test/harness/spec.js';
import { EXIT } from '../state.js';

const test = spec('budget');

const CODE = 0x4008_0000;
const NOP = 0xd503201f;
/** Instructions of one region, or what interpreted code does between two counts, at most. */
const SLACK = 1_100;
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

test.run();
