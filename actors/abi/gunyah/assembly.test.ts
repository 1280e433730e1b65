/** Hypercalls that put a VM together (gunyah.md 2.2, 2.6, 2.7, 2.10): arguments, states, what activation asks for, lives. */
import * as assert from 'uvu/assert';
import { type BenchVm, GuestBench } from '../../../test/fixtures/gunyah/guest-bench.js';
import { spec } from '../../../test/harness/spec.js';
import { affinityOf } from '../../hypervisor/mpidr-mapping.js';
import { HYPERCALLS } from './calls.js';
import { GUNYAH_ERROR as E } from './errors.js';
import { ALL_RIGHTS, RIGHTS } from './rights.js';
import { slowCall } from './slow-calls.js';

const test = spec('gunyah assembly calls');
const NONE = 0xffff_ffff_ffff_ffffn;
type Value = bigint | number;

class Setting {
  readonly bench = new GuestBench();
  readonly vm: BenchVm;
  readonly space: bigint;
  readonly partition: bigint;
  readonly vic: bigint;
  readonly #core = this.bench.core();

  constructor() {
    const { bench } = this;
    this.vm = bench.vm(128);
    const owner = bench.object('partition');
    bench.kernel.table.setData(owner, 0, 9);
    bench.kernel.table.setState(owner, 'active');
    this.space = bench.grant(this.vm, this.vm.space, ALL_RIGHTS, true);
    this.partition = bench.grant(this.vm, owner);
    this.vic = bench.grant(this.vm, this.vm.vic);
  }
  run(n: number, args: readonly Value[]) {
    const words = args.map((arg) => BigInt.asUintN(64, BigInt(arg)));
    return slowCall(this.#core, { space: this.vm.space }, n, words);
  }
  async call(n: number, ...args: readonly Value[]): Promise<number> {
    return (await this.run(n, args)).error;
  }
  async make(n: number): Promise<bigint> {
    const { error, results } = await this.run(n, [this.partition, this.space]);
    assert.is(error, E.ok);
    return results[0] ?? NONE;
  }
  /** The object behind a capability. */
  object(cap: bigint): number {
    const found = this.bench.kernel.capabilities.find(this.vm.space, cap, 0, 0, false);
    return found.ok ? found.value.object : 0;
  }
  weaker(cap: bigint, rights: number): bigint {
    return this.bench.grant(this.vm, this.object(cap), rights);
  }
  /** An address space that threads can be attached to. */
  async addrspace(vmid: number): Promise<bigint> {
    const made = await this.make(0x03);
    assert.is(await this.call(0x2e, made, vmid), E.ok);
    assert.is(await this.call(0x0c, made), E.ok);
    return made;
  }
}

test('vic_configure: processors, numbers, options; the controller has what it was configured with', async () => {
  const s = new Setting();
  const vic = await s.make(0x0a);
  for (const [cpus, virqs, options, msis] of [
    [0, 32, 0, 0],
    [9, 32, 0, 0],
    [1, 989, 0, 0],
    [1, 32, 4, 0],
    [1, 32, 1n << 63n, 0],
    [1, 32, 1, 1],
  ] as const) {
    assert.is(await s.call(0x28, vic, cpus, virqs, options, msis), E.argumentInvalid);
  }
  assert.is(await s.call(0x28, vic, 1, 988, 0, 77), E.ok); // the number of MSIs counts with option 0 only
  assert.is(await s.call(0x28, vic, 4, 40, 2, 0), E.ok);
  assert.is(await s.call(0x28, s.weaker(vic, RIGHTS.vic.bindSource), 1, 1, 0, 0), E.insufficientRights);
  assert.is(await s.call(0x28, s.partition, 1, 1, 0, 0), E.wrongObjectType);
  assert.is(await s.call(0x0c, vic), E.ok);
  assert.is(await s.call(0x28, vic, 1, 988, 0, 0), E.objectState);
  assert.is(s.bench.kernel.controller(s.object(vic))?.cpus, 4);
  const bell = await s.make(0x06);
  await s.call(0x0c, bell);
  assert.is(await s.call(0x10, bell, vic, 72), E.argumentInvalid); // 32 + 40 is the first that is not there
  assert.is(await s.call(0x10, bell, vic, 71), E.ok);
  // What is bound is pending there, though no processor takes it.
  const caller = s.bench.caller(s.vm);
  assert.is(caller.call(0x12, bell, 1)[0], E.ok);
  assert.is(s.bench.kernel.controller(s.object(vic))?.pendingBits(0, 64), 1 << 7);
});

test('vgic_set_mpidr_mapping: no overlap, no gap, 15 bits, before activation', async () => {
  const s = new Setting();
  const vic = await s.make(0x0a);
  const set = (mask: bigint, ...shifts: readonly number[]) => s.call(0x67, vic, mask, ...shifts, 0);
  assert.is(await set(0x7fffn, 0, 8, 16, 24), E.ok); // what the resource manager sets
  assert.is(await set(0x1_ffffn, 0, 8, 16, 24), E.argumentInvalid);
  assert.is(await set(0x0303n, 0, 0, 0, 0), E.argumentInvalid);
  assert.is(await set(0x0303n, 0, 3, 0, 0), E.argumentInvalid);
  assert.is(await set(0x03n, 32, 0, 0, 0), E.argumentInvalid);
  assert.is(await set(0n, 0, 0, 0, 0), E.ok);
  assert.is(await set(0x0301n, 0, 1, 0, 0), E.ok); // two threads a core, four cores
  assert.is(await s.call(0x28, vic, 8, 32, 0, 0), E.ok); // and stays when the rest is configured
  assert.is(await s.call(0x0c, vic), E.ok);
  assert.is(await set(0n, 0, 0, 0, 0), E.objectState);
  assert.is(affinityOf({ masks: [1, 3, 0, 0], shifts: [0, 1, 0, 0], multiThread: true }, 5), 0x0201);
  const gic = s.bench.kernel.controller(s.object(vic));
  assert.is(new DataView(gic?.readPrivate(5).buffer ?? new ArrayBuffer(0)).getUint32(0x1c, true), 0x0201);
});

test('addrspace_configure: a VMID from 1 to 255 that no other active address space has', async () => {
  const s = new Setting();
  const one = await s.make(0x03);
  assert.is(await s.call(0x0c, one), E.objectConfig);
  for (const vmid of [0, 256, 0xffff]) assert.is(await s.call(0x2e, one, vmid), E.argumentInvalid);
  assert.is(await s.call(0x2e, one, 0x1_0005), E.ok); // 16 bits count
  assert.is(await s.call(0x0c, one), E.ok);
  assert.is(await s.call(0x2e, one, 5), E.objectState);
  const two = await s.make(0x03);
  assert.is(await s.call(0x2e, two, 5), E.ok);
  assert.is(await s.call(0x0c, two), E.busy);
  assert.is(await s.call(0x2e, two, 6), E.ok);
  assert.is(await s.call(0x0c, two), E.ok);
  assert.is(await s.call(0x22, s.space, one), E.ok);
  const three = await s.make(0x03);
  assert.is(await s.call(0x2e, three, 5), E.ok);
  assert.is(await s.call(0x0c, three), E.ok);
});

test('a thread is attached to its parts in state INIT, and active once it has an address space', async () => {
  const s = new Setting();
  const [vic, group, dog, addrspace] = [
    await s.make(0x0a),
    await s.make(0x0b),
    await s.make(0x09),
    await s.addrspace(7),
  ];
  await s.call(0x28, vic, 2, 32, 0, 0);
  for (const [n, what] of [
    [0x29, vic],
    [0x3c, group],
    [0x40, dog],
  ] as const) {
    assert.is(await s.call(n, what, await s.make(0x05), 0), E.objectState, `0x${n.toString(16)}: not active yet`);
    assert.is(await s.call(0x0c, what), E.ok);
  }
  const thread = await s.make(0x05);
  assert.is(await s.call(0x0c, thread), E.objectConfig);
  assert.is(await s.call(0x29, vic, thread, 2), E.argumentInvalid);
  assert.is(await s.call(0x3c, group, thread, 8), E.argumentInvalid);
  for (const [n, what, right, index] of [
    [0x29, vic, RIGHTS.vic.attachVcpu, 1],
    [0x3c, group, RIGHTS.powerGroup.attachVcpu, 1],
    [0x40, dog, RIGHTS.watchdog.attachVcpu, 0],
    [0x2a, addrspace, RIGHTS.addrspace.attach, 0],
    [0x3e, s.space, RIGHTS.cspace.attach, 0],
  ] as const) {
    const name = `0x${n.toString(16)}`;
    assert.is(await s.call(n, s.weaker(what, ~right & 0x7fff_ffff), thread, index), E.insufficientRights, name);
    assert.is(await s.call(n, what, s.weaker(thread, RIGHTS.thread.power), index), E.insufficientRights, name);
    assert.is(
      await s.call(n, what, what, index),
      n === 0x29 || n === 0x3c || n === 0x40 ? E.wrongObjectType : E.wrongObjectType,
    );
    assert.is(await s.call(n, NONE, thread, index), E.capNull, name);
    assert.is(await s.call(n, what, thread, index), E.ok, name);
    assert.is(await s.call(n, what, thread, index), E.ok, `${name}: again, in place of the first`);
  }
  assert.is(await s.call(0x0c, thread), E.ok);
  assert.is(await s.call(0x29, vic, thread, 0), E.objectState);
  assert.is(await s.call(0x3e, s.space, thread), E.objectState);
  // Each number of a controller and of a power group is one thread's.
  const second = await s.make(0x05);
  await s.call(0x2a, addrspace, second);
  await s.call(0x29, vic, second, 1);
  assert.is(await s.call(0x0c, second), E.busy);
  await s.call(0x3c, group, second, 1);
  assert.is(await s.call(0x0c, second), E.denied);
  await s.call(0x3c, group, second, 0);
  await s.call(0x29, vic, second, 0);
  assert.is(await s.call(0x0c, second), E.ok);
  // No processor of the host runs such a thread; it can be killed.
  const caller = s.bench.caller(s.vm);
  assert.is(caller.call(0x38, thread, 0x1000, 0, 0)[0], E.noResources);
  assert.is(await s.call(0x64, thread, 0, 0, 1), E.objectState);
  assert.is(await s.call(0x3a, thread), E.ok);
  assert.is(await s.call(0x3a, thread), E.objectState);
});

test('what a thread is attached to lives as long as the thread, and then ends', async () => {
  const s = new Setting();
  const objects = s.bench.kernel.count;
  const frames = s.bench.pool.freeFrames;
  const vic = await s.make(0x0a);
  await s.call(0x0c, vic);
  const addrspace = await s.addrspace(3);
  const thread = await s.make(0x05);
  await s.call(0x2a, addrspace, thread);
  await s.call(0x29, vic, thread, 0);
  for (const cap of [vic, addrspace]) assert.is(await s.call(0x22, s.space, cap), E.ok);
  assert.is(s.bench.kernel.count, objects + 3);
  assert.is(await s.call(0x0c, thread), E.ok);
  assert.is(await s.call(0x22, s.space, thread), E.ok);
  assert.is(s.bench.kernel.count, objects);
  s.bench.kernel.releaseRetired();
  assert.is(s.bench.pool.freeFrames, frames);
});

test('watchdogs: configured before, frozen and let go in turn, bound for bark and bite', async () => {
  const s = new Setting();
  const dog = await s.make(0x09);
  assert.is(await s.call(0x58, dog, 2), E.argumentInvalid);
  assert.is(await s.call(0x58, dog, 1), E.ok);
  assert.is(await s.call(0x63, dog, 0), E.objectState);
  assert.is(await s.call(0x0c, dog), E.ok);
  assert.is(await s.call(0x58, dog, 0), E.objectState);
  assert.is(await s.call(0x63, dog, 2), E.busy);
  assert.is(await s.call(0x63, dog, 0), E.ok);
  assert.is(await s.call(0x63, dog, 1), E.ok);
  assert.is(await s.call(0x63, dog, 2), E.ok);
  assert.is(await s.call(0x63, dog, 2), E.ok);
  assert.is(await s.call(0x63, dog, 2), E.busy);
  assert.is(await s.call(0x63, dog, 3), E.argumentInvalid);
  assert.is(await s.call(0x63, s.weaker(dog, RIGHTS.watchdog.bindVirq), 0), E.insufficientRights);
  for (let times = 0; times < 255; times++) assert.is(await s.call(0x63, dog, 0), E.ok);
  assert.is(await s.call(0x63, dog, 0), E.busy);
});

test('calls with nothing behind them here check their capabilities like any other', async () => {
  const s = new Setting();
  const addrspace = await s.addrspace(9);
  const line = s.bench.grant(s.vm, s.bench.object('hwirq'), RIGHTS.hwirq.bindVic);
  s.bench.kernel.table.setState(s.object(line), 'active');
  const extent = await s.make(0x04);
  await s.call(0x0c, extent);
  for (const [n, args, answer] of [
    [0x26, [line, s.vic, 40], E.argumentInvalid],
    [0x26, [s.vic, s.vic, 40], E.wrongObjectType],
    [0x26, [line, line, 40], E.wrongObjectType],
    [0x27, [line], E.argumentInvalid],
    [0x27, [s.weaker(line, 0)], E.insufficientRights],
    [0x56, [s.vic, NONE], E.capNull],
    [0x56, [s.vic, line], E.wrongObjectType],
    [0x2f, [addrspace, line, 0], E.wrongObjectType],
    [0x2f, [s.weaker(addrspace, RIGHTS.addrspace.map), line, 0], E.insufficientRights],
    [0x62, [addrspace, extent, 0, 0x1000, 0x1000, 0], E.wrongObjectType],
    [0x62, [s.weaker(addrspace, RIGHTS.addrspace.attach), s.vic, 0, 0, 0, 0], E.insufficientRights],
    [0x62, [addrspace, s.weaker(s.vic, RIGHTS.vic.bindSource), 0, 0, 0, 0], E.insufficientRights],
    [0x62, [addrspace, NONE, 0, 0, 0, 0], E.capNull],
    [0x5b, [addrspace, s.weaker(extent, RIGHTS.memextent.map), 0x1000], E.insufficientRights],
    [0x5b, [addrspace, addrspace, 0x1000], E.wrongObjectType],
    [0x0e, [addrspace], E.unimplemented],
    [0x0f, [s.space, addrspace], E.unimplemented],
    [0x24, [s.space, addrspace], E.unimplemented],
    [0x6a, [], E.unimplemented],
    [0x01, [s.partition, s.space], E.unimplemented],
  ] as const) {
    assert.is(await s.call(n, ...args), answer, `0x${n.toString(16)}`);
  }
});

test('without capabilities, as every guest of the resource manager is: CAP_NULL from every call that creates or builds', async () => {
  const bench = new GuestBench();
  const vm = bench.vm();
  const core = bench.core();
  for (const { n, name, path, args } of HYPERCALLS) {
    if (path !== 'slow' || !args.some(({ needs }) => needs !== undefined)) continue;
    const { error } = await slowCall(core, { space: vm.space }, n, [0n, 1n, 2n, 0n, 0n, 0n, 0n, 0n]);
    assert.is(error, E.capNull, name);
  }
});
test.run();
