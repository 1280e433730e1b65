/** A VM's watchdog by a clock of our own: when it barks and bites, pings, freezes, what two vCPUs see of one event. */
import * as assert from 'uvu/assert';
import { spec } from '../../../test/harness/spec.js';
import { VM_BLOCK_BYTES, VmBlock } from './vm-block.js';
import { Watchdog } from './watchdog.js';

const test = spec('watchdog');
const NEVER = Number.POSITIVE_INFINITY;

function setting(startMs = 0): { clock: { ms: number }; dog: Watchdog; other: Watchdog } {
  const memory = new SharedArrayBuffer(VM_BLOCK_BYTES);
  const block = new VmBlock(memory, 0);
  block.format(2);
  const clock = { ms: startMs };
  const view = (): Watchdog => new Watchdog(memory, block, () => clock.ms);
  const dog = view();
  assert.is(dog.object, 0);
  dog.attach(7);
  assert.is(dog.object, 7);
  return { clock, dog, other: view() };
}

test('it barks once, bites once, and stands still after that', () => {
  const { clock, dog, other } = setting(2 ** 32 - 50); // the 32-bit clock wraps meanwhile
  assert.is(dog.dueInMs, NEVER);
  dog.setTimes(100, 300);
  dog.enable(true);
  assert.is(other.dueInMs, 100);
  clock.ms += 99;
  assert.is(dog.take(), undefined);
  clock.ms += 1;
  assert.equal([other.take(), dog.take(), other.take()], ['bark', undefined, undefined]);
  assert.equal([dog.dueInMs, dog.elapsedMs], [200, 100]);
  clock.ms += 200;
  assert.equal([dog.take(), other.take()], ['bite', undefined]);
  assert.equal([dog.isEnabled, dog.dueInMs], [false, NEVER]);
});

test('a ping begins anew, a later start too; without times of its own it has the default of 32,768 ms', () => {
  const { clock, dog } = setting();
  dog.enable(true);
  clock.ms = 32_767;
  assert.is(dog.take(), undefined);
  dog.ping();
  dog.enable(true); // it runs already: that is no ping, and no harm
  clock.ms += 32_767;
  assert.is(dog.take(), undefined);
  dog.enable(false);
  clock.ms += 100_000;
  assert.is(dog.take(), undefined);
  dog.enable(true);
  assert.is(dog.elapsedMs, 0);
  dog.setTimes(500, 400); // the bite comes first
  clock.ms += 400;
  assert.is(dog.take(), 'bite');
});

test('frozen it does not count; freezes are counted, and one of them may reset it', () => {
  const { clock, dog } = setting();
  dog.setTimes(100, 200);
  dog.enable(true);
  clock.ms = 60;
  assert.ok(dog.freeze(true, false));
  assert.ok(dog.freeze(true, false));
  clock.ms = 5_000;
  assert.equal([dog.dueInMs, dog.elapsedMs, dog.take()], [NEVER, 60, undefined]);
  assert.ok(dog.freeze(false, false));
  assert.is(dog.dueInMs, NEVER);
  assert.ok(dog.freeze(false, false));
  assert.not(dog.freeze(false, false));
  assert.equal([dog.elapsedMs, dog.dueInMs], [60, 40]);
  assert.ok(dog.freeze(true, true));
  assert.ok(dog.freeze(false, false));
  assert.equal([dog.elapsedMs, dog.dueInMs], [0, 100]);
  assert.ok(dog.freeze(true, false));
  dog.ping();
  clock.ms += 50;
  assert.ok(dog.freeze(false, false));
  assert.is(dog.elapsedMs, 0);
  for (let times = 0; times < 255; times++) assert.ok(dog.freeze(true, false));
  assert.not(dog.freeze(true, false));
});

test('time that a debugger takes does not count, whichever vCPU tells first', () => {
  const { clock, dog, other } = setting();
  dog.setTimes(100, 200);
  dog.enable(true);
  clock.ms = 1_050;
  for (const view of [dog, other]) view.skip(1_000);
  assert.is(dog.elapsedMs, 50);
  clock.ms = 2_050;
  for (const view of [other, dog]) view.skip(2_000);
  assert.is(dog.elapsedMs, 50);
});
test.run();
