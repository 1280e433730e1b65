/** A debugger outside the guest: stops, steps, registers and memory, with the guest's code hot and cold. */
import * as assert from 'uvu/assert';
import { BareMetalMachine } from '../test/drivers/bare-metal-machine.js';
import { spec } from '../test/harness/spec.js';
import { DebugAccess, REGISTER_FILE_BYTES, VISIBLE_REGISTERS } from './debug-access.js';
import { EXIT, STATE } from './state.js';

const test = spec('debug access');

const CODE = 0x4008_0000;
const DATA = 0x4010_0000n;
const LOOP = BigInt(CODE) + 8n;
const STORE = BigInt(CODE) + 12n;
/** movz x1, #0x4010, lsl #16; movz x0, #0; loop: add x0, x0, #1; str x0, [x1]; b loop */
const WORDS = [0xd2a80201, 0xd2800000, 0x91000400, 0xf9000020, 0x17fffffe];
const RUN = 20_000;

function machine() {
  const made = new BareMetalMachine(64);
  made.load(CODE, new Uint8Array(Uint32Array.from(WORDS).buffer));
  const { core } = made;
  core.reset(BigInt(CODE), 0n);
  const access = new DebugAccess(core);
  const data = (): bigint => {
    const bytes = access.read(DATA, 8);
    assert.ok(bytes !== undefined);
    return new DataView((bytes ?? new Uint8Array(8)).slice().buffer).getBigUint64(0, true);
  };
  return { core, access, data, pc: () => core.get64(STATE.pc), x0: () => core.get64(0) };
}

for (const state of ['cold', 'hot'] as const) {
  test(`breakpoints and steps in ${state} code, unseen by the guest`, () => {
    const { core, access, pc, x0 } = machine();
    if (state === 'hot') for (let n = 0; n < 30; n++) assert.is(core.run(RUN), EXIT.pause);
    access.setPoints([LOOP], []);
    for (let round = 0; round < 3; round++) {
      assert.is(core.run(RUN), EXIT.debugger);
      assert.is(pc(), LOOP);
      const before = x0();
      access.setPoints([], []);
      assert.is(core.step(false), EXIT.next);
      assert.equal([pc(), x0()], [STORE, before + 1n]);
      access.setPoints([LOOP], []);
      // Exactly one instruction at a time, in a page with breakpoints too.
      assert.is(core.step(false), EXIT.next);
      assert.is(pc(), STORE + 4n);
    }
    assert.equal(access.read(BigInt(CODE), 20), new Uint8Array(Uint32Array.from(WORDS).buffer));
    access.setPoints([], []);
    assert.is(core.run(RUN), EXIT.pause);
  });

  test(`watchpoints in ${state} code stop before the access`, () => {
    const { core, access, data, pc, x0 } = machine();
    for (let n = 0; n < (state === 'hot' ? 30 : 1); n++) assert.is(core.run(RUN), EXIT.pause);
    access.setPoints([], [{ address: DATA + 4n, bytes: 4, accesses: 2 }]);
    assert.is(core.run(RUN), EXIT.debugger);
    assert.equal([pc(), data()], [STORE, x0() - 1n]);
    assert.is(core.debug.hostHit?.watchpoint.address, DATA + 4n);
    core.debug.hostHit = undefined;
    access.setPoints([], []);
    core.step(false);
    assert.is(data(), x0());
    // Loads are not stores, and neighbours are not it.
    access.setPoints([], [{ address: DATA, bytes: 8, accesses: 1 }, { address: DATA + 8n, bytes: 8, accesses: 3 }]); // biome-ignore format: one row
    assert.is(core.run(RUN), EXIT.pause);
  });
}

test('a breakpoint in a page that hot code of another page calls', () => {
  const { core, access, pc } = machine();
  // loop: bl +0x1000; b loop; and there: ret
  const at = BigInt(CODE) + 0x2000n;
  const callee = at + 0x1000n;
  assert.ok(access.write(at, new Uint8Array(Uint32Array.of(0x94000400, 0x17ffffff).buffer), () => undefined));
  assert.ok(access.write(callee, new Uint8Array(Uint32Array.of(0xd65f03c0).buffer), () => undefined));
  core.set64(STATE.pc, at);
  for (let n = 0; n < 60; n++) assert.is(core.run(RUN), EXIT.pause);
  for (const point of [callee, at + 4n, at]) {
    access.setPoints([point], []);
    assert.is(core.run(RUN), EXIT.debugger);
    assert.is(pc(), point);
  }
});

test('registers are read and written whole', () => {
  const { core, access, pc } = machine();
  const file = Uint8Array.from({ length: REGISTER_FILE_BYTES }, (_, n) => n * 7);
  const view = new DataView(file.buffer);
  view.setBigUint64(32 * 8, LOOP, true);
  view.setUint32(33 * 8, 0x9000_03c4, true); // N and V, DAIF, EL1 with SP_EL0
  view.setUint32(REGISTER_FILE_BYTES - 8, 0x0800_0001, true);
  view.setUint32(REGISTER_FILE_BYTES - 4, 0x0040_0000, true);
  access.setRegisters(file);
  assert.equal(access.registers(), file);
  assert.equal([pc(), core.get32(STATE.el), core.state.getNzcv() >>> 28], [LOOP, 1, 9]);
});

test('system registers by number; what acts when read is not there', () => {
  const { access } = machine();
  const index = (name: string): number => VISIBLE_REGISTERS.findIndex((row) => row.name === name);
  assert.is(access.system(index('CurrentEL')), 4n);
  assert.ok(access.setSystem(index('VBAR_EL1'), 0x4000_0800n));
  assert.is(access.system(index('VBAR_EL1')), 0x4000_0800n);
  assert.not.ok(access.setSystem(index('MIDR_EL1'), 1n));
  assert.is(access.system(9999), undefined);
  assert.is(index('ICC_IAR1_EL1'), -1);
});

test('memory: code that is written runs as written; what is not there is a fault', () => {
  const { core, access, x0 } = machine();
  for (let n = 0; n < 30; n++) core.run(RUN);
  const two = new Uint8Array(Uint32Array.of(0x91000800).buffer); // add x0, x0, #2
  const changed: number[] = [];
  assert.ok(access.write(LOOP, two, (host, bytes) => changed.push(host % 4096, bytes)));
  assert.equal(changed, [8, 4]);
  access.setPoints([LOOP], []);
  core.run(RUN);
  const before = x0();
  access.setPoints([], []);
  core.step(false);
  assert.is(x0(), before + 2n);
  assert.is(access.read(0n, 4), undefined);
  assert.is(access.read(0x900_0000n, 4), undefined); // the UART is not touched
  assert.is(access.read(0x43ff_fffcn, 8)?.length, 4);
  assert.not.ok(access.write(0x43ff_fffcn, new Uint8Array(8), () => undefined));
  assert.equal(access.read(0x43ff_fffcn, 4), new Uint8Array(4));
});
test.run();
