/** What a run gives out, on guest code whose work is known, by a clock that moves as the test says. */
import { equal, is, ok } from 'uvu/assert';
import { EXIT, STATE } from '../../cpu/state.js';
import { BareMetalMachine } from '../../test/drivers/bare-metal-machine.js';
import { spec } from '../../test/harness/spec.js';
import { VcpuMeter } from './meter.js';
import { RunTurns } from './run-turns.js';

const test = spec('turns of a run');
const CODE = 0x4008_0000;
/** ADD X0, X0, #1; ADD X1, X1, X0; B to the start. */
const LOOP = [0x91000400, 0x8b000021, 0x17fffffe];

/** MRS X0, CNTVCT_EL0; ADD X1, X1, #1; B to the start. */
const COUNTER_LOOP = [0xd53be040, 0x91000421, 0x17fffffe];

/** Turns of a machine that executes LOOP; the clock moves by `turnMs` before each look. `ageMs`: how long ago its first run was. */
function started(turnMs: number, ageMs = 6_000) {
  let nowMs = 100;
  let isCalled = false;
  const looks: number[] = [];
  const machine = new BareMetalMachine(64, { turn: (): number => turns.turn() });
  machine.load(CODE, new Uint8Array(Uint32Array.from(LOOP).buffer));
  machine.core.reset(BigInt(CODE), 0n);
  const { core } = machine;
  const clock = {
    shows: Float64Array.of(nowMs, Number.POSITIVE_INFINITY),
    look: () => {
      nowMs += turnMs;
      clock.shows[0] = nowMs;
    },
    attends: () => void looks.push(nowMs),
    isCalled: () => isCalled,
  };
  const meter = new VcpuMeter(
    core,
    () => 0,
    () => nowMs,
  );
  const turns: RunTurns = new RunTurns(core, meter, clock);
  turns.begins(false);
  nowMs += ageMs;
  const called = (): void => {
    isCalled = true;
  };
  return { core, turns, looks, called, executed: () => Number(core.get64(0)) * 3 };
}

test('a run is several turns, between which the clock is looked at without leaving it', () => {
  const { core, turns, looks, executed } = started(0.012);
  for (let run = 0; run < 500; run++) {
    const before = looks.length;
    turns.begins(false);
    is(turns.run(), EXIT.pause);
    is(turns.goesOn(), false);
    // Looks 12, 24, ... and 120 us after it began.
    equal(looks.length - before, 10);
    turns.ends(new Float64Array(1));
    if (run === 400) core.work.takeCharged();
    if (run < 400) continue;
    ok(turns.used - core.work.takeCharged() > 0);
  }
  ok(executed() > 500 * 3 * 200);
});

test('a young processor has longer runs, unless somebody has something for it', () => {
  const { turns, looks, called } = started(0.036, 0);
  turns.begins(false);
  is(turns.run(), EXIT.pause);
  // Looks 36, 72, ... and 252 us after it began.
  is(looks.length, 7);
  called();
  turns.begins(false);
  is(turns.run(), EXIT.pause);
  is(looks.length, 8);
});

test('before it is old a processor runs as later now and then', () => {
  const { turns, looks } = started(0.036, 4_000);
  const inRun: number[] = [];
  for (let run = 0; run < 8; run++) {
    const before = looks.length;
    turns.begins(false);
    is(turns.run(), EXIT.pause);
    inRun.push(looks.length - before);
  }
  equal(inRun, [7, 7, 7, 4, 7, 7, 7, 4]);
});

test('what runs have used is what was executed', () => {
  const { core, turns, executed } = started(0.012);
  for (let run = 0; run < 2_000; run++) {
    turns.begins(false);
    turns.run();
  }
  const before = executed();
  let used = 0;
  for (let run = 0; run < 500; run++) {
    turns.begins(false);
    turns.run();
    used += turns.used;
  }
  const took = executed() - before;
  ok(Math.abs(used / took - 1) < 0.15, `${used} used, ${took} executed`);
  is(core.get32(STATE.rest), 0);
});

test('a guest that changes over to reading its counter has its turn ended by that', () => {
  let nowMs = 100;
  const looks: number[] = [];
  const readMs = 0.001;
  let lookMs = 0.009;
  class Counting extends BareMetalMachine {
    readonly counter = (): void => {
      nowMs += readMs;
      turns.counted(Float64Array.of(nowMs));
    };
  }
  const machine = new Counting(64, { turn: (): number => turns.turn() });
  const { core } = machine;
  machine.load(CODE, new Uint8Array(Uint32Array.from(LOOP).buffer));
  machine.load(CODE + 64, new Uint8Array(Uint32Array.from(COUNTER_LOOP).buffer));
  const meter = new VcpuMeter(
    core,
    () => 0,
    () => nowMs,
  );
  const clock = {
    shows: Float64Array.of(nowMs, Number.POSITIVE_INFINITY),
    look: () => {
      nowMs += lookMs;
      clock.shows[0] = nowMs;
    },
    attends: () => void looks.push(nowMs),
    isCalled: () => false,
  };
  const turns: RunTurns = new RunTurns(core, meter, clock);
  turns.begins(false);
  nowMs += 6_000;
  // Turns of the first loop are short whatever their work is, so they get all that there is.
  core.reset(BigInt(CODE), 0n);
  for (let run = 0; run < 200; run++) {
    turns.begins(false);
    turns.run();
    turns.ends(new Float64Array(1));
  }
  lookMs = 0;
  core.reset(BigInt(CODE + 64), 0n);
  for (let run = 0; run < 500; run++) {
    looks.length = 0;
    const from = nowMs;
    turns.begins(false);
    turns.run();
    turns.ends(new Float64Array(1));
    core.work.takeCharged();
    const [first = 0] = looks;
    ok(first - from < 0.016, `${first - from} ms until the first look`);
    ok(nowMs - from < 0.125);
  }
  ok(core.get64(1) > 500n * 10n);
});

test('a long turn is the run’s last', () => {
  const { turns, looks } = started(0.12);
  turns.begins(false);
  is(turns.run(), EXIT.pause);
  is(looks.length, 1);
  is(turns.goesOn(), false);
  is(turns.turn(), 0);
  is(looks.length, 1);
});

test.run();
