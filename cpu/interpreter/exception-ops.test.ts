/** Interrupts taken and exceptions returned from inside generated code, against the core's own way of doing it. */
import * as assert from 'uvu/assert';
import { seededRandom } from '../../actors/runtime/random.js';
import { BareMetalMachine } from '../../test/drivers/bare-metal-machine.js';
import { spec } from '../../test/harness/spec.js';
import { PSTATE } from '../cpu-state.js';
import { EXIT, LONG_WAY, STATE, STATE_BYTES } from '../state.js';
import { SLOT } from '../sysreg/registers.js';

const test = spec('exceptions in generated code');
const CODE = 0x4000_0000;
const VECTORS = 0x4000_1000;
/** ERET; MSR DAIF, X0; B . */
const [ERET, MSR_DAIF, BRANCH_TO_ITSELF] = [0xd69f03e0, 0xd51b4220, 0x14000000];
const ROUNDS = 1_500;
const BUDGET = 10_000;
/** Words that say how much was done and how, and one that the machine brings up to date when a run ends. */
const NOT_COMPARED = [
  STATE.budget,
  STATE.interrupts,
  STATE.longWay,
  STATE.irqs,
  STATE.irqs + 4,
  STATE.fiqs,
  STATE.fiqs + 4,
];
const { u32 } = seededRandom(7, 'exceptions');
const pick = <T>(values: readonly T[]): T => values[u32() % values.length]!;
const someOf = (bits: number): number => bits & (u32() % 3 === 0 ? 0 : u32());

const machine = new BareMetalMachine(1, { jit: false });
const { core } = machine;
const code = new Uint32Array(3072).fill(BRANCH_TO_ITSELF);
code[0] = ERET;
code[4] = MSR_DAIF;
machine.load(CODE, new Uint8Array(code.buffer));

/** A state that an instruction at `pc` finds; most of what decides how an exception goes is drawn. */
function draw(pc: number): void {
  core.reset(BigInt(pc), 0n);
  for (const register of [STATE.sp, SLOT.spEl0, SLOT.spEl1]) core.set64(register, BigInt(u32()) * 16n);
  core.set64(SLOT.vbar, BigInt(VECTORS));
  core.set64(SLOT.elr, BigInt(CODE + 0x100 + (u32() % 64) * 4));
  const mode = u32() % 8 === 0 ? u32() & 0x1f : pick([0, 4, 5]);
  const illegal = u32() % 10 === 0 ? PSTATE.il : 0;
  core.set32(SLOT.spsr, someOf(0xf000_0000 | PSTATE.pan | PSTATE.uao | PSTATE.daif | PSTATE.ss) | illegal | mode);
  // Nothing may be due before the instruction: the core would take it.
  core.set32(STATE.daif, PSTATE.daif);
  core.set64(0, BigInt(someOf(PSTATE.daif)));
  core.set32(STATE.pstate, someOf(PSTATE.spsel | PSTATE.pan | PSTATE.uao));
  core.state.setNzcv(u32());
  core.set32(SLOT.sctlr, core.get32(SLOT.sctlr) | someOf(1 << 23));
  core.set32(SLOT.cpacr, someOf(3 << 20));
  core.set64(STATE.monitorAddress, BigInt(u32()));
  core.set32(SLOT.mdscr, u32() % 8 === 0 ? 1 : 0);
  core.set32(SLOT.oslsr, someOf(2));
  core.debug.update();
  if (u32() % 8 === 0) core.set32(STATE.el, 0);
  core.space.contextChanged();
  const lines = PSTATE.i | PSTATE.f | (u32() % 8 === 0 ? PSTATE.a : 0);
  core.setInterrupts(lines, false);
  core.setInterrupts(someOf(lines), true);
}

/** The state block after a run by this way from `from` on, without what may differ; and interrupts taken. */
function after(from: Uint8Array, longWay: number): { block: Int32Array; taken: number } {
  const { state, exceptions } = core;
  state.bytes.set(from, state.at);
  core.set32(STATE.longWay, longWay);
  for (const count of [STATE.irqs, STATE.fiqs]) core.set64(count, 0n);
  core.debug.update();
  core.space.contextChanged();
  const before = exceptions.taken;
  assert.is(core.run(BUDGET), EXIT.pause);
  const block = state.words.slice(state.at >> 2, (state.at + STATE_BYTES) >> 2);
  for (const offset of NOT_COMPARED) block[offset >> 2] = 0;
  // Flags have many forms (cpu/state.ts).
  block.fill(0, STATE.flagN >> 2, (STATE.flagC >> 2) + 1);
  block[STATE.flagC >> 2] = state.getNzcv();
  const inside = Number(core.get64(STATE.irqs) + core.get64(STATE.fiqs));
  return { block, taken: exceptions.taken - before + inside };
}

for (const [name, at] of [
  ['ERET', 0],
  ['an unmasked interrupt', 16],
] as const) {
  test(`${name} leaves the state that it leaves by way of the core`, () => {
    let shortWays = 0;
    for (let round = 0; round < ROUNDS; round++) {
      draw(CODE + at);
      const { state } = core;
      const from = state.bytes.slice(state.at, state.at + STATE_BYTES);
      const long = after(from, LONG_WAY.always);
      const { taken } = core.exceptions;
      const short = after(from, 0);
      if (core.exceptions.taken === taken && short.taken > 0) shortWays++;
      const differs = [...short.block.keys()].filter((word) => short.block[word] !== long.block[word]);
      const say = (word: number): string => `${word * 4}: ${short.block[word]}, not ${long.block[word]}`;
      assert.equal(differs.map(say), [], `round ${round}`);
      assert.is(short.taken, long.taken, `round ${round}`);
    }
    assert.ok(shortWays > ROUNDS / 10, `${shortWays} of ${ROUNDS} interrupts were taken inside`);
  });
}
test.run();
