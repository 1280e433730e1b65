/** Power, waking, requests and acknowledgements of a VM's processors. */
import * as assert from 'uvu/assert';
import { spec } from '../../../test/harness/spec.js';
import { POWER, STOP, VM_BLOCK_BYTES, VmBlock, waker } from './vm-block.js';

const test = spec('vm block');

function make(cpus: number): VmBlock {
  const block = new VmBlock(new SharedArrayBuffer(VM_BLOCK_BYTES), 0);
  block.format(cpus);
  return block;
}

test('a processor starts once, with what it was told', () => {
  const block = make(2);
  assert.is(block.power(1), POWER.off);
  assert.ok(block.powerOn(1, 0xffff_8000_4000_0000n, 0x1234_5678_9abc_def0n));
  assert.is(block.power(1), POWER.pending);
  assert.not.ok(block.powerOn(1, 0n, 0n));
  assert.equal(block.takePowerOn(1), { entry: 0xffff_8000_4000_0000n, context: 0x1234_5678_9abc_def0n, keep: 0 });
  assert.is(block.power(1), POWER.on);
  assert.is(block.takePowerOn(1), undefined);
  block.powerOff(1);
  assert.ok(block.powerOn(1, 0n, 0n));
});

test('only a sleeper is rung', () => {
  const block = make(1);
  block.bindActor(0, 77);
  const rung: number[] = [];
  const wake = waker(block, (actor) => rung.push(actor));
  wake(0);
  assert.ok(block.takeLook(0));
  assert.not.ok(block.takeLook(0));
  block.setSleeping(0, true);
  wake(0);
  assert.equal(rung, [77]);
});

test('requests are done in order, and waited for only inside the guest', () => {
  const block = make(2);
  block.setOutside(1, false);
  block.request(1, 'tlbi-va', 5, 6);
  block.request(1, 'code', 7, 8);
  const count = block.requested(1);
  assert.not.ok(block.isDone(1, count));
  block.setOutside(1, true);
  assert.ok(block.isDone(1, count));
  block.setOutside(1, false);
  const seen: unknown[] = [];
  block.drain(
    1,
    (...request) => seen.push(request),
    () => seen.push('everything'),
  );
  assert.equal(seen, [
    ['tlbi-va', 5, 6],
    ['code', 7, 8],
  ]);
  assert.ok(block.isDone(1, count));
  assert.not.ok(
    block.drain(
      1,
      () => assert.unreachable(),
      () => assert.unreachable(),
    ),
  );
});

test('a full ring asks for everything instead of losing a request', () => {
  const block = make(1);
  block.setOutside(0, false);
  for (let n = 0; n < 100; n++) block.request(0, 'tlbi-all', n, 0);
  let everything = 0;
  block.drain(
    0,
    () => assert.unreachable('the ring was full'),
    () => everything++,
  );
  assert.is(everything, 1);
  assert.ok(block.isDone(0, 100));
  block.request(0, 'stage2', 0, 0);
  const kinds: string[] = [];
  block.drain(
    0,
    (kind) => kinds.push(kind),
    () => assert.unreachable(),
  );
  assert.equal(kinds, ['stage2']);
});

test('the first reason to stop stays', () => {
  const block = make(1);
  assert.is(block.stop, STOP.none);
  assert.ok(block.end(STOP.reset));
  assert.not.ok(block.end(STOP.off));
  assert.is(block.stop, STOP.reset);
});
test.run();
