/** Hypercalls that end in the core, with their errors (gunyah.md 2.1, 2.2, 2.4 to 2.6, 2.9, 2.10). */
import * as assert from 'uvu/assert';
import { type BenchVm, GuestBench } from '../../../test/fixtures/gunyah/guest-bench.js';
import { spec } from '../../../test/harness/spec.js';
import { HYPERCALLS } from './calls.js';
import { GUNYAH_ERROR as E } from './errors.js';
import { ALL_RIGHTS, RIGHTS } from './rights.js';
import { archCall, archImplements, serviceCall, watchdogCall } from './services.js';
import { slowCall } from './slow-calls.js';

const test = spec('gunyah slow calls');
const NONE = 0xffff_ffff_ffff_ffffn;

interface Setting {
  readonly bench: GuestBench;
  readonly vm: BenchVm;
  /** The VM's own cspace and a partition, with every right. */
  readonly space: bigint;
  readonly partition: bigint;
  call(n: number, ...args: readonly (bigint | number)[]): Promise<number>;
  /** The first result of a call that must succeed. */
  get(n: number, ...args: readonly (bigint | number)[]): Promise<bigint>;
}

function setting(slots = 64): Setting {
  const bench = new GuestBench();
  const vm = bench.vm(slots);
  const core = bench.core();
  const owner = bench.object('partition');
  bench.kernel.table.setData(owner, 0, 9);
  bench.kernel.table.setState(owner, 'active');
  const run = (n: number, args: readonly (bigint | number)[]) =>
    slowCall(
      core,
      { space: vm.space },
      n,
      args.map((arg) => BigInt.asUintN(64, BigInt(arg))),
    );
  return {
    ...{ bench, vm },
    space: bench.grant(vm, vm.space, ALL_RIGHTS, true),
    partition: bench.grant(vm, owner),
    call: async (n, ...args) => (await run(n, args)).error,
    async get(n, ...args) {
      const { error, results } = await run(n, args);
      assert.is(error, E.ok, `call ${n.toString(16)}`);
      return results[0] ?? 0n;
    },
  };
}

test('objects are created in state init, configured once, activated once', async () => {
  const s = setting();
  const queue = await s.get(0x07, s.partition, s.space);
  assert.is(await s.call(0x0c, queue), E.objectConfig);
  for (const info of [
    0n,
    8n,
    240n << 16n,
    256n | (240n << 16n),
    8n | (1024n << 16n),
    (1n << 32n) | 8n | (240n << 16n),
  ]) {
    assert.is(await s.call(0x21, queue, info), E.argumentInvalid);
  }
  assert.is(await s.call(0x21, queue, 8n | (240n << 16n)), E.ok);
  assert.is(await s.call(0x0c, queue), E.ok);
  assert.is(await s.call(0x0c, queue), E.objectState);
  assert.is(await s.call(0x21, queue, 8n | (240n << 16n)), E.objectState);
  const caller = s.bench.caller(s.vm);
  assert.is(caller.call(0x1b, queue, 4, 0, 0)[0], E.ok);
  // With no right to create, and without the capabilities at all.
  const weak = s.bench.grant(s.vm, s.vm.space, RIGHTS.cspace.delete);
  assert.is(await s.call(0x06, s.partition, weak), E.insufficientRights);
  assert.is(await s.call(0x06, s.space, s.space), E.wrongObjectType);
  assert.is(await s.call(0x06, NONE, s.space), E.capNull);
  assert.is(await s.call(0x01, s.partition, s.space), E.unimplemented);
  const bell = await s.get(0x06, s.partition, s.space);
  assert.is(await s.call(0x0d, s.space, bell), E.ok);
  assert.is(await s.call(0x0d, s.space, NONE), E.capNull);
});

test('a full capability space answers CSPACE_FULL, and the object made for nothing is gone', async () => {
  const s = setting(3);
  const objects = s.bench.kernel.count;
  await s.get(0x06, s.partition, s.space);
  assert.is(await s.call(0x06, s.partition, s.space), E.cspaceFull);
  assert.is(s.bench.kernel.count, objects + 1);
});

test('capabilities are copied with fewer rights, revoked by their master, deleted', async () => {
  const s = setting();
  const bell = await s.get(0x06, s.partition, s.space);
  await s.call(0x0c, bell);
  const copy = await s.get(0x23, s.space, bell, s.space, RIGHTS.doorbell.receive);
  const caller = s.bench.caller(s.vm);
  assert.is(caller.call(0x12, copy, 1)[0], E.insufficientRights);
  assert.is(caller.call(0x14, copy)[0], E.ok);
  const again = await s.get(0x23, s.space, copy, s.space, 0xffff_ffff);
  assert.is(caller.call(0x12, again, 1)[0], E.insufficientRights); // rights only shrink
  assert.is(await s.call(0x59, s.space, copy), E.insufficientRights); // not the master
  assert.is(await s.call(0x59, s.space, bell), E.ok);
  assert.is(caller.call(0x14, copy)[0], E.capRevoked);
  assert.is(await s.call(0x23, s.space, copy, s.space, 1), E.capRevoked);
  assert.is(await s.call(0x22, s.space, copy), E.ok);
  assert.is(caller.call(0x14, copy)[0], E.capNull);
  assert.is(await s.call(0x22, s.space, copy), E.capNull);
  assert.is(await s.call(0x22, s.space, bell), E.ok);
  assert.is(caller.call(0x14, bell)[0], E.capNull);
  assert.is(await s.call(0x24, s.space, bell), E.unimplemented);
});

test('a new capability space takes 1 to 4,096 capabilities, before it is active', async () => {
  const s = setting();
  const space = await s.get(0x02, s.partition, s.space);
  assert.is(await s.call(0x25, space, 0), E.argumentInvalid);
  assert.is(await s.call(0x25, space, 4097), E.argumentInvalid);
  assert.is(await s.call(0x25, space, 16), E.ok);
  assert.is(await s.call(0x06, s.partition, space), E.objectState);
  assert.is(await s.call(0x0c, space), E.ok);
  assert.is(await s.call(0x25, space, 16), E.objectState);
  await s.get(0x06, s.partition, space);
  assert.is(await s.call(0x22, s.space, space), E.ok); // ends the space, and what only it named
});

test('interrupts are bound once, to a shared number that is free, and unbinding is idempotent', async () => {
  const s = setting();
  const vic = s.bench.grant(s.vm, s.vm.vic, RIGHTS.vic.bindSource);
  const weak = s.bench.grant(s.vm, s.vm.vic, RIGHTS.vic.attachVcpu);
  const queue = s.bench.grant(s.vm, s.bench.queue(4, 16));
  const bell = s.bench.grant(s.vm, s.bench.doorbell());
  assert.is(await s.call(0x10, bell, weak, 960), E.insufficientRights);
  for (const virq of [31n, 1020n, 4096n, 1n << 24n, 1n << 40n]) {
    assert.is(await s.call(0x10, bell, vic, virq), E.argumentInvalid);
  }
  assert.is(await s.call(0x10, bell, vic, 960), E.ok);
  assert.is(await s.call(0x10, bell, vic, 961), E.virqBound);
  assert.is(await s.call(0x17, queue, vic, 960), E.busy);
  assert.is(await s.call(0x17, queue, vic, 961), E.ok);
  assert.is(await s.call(0x18, queue, vic, 962), E.ok);
  for (const [n, cap] of [
    [0x11, bell],
    [0x11, bell],
    [0x19, queue],
    [0x1a, queue],
    [0x1a, queue],
  ] as const) {
    assert.is(await s.call(n, cap), E.ok);
  }
  assert.is(await s.call(0x17, queue, vic, 960), E.ok);
});

test('vCPU objects: scheduling before activation, affinity, kill', async () => {
  const s = setting();
  const thread = s.bench.object('thread');
  const cap = s.bench.grant(s.vm, thread);
  assert.is(await s.call(0x34, cap, 1n << 6n), E.argumentInvalid);
  assert.is(await s.call(0x34, cap, (1n << 63n) | (1n << 9n) | 1n), E.ok);
  assert.is(await s.call(0x46, cap, 63), E.denied);
  assert.is(await s.call(0x46, cap, 62), E.ok);
  for (const ns of [99_999, 100_000_001]) assert.is(await s.call(0x47, cap, ns), E.argumentInvalid);
  assert.is(await s.call(0x47, cap, 100_000), E.ok);
  assert.is(await s.call(0x3d, cap, 8), E.argumentInvalid);
  assert.is(await s.call(0x3d, cap, 7), E.ok);
  assert.is(await s.call(0x3d, s.bench.grant(s.vm, thread, RIGHTS.thread.affinity), 0xffff), E.insufficientRights);
  assert.is(await s.call(0x3d, cap, 0xffff), E.ok);
  assert.is(await s.call(0x3a, cap), E.objectState);
  s.bench.kernel.table.setData(thread, s.vm.block.at, 0);
  s.bench.kernel.table.setState(thread, 'active');
  assert.is(await s.call(0x46, cap, 1), E.objectState);
  assert.is(await s.call(0x47, cap, 100_000), E.objectState);
  assert.is(await s.call(0x64, cap, 0, 0, 1), E.objectState); // nobody runs it
  s.vm.block.bindActor(0, 77);
  for (const [set, index, value] of [
    [0, 31, 0],
    [1, 1, 0],
    [1, 0, 2],
    [2, 2, 0],
    [3, 0, 0],
  ] as const) {
    assert.is(await s.call(0x64, cap, set, index, value), E.argumentInvalid);
  }
  assert.is(await s.call(0x64, cap, 0, 30, NONE), E.ok);
  assert.is(await s.call(0x64, cap, 1, 0, 0x4000), E.ok);
  assert.is(await s.call(0x64, cap, 2, 1, 8), E.ok);
  assert.equal(s.bench.registers, [
    [77, 0x2001e, NONE],
    [77, 0x20022, 0x4000n],
    [77, 0x20021, 8n],
  ]);
  const vic = s.bench.grant(s.vm, s.vm.vic);
  assert.is(await s.call(0x5c, cap, vic, 970, 2), E.argumentInvalid);
  assert.is(await s.call(0x5c, cap, vic, 970, 1), E.ok);
  assert.is(await s.call(0x5d, cap, 2), E.argumentInvalid);
  assert.is(await s.call(0x5d, cap, 1), E.ok);
  assert.is(await s.call(0x3a, cap), E.ok);
  assert.is(s.bench.kernel.table.state(thread), 'failed');
});

test('power groups and watchdogs: flags and interrupts', async () => {
  const s = setting();
  const vic = s.bench.grant(s.vm, s.vm.vic);
  const group = await s.get(0x0b, s.partition, s.space);
  assert.is(await s.call(0x66, group, 2), E.unimplemented);
  assert.is(await s.call(0x66, group, 1), E.ok);
  assert.is(await s.call(0x43, group, vic, 980), E.objectState);
  await s.call(0x0c, group);
  assert.is(await s.call(0x43, group, vic, 980), E.ok);
  assert.is(await s.call(0x44, group), E.ok);
  const dog = await s.get(0x09, s.partition, s.space);
  await s.call(0x0c, dog);
  assert.is(await s.call(0x41, dog, vic, 980, 2), E.argumentInvalid);
  assert.is(await s.call(0x41, dog, vic, 980, 1), E.ok);
  assert.is(await s.call(0x42, dog, 2), E.argumentInvalid);
  assert.is(await s.call(0x42, dog, 1), E.ok);
});

test('every slow call checks its capabilities in order before anything else', async () => {
  const s = setting();
  for (const { n, path, args } of HYPERCALLS) {
    if (path !== 'slow' || !args.some(({ needs }) => needs !== undefined)) continue;
    assert.is(await s.call(n, ...args.map(() => NONE)), E.capNull, `0x${n.toString(16)}`);
  }
  // cspace_attach_thread looks at the thread first.
  assert.is(await s.call(0x3e, NONE, s.space), E.wrongObjectType);
});

test('memory extents name their errors in the order of section 2.8', async () => {
  const s = setting();
  const extent = await s.get(0x04, s.partition, s.space);
  assert.is(await s.call(0x31, extent, 0, 0x1000, 0x400), E.argumentInvalid);
  await s.call(0x0c, extent);
  assert.is(await s.call(0x61, 5, extent, extent, 0, 0x1000), E.argumentInvalid);
  assert.is(await s.call(0x61, 0x100, extent, extent, 0, 0x1000), E.argumentInvalid);
  assert.is(await s.call(0x61, 0, extent, NONE, 0, 0x1000), E.capNull);
  assert.is(await s.call(0x61, 0, extent, extent, 0, 0), E.argumentSize);
  assert.is(await s.call(0x61, 0, extent, extent, NONE, 0x1000), E.argumentSize);
  assert.is(await s.call(0x61, 0, extent, extent, 1, 0x1000), E.argumentAlignment);
  for (const flags of [1, 2, 3, 4, 0x100, 0x8000_00ff])
    assert.is(await s.call(0x30, extent, flags, 0, 0), E.argumentInvalid);
  for (const flags of [0x8000_0002, 0x8000_0003, 255]) assert.is(await s.call(0x30, extent, flags, 0, 0), E.ok);
});

test('mapping calls name their errors in the order of section 2.7', async () => {
  const s = setting();
  const space = await s.get(0x03, s.partition, s.space);
  assert.is(await s.call(0x2e, space, 5), E.ok);
  await s.call(0x0c, space);
  const extent = await s.get(0x04, s.partition, s.space);
  await s.call(0x0c, extent);
  const RWX = 0x77n | (15n << 16n);
  for (const attributes of [3n, 0x30n, 8n, 0x80n, RWX | (1n << 24n), 0x77n | (4n << 16n), 0x77n | (16n << 16n)]) {
    assert.is(
      await s.call(0x2b, space, extent, 0, attributes, 1, 0, 0x1000),
      E.argumentInvalid,
      attributes.toString(16),
    );
  }
  assert.is(await s.call(0x2d, space, extent, 0, RWX, 1, 0, 0x1000), E.argumentInvalid); // no memory type here
  for (const flags of [8, 0x4000_0000]) {
    assert.is(await s.call(0x2b, space, extent, 0, RWX, flags, 0, 0x1000), E.argumentInvalid);
    assert.is(await s.call(0x2c, space, extent, 0, flags, 0, 0x1000), E.argumentInvalid);
    assert.is(await s.call(0x2d, space, extent, 0, 0x77, flags, 0, 0x1000), E.argumentInvalid);
  }
  for (const [base, offset, size] of [
    [1, 0, 0x1000],
    [0, 1, 0x1000],
    [0, 0, 0xfff],
  ] as const) {
    assert.is(await s.call(0x2b, space, extent, base, RWX, 1, offset, size), E.argumentAlignment);
    assert.is(await s.call(0x2c, space, extent, base, 1, offset, size), E.argumentAlignment);
    assert.is(await s.call(0x2d, space, extent, base, 0x77, 1, offset, size), E.argumentAlignment);
  }
  const top = 0xffff_ffff_ffff_f000n;
  assert.is(await s.call(0x2b, space, extent, top, RWX, 1, 0, 0x1000), E.addressOverflow);
  assert.is(await s.call(0x2c, space, extent, 0, 1, top, 0x1000), E.addressOverflow);
  // Without the partial flag offset and size are not looked at; no VM runs in this address space, so nothing can be mapped.
  assert.is(await s.call(0x2b, space, extent, 0, RWX, 0, 1, 1), E.objectState);
  assert.is(await s.call(0x5a, space, extent, 1, 0x1000), E.argumentAlignment);
  assert.is(await s.call(0x5a, space, extent, 0, 0x1000), E.objectState);
  const noMap = s.bench.grant(s.vm, 0, 0);
  assert.is(await s.call(0x2b, noMap, extent, 0, RWX, 0, 0, 0), E.wrongObjectType);
  for (const [base, size, op, error] of [
    [1, 0x1000, 0, E.argumentAlignment],
    [0, 0, 0, E.argumentSize],
    [top, 0x2000, 0, E.addressOverflow],
    [0, 0x1000, 2, E.argumentInvalid],
    [0, 0x1000, 0, E.ok],
    [0, 0x2000, 0, E.argumentInvalid],
    [0, 0x2000, 1, E.argumentInvalid],
    [0, 0x1000, 1, E.ok],
  ] as const) {
    assert.is(await s.call(0x60, space, base, size, op), error, `${base} ${size} ${op}`);
  }
});

test('watchdog calls: none where there is no watchdog, bit 1 of CONTROL, two times, milliseconds since the ping', () => {
  const log: string[] = [];
  const dog = {
    elapsedMs: 1234,
    enable: (on: boolean) => void log.push(`enable ${on}`),
    ping: () => void log.push('ping'),
    setTimes: (bark: number, bite: number) => void log.push(`times ${bark} ${bite}`),
  };
  for (const id of [0x8600_0005, 0x8600_0006, 0x8600_0007, 0x8600_0008]) {
    assert.equal(watchdogCall(id, 3, 3, undefined), { error: -1 });
  }
  assert.equal(watchdogCall(0x8600_0006, 0, 0, dog), { error: E.ok, elapsedMs: 1234 });
  for (const bad of [0, 1, 4, 7, 0x8000_0003]) {
    assert.equal(watchdogCall(0x8600_0005, bad, 0, dog), { error: E.argumentInvalid });
  }
  assert.equal(watchdogCall(0x8600_0008, 5, 0, dog), { error: E.argumentInvalid });
  assert.equal(log, []);
  for (const [id, first] of [
    [0x8600_0008, 100],
    [0x8600_0005, 3],
    [0x8600_0007, 0],
    [0x8600_0005, 2],
  ] as const) {
    assert.equal(watchdogCall(id, first, 200, dog), { error: E.ok });
  }
  assert.equal(log, ['times 100 200', 'enable true', 'ping', 'enable false']);
  for (const id of [0x8600_0004, 0x8600_0009, 0x8600_ffff]) assert.equal(watchdogCall(id, 0, 0, dog), { error: -1 });
});

test('services: UID by profile, revisions, and what is not there', () => {
  const words = (id: number, profile: 'P6' | 'P14' | 'P17') =>
    serviceCall(id, profile).map(([lo]) => (lo >>> 0).toString(16));
  assert.equal(words(0x8600_ff01, 'P17'), ['cd8fd5c1', 'db5f53a4', '36ce6592', '145f3d67']);
  assert.equal(words(0x8500_ff01, 'P14'), ['cd8fd5c1', 'db5f53a4', '36ce6592', '145f3d67']);
  assert.equal(words(0x8600_ff01, 'P6'), ['673d5f14', '9265ce36', 'a4535fdb', 'c1d58fcd']);
  assert.equal(serviceCall(0x8600_ff03, 'P17'), [[0x8001, 0x5100_0000]]);
  assert.equal(serviceCall(0x8500_ff03, 'P17'), [
    [1, 0],
    [0, 0],
  ]);
  assert.equal(serviceCall(0x8600_ff00, 'P17'), [[-1, -1]]);
  assert.is(archCall(0x8000_0000, 0), 0x1_0003);
  assert.is(archCall(0x8400_0006, 0), -1);
  assert.equal([archCall(0x8400_000f, 0), archCall(0x8400_000f, 1), archCall(0x8400_000f, 2)], [0, 0, -2]);
  assert.is(archCall(0x8400_000c, 0), 'suspend');
  assert.is(archCall(0x8400_0000, 0), undefined);
  assert.equal(
    [archImplements(0x8400_000c), archImplements(0x8400_0005), archImplements(0x8400_0003)],
    [true, false, undefined],
  );
});
test.run();
