/** Which guests are said to be lost: those at one vector of their own that take the exceptions of code that is none, and no others. */
import * as assert from 'uvu/assert';
import type { VcpuStatistics } from '../../actors/vcpu/vcpu.protocol.js';
import { spec } from '../../test/harness/spec.js';
import { lostGuest } from './lost-guest.js';

const test = spec('lost guests');

/** What is read of a vCPU here. */
function vcpu(pc: string, exceptionClasses: Record<string, number>, state: VcpuStatistics['state'] = 'running') {
  // WHY: the rest of the statistics is not looked at.
  return { index: 0, state, pc, exceptionClasses } as unknown as VcpuStatistics;
}

test('the same vector, and thousands of aborts more, is lost', () => {
  const sentence = lostGuest(
    [vcpu('0x200', { undefined: 1, 'instruction-abort-el1': 5 })],
    [vcpu('0x200', { undefined: 1, 'instruction-abort-el1': 900_000 })],
  );
  assert.match(sentence ?? '', /^cpu 0 takes .* at its own vector 0x200 \(instruction-abort-el1\)/);
  assert.ok(lostGuest([vcpu('0x40081000', { undefined: 0 })], [vcpu('0x40081000', { undefined: 9_000 })]));
});
test('a guest elsewhere, with other exceptions, with few, asleep, or that was not read before, is not', () => {
  const few = { 'instruction-abort-el1': 5 };
  const many = { 'instruction-abort-el1': 90_000 };
  assert.is(lostGuest([vcpu('0x400', few)], [vcpu('0x400', many)]), undefined, 'a vector for a lower level');
  assert.is(lostGuest([vcpu('0x40080200', few)], [vcpu('0x40080000', many)]), undefined, 'moved');
  assert.is(lostGuest([vcpu('0x200', { svc: 1 })], [vcpu('0x200', { svc: 90_000 })]), undefined, 'system calls');
  assert.is(lostGuest([vcpu('0x200', few)], [vcpu('0x200', { 'instruction-abort-el1': 900 })]), undefined, 'few');
  assert.is(lostGuest([vcpu('0x200', few)], [vcpu('0x200', many, 'sleeping')]), undefined, 'asleep');
  assert.is(lostGuest([], [vcpu('0x200', many)]), undefined, 'no reading before');
});
test.run();
