/** Every call that completes on the calling vCPU's thread, with each of its errors (gunyah.md sections 2.4 to 2.10, 3, 4). */
import * as assert from 'uvu/assert';
import {
  type BenchCaller,
  type BenchVm,
  GUEST_BYTES,
  GuestBench,
  READ_ONLY_AT,
} from '../../../test/fixtures/gunyah/guest-bench.js';
import { spec } from '../../../test/harness/spec.js';
import { SOURCE } from '../../shared-state/objects/object-table.js';
import { GUNYAH_ERROR as E } from './errors.js';
import { RIGHTS } from './rights.js';

const test = spec('gunyah fast calls');
const SEND = 0x1b;
const RECEIVE = 0x1c;
const UNCHANGED = 0xffff_ffff;
const NONE = 0xffff_ffff_ffff_ffffn;

interface Setting {
  readonly bench: GuestBench;
  readonly vm: BenchVm;
  readonly caller: BenchCaller;
}
function setting(): Setting {
  const bench = new GuestBench();
  const vm = bench.vm();
  return { bench, vm, caller: bench.caller(vm) };
}
function withQueue(depth: number, bytes = 240): Setting & { readonly cap: bigint; readonly queue: number } {
  const s = setting();
  const queue = s.bench.queue(depth, bytes);
  assert.ok(s.bench.kernel.bind(queue, SOURCE.first, s.vm.vic, 900, true).ok);
  assert.ok(s.bench.kernel.bind(queue, SOURCE.second, s.vm.vic, 901, true).ok);
  return { ...s, queue, cap: s.bench.grant(s.vm, queue) };
}

test('every capability argument is checked: absent, revoked, of another type, without the right, not active', () => {
  const { bench, vm, caller } = setting();
  const queue = bench.queue(2, 16);
  const master = bench.grant(vm, queue, 0xffff_ffff, true);
  const copy = bench.grant(vm, queue, RIGHTS.messageQueue.receive);
  assert.is(caller.call(SEND, NONE, 1, 0)[0], E.capNull);
  assert.is(caller.call(SEND, 63, 1, 0)[0], E.capNull);
  assert.is(caller.call(SEND, master | (1n << 63n), 1, 0)[0], E.capNull);
  assert.is(caller.call(SEND, copy, 1, 0)[0], E.insufficientRights);
  assert.is(caller.call(0x12, copy, 1)[0], E.wrongObjectType);
  assert.ok(bench.kernel.capabilities.revokeOthers(vm.space, master).ok);
  assert.is(caller.call(RECEIVE, copy, 0, 16)[0], E.capRevoked);
  assert.is(caller.call(SEND, master, 1, 0)[0], E.ok);
  const fresh = bench.grant(vm, bench.object('messageQueue'));
  assert.is(caller.call(SEND, fresh, 1, 0)[0], E.objectState);
  bench.kernel.destroy(queue);
  assert.is(caller.call(SEND, master, 1, 0)[0], E.capNull);
});

test('a queue of depth 8: eight sends, the ninth is refused, one receive raises the send interrupt once', () => {
  const { caller, cap, vm } = withQueue(8);
  for (let n = 1; n <= 8; n++) {
    caller.memory[0] = n;
    assert.equal(caller.call(SEND, cap, 4, 0, 0).slice(0, 2), [E.ok, n < 8 ? 1n : 0n]);
  }
  assert.equal(vm.takePending(), [900]);
  assert.equal(caller.call(SEND, cap, 4, 0, 0).slice(0, 2), [E.queueFull, 0n]);
  for (let n = 1; n <= 8; n++) {
    assert.equal(caller.call(RECEIVE, cap, 0x100, 240), [E.ok, 4n, n < 8 ? 1n : 0n, 0n, 0n]);
    assert.is(caller.memory[0x100], n);
    assert.equal(vm.takePending(), n === 1 ? [901] : []);
  }
  assert.equal(caller.call(RECEIVE, cap, 0x100, 240), [E.queueEmpty, 0n, 0n, 0n, 0n]);
});

test('a burst gives one receive edge, a push one each', () => {
  const { caller, cap, vm } = withQueue(8);
  caller.call(SEND, cap, 4, 0, 0);
  assert.equal(vm.takePending(), [900]);
  caller.call(SEND, cap, 4, 0, 0);
  assert.equal(vm.takePending(), []);
  caller.call(SEND, cap, 4, 0, 1);
  assert.equal(vm.takePending(), [900]);
});

test('sizes and buffers: full first, then size, then the fault; the queue stays as it was', () => {
  const { caller, cap } = withQueue(1, 32);
  assert.is(caller.call(SEND, cap, 0, 0)[0], E.argumentSize);
  assert.is(caller.call(SEND, cap, 33, 0)[0], E.argumentSize);
  assert.is(caller.call(SEND, cap, 1n << 32n, 0)[0], E.argumentSize);
  assert.is(caller.call(SEND, cap, 8, GUEST_BYTES - 4)[0], E.argumentInvalid); // stage 1
  assert.is(caller.call(SEND, cap, 8, 0x9000_0000)[0], E.addressInvalid); // stage 2
  assert.is(caller.call(SEND, cap, 8, NONE)[0], E.addressOverflow);
  assert.is(caller.call(RECEIVE, cap, 0, 32)[0], E.queueEmpty);
  assert.is(caller.call(SEND, cap, 32, 0)[0], E.ok);
  assert.is(caller.call(SEND, cap, 0, 0)[0], E.queueFull);
  assert.equal(caller.call(RECEIVE, cap, 0, 31).slice(0, 3), [E.argumentSize, 0n, 1n]);
  assert.equal(caller.call(RECEIVE, cap, READ_ONLY_AT - 8, 32).slice(0, 3), [E.denied, 0n, 1n]);
  assert.equal(caller.call(RECEIVE, cap, 0x9000_0000, 32).slice(0, 3), [E.addressInvalid, 0n, 1n]);
  assert.equal(caller.call(RECEIVE, cap, NONE - 3n, 32).slice(0, 3), [E.addressOverflow, 0n, 1n]);
  assert.equal(caller.call(RECEIVE, cap, GUEST_BYTES, 32).slice(0, 3), [E.argumentInvalid, 0n, 1n]);
  assert.equal(caller.call(RECEIVE, cap, 0, NONE).slice(0, 3), [E.ok, 32n, 0n]);
});

test('flush drops messages, raises the send interrupt and clears the receive one', () => {
  const { caller, cap, vm } = withQueue(4);
  caller.call(SEND, cap, 4, 0, 0);
  assert.is(caller.call(0x1d, cap)[0], E.ok);
  assert.equal(vm.takePending(), [901]);
  assert.is(caller.call(RECEIVE, cap, 0, 240)[0], E.queueEmpty);
  caller.call(0x1d, cap);
  assert.equal(vm.takePending(), []);
});

test('configure_send and configure_receive: thresholds, delays, the interrupt follows', () => {
  const { caller, cap, vm } = withQueue(4);
  assert.is(caller.call(0x1f, cap, 2, 5)[0], E.unimplemented);
  assert.is(caller.call(0x1f, cap, 4, UNCHANGED)[0], E.argumentInvalid);
  assert.is(caller.call(0x1f, cap, UNCHANGED, UNCHANGED)[0], E.ok);
  assert.equal(vm.takePending(), []);
  assert.is(caller.call(0x1f, cap, 0, UNCHANGED)[0], E.ok);
  assert.equal(vm.takePending(), [901]);
  assert.is(caller.call(0x20, cap, 1, 5)[0], E.unimplemented);
  assert.is(caller.call(0x20, cap, 0, UNCHANGED)[0], E.argumentInvalid);
  assert.is(caller.call(0x20, cap, 5, UNCHANGED)[0], E.argumentInvalid);
  assert.is(caller.call(0x20, cap, 0xffff_fffe, UNCHANGED)[0], E.ok);
  for (let n = 1; n <= 4; n++) {
    caller.call(SEND, cap, 4, 0, 0);
    assert.equal(vm.takePending(), n === 4 ? [900] : []);
  }
  assert.is(caller.call(0x20, cap, 2, UNCHANGED)[0], E.ok);
  assert.equal(vm.takePending(), [900]);
});

test('a doorbell: old flags, edges on every send, masks, acknowledgement, reset', () => {
  const { bench, vm, caller } = setting();
  const bell = bench.doorbell();
  assert.ok(bench.kernel.bind(bell, SOURCE.first, vm.vic, 902, true).ok);
  const cap = bench.grant(vm, bell);
  assert.equal(caller.call(0x12, cap, 1n << 40n).slice(0, 2), [E.ok, 0n]);
  assert.equal(vm.takePending(), [902]);
  assert.equal(caller.call(0x12, cap, 2).slice(0, 2), [E.ok, 1n << 40n]);
  assert.equal(vm.takePending(), [902]);
  assert.is(caller.call(0x13, cap, 0)[0], E.argumentInvalid);
  assert.equal(caller.call(0x13, cap, 2).slice(0, 2), [E.ok, (1n << 40n) | 2n]);
  assert.is(caller.call(0x15, cap, 1, 1)[0], E.ok); // enable and acknowledge bit 0, as a level irqfd does
  assert.equal(caller.call(0x12, cap, 1).slice(0, 2), [E.ok, 1n << 40n]);
  assert.equal(caller.call(0x12, cap, 1).slice(0, 2), [E.ok, 1n << 40n]);
  assert.is(caller.call(0x14, cap)[0], E.ok);
  assert.equal(caller.call(0x12, cap, 4).slice(0, 2), [E.ok, 0n]);
  const sendOnly = bench.grant(vm, bell, RIGHTS.doorbell.send);
  for (const n of [0x13, 0x14, 0x15]) assert.is(caller.call(n, sendOnly, 1, 1)[0], E.insufficientRights);
});

test('a level-sensitive doorbell interrupt follows the enabled flags', () => {
  const { bench, vm, caller } = setting();
  const bell = bench.doorbell();
  assert.ok(bench.kernel.bind(bell, SOURCE.first, vm.vic, 902, false).ok);
  const cap = bench.grant(vm, bell);
  const level = (): boolean => (vm.gic.bits('line', 0, 896) & (1 << 6)) !== 0;
  caller.call(0x15, cap, 2, 0);
  caller.call(0x12, cap, 1);
  assert.is(level(), false);
  caller.call(0x12, cap, 2);
  assert.is(level(), true);
  caller.call(0x15, cap, 4, 0);
  assert.is(level(), false);
  caller.call(0x15, cap, 1, 0);
  assert.is(level(), true);
});

test('entropy: sizes, alignment, at most four reads in 33 ms', () => {
  const { caller } = setting();
  assert.is(caller.call(0x57, 0)[0], E.argumentSize);
  assert.is(caller.call(0x57, 17)[0], E.argumentSize);
  assert.is(caller.call(0x57, 6)[0], E.argumentAlignment);
  const [error, ...words] = caller.call(0x57, 16);
  assert.is(error, E.ok);
  assert.ok(words.every((word) => word > 0n && word < 1n << 32n));
  for (let n = 0; n < 3; n++) assert.is(caller.call(0x57, 4)[0], E.ok);
  assert.is(caller.call(0x57, 4)[0], E.busy);
  caller.timeMs = 34;
  assert.equal(caller.call(0x57, 4).slice(2), [0n, 0n, 0n]);
});

test('scheduler_yield takes hints 0 and 1 only', () => {
  const { bench, vm, caller } = setting();
  assert.is(caller.call(0x3b, 0)[0], E.ok);
  assert.is(caller.call(0x3b, 2)[0], E.argumentInvalid);
  assert.is(caller.call(0x3b, 0x8000_0000)[0], E.argumentInvalid);
  assert.is(caller.call(0x3b, 1, NONE)[0], E.capNull);
  const thread = bench.object('thread');
  bench.kernel.table.setState(thread, 'active');
  assert.is(caller.call(0x3b, 1, bench.grant(vm, thread, RIGHTS.thread.power))[0], E.insufficientRights);
  assert.is(caller.call(0x3b, 1, bench.grant(vm, thread, RIGHTS.thread.yieldTo))[0], E.ok);
  assert.equal(caller.log, ['yield', 'yield']);
});

test('vCPU power: flags, self, last, busy', () => {
  const { bench, vm, caller } = setting();
  const [self, other] = [bench.object('thread'), bench.object('thread')];
  bench.kernel.table.setData(other, vm.block.at, 1);
  for (const thread of [self, other]) bench.kernel.table.setState(thread, 'active');
  const [me, peer] = [bench.grant(vm, self), bench.grant(vm, other)];
  assert.is(caller.call(0x38, peer, 0x4000, 7, 0)[0], E.ok);
  assert.is(caller.call(0x38, peer, 0xbad, 7, 0)[0], E.busy);
  assert.is(caller.call(0x38, peer, 0x4000, 7, 4)[0], E.argumentInvalid);
  assert.is(caller.call(0x38, me, 0x4000, 7, 0)[0], E.noResources); // nothing of the host runs it
  assert.is(caller.call(0x39, peer, 1)[0], E.argumentInvalid);
  assert.is(caller.call(0x39, me, 2)[0], E.argumentInvalid);
  assert.is(caller.call(0x39, me, 0)[0], E.denied);
  caller.last = false;
  assert.is(caller.call(0x39, me, 1)[0], E.denied);
  assert.is(caller.call(0x39, me, 0)[0], E.ok);
  assert.equal(caller.log, [`on ${other} 16384 7 0`, `on ${other} ${0xbad} 7 0`, 'off']);
});

test('trace flags change unless debugging is locked; a power group is asked for its state', () => {
  const { bench, vm, caller } = setting();
  assert.equal(caller.call(0x3f, 0xf0n << 32n, 0).slice(0, 2), [E.ok, 0xf0n << 32n]);
  assert.equal(caller.call(0x3f, 1, 0x10n << 32n).slice(0, 2), [E.ok, (0xe0n << 32n) | 1n]);
  caller.traceOpen = false;
  assert.is(caller.call(0x3f, 1, 0)[0], E.denied);
  const group = bench.object('powerGroup');
  assert.ok(bench.kernel.activate(group).ok);
  assert.equal(caller.call(0x45, bench.grant(vm, group)).slice(0, 2), [E.ok, 1n]);
  assert.is(caller.call(0x45, bench.grant(vm, group, 1))[0], E.insufficientRights);
});

test('a signal reaches whom it is bound to: another VM, an actor, nobody after unbinding', () => {
  const { bench, caller, vm } = setting();
  const receiver = bench.vm();
  const queue = bench.queue(4, 16);
  const cap = bench.grant(vm, queue);
  assert.ok(bench.kernel.bind(queue, SOURCE.first, receiver.vic, 960, true).ok);
  assert.ok(bench.kernel.bindActor(queue, SOURCE.second, 77).ok);
  assert.equal(bench.kernel.bind(queue, SOURCE.first, receiver.vic, 961, true), { ok: false, error: 'bound' });
  assert.equal(bench.kernel.bind(bench.queue(1, 1), SOURCE.first, receiver.vic, 960, true), {
    ok: false,
    error: 'busy',
  });
  for (const virq of [16, 31, 1020, 4096, 1.5]) {
    assert.equal(bench.kernel.bind(bench.queue(1, 1), SOURCE.first, receiver.vic, virq, true), {
      ok: false,
      error: 'badArgument',
    });
  }
  caller.call(SEND, cap, 4, 0, 0);
  assert.equal([vm.takePending(), receiver.takePending()], [[], [960]]);
  for (let n = 0; n < 3; n++) caller.call(SEND, cap, 4, 0, 0);
  caller.call(RECEIVE, cap, 0, 16);
  assert.equal(bench.rung, [77]);
  bench.kernel.unbind(queue, SOURCE.first);
  bench.kernel.unbind(queue, SOURCE.first);
  caller.call(SEND, cap, 4, 0, 1);
  assert.equal(receiver.takePending(), []);
  bench.kernel.destroy(receiver.vic);
});
test.run();
