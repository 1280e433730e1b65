/**
 * The generated CPU interface against the one in JavaScript (actors/shared-state/gic): the same random life of two controllers must give
 * the same values, states and interrupt lines; what the code does not do itself it must leave untouched.
 */
import fc from 'fast-check';
import { equal, is } from 'uvu/assert';
import { PSTATE } from '../../cpu/cpu-state.js';
import { STATE } from '../../cpu/state.js';
import { sysregKeyOf } from '../../cpu/sysreg/registers.js';
import { spec } from '../../test/harness/spec.js';
import { GIC_LOCK, Gic } from '../shared-state/gic/gic.js';
import { GicCpuInterface } from '../shared-state/gic/gic-cpu-interface.js';
import { GIC_STATE_BYTES, GICD_STATE } from '../shared-state/gic/gic-layout.js';
import { GicRegisters } from '../shared-state/gic/gic-mmio.js';
import { VmBlock } from '../shared-state/vm/vm-block.js';
import { gicCode } from './gic-code.js';

const test = spec('gic code');
const [STATE_AT, LOOK_AT, OURS_AT, TWIN_AT] = [0x1000, 0x3000, 0x10000, 0x20000];
/** Where the block of the code's VM lies, and of its twin's. */
const [OURS_BLOCK, TWIN_BLOCK] = [0x30000, 0x40000];
const CPU = 1;
const READ = ['ICC_IAR1_EL1', 'ICC_IAR1_EL1', 'ICC_PMR_EL1', 'ICC_RPR_EL1'] as const;
const WRITTEN = ['ICC_EOIR1_EL1', 'ICC_DIR_EL1', 'ICC_PMR_EL1'] as const;

/** Two controllers in the same state, one of which the code serves as vCPU 1 of two. */
function world() {
  const memory = new WebAssembly.Memory({ initial: 16, maximum: 65536, shared: true });
  const { buffer } = memory;
  const view = new DataView(buffer);
  const sides = [
    [OURS_AT, OURS_BLOCK],
    [TWIN_AT, TWIN_BLOCK],
  ].map(([at = 0, block = 0]) => {
    const gic = new Gic(buffer, at, () => undefined);
    gic.reset([0, 1]);
    gic.setBlock(block);
    return { gic, registers: new GicRegisters(gic), icc: new GicCpuInterface(gic, CPU) };
  });
  const [ours, twin] = [sides[0]!, sides[1]!];
  const log: string[] = [];
  const other = (what: string) => (): number => {
    log.push(what);
    return 7;
  };
  const posted = new VmBlock(buffer, OURS_BLOCK).postedAt(CPU);
  const places = { state: STATE_AT, gic: OURS_AT, cpu: CPU, posted };
  const code = gicCode(memory, places, {
    ...{ read: other('read'), write: other('write'), attend: other('attend') },
    wakeNext: () => void log.push('wake'),
  });
  view.setInt32(STATE_AT + STATE.el, 1, true);
  view.setInt32(STATE_AT + STATE.lookAt, LOOK_AT, true);
  const state = (at: number): string => {
    const bytes = Buffer.from(new Uint8Array(buffer, at, GIC_STATE_BYTES));
    bytes.writeInt32LE(0, GICD_STATE.block);
    return bytes.toString('latin1');
  };
  const lines = (): object => {
    const word = view.getInt32(STATE_AT + STATE.interrupts, true);
    return { irq: (word & PSTATE.i) !== 0, fiq: (word & PSTATE.f) !== 0 };
  };
  return { view, sides, ours, twin, log, code, state, lines, posted };
}

/** A value that stands for the interrupt that was acknowledged last. */
const LAST = -1;
const interrupt = fc.constantFrom(0, 5, 15, 17, 27, 31, 32, 33, 40, 63, 64, 200, 287);
const spi = fc.constantFrom(32, 33, 40, 63, 64, 200, 287);
const bits = fc.integer({ min: 0, max: 0xffff_ffff });
const group = fc.constantFrom(0, 1);
const act = fc.oneof(
  { weight: 12, arbitrary: fc.record({ do: fc.constant('read' as const), name: fc.constantFrom(...READ) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('write' as const),
      name: fc.constantFrom(...WRITTEN),
      value: fc.oneof(fc.constant(LAST), interrupt, fc.constantFrom(0xff, 0x80, 0x40, 1020, 1023), bits),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('source' as const),
      interrupt: spi,
      level: fc.boolean(),
      clears: fc.boolean(),
    }),
  },
  fc.record({
    do: fc.constant('line' as const),
    interrupt: fc.oneof(spi, fc.constantFrom(17, 27, 31)),
    level: fc.boolean(),
  }),
  fc.record({ do: fc.constant('pulse' as const), interrupt: spi }),
  fc.record({ do: fc.constant('post' as const), interrupt: spi }),
  fc.record({ do: fc.constant('sgi' as const), interrupt: fc.integer({ min: 0, max: 15 }) }),
  fc.record({ do: fc.constant('priority' as const), interrupt, value: fc.integer({ min: 0, max: 255 }) }),
  fc.record({ do: fc.constant('route' as const), interrupt: spi, value: fc.constantFrom(0n, 1n, 1n << 31n, 5n) }),
  fc.record({
    do: fc.constant('bits' as const),
    at: fc.constantFrom(0x80, 0x100, 0x180, 0x200, 0x280, 0xc00),
    word: fc.integer({ min: 0, max: 8 }),
    value: bits,
  }),
  fc.record({
    do: fc.constant('icc' as const),
    name: fc.constantFrom(
      'ICC_CTLR_EL1',
      'ICC_BPR0_EL1',
      'ICC_BPR1_EL1',
      'ICC_IGRPEN0_EL1',
      'ICC_IGRPEN1_EL1',
      'ICC_AP0R0_EL1',
    ),
    value: fc.constantFrom(0, 1, 2, 3, 5, 0x10),
  }),
  fc.record({ do: fc.constant('control' as const), group, value: fc.integer({ min: 0, max: 3 }) }),
);

test('values, states and interrupt lines are those of the controller', () => {
  let acknowledged = 0;
  const life = fc.array(act, { minLength: 20, maxLength: 120 });
  fc.assert(
    fc.property(life, (acts) => {
      const w = world();
      let last = 0;
      for (const { gic, registers, icc } of w.sides) {
        registers.writeDistributor(0, 4, 3n);
        for (let word = 0; word < 9; word++) registers.writeDistributor(0x80 + word * 4, 4, 0xffff_ffffn);
        for (let word = 1; word < 9; word++) registers.writeDistributor(0x100 + word * 4, 4, 0xffff_ffffn);
        for (const n of [32, 33, 40, 200]) {
          gic.locked(() => {
            gic.setRoute(n, CPU);
            gic.setPriority(CPU, n, 0xff - n);
          });
        }
        for (const n of [33, 40]) gic.locked(() => gic.setBits('edge', 0, 32, 1 << (n & 31), -1));
        registers.writeRedistributor(CPU, 0x1_0080, 4, 0xffff_ffffn);
        registers.writeRedistributor(CPU, 0x1_0100, 4, 0xffff_ffffn);
        icc.write('ICC_PMR_EL1', 0xf8n);
        icc.write('ICC_IGRPEN1_EL1', 1n);
      }
      for (const step of acts) {
        w.log.length = 0;
        if (step.do === 'read') {
          const expected = w.twin.icc.read(step.name) >>> 0;
          is(w.code.read(STATE_AT, sysregKeyOf(step.name) | 1 | (3 << 5)), 0);
          is(w.view.getBigUint64(STATE_AT + STATE.scratch, true), BigInt(expected), step.name);
          if (step.name === 'ICC_IAR1_EL1' && expected < 1020) {
            acknowledged++;
            last = expected;
          }
        } else if (step.do === 'write') {
          const value = BigInt(step.value === LAST ? last : step.value);
          w.twin.icc.write(step.name, value);
          w.view.setBigUint64(STATE_AT + STATE.scratch, value, true);
          is(w.code.write(STATE_AT, sysregKeyOf(step.name) | (9 << 5)), 0);
        } else {
          for (const { gic, registers, icc } of w.sides) {
            if (step.do === 'source') {
              if (step.clears) gic.clearSource(step.interrupt);
              else gic.assertSource(step.interrupt, step.level);
            } else if (step.do === 'line') gic.setLine(step.interrupt, step.level, CPU);
            else if (step.do === 'pulse') {
              gic.pulse(step.interrupt);
              // The code leaves what was posted this way to others, so others take it here.
              gic.locked(() => undefined);
            } else if (step.do === 'post') {
              // As edge-code.ts does it, which the twin sees as what it stands for.
              if (gic === w.ours.gic) w.view.setInt32(w.posted, step.interrupt, true);
              else gic.pulse(step.interrupt);
            } else if (step.do === 'sgi') gic.sendSgi(step.interrupt, CPU);
            else if (step.do === 'priority') gic.locked(() => gic.setPriority(CPU, step.interrupt, step.value));
            else if (step.do === 'route') registers.writeDistributor(0x6000 + step.interrupt * 8, 8, step.value);
            else if (step.do === 'bits') registers.writeDistributor(step.at + step.word * 4, 4, BigInt(step.value));
            else if (step.do === 'icc') icc.write(step.name, BigInt(step.value));
            else registers.writeDistributor(0, 4, BigInt(step.value));
          }
          w.view.setInt32(LOOK_AT, 1, true);
          is(w.code.attend(STATE_AT), 0);
          is(w.view.getInt32(LOOK_AT, true), 0);
        }
        equal(w.lines(), w.twin.icc.signals(), step.do);
        equal(w.log, []);
        is(w.state(OURS_AT) === w.state(TWIN_AT), true, step.do);
      }
    }),
    { numRuns: 150 },
  );
  is(acknowledged > 50, true, `${acknowledged} acknowledged`);
});

test('other registers, EL0, a taken lock and posted edges are handed on untouched', () => {
  const w = world();
  const iar = sysregKeyOf('ICC_IAR1_EL1') | 1;
  const handed = (): void => {
    const before = w.state(OURS_AT);
    is(w.code.read(STATE_AT, iar), 7);
    is(w.code.write(STATE_AT, sysregKeyOf('ICC_EOIR1_EL1')), 7);
    equal(w.log, ['read', 'write']);
    w.log.length = 0;
    equal(w.state(OURS_AT), before);
  };
  is(w.code.read(STATE_AT, sysregKeyOf('ICC_CTLR_EL1') | 1), 7);
  is(w.code.read(STATE_AT, sysregKeyOf('SCTLR_EL1') | 1), 7);
  w.log.length = 0;
  w.view.setInt32(STATE_AT + STATE.el, 0, true);
  handed();
  w.view.setInt32(STATE_AT + STATE.el, 1, true);
  w.view.setInt32(OURS_AT + GICD_STATE.lock, GIC_LOCK.held, true);
  handed();
  is(w.code.refresh(), 1);
  w.view.setInt32(OURS_AT + GICD_STATE.lock, 0, true);
  w.ours.gic.pulse(40);
  handed();
  is(w.code.attend(STATE_AT), 7);
  equal(w.log, ['attend']);
  is(w.view.getInt32(STATE_AT + STATE.attended, true), 1);
});

test.run();
