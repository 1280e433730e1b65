import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { CpuState, PSTATE } from '../cpu-state.js';
import { STATE } from '../state.js';
import { SLOT } from '../sysreg/registers.js';
import { EC, Exceptions } from './exceptions.js';

const test = spec('exceptions');

const VBAR = 0xffff_8000_1234_0800n;
const PC = 0x0000_0040_0123_4564n;

interface Start {
  readonly el: number;
  readonly spsel: number;
  readonly daif?: number;
  readonly pstate?: number;
}

class Bench {
  readonly state = new CpuState(new SharedArrayBuffer(65536), 0);
  changes = 0;
  readonly exceptions = new Exceptions(this.state, {
    contextChanged: () => this.changes++,
    debugEnabledAt: (el) => el === 0,
  });
  constructor({ el, spsel, daif = 0, pstate = 0 }: Start) {
    this.state.set64(SLOT.vbar, VBAR);
    this.state.set64(STATE.pc, PC);
    this.state.set32(SLOT.sctlr, 1 << 23); // SPAN
    this.state.set32(STATE.el, el);
    this.state.set32(STATE.pstate, spsel | pstate);
    this.state.set32(STATE.daif, daif);
    this.state.setNzcv(0x90000000);
    const current = el === 1 && spsel === 1;
    this.state.set64(STATE.sp, current ? 0x111n : 0x100n);
    this.state.set64(SLOT.spEl0, 0x100n);
    this.state.set64(SLOT.spEl1, 0x111n);
  }
}

for (const [name, start, group, mode] of [
  ['EL0', { el: 0, spsel: 0 }, 0x400n, 0],
  ['EL1 with SP_EL0', { el: 1, spsel: 0 }, 0x000n, 4],
  ['EL1 with SP_EL1', { el: 1, spsel: 1 }, 0x200n, 5],
] as const) {
  test(`from ${name} a synchronous exception goes to its vector and everything is saved`, () => {
    const { state, exceptions } = new Bench({ ...start, daif: PSTATE.d });
    state.set64(STATE.sp, 0x777n);
    exceptions.recordAt(EC.dataAbort + start.el, 0x47, 0x5678, 0x1234);
    exceptions.takeRecorded();
    assert.is(state.get64(STATE.pc), VBAR + group);
    assert.is(state.get64(SLOT.elr), PC);
    assert.is(state.get64(SLOT.far), 0x1234_0000_5678n);
    assert.is(state.get64(SLOT.esr), BigInt(((EC.dataAbort + start.el) << 26) | (1 << 25) | 0x47) & 0xffffffffn);
    assert.is(state.get64(SLOT.spsr), BigInt((0x90000000 | PSTATE.d | mode) >>> 0));
    assert.is(state.get32(STATE.el), 1);
    assert.is(state.get32(STATE.daif), PSTATE.daif);
    assert.is(state.get64(STATE.sp), mode === 5 ? 0x777n : 0x111n);
    if (mode !== 5) assert.is(state.get64(SLOT.spEl0), 0x777n);
  });

  test(`return to ${name} restores what entry saved`, () => {
    const { state, exceptions } = new Bench({ ...start, daif: PSTATE.d, pstate: PSTATE.uao | PSTATE.pan });
    const before = [state.getPstate(), state.get64(STATE.sp), state.get64(STATE.pc)];
    state.set64(STATE.monitorAddress, 0x4000n);
    exceptions.take(EC.svc, 3);
    assert.is(state.getPstate() & PSTATE.uao, 0, 'UAO is cleared by entry');
    exceptions.return();
    assert.equal([state.getPstate(), state.get64(STATE.sp), state.get64(STATE.pc)], before);
    assert.is(state.get64(STATE.monitorAddress), 0xffff_ffff_ffff_ffffn, 'the monitor is open');
  });
}

test('PAN is set by entry only while SCTLR_EL1.SPAN is clear', () => {
  for (const span of [0, 1]) {
    const { state, exceptions } = new Bench({ el: 0, spsel: 0 });
    state.set32(SLOT.sctlr, span << 23);
    exceptions.take(EC.svc, 0);
    assert.is(state.get32(STATE.pstate) & PSTATE.pan, span === 0 ? PSTATE.pan : 0);
  }
});

test('interrupts are taken by priority and only where PSTATE lets them through', () => {
  const all = PSTATE.a | PSTATE.i | PSTATE.f;
  for (const [daif, vector] of [
    [0, 0x180n],
    [PSTATE.a, 0x100n],
    [PSTATE.a | PSTATE.f, 0x080n],
  ] as const) {
    const { state, exceptions } = new Bench({ el: 0, spsel: 0, daif });
    assert.is(exceptions.takeInterrupt(all), true);
    assert.is(state.get64(STATE.pc), VBAR + 0x400n + vector);
  }
  const { state, exceptions } = new Bench({ el: 0, spsel: 0, daif: all });
  assert.is(exceptions.takeInterrupt(all), false);
  assert.is(state.get64(STATE.pc), PC);
});

test('an illegal return sets IL and keeps level and stack', () => {
  for (const mode of [0x1, 0x2, 0x3, 0x6, 0x7, 0x8, 0x9, 0xc, 0xd, 0x10, 0x1f]) {
    const { state, exceptions } = new Bench({ el: 1, spsel: 1, daif: PSTATE.daif });
    state.set64(SLOT.spsr, 0x6000_0000n | BigInt(PSTATE.i | mode));
    state.set64(SLOT.elr, 0x8000n);
    exceptions.return();
    assert.is(state.get32(STATE.el), 1);
    assert.is(state.get32(STATE.pstate), PSTATE.spsel | PSTATE.il, mode.toString(16));
    assert.is(state.get64(STATE.sp), 0x111n);
    assert.is(state.get32(STATE.daif), PSTATE.i);
    assert.is(state.getNzcv(), 0x60000000);
    assert.is(state.get64(STATE.pc), 0x8000n);
  }
});

test('SPSR.SS becomes PSTATE.SS only when stepping begins with the return', () => {
  for (const [mdscr, mode, ss] of [
    [1, 0, PSTATE.ss],
    [0, 0, 0],
    [1, 5, 0], // debug exceptions are not enabled at EL1
  ] as const) {
    const { state, exceptions } = new Bench({ el: 1, spsel: 1, daif: PSTATE.daif });
    state.set32(SLOT.mdscr, mdscr);
    state.set64(SLOT.spsr, BigInt(PSTATE.ss | mode));
    exceptions.return();
    assert.is(state.get32(STATE.pstate) & PSTATE.ss, ss);
  }
});

test.run();
