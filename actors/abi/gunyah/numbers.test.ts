/** The numbers of the ABI (gunyah.md 1.3 to 1.5, 2.3, 3), written down a second time from the reference. */
import * as assert from 'uvu/assert';
import { GUNYAH_QUEUE_LIMITS } from '../../../bus/message-queue/queue-layout.js';
import { type BenchVm, GuestBench } from '../../../test/fixtures/gunyah/guest-bench.js';
import { spec } from '../../../test/harness/spec.js';
import { HYPERCALLS } from './calls.js';
import { GUNYAH_ERROR } from './errors.js';
import { API_INFO, FLAGS0, UID_WORDS } from './identity.js';
import { RIGHT_ACTIVATE, RIGHTS } from './rights.js';

const test = spec('gunyah numbers');

test('1.5: every error has the value of the interface', () => {
  assert.equal(Object.values(GUNYAH_ERROR), [
    ...[0, -1, -2, 1, 2, 3, 10, 11, 20, 21, 22, 30, 31, 32, 33, 34, 35, 36],
    ...[40, 41, 50, 51, 52, 53, 54, 60, 61, 100, 101, 110, 111, 120, 121, 200],
  ]);
});

test('1.3: API word and feature bits: everything there is, round-robin scheduling', () => {
  assert.equal([API_INFO.lo & 0x3fff, (API_INFO.lo >> 14) & 1, (API_INFO.lo >> 15) & 1], [1, 0, 1]);
  assert.equal([API_INFO.lo >>> 16, API_INFO.hi & 0x00ff_ffff, API_INFO.hi >>> 24], [0, 0, 0x51]);
  const bits = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 28];
  assert.is(
    FLAGS0,
    bits.reduce((all, bit) => all | (1 << bit), 0),
  );
  const virtio = HYPERCALLS.filter(({ name }) => name.includes('virtio'));
  assert.ok(virtio.length === 16 && virtio.every(({ path }) => path !== 'absent'), 'as bit 9 says');
});

test('1.4: words of the UID as each generation compares them', () => {
  const uuid = 'c1d58fcda4535fdb9265ce36673d5f14';
  const bytes = Uint8Array.from({ length: 16 }, (_, n) => Number.parseInt(uuid.slice(n * 2, n * 2 + 2), 16));
  const view = new DataView(bytes.buffer);
  const little = [0, 4, 8, 12].map((at) => view.getUint32(at, true));
  assert.equal([UID_WORDS.P14, UID_WORDS.P17], [little, little]);
  // v6 compares the words of its table, most significant last, each as it is printed.
  assert.equal(
    UID_WORDS.P6,
    [12, 8, 4, 0].map((at) => view.getUint32(at)),
  );
  // Words of the Qualcomm UUID would turn SCM calls of the driver on.
  for (const words of Object.values(UID_WORDS)) assert.not.ok([0x19bd_54bd, 0xbd54_bd19].includes(words[0]));
});

test('2.3: rights of each kind of object', () => {
  assert.equal(RIGHTS, {
    partition: { create: 1, donate: 2 },
    cspace: { create: 1, delete: 2, copy: 4, attach: 8, revoke: 16 },
    addrspace: { attach: 1, map: 2, lookup: 4, addVmmioRange: 8 },
    memextent: { map: 1, derive: 2, attach: 4, lookup: 8, donate: 16 },
    thread: {
      ...{ power: 1, affinity: 2, priority: 4, timeslice: 8, yieldTo: 16, bindVirq: 32 },
      ...{ state: 64, lifecycle: 128, writeContext: 256, disable: 512 },
    },
    doorbell: { send: 1, receive: 2, bind: 4 },
    messageQueue: { send: 1, receive: 2, bindSend: 4, bindReceive: 8 },
    vic: { bindSource: 1, attachVcpu: 2, attachVdevice: 4 },
    hwirq: { bindVic: 2 },
    powerGroup: { attachVcpu: 1, bindVirq: 2, query: 4 },
    watchdog: { attachVcpu: 1, bindVirq: 2, manage: 4 },
    virtioMmio: { bindBackend: 1, bindFrontend: 2, assert: 4, config: 8 },
  });
  assert.is(RIGHT_ACTIVATE, 2 ** 31);
});

test('2: numbers that are reserved, unassigned or of a build without the object answer -1, whatever the registers hold', () => {
  const bench = new GuestBench();
  const vm: BenchVm = bench.vm();
  const caller = bench.caller(vm);
  const queue = bench.grant(vm, bench.queue(4, 16));
  for (const n of [0x08, 0x16, 0x1e, 0x33, 0x35, 0x36, 0x37, 0x69, 0x6a, 0x6b, 0x1ff]) {
    assert.is(caller.call(n, queue, queue, queue)[0], -1, `0x${n.toString(16)}`);
  }
});

test('3: depth 1 to 255, messages of 1 to 1,023 bytes; thresholds of a new queue', () => {
  assert.equal([GUNYAH_QUEUE_LIMITS.depthMax, GUNYAH_QUEUE_LIMITS.messageBytesMax], [255, 1023]);
  const bench = new GuestBench();
  const vm = bench.vm();
  const object = bench.queue(3, 16);
  const cap = bench.grant(vm, object);
  const caller = bench.caller(vm);
  for (const [source, virq] of [
    ['send', 940],
    ['receive', 941],
  ] as const) {
    assert.ok(bench.kernel.bind(object, source === 'send' ? 8 : 6, vm.vic, virq, true).ok);
  }
  vm.takePending();
  const sent = Uint8Array.of(1, 2, 3);
  caller.memory.set(sent, 0x100);
  for (const [n, hasRoom] of [
    [0, 1n],
    [1, 1n],
    [2, 0n],
  ] as const) {
    assert.equal(caller.call(0x1b, cap, 3 + n, 0x100, 0).slice(0, 2), [0, hasRoom]);
  }
  assert.equal(vm.takePending(), [941]); // not_empty is 1: one edge
  // First in, first out, each with its own size.
  for (const size of [3n, 4n, 5n]) assert.is(caller.call(0x1c, cap, 0x200, 16)[1], size);
  assert.equal(caller.memory.slice(0x200, 0x203), sent);
  assert.equal(vm.takePending(), [940]); // not_full is depth - 1: the first that left raised it
});
test.run();
