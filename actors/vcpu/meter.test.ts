/** The meter's estimates, on programs whose instructions are known. Nothing here depends on how long anything takes. */
import * as assert from 'uvu/assert';
import { EXIT, STATE } from '../../cpu/state.js';
import { BareMetalMachine } from '../../test/drivers/bare-metal-machine.js';
import { spec } from '../../test/harness/spec.js';
import { VcpuMeter } from './meter.js';

const test = spec('vcpu meter');
const CODE = 0x4008_0000;
/** movz x1, #0x4010, lsl #16; movz x0, #0; loop: add x0, x0, #1; add x1, x1, x0; b loop */
const LOOP = [0xd2a80201, 0xd2800000, 0x91000400, 0x8b000021, 0x17fffffe];
const BUDGET = 4000;
const RUN_MS = 0.03;

/** Runs `words` for `rounds` runs under a meter whose clock moves by RUN_MS each. */
function metered(words: readonly number[], rounds: number) {
  const machine = new BareMetalMachine(64);
  machine.load(CODE, new Uint8Array(Uint32Array.from(words).buffer));
  const { core } = machine;
  core.reset(BigInt(CODE), 0n);
  let nowMs = 100;
  const meter = new VcpuMeter(
    core,
    () => null,
    () => nowMs,
  );
  meter.sliceStarts(nowMs);
  for (let n = 0; n < rounds; n++) {
    nowMs += RUN_MS;
    assert.is(core.run(BUDGET), EXIT.pause);
    meter.ran(Float64Array.of(RUN_MS), BUDGET - core.get32(STATE.budget) - core.work.takeCharged());
  }
  meter.sliceEnds(nowMs);
  meter.sliceStarts(nowMs + 5);
  meter.sliceEnds(nowMs + 6);
  return { core, meter };
}

test('instructions are estimated, hot places found, compiled code told from interpreted', () => {
  const { core, meter } = metered(LOOP, 3000);
  const executed = Number(core.get64(0)) * 3;
  const { instructions, hottest, compiledMs, interpretedMs, exitsMs, idleMs } = meter.reading(2);
  assert.ok(Math.abs(instructions - executed) < executed * 0.1, `${instructions} of ${executed}`);
  const [first] = hottest;
  assert.ok(first !== undefined && first.share > 0.5);
  const at = Number(first?.pc ?? 0) - CODE;
  assert.ok(at >= 8 && at <= 16, first?.pc ?? '');
  assert.equal(first?.words, [...LOOP, 0, 0, 0, 0, 0, 0].slice(at / 4, at / 4 + 6));
  assert.ok(compiledMs > interpretedMs * 5, `${compiledMs} ms compiled, ${interpretedMs} ms interpreted`);
  assert.ok(Math.abs(idleMs - 5) < 0.01 && exitsMs >= 1);
});

test('a meter that has seen nothing says so', () => {
  const { meter } = metered(LOOP, 0);
  const { hottest, instructions, compiledMs } = meter.reading(4);
  assert.equal([hottest.length, instructions, compiledMs], [0, 0, 0]);
});
test.run();
