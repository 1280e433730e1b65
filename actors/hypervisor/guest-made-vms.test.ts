/**
 * VMs put together by hypercalls (gunyah.md 2.1, 2.7, 2.9): what an address space and a thread become when they are activated,
 * what is refused, in which order everything goes, and that all of it comes back. The host is a few maps.
 */
import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { GUNYAH_ERROR as E } from '../abi/gunyah/errors.js';
import { ALL_RIGHTS } from '../abi/gunyah/rights.js';
import { slowCall } from '../abi/gunyah/slow-calls.js';
import { FrameLedger } from '../shared-state/frames/frame-ledger.js';
import { ControllerWindows } from '../shared-state/vm/controller-windows.js';
import { POWER, STOP, VmBlock } from '../shared-state/vm/vm-block.js';
import { Extents } from './extents.js';
import { FramePool } from './frame-pool.js';
import { GuestCore } from './guest-core.js';
import { GuestMadeVms } from './guest-made-vms.js';
import { KernelObjects } from './kernel-objects.js';
import { Partition } from './partition.js';
import { GUEST_MADE_PROCESSORS_MAX, type ProcessorHost, type ProcessorStart } from './processor-orders.js';

const test = spec('guest-made VMs');
const PAGE = 4096;
const MIB = 1 << 20;
const RAM = { base: 0x4000_0000, bytes: 64 * PAGE };
const BASE = 0x8000_0000;
const ACTOR = 77;
type Value = bigint | number;

/** A host that starts threads at once and ends them when told to. */
class FakeHost implements ProcessorHost {
  readonly started: ProcessorStart[] = [];
  readonly ended: string[] = [];
  refuses = false;
  #release: (() => void)[] = [];
  holds = false;

  start(order: ProcessorStart): Promise<number> {
    this.started.push(order);
    return Promise.resolve(this.refuses ? 0 : ACTOR);
  }
  end(partition: number, index: number): Promise<void> {
    this.ended.push(`${partition}:${index}`);
    return this.holds ? new Promise((resolve) => void this.#release.push(resolve)) : Promise.resolve();
  }
  letGo(): void {
    for (const release of this.#release.splice(0)) release();
  }
}

class Setting {
  readonly memory = new SharedArrayBuffer(320 * MIB);
  readonly ledger = new FrameLedger(this.memory, 0, this.memory.byteLength / PAGE);
  readonly pool: FramePool;
  readonly kernel: KernelObjects;
  readonly partitions = new Map<number, Partition>();
  readonly host = new FakeHost();
  readonly core: GuestCore;
  readonly vms: GuestMadeVms;
  readonly extents: Extents;
  readonly home: Partition;
  readonly rung: number[] = [];
  readonly space: number;
  readonly own: bigint;
  readonly mine: bigint;
  readonly vic: bigint;
  readonly #at: { readonly frames: number; readonly objects: number };
  #next = 1;

  constructor() {
    const { memory, ledger } = this;
    const from = Math.ceil(FrameLedger.bytes(memory.byteLength / PAGE) / PAGE) * PAGE;
    this.pool = new FramePool(memory, ledger, from, memory.byteLength);
    const ring = (actor: number): void => void this.rung.push(actor);
    const kernel = KernelObjects.create(memory, this.pool, ring);
    if (kernel === undefined) throw new Error('there is memory');
    this.kernel = kernel;
    const flush = (): Promise<boolean> => Promise.resolve(true);
    this.extents = new Extents(memory, ledger, kernel.table, this.partitions, flush, (one) => kernel.loseExtent(one));
    const newPartition = (): Partition => {
      const made = new Partition(this.#next++, memory, this.pool, ring);
      this.partitions.set(made.number, made);
      return made;
    };
    this.vms = new GuestMadeVms({
      ...{ memory, kernel, extents: this.extents, host: this.host, ring, newPartition },
      dropPartition: (number) => void this.partitions.delete(number),
      areaBytes: (owner) => this.partitions.get(owner)?.areaBytes ?? 0,
      leave: (thread) => this.core.leaveTokens(thread),
      ended: () => this.settle(),
    });
    const set = (): Promise<boolean> => Promise.resolve(true);
    this.core = new GuestCore(kernel, memory, ring, this.extents, set, () => 0, this.vms);
    kernel.tokens.format(2);
    this.home = newPartition();
    this.home.setProperty('processorAreaBytes', 4 * PAGE);
    assert.ok(this.home.initialize().ok);
    assert.ok(this.home.map(RAM.base, RAM.bytes, 7).ok);
    const given = this.core.adopt(this.home, 256);
    if (!given.ok) throw new Error(given.error);
    this.space = given.value.cspace;
    const root = kernel.create('partition', this.home.number);
    if (!root.ok) throw new Error(root.error);
    kernel.table.setData(root.value, 0, this.home.number);
    kernel.table.setState(root.value, 'active');
    const grant = (object: number): bigint => {
      const granted = kernel.capabilities.grant(this.space, object, ALL_RIGHTS);
      return granted.ok ? granted.value.id : -1n;
    };
    [this.own, this.mine, this.vic] = [grant(root.value), grant(this.space), grant(given.value.vic)];
    this.#at = { frames: this.pool.freeFrames, objects: kernel.count };
  }

  settle(): void {
    if (this.vms.isEnding) return;
    this.kernel.releaseRetired();
    this.vms.giveBack(this.vms.takeDead(), true);
  }
  /** Everything is as before the first call. */
  async isClean(): Promise<void> {
    await this.vms.settled();
    this.settle();
    await this.extents.collect();
    assert.equal({ frames: this.pool.freeFrames, objects: this.kernel.count }, this.#at);
    assert.is(this.partitions.size, 1);
    const stage2 = this.home.parts?.stage2;
    for (let page = 0; page < RAM.bytes / PAGE; page++) {
      const host = ((stage2?.entry(RAM.base / PAGE + page) ?? 0) & ~0xfff) >>> 0;
      assert.is(this.ledger.entry(host).state, 'owned');
    }
  }
  async run(n: number, ...args: readonly Value[]) {
    const words = args.map((value) => BigInt.asUintN(64, BigInt(value)));
    return slowCall(this.core, { space: this.space }, n, words);
  }
  async call(n: number, ...args: readonly Value[]): Promise<number> {
    return (await this.run(n, ...args)).error;
  }
  async must(n: number, ...args: readonly Value[]): Promise<void> {
    assert.is(await this.call(n, ...args), E.ok, `0x${n.toString(16)}`);
  }
  async make(n: number): Promise<bigint> {
    const { error, results } = await this.run(n, this.own, this.mine);
    assert.is(error, E.ok);
    return results[0] ?? 0n;
  }
  object(cap: bigint): number {
    const found = this.kernel.capabilities.find(this.space, cap, 0, 0, false);
    return found.ok ? found.value.object : 0;
  }
  async addrspace(vmid: number): Promise<bigint> {
    const made = await this.make(0x03);
    await this.must(0x2e, made, vmid);
    await this.must(0x0c, made);
    return made;
  }
  async newVic(cpus: number): Promise<bigint> {
    const made = await this.make(0x0a);
    await this.must(0x28, made, cpus, 64, 0, 0);
    await this.must(0x0c, made);
    return made;
  }
  /** A thread attached to what is given, in state INIT. */
  async thread(addrspace: bigint, vic?: bigint, index = 0): Promise<bigint> {
    const made = await this.make(0x05);
    await this.must(0x2a, addrspace, made);
    if (vic !== undefined) await this.must(0x29, vic, made, index);
    return made;
  }
  delete(cap: bigint): Promise<number> {
    return this.call(0x22, this.mine, cap);
  }
  partitionOf(addrspace: bigint): Partition {
    const found = this.partitions.get(this.kernel.table.aux(this.object(addrspace)));
    if (found === undefined) throw new Error('an active address space is a partition');
    return found;
  }
}

test('an active address space can be mapped into before it has a vCPU, and gives everything back', async () => {
  const s = new Setting();
  const addrspace = await s.addrspace(7);
  const extent = await s.make(0x04);
  await s.must(0x31, extent, RAM.base, 4 * PAGE, 7);
  await s.must(0x0c, extent);
  await s.must(0x2b, addrspace, extent, BASE, 0xf_0077, 0, 0, 0);
  const { stage2 } = s.partitionOf(addrspace).parts ?? {};
  assert.is(stage2?.entry(BASE / PAGE), s.home.parts?.stage2.entry(RAM.base / PAGE));
  assert.is(await s.call(0x2b, addrspace, extent, BASE + PAGE, 0xf_0077, 0, 0, 0), E.existingMapping);
  await s.must(0x2d, addrspace, extent, BASE, 0x44, 0, 0, 0);
  assert.is((stage2?.entry(BASE / PAGE) ?? 0) & 7, 1);
  assert.is(await s.delete(addrspace), E.ok);
  // What is mapped nowhere any more can be mapped elsewhere: the mapping went with the address space.
  await s.vms.settled();
  const other = await s.addrspace(7);
  await s.must(0x2b, other, extent, BASE, 0xf_0077, 0, 0, 0);
  for (const cap of [other, extent]) assert.is(await s.delete(cap), E.ok);
  await s.isClean();
});

test('an active thread is a processor with its worker: ticket, places, affinity, power', async () => {
  const s = new Setting();
  const [addrspace, vic] = [await s.addrspace(7), await s.newVic(4)];
  const cspace = await s.make(0x02);
  await s.must(0x25, cspace, 8);
  await s.must(0x0c, cspace);
  const thread = await s.thread(addrspace, vic, 2);
  await s.must(0x3e, cspace, thread);
  await s.must(0x0c, thread);
  const [order] = s.host.started;
  const { table } = s.kernel;
  const object = s.object(thread);
  assert.is(order?.owner, s.home.number);
  assert.is(order?.affinity, 2);
  assert.is(order?.ticket.index, 2);
  assert.is(order?.ticket.gic, table.data(s.object(vic)));
  assert.is(order?.ticket.block, table.aux(s.object(vic)));
  assert.is(order?.ticket.areaBytes, 4 * PAGE);
  assert.is(order?.places.space, table.data(s.object(cspace)));
  assert.is(order?.places.thread, object);
  const block = new VmBlock(s.memory, table.data(object));
  assert.is(block.actorOf(2), ACTOR);
  assert.is(block.power(2), POWER.off);
  assert.ok(table.runEntry(object) >= 0);
  assert.is(s.core.spaceOf(s.partitionOf(addrspace).number, 2), s.object(cspace));
  assert.is(s.core.spaceOf(s.partitionOf(addrspace).number, 1), undefined);
  for (const cap of [thread, vic, addrspace, cspace]) assert.is(await s.delete(cap), E.ok);
  await s.isClean();
  assert.equal(s.host.ended, [`${order?.ticket.partition}:2`]);
});

test('processors of one address space are at one vic, and two address spaces share none', async () => {
  const s = new Setting();
  const [one, two] = [await s.addrspace(1), await s.addrspace(2)];
  const [vic, other] = [await s.newVic(2), await s.newVic(2)];
  const first = await s.thread(one, vic, 0);
  await s.must(0x0c, first);
  const refused = [await s.thread(one, other, 0), await s.thread(one), await s.thread(two, vic, 1)];
  const atHome = await s.thread(two, s.vic);
  assert.is(await s.call(0x0c, atHome), E.busy); // that number is its owner's own processor's
  for (const cap of refused) assert.is(await s.call(0x0c, cap), E.denied);
  assert.is(s.kernel.table.state(s.object(refused[0] ?? 0n)), 'init');
  const same = await s.thread(one, vic, 0);
  assert.is(await s.call(0x0c, same), E.busy);
  await s.must(0x29, vic, same, 1);
  await s.must(0x0c, same);
  // Without a vic the numbers are the next free ones; and the vic that was refused serves the other address space.
  const [a, b] = [await s.thread(two), await s.thread(two)];
  for (const cap of [a, b]) await s.must(0x0c, cap);
  assert.equal(
    s.host.started.map(({ ticket }) => ticket.index),
    [0, 1, 0, 1],
  );
  for (const cap of [first, same, a, b, atHome, ...refused, vic, other, one, two]) assert.is(await s.delete(cap), E.ok);
  await s.isClean();
});

test('a thread lives on until its worker is gone: its slot, its memory, what it is attached to', async () => {
  const s = new Setting();
  const [addrspace, vic] = [await s.addrspace(7), await s.newVic(1)];
  const thread = await s.thread(addrspace, vic);
  await s.must(0x0c, thread);
  const object = s.object(thread);
  s.host.holds = true;
  for (const cap of [thread, vic, addrspace]) assert.is(await s.delete(cap), E.ok);
  await Promise.resolve();
  assert.is(s.kernel.table.state(object), 'destroyed');
  assert.is(s.kernel.table.state(s.host.started[0]?.places.thread ?? 0), 'destroyed');
  assert.ok(s.vms.isEnding);
  const again = await s.addrspace(8);
  const next = await s.make(0x05);
  assert.is.not(s.object(next), object); // not while somebody may take it for the first
  const taken = await s.make(0x03);
  await s.must(0x2e, taken, 7);
  assert.is(await s.call(0x0c, taken), E.busy); // its VMID is still in use
  s.host.letGo();
  await s.vms.settled();
  await s.must(0x0c, taken);
  for (const cap of [again, next, taken]) assert.is(await s.delete(cap), E.ok);
  await s.isClean();
});

test('a host that cannot start a worker: NORESOURCES, and the thread is as before', async () => {
  const s = new Setting();
  const [addrspace, vic] = [await s.addrspace(7), await s.newVic(1)];
  const thread = await s.thread(addrspace, vic);
  s.host.refuses = true;
  assert.is(await s.call(0x0c, thread), E.noResources);
  assert.is(s.kernel.table.state(s.object(thread)), 'init');
  assert.is(s.kernel.table.data(s.object(thread)), 0);
  s.host.refuses = false;
  await s.must(0x0c, thread);
  for (const cap of [thread, vic, addrspace]) assert.is(await s.delete(cap), E.ok);
  await s.isClean();
});

test('there are at most so many processors of all VMs', async () => {
  const s = new Setting();
  const caps: bigint[] = [];
  let refused = 0;
  for (let vm = 1; vm <= GUEST_MADE_PROCESSORS_MAX / 8 + 1; vm++) {
    const addrspace = await s.addrspace(vm);
    for (let cpu = 0; cpu < (refused > 0 ? 1 : 8); cpu++) {
      const thread = await s.thread(addrspace);
      const answer = await s.call(0x0c, thread);
      if (answer !== E.ok) assert.is(answer, E.noResources);
      refused += answer === E.ok ? 0 : 1;
      caps.push(thread);
    }
    caps.push(addrspace);
  }
  assert.is(s.host.started.length, GUEST_MADE_PROCESSORS_MAX);
  assert.ok(refused > 0);
  for (const cap of caps) assert.is(await s.delete(cap), E.ok);
  await s.isClean();
});

test('the end of a worker is a crash of its VM; the end of who made a VM stops it', async () => {
  const s = new Setting();
  const [addrspace, vic] = [await s.addrspace(7), await s.newVic(2)];
  const threads = [await s.thread(addrspace, vic, 0), await s.thread(addrspace, vic, 1)];
  for (const thread of threads) await s.must(0x0c, thread);
  const block = new VmBlock(s.memory, s.kernel.table.data(s.object(threads[0] ?? 0n)));
  await s.must(0x5c, threads[1] ?? 0n, s.vic, 100, 0); // its halt
  s.vms.lost(s.partitionOf(addrspace).number, 0);
  assert.is(block.stop, STOP.crash);
  assert.is(s.home.parts?.gic.pendingBits(0, 96), 1 << 4);
  for (const cap of [...threads, vic]) assert.is(await s.delete(cap), E.ok);
  await s.vms.settled();
  // Another VM in the same address space starts afresh.
  const thread = await s.thread(addrspace);
  await s.must(0x0c, thread);
  const next = new VmBlock(s.memory, s.kernel.table.data(s.object(thread)));
  assert.is(next.stop, STOP.none);
  s.core.stopScheduling(s.home.number);
  assert.is(next.stop, STOP.requested);
  // And when its maker is taken apart as a whole, in whatever order, nothing of it is left.
  const live = s.partitionOf(addrspace);
  assert.ok(await s.extents.forget(s.home));
  s.core.forget(s.home.number);
  await s.vms.settled();
  s.settle();
  assert.ok(!s.partitions.has(live.number));
  assert.is(s.kernel.count, 0);
});
/** Where the processors of an address space find the registers of their controller. */
function windowsOf(s: Setting, addrspace: bigint): ControllerWindows {
  return new ControllerWindows(s.memory, { at: s.kernel.table.data(s.object(addrspace)) });
}

test('2.7 attach_vdevice: a controller is where it was put, until it or its processor ends; what cannot be is refused', async () => {
  const s = new Setting();
  const [addrspace, other] = [await s.addrspace(7), await s.addrspace(8)];
  const [vic, foreign] = [await s.newVic(2), await s.newVic(1)];
  const attach = (space: bigint, what: bigint, ...rest: readonly Value[]) => s.call(0x62, space, what, ...rest);
  const [gicd, gicr] = [0x3fff_0000, 0x3ffd_0000];
  // In the order of the published source: index, flags, the processor, what is attached already, the range.
  assert.is(await attach(addrspace, vic, 3, gicd, 0x1_0000, 0), E.argumentInvalid);
  assert.is(await attach(addrspace, vic, 0, gicd, 0x1_0000, 1), E.argumentInvalid);
  assert.is(await attach(addrspace, vic, 1, gicr, 0x2_0000, 4), E.argumentInvalid);
  assert.is(await attach(addrspace, vic, 1, gicr, 0x2_0000, 0), E.idle);
  for (const [base, size] of [
    [gicd, 0],
    [0xffff_ffff_ffff_f000n, 0x2000],
  ] as const) {
    assert.is(await attach(addrspace, vic, 0, base, size, 0), E.argumentInvalid);
  }
  assert.is(await attach(addrspace, vic, 0, 1n << 44n, 0x1_0000, 0), E.argumentSize);
  // Before there is a processor, as the resource manager does it: it is there when the processor comes.
  assert.is(await attach(addrspace, vic, 0, gicd, 0x1_0000, 0), E.ok);
  assert.is(await attach(addrspace, vic, 0, gicd + 0x1_0000, 0x1_0000, 0), E.busy);
  assert.is(await attach(addrspace, foreign, 0, gicd + 0x1_0000, 0x1_0000, 0), E.denied);
  const strange = await s.thread(addrspace, foreign);
  assert.is(await s.call(0x0c, strange), E.denied);
  const threads = [await s.thread(addrspace, vic, 0), await s.thread(addrspace, vic, 1)];
  for (const thread of threads) await s.must(0x0c, thread);
  assert.is(s.kernel.table.data(s.object(addrspace)), s.kernel.table.aux(s.object(vic)));
  assert.equal(windowsOf(s, addrspace).at(gicd + 0xffff), { base: gicd, bytes: 0x1_0000, index: 0, isLast: false });
  assert.is(windowsOf(s, addrspace).at(gicd - 1), undefined);
  assert.is(windowsOf(s, addrspace).at(gicd + 0x1_0000), undefined);
  assert.not(windowsOf(s, addrspace).isMoved);
  // Redistributors: the last one is the last unless it is said.
  assert.is(await attach(addrspace, vic, 1, gicd - 4, 0x2_0000, 0), E.busy);
  assert.is(await attach(addrspace, vic, 1, gicr - 0x2_0000, 0x2_0000, 3), E.ok);
  assert.is(await attach(addrspace, vic, 2, gicr, 0x2_0000, 0), E.ok);
  assert.is(await attach(addrspace, vic, 2, gicr + 0x4_0000, 0x2_0000, 0), E.busy);
  assert.equal([windowsOf(s, addrspace).at(gicr - 1)?.index, windowsOf(s, addrspace).at(gicr - 1)?.isLast], [1, true]);
  assert.equal([windowsOf(s, addrspace).at(gicr)?.index, windowsOf(s, addrspace).at(gicr)?.isLast], [2, true]);
  // Of its own address space and controller alone; its owner's may be put elsewhere in its owner's.
  assert.is(await attach(addrspace, s.vic, 0, 0x1000_0000, 0x1_0000, 0), E.denied);
  // A processor that ends takes its registers along.
  assert.is(await s.delete(threads[1] ?? 0n), E.ok);
  await s.vms.settled();
  assert.is(windowsOf(s, addrspace).at(gicr), undefined);
  assert.is(windowsOf(s, addrspace).at(gicr - 1)?.index, 1);
  const again = await s.thread(addrspace, vic, 1);
  await s.must(0x0c, again);
  assert.is(await attach(addrspace, vic, 2, gicr, 0x2_0000, 1), E.ok);
  assert.is(windowsOf(s, addrspace).at(gicr)?.isLast, false);
  // The address space lives until the controller has left it.
  const object = s.object(addrspace);
  assert.is(await s.delete(addrspace), E.ok);
  for (const cap of [strange, threads[0] ?? 0n, again]) assert.is(await s.delete(cap), E.ok);
  await s.vms.settled();
  assert.is(s.kernel.table.state(object), 'active');
  for (const cap of [vic, foreign, other]) assert.is(await s.delete(cap), E.ok);
  await s.isClean();
});

test('2.6 vic_configure: a controller that keeps away from the platform’s addresses is only where it was put', async () => {
  const s = new Setting();
  const addrspace = await s.addrspace(7);
  const vic = await s.make(0x0a);
  await s.must(0x28, vic, 1, 64, 2, 0);
  await s.must(0x0c, vic);
  const thread = await s.thread(addrspace, vic);
  await s.must(0x0c, thread);
  assert.ok(windowsOf(s, addrspace).isMoved);
  await s.must(0x62, addrspace, vic, 0, 0x3fff_0000, 0x1_0000, 0);
  assert.ok(windowsOf(s, addrspace).isMoved);
  for (const cap of [thread, vic, addrspace]) assert.is(await s.delete(cap), E.ok);
  await s.isClean();
});

test('2.7 configure_info_area: a page of its own, writable, of any type; empty once the address space is active', async () => {
  const s = new Setting();
  const host = (page: number): number => ((s.home.parts?.stage2.entry(RAM.base / PAGE + page) ?? 0) & ~0xfff) >>> 0;
  const bytes = new Uint8Array(s.memory);
  bytes.fill(7, host(0), host(0) + PAGE);
  const extent = async (page: number, pages: number, attributes: number): Promise<bigint> => {
    const made = await s.make(0x04);
    await s.must(0x31, made, RAM.base + page * PAGE, pages * PAGE, attributes);
    await s.must(0x0c, made);
    return made;
  };
  const [good, large, readOnly, device, sparse] = [
    await extent(0, 1, 7),
    await extent(1, 2, 7),
    await extent(3, 1, 4),
    await extent(4, 1, 0x107),
    await extent(5, 1, 0x1_0007),
  ];
  const addrspace = await s.make(0x03);
  for (const bad of [large, readOnly, device, sparse]) {
    assert.is(await s.call(0x5b, addrspace, bad, BASE), E.argumentInvalid);
  }
  for (const ipa of [BASE + 1, (1n << 48n) - 4095n, 1n << 48n]) {
    assert.is(await s.call(0x5b, addrspace, good, ipa), E.addressInvalid);
  }
  // In any order with the number, and the last one counts.
  await s.must(0x5b, addrspace, good, BASE);
  assert.is(await s.call(0x0c, addrspace), E.objectConfig);
  await s.must(0x2e, addrspace, 7);
  await s.must(0x5b, addrspace, good, BASE + PAGE);
  assert.is(bytes[host(0)], 7);
  await s.must(0x0c, addrspace);
  assert.equal([bytes[host(0)], bytes[host(0) + PAGE - 1]], [0, 0]);
  assert.is(await s.call(0x5b, addrspace, good, BASE), E.objectState);
  // It is held: it outlives its capability.
  const object = s.object(good);
  assert.is(await s.delete(good), E.ok);
  assert.is(s.kernel.table.state(object), 'active');
  for (const cap of [addrspace, large, readOnly, device, sparse]) assert.is(await s.delete(cap), E.ok);
  assert.is(s.kernel.table.state(object), 'destroyed');
  await s.isClean();
});
test.run();
