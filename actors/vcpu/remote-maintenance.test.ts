/** What a vCPU asks of the others: whom it wakes, and what its DSB waits for. */
import * as assert from 'uvu/assert';
import { STATE } from '../../cpu/state.js';
import { spec } from '../../test/harness/spec.js';
import { VM_BLOCK_BYTES, VmBlock } from '../shared-state/vm/vm-block.js';
import { RemoteMaintenance } from './remote-maintenance.js';

const test = spec('remote maintenance');

function make() {
  const block = new VmBlock(new SharedArrayBuffer(VM_BLOCK_BYTES), 0);
  block.format(2);
  const woken: number[] = [];
  const state = new Map<number, number>();
  let drained = 0;
  const own = { set32: (field: number, value: number) => void state.set(field, value), drain: () => void drained++ };
  const remote = new RemoteMaintenance(block, 0, (cpu) => woken.push(cpu), own);
  const isPending = (): boolean => (state.get(STATE.remotePending) ?? 0) !== 0;
  return { block, remote, woken, state, isPending, drains: () => drained };
}

function powerOn(block: VmBlock): void {
  block.powerOn(1, 0n, 0n);
  block.takePowerOn(1);
}

test('a processor that is off is neither woken nor waited for, however much it is asked', () => {
  const { block, remote, woken, isPending } = make();
  for (let n = 0; n < 5_000; n++) {
    remote.request('tlbi-va', n, 0);
    assert.not.ok(isPending());
  }
  assert.equal(woken, []);
  assert.is(block.requested(1), 5_000);
});

test('one that sleeps is told once that there is much, and not waited for', () => {
  const { block, remote, woken, isPending } = make();
  powerOn(block);
  for (let n = 0; n < 1_000; n++) remote.request('tlbi-va', n, 0);
  assert.equal(woken, [1]);
  assert.not.ok(isPending());
});

test('one inside the guest is woken, and DSB waits for it', () => {
  const { block, remote, woken, isPending, drains } = make();
  powerOn(block);
  block.setOutside(1, false);
  remote.request('tlbi-all', 0, 0);
  assert.equal(woken, [1]);
  assert.ok(isPending());
  block.drain(1, () => undefined);
  remote.wait();
  assert.not.ok(isPending());
  assert.is(drains(), 1);
});

test('lines of a page of code are one request until a DSB, whoever sleeps', () => {
  const { block, remote, state, isPending } = make();
  powerOn(block);
  for (let n = 0; n < 64; n++) remote.request('code', 0x8000, 0);
  assert.is(block.requested(1), 1);
  assert.ok(isPending());
  assert.is(state.get(STATE.askedCode), 0x8000);
  remote.wait();
  assert.is(state.get(STATE.askedCode), -1);
  remote.request('code', 0x8000, 0);
  assert.is(block.requested(1), 2);
});

test.run();
