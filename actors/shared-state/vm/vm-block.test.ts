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
  block.request(1, 'code', 7, 0);
  const count = block.requested(1);
  assert.not.ok(block.isDone(1, count));
  block.setOutside(1, true);
  assert.ok(block.isDone(1, count));
  block.setOutside(1, false);
  const seen: unknown[] = [];
  block.drain(1, (...request) => seen.push(request));
  assert.equal(seen, [
    ['tlbi-va', 5, 6],
    ['code', 7, 0],
  ]);
  assert.ok(block.isDone(1, count));
  assert.not.ok(block.drain(1, () => assert.unreachable()));
});

/** What a processor is asked for. */
function drained(block: VmBlock, cpu: number): unknown[] {
  const seen: unknown[] = [];
  block.drain(cpu, (...request) => seen.push(request));
  return seen;
}

test('a full list asks for everything of the sort it lost, and for no other', () => {
  const block = make(1);
  block.setOutside(0, false);
  for (let n = 0; n < 300; n++) block.request(0, 'tlbi-va', n, 0);
  const translations = drained(block, 0);
  assert.equal(translations.slice(0, 2), [
    ['tlbi-va', 0, 0],
    ['tlbi-va', 1, 0],
  ]);
  assert.equal(translations.at(-1), ['stage2', 0, 0]);
  assert.not.ok(translations.some((request) => Array.isArray(request) && request[0] === 'code'));
  assert.ok(block.isDone(0, 300));

  for (let n = 0; n < 2000; n++) block.request(0, 'code', n * 8192, 0);
  assert.equal(drained(block, 0), [['code', 0, -1]]);
  block.request(0, 'stage2', 0, 0);
  assert.equal(drained(block, 0), [['stage2', 0, 0]]);
});

/** A processor that is on and sleeps. */
function makeSleeper(): VmBlock {
  const block = make(1);
  block.powerOn(0, 0n, 0n);
  block.takePowerOn(0);
  return block;
}

test('a processor outside the guest is woken once, when its lists are half full', () => {
  const block = makeSleeper();
  for (const [kind, half] of [
    ['code', 500],
    ['tlbi-va', 125],
  ] as const) {
    for (const _ of [1, 2]) {
      const told: number[] = [];
      for (let n = 0; n < 5 * half; n++) if (block.request(0, kind, n * 8192, 0)) told.push(n);
      assert.equal(told, [half], kind);
      drained(block, 0);
    }
  }
  block.setOutside(0, false);
  assert.ok(block.request(0, 'tlbi-all', 0, 0));
});

test('a processor that is off is never woken for requests, and does them all the same', () => {
  const block = make(1);
  for (let n = 0; n < 2000; n++) assert.not.ok(block.request(0, 'tlbi-va', n * 4096, 0));
  for (let n = 0; n < 2000; n++) assert.not.ok(block.request(0, 'code', n * 8192, 0));
  assert.ok(block.isDone(0, block.requested(0)));
  block.powerOn(0, 0n, 0n);
  block.takePowerOn(0);
  block.setOutside(0, false);
  assert.not.ok(block.isDone(0, block.requested(0)));
  assert.equal(drained(block, 0).slice(-2), [
    ['stage2', 0, 0],
    ['code', 0, -1],
  ]);
});

test('code of one frame after the other is one request, above 2 GiB too', () => {
  const block = make(1);
  block.setOutside(0, false);
  const first = 0x9000_0000;
  for (let line = 0; line < 64 * 300; line++) block.request(0, 'code', first + (line >> 6) * 4096, 0);
  assert.equal(drained(block, 0), [['code', first | 0, 299]]);
  block.request(0, 'code', first, 0);
  block.request(0, 'tlbi-all', 0, 0);
  block.request(0, 'code', first + 4096, 0);
  block.request(0, 'code', first + 3 * 4096, 0);
  assert.is(drained(block, 0).length, 3);
  block.request(0, 'code', 0, 3);
  block.request(0, 'code', 4 * 4096, 2);
  assert.equal(drained(block, 0), [['code', 0, 6]]);
});

test('the first reason to stop stays', () => {
  const block = make(1);
  assert.is(block.stop, STOP.none);
  assert.ok(block.end(STOP.reset));
  assert.not.ok(block.end(STOP.off));
  assert.is(block.stop, STOP.reset);
});
test.run();
