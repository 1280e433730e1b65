/** What a core does around instructions: single steps, software step, syndromes. Stage 1 is off, so all memory is Device. */
import * as assert from 'uvu/assert';
import { BareMetalMachine } from '../test/drivers/bare-metal-machine.js';
import { spec } from '../test/harness/spec.js';
import { PSTATE } from './cpu-state.js';
import { EC } from './exceptions/exceptions.js';
import { EXIT, STATE } from './state.js';
import { SLOT } from './sysreg/registers.js';

const test = spec('core');
const CODE = 0x4000_0000;
const VECTORS = 0x4000_1000;
const DATA = 0x4000_2000n;
const NOP = 0xd503201f;
const IL = 1 << 25;

/** A core about to execute `words` at EL1, in `registers` what is not zero. */
function coreWith(words: readonly number[], registers: Readonly<Record<number, bigint>> = {}) {
  const machine = new BareMetalMachine(1, { jit: false });
  machine.load(CODE, new Uint8Array(new Uint32Array(words).buffer));
  const { core } = machine;
  core.reset(BigInt(CODE), 0n);
  core.set64(SLOT.vbar, BigInt(VECTORS));
  for (const [number, value] of Object.entries(registers)) core.set64(Number(number) * 8, value);
  return core;
}
const esr = (core: ReturnType<typeof coreWith>): number => Number(core.get64(SLOT.esr));
const syndrome = (ec: number, iss: number): number => ((ec << 26) | IL | iss) >>> 0;

test('a step is one instruction, page by page', () => {
  const core = coreWith([NOP, NOP]);
  for (const pc of [4, 8]) {
    assert.is(core.step(), EXIT.next);
    assert.is(core.get64(STATE.pc), BigInt(CODE + pc));
  }
});

test('a step into what cannot be fetched takes the abort and stops at its vector', () => {
  const core = coreWith([NOP]);
  core.set64(STATE.pc, 0x7000_0000n);
  core.step();
  assert.is(core.get64(STATE.pc), BigInt(VECTORS + 0x200));
  assert.is(core.get64(SLOT.elr), 0x7000_0000n);
  assert.is(esr(core), syndrome(EC.instructionAbort + 1, 0x10));
});

test('a step takes an interrupt that is due, and no instruction with it', () => {
  const core = coreWith([NOP]);
  core.set32(STATE.daif, 0);
  core.setInterrupts(PSTATE.i, true);
  core.step();
  assert.is(core.get64(STATE.pc), BigInt(VECTORS + 0x280));
  assert.is(core.get64(SLOT.elr), BigInt(CODE));
});

test('an SError waits behind PSTATE.A, shows in ISR_EL1, and comes before an IRQ', () => {
  const core = coreWith([0xd538c100, 0xd50344ff, 0xd50342ff, NOP]); // mrs x0, isr_el1; msr daifclr, #4; msr daifclr, #2; nop
  core.set32(STATE.daif, PSTATE.daif);
  core.setInterrupts(PSTATE.a | PSTATE.i, true);
  core.step();
  assert.is(core.get64(0), BigInt(PSTATE.a | PSTATE.i));
  core.step();
  core.step();
  assert.is(core.get64(STATE.pc), BigInt(VECTORS + 0x380));
  assert.is(core.get64(SLOT.elr), BigInt(CODE + 8), 'behind the instruction that unmasked it');
  assert.is(esr(core), syndrome(EC.serror, 0));
  assert.is(core.get32(STATE.daif), PSTATE.daif);
});

test('a step near a breakpoint is one instruction, too', () => {
  const core = coreWith([NOP, NOP, NOP]);
  core.set64(SLOT.breakpoints, BigInt(CODE + 8));
  core.set32(SLOT.breakpoints + 8, (15 << 5) | (1 << 1) | 1);
  core.set32(SLOT.mdscr, (1 << 15) | (1 << 13));
  core.set32(SLOT.oslsr, 0);
  core.set32(STATE.daif, 0);
  core.debug.update();
  for (const pc of [4, 8]) {
    core.step();
    assert.is(core.get64(STATE.pc), BigInt(CODE + pc));
  }
  core.step();
  assert.is(esr(core), syndrome(EC.breakpoint + 1, 0x22));
});

for (const [name, word, completes] of [
  ['SVC', 0xd4000001, true],
  ['BRK', 0xd4200000, false],
  ['UDF', 0x00000000, false],
] as const) {
  test(`under software step ${name} leaves SPSR.SS ${completes ? 'clear' : 'set'}`, () => {
    const core = coreWith([word]);
    core.set32(SLOT.mdscr, (1 << 13) | 1);
    core.set32(SLOT.oslsr, 0);
    core.set32(STATE.daif, 0);
    core.set32(STATE.pstate, core.get32(STATE.pstate) | PSTATE.ss);
    core.debug.update();
    core.step();
    assert.is(core.get64(STATE.pc), BigInt(VECTORS + 0x200));
    assert.is((core.get32(SLOT.spsr) & PSTATE.ss) === 0, completes);
  });
}

for (const [name, word, exclusive] of [
  ['LDXR', 0xc85f7c40, true],
  ['LDXP', 0xc87f0440, true],
  ['CASP', 0x48607c44, false],
  ['STXR', 0xc8007c44, false],
] as const) {
  test(`a step syndrome says ${exclusive ? '' : 'not '}that ${name} is a load-exclusive`, () => {
    const core = coreWith([word], { 2: DATA });
    core.set32(SLOT.mdscr, (1 << 13) | 1);
    core.set32(SLOT.oslsr, 0);
    core.set32(STATE.daif, 0);
    core.set32(STATE.pstate, core.get32(STATE.pstate) | PSTATE.ss);
    core.debug.update();
    core.step();
    assert.is(esr(core), syndrome(EC.softwareStep + 1, (1 << 24) | (exclusive ? 1 << 6 : 0) | 0x22));
  });
}

for (const [name, word, write] of [
  ['LDADD', 0xf8200040, false],
  ['CAS', 0xc8a07c44, false],
  ['STLR', 0xc89ffc40, true],
] as const) {
  test(`WnR of a misaligned ${name} is ${write ? 1 : 0}: a read ${write ? 'is not part of it' : 'would fault as well'}`, () => {
    const core = coreWith([word], { 2: DATA + 1n });
    core.step();
    assert.is(esr(core), syndrome(EC.dataAbort + 1, 0x21 | (write ? 1 << 6 : 0)));
  });
}

for (const [name, word, offset, faults] of [
  ['LD1 {v0.16b}', 0x4c407040, 1n, false],
  ['LD1 {v0.4s}', 0x4c407840, 4n, false],
  ['LD1 {v0.4s}', 0x4c407840, 2n, true],
  ['ST2 {v0.8h, v1.8h}', 0x4c008440, 2n, false],
  ['ST2 {v0.8h, v1.8h}', 0x4c008440, 1n, true],
  ['LDR q0', 0x3dc00040, 8n, true],
] as const) {
  test(`${name} at a multiple of ${offset} ${faults ? 'is' : 'is not'} misaligned`, () => {
    const core = coreWith([NOP, word], { 2: DATA + offset });
    core.set64(STATE.pc, BigInt(CODE + 4));
    core.set32(SLOT.cpacr, 3 << 20);
    core.space.contextChanged();
    core.step();
    assert.is(core.get64(STATE.pc), BigInt(faults ? VECTORS + 0x200 : CODE + 8));
  });
}

test.run();
