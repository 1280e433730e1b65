/**
 * virtio-mmio devices between two VMs (gunyah.md 2.10): made by hypercalls, driven by stores to a page that can only be read, and by
 * the calls of the other side; what neither side, nor a VM that ends, can do to the other.
 */
import * as assert from 'uvu/assert';
import { BenchCaller } from '../../test/fixtures/gunyah/guest-bench.js';
import { type BenchClient, RAM_BASE, RmBench } from '../../test/fixtures/gunyah/rm-bench.js';
import { spec } from '../../test/harness/spec.js';
import { GUNYAH_ERROR as E } from '../abi/gunyah/errors.js';
import { ALL_RIGHTS, RIGHTS } from '../abi/gunyah/rights.js';
import { slowCall } from '../abi/gunyah/slow-calls.js';
import {
  VIRTIO_REGISTER as R,
  VIRTIO_STATUS as STATUS,
  VIRTIO_REASON as WHY,
} from '../shared-state/objects/virtio-mmio.js';
import { Stage2Reader } from '../shared-state/stage2/stage2-map.js';
import { GuestMemory } from '../vcpu/guest-memory.js';
import type { Partition } from './partition.js';

const test = spec('virtio-mmio devices');
type Value = bigint | number;
const PAGE = 4096;
/** Where the driver's VM has the registers. */
const AT = 0x0b00_0000;
const [DRIVER_VIRQ, DEVICE_VIRQ] = [600, 601];
const READ_ONLY = 4n | (4n << 4n);

class Setting {
  readonly bench = new RmBench();
  readonly device: BenchClient;
  readonly driver: BenchClient;
  readonly caller: BenchCaller;
  readonly memory: GuestMemory;
  readonly space: number;

  static async make(): Promise<Setting> {
    const bench = new RmBench();
    return new Setting(bench, await bench.vm(), await bench.vm(0x80));
  }
  private constructor(bench: RmBench, device: BenchClient, driver: BenchClient) {
    this.bench = bench;
    this.device = device;
    this.driver = driver;
    this.space = bench.core.of(this.partition(device).number)?.cspace ?? 0;
    const places = (client: BenchClient) => ({
      ...{ memory: bench.buffer, table: bench.kernel.table, ring: () => undefined, index: 0 },
      spaceAt: bench.kernel.table.data(bench.core.of(this.partition(client).number)?.cspace ?? 0),
      number: this.partition(client).number,
    });
    this.caller = new BenchCaller(places(device), {});
    this.memory = new GuestMemory(new Stage2Reader(bench.buffer, this.partition(driver).parts?.stage2At ?? 0));
    const { ports } = new BenchCaller(places(driver), {});
    this.memory.registers = (...store) => ports.store(...store);
  }

  partition(client: BenchClient): Partition {
    const found = this.bench.partitions.get(client.vm.partition ?? -1);
    if (found === undefined) throw new Error('the VM has a partition');
    return found;
  }
  grant(object: number, rights: number = ALL_RIGHTS): bigint {
    const granted = this.bench.kernel.capabilities.grant(this.space, object, rights);
    return granted.ok ? granted.value.id : -1n;
  }
  object(cap: bigint): number {
    const found = this.bench.kernel.capabilities.find(this.space, cap, 0, 0, false);
    return found.ok ? found.value.object : 0;
  }
  async call(n: number, ...args: readonly Value[]): Promise<number> {
    const words = args.map((arg) => BigInt.asUintN(64, BigInt(arg)));
    return (await slowCall(this.bench.core, { space: this.space }, n, words)).error;
  }
  fresh(type: 'memextent' | 'virtioMmio'): bigint {
    const made = this.bench.kernel.create(type, this.partition(this.device).number);
    assert.ok(made.ok);
    const cap = this.grant(made.ok ? made.value : 0);
    if (made.ok) this.bench.kernel.unpin(made.value);
    return cap;
  }
  /** An active extent of the device's VM. */
  async extent(page: number, pages = 1, attributes = 6): Promise<bigint> {
    const cap = this.fresh('memextent');
    assert.is(await this.call(0x31, cap, RAM_BASE + page * PAGE, pages * PAGE, attributes), E.ok);
    assert.is(await this.call(0x0c, cap), E.ok);
    return cap;
  }
  /** A device with its page in the driver's VM and both interrupts bound. */
  async virtio(queues = 2, type?: number): Promise<bigint> {
    const { kernel, core } = this.bench;
    const me = await this.extent(0);
    const cap = this.fresh('virtioMmio');
    assert.is(await this.call(0x49, cap, me, queues, type === undefined ? 0 : 0x40, type ?? 0), E.ok);
    assert.is(await this.call(0x0c, cap), E.ok);
    const of = (client: BenchClient) => core.of(this.partition(client).number);
    const addrspace = this.grant(of(this.driver)?.addrspace ?? 0);
    assert.is(await this.call(0x2b, addrspace, me, AT, READ_ONLY, 0, 0, 0), E.ok);
    const vics = [this.driver, this.device].map((client) => this.grant(of(client)?.vic ?? 0));
    assert.is(await this.call(0x4a, cap, vics[0] ?? 0n, DRIVER_VIRQ), E.ok);
    assert.is(await this.call(0x4c, cap, vics[1] ?? 0n, DEVICE_VIRQ), E.ok);
    assert.ok(kernel.table.state(this.object(cap)) === 'active');
    return cap;
  }
  store(offset: number, value: number, bytes = 4): boolean {
    return this.memory.write(AT + offset, bytes, BigInt(value >>> 0));
  }
  /** What the driver reads, and the device's VM, whose page it is. */
  read(offset: number): number {
    const frame = this.memory.frame(AT / PAGE, 0);
    return new DataView(this.bench.buffer).getUint32(frame + offset, true);
  }
  poke(offset: number, value: number): void {
    new DataView(this.bench.buffer).setUint32(this.memory.frame(AT / PAGE, 0) + offset, value, true);
  }
  /** Whether the interrupt of a side is pending; it is not afterwards. */
  takes(client: BenchClient, virq: number): boolean {
    const gic = this.partition(client).parts?.gic;
    const mask = 1 << (virq & 31);
    const is = ((gic?.pendingBits(0, virq & ~31) ?? 0) & mask) !== 0;
    gic?.setBits('pending', 0, virq & ~31, mask, 0);
    return is;
  }
  get tellsDevice(): boolean {
    return this.takes(this.device, DEVICE_VIRQ);
  }
  get tellsDriver(): boolean {
    return this.takes(this.driver, DRIVER_VIRQ);
  }
}

test('virtio_mmio_configure: one page, 16 queues, known types, before activation, rights', async () => {
  const s = await Setting.make();
  const [me, wide, sparse] = [await s.extent(0), await s.extent(2, 2), await s.extent(4, 1, 0x1_0006)];
  const vio = s.fresh('virtioMmio');
  assert.is(await s.call(0x0c, vio), E.objectConfig);
  for (const [extent, queues, flags, type] of [
    [wide, 1, 0, 0],
    [sparse, 1, 0, 0],
    [me, 17, 0, 0],
    [me, 1, 0x40, 0],
    [me, 1, 0x40, 2],
  ] as const) {
    assert.is(await s.call(0x49, vio, extent, queues, flags, type), E.argumentInvalid);
  }
  assert.is(await s.call(0x49, vio, s.grant(s.object(me), RIGHTS.memextent.map), 1, 0, 0), E.insufficientRights);
  assert.is(await s.call(0x49, s.grant(s.object(vio), 0xf), me, 1, 0, 0), E.insufficientRights);
  assert.is(await s.call(0x49, me, me, 1, 0, 0), E.wrongObjectType);
  assert.is(await s.call(0x49, vio, s.fresh('memextent'), 1, 0, 0), E.objectState);
  assert.is(await s.call(0x49, vio, me, 1, 0, 77), E.ok); // the type counts with its flag only
  assert.is(await s.call(0x49, vio, me, 16, 0x40, 18), E.ok);
  // A page that is somebody's registers is nobody else's, and stays where it is.
  const second = s.fresh('virtioMmio');
  assert.is(await s.call(0x49, second, me, 1, 0, 0), E.ok);
  assert.is(await s.call(0x0c, vio), E.ok);
  assert.is(await s.call(0x0c, second), E.busy);
  assert.is(await s.call(0x32, s.fresh('memextent'), me, 0, PAGE, 6), E.busy);
  assert.is(await s.call(0x49, vio, me, 1, 0, 0), E.objectState);
});

test('every call of the device’s side needs its right', async () => {
  const s = await Setting.make();
  const object = s.object(await s.virtio());
  const weak = s.grant(object, 0x8000_0003);
  for (const n of [0x4e, 0x4f, 0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x5e, 0x5f]) {
    assert.is(s.caller.call(n, weak, 0, 0, 0, 0)[0], E.insufficientRights);
    assert.is(s.caller.call(n, s.grant(s.space), 0, 0, 0, 0)[0], E.wrongObjectType);
  }
  const [none, vic] = [s.grant(object, 0xc), s.grant(s.bench.core.of(s.partition(s.device).number)?.vic ?? 0)];
  for (const n of [0x4a, 0x4c]) assert.is(await s.call(n, none, vic, 700), E.insufficientRights);
  for (const n of [0x4b, 0x4d]) assert.is(await s.call(n, none), E.insufficientRights);
  const full = s.grant(object);
  for (const n of [0x4a, 0x4c]) {
    assert.is(await s.call(n, full, vic, 700), E.virqBound);
    assert.is(await s.call(n + 1, full), E.ok);
    assert.is(await s.call(n + 1, full), E.ok);
    assert.is(await s.call(n, full, vic, 1 << 24), E.argumentInvalid);
    assert.is(await s.call(n, full, vic, 700 + n), E.ok);
  }
});

test('a driver negotiates, makes queues, and both sides tell each other', async () => {
  const s = await Setting.make();
  const vio = await s.virtio();
  const { caller } = s;
  s.poke(0, 0x7472_6976); // the device's side writes what nobody else does
  assert.is(s.read(0), 0x7472_6976);
  // Features: VERSION_1 and ACCESS_PLATFORM are a must, NOTIFICATION_DATA is refused.
  for (const bad of [0, 1, 2, 0x43]) assert.is(caller.call(0x4f, vio, 1, bad)[0], E.denied);
  assert.is(caller.call(0x4f, vio, 2, 3)[0], E.argumentInvalid);
  assert.is(caller.call(0x4f, vio, 0, 0x8000_0021)[0], E.ok);
  assert.is(caller.call(0x4f, vio, 1, 0x13)[0], E.ok);
  for (const [select, features] of [
    [0, 0x8000_0021],
    [1, 0x13],
  ] as const) {
    assert.ok(s.store(R.deviceFeaturesSelect, select));
    assert.is(s.read(R.deviceFeatures), features);
    assert.ok(s.store(R.driverFeaturesSelect, select) && s.store(R.driverFeatures, features & 0xff));
    assert.equal(caller.call(0x51, vio, select).slice(0, 2), [E.ok, BigInt(features & 0xff)]);
  }
  assert.not.ok(s.store(R.deviceFeaturesSelect, 2) || s.store(R.driverFeaturesSelect, 2));
  assert.is(caller.call(0x51, vio, 2)[0], E.argumentInvalid);
  // Queues.
  assert.is(caller.call(0x50, vio, 1, 256)[0], E.ok);
  assert.is(caller.call(0x50, vio, 2, 256)[0], E.argumentInvalid);
  assert.not.ok(s.store(R.queueSelect, 2));
  assert.ok(s.store(R.queueSelect, 1));
  assert.is(s.read(R.queueNumMax), 256);
  const registers = [R.queueNum, R.queueDescLow, R.queueDescHigh, R.queueDriverLow, R.queueDriverHigh];
  for (const register of [...registers, R.queueDeviceLow, R.queueDeviceHigh]) assert.ok(s.store(register, register));
  assert.ok(s.store(R.queueReady, 1));
  assert.equal(caller.call(0x52, vio, 1), [E.ok, 0x38n, 1n, 0x84_0000_0080n, 0x94_0000_0090n]);
  assert.is(caller.fifth, 0xa4_0000_00a0n);
  assert.equal(caller.call(0x52, vio, 0), [E.ok, 0n, 0n, 0n, 0n]);
  assert.is(caller.call(0x52, vio, 2)[0], E.argumentInvalid);
  assert.ok(s.store(R.queueSelect, 0) && s.read(R.queueReady) === 0 && s.store(R.queueSelect, 1));
  assert.is(s.read(R.queueReady), 1);
  // Status: DRIVER_OK is told once; notifications of queues collect.
  assert.ok(s.store(R.status, 3));
  assert.not.ok(s.tellsDevice);
  assert.ok(s.store(R.status, 3 | STATUS.driverOk));
  assert.ok(s.tellsDevice);
  assert.ok(s.store(R.status, 3 | STATUS.driverOk));
  assert.not.ok(s.tellsDevice);
  assert.ok(s.store(R.queueNotify, 1) && s.store(R.queueNotify, 0) && s.store(R.queueNotify, 40));
  assert.ok(s.tellsDevice);
  assert.equal(caller.call(0x53, vio).slice(0, 3), [E.ok, 3n, BigInt(WHY.newBuffer | WHY.driverOk)]);
  assert.equal(caller.call(0x53, vio).slice(0, 3), [E.ok, 0n, 0n]);
  // The device's interrupt, and its acknowledgement.
  assert.is(caller.call(0x4e, vio, 1)[0], E.ok);
  assert.is(caller.call(0x4e, vio, 2)[0], E.ok);
  assert.ok(s.tellsDriver && s.read(R.interruptStatus) === 3);
  assert.ok(s.store(R.interruptAck, 1) && s.read(R.interruptStatus) === 2);
  assert.ok(s.store(R.interruptAck, 2) && s.read(R.interruptStatus) === 0);
  // What the device says of itself, and a driver that gives up.
  assert.is(caller.call(0x55, vio, 0x20)[0], E.ok);
  assert.is(s.read(R.status), 0x27);
  assert.ok(s.store(R.status, STATUS.failed) && s.tellsDevice);
  assert.equal(caller.call(0x53, vio).slice(0, 3), [E.ok, 0n, BigInt(WHY.failed)]);
});

test('a reset is asked for by the driver and acknowledged by the device', async () => {
  const s = await Setting.make();
  const vio = await s.virtio();
  const { caller } = s;
  assert.ok(s.store(R.status, 0)); // the first thing a driver does: there is nothing to reset
  assert.not.ok(s.tellsDevice);
  assert.ok(s.store(R.queueSelect, 1) && s.store(R.queueReady, 1) && s.store(R.status, 7));
  assert.ok(s.tellsDevice);
  caller.call(0x53, vio);
  assert.ok(s.store(R.status, 0) && s.tellsDevice);
  assert.is(s.read(R.status), 7 | STATUS.needsReset);
  assert.equal([s.read(R.queueReady), caller.call(0x52, vio, 1)[2]], [0, 0n]);
  assert.is(caller.call(0x4e, vio, 1)[0], E.denied);
  assert.not.ok(s.tellsDriver);
  assert.equal(caller.call(0x53, vio).slice(0, 3), [E.ok, 0n, BigInt(WHY.reset)]);
  assert.is(caller.call(0x54, vio)[0], E.ok);
  assert.is(s.read(R.status), 0);
  assert.is(caller.call(0x4e, vio, 1)[0], E.ok);
  assert.ok(s.tellsDriver);
});

test('stores that are no register’s abort; configuration space takes bytes and words', async () => {
  const s = await Setting.make();
  await s.virtio();
  for (const [offset, bytes] of [
    [R.status, 1],
    [R.status, 2],
    [R.status + 1, 4],
    [R.queueDescLow, 8],
    [0, 4],
    [R.deviceFeatures, 4],
    [R.interruptStatus, 4],
    [R.config, 2],
    [R.config, 8],
    [R.config + 2, 4],
  ] as const) {
    assert.not.ok(s.store(offset, 1, bytes), `${offset} ${bytes}`);
  }
  assert.ok(s.store(R.config + 4, 0x0403_0201) && s.store(R.config + 5, 0xaa, 1) && s.store(PAGE - 1, 0xbb, 1));
  assert.is(s.read(R.config + 4), 0x0403_aa01);
  assert.is(s.read(PAGE - 4) >>> 24, 0xbb);
  assert.not.ok(s.memory.write(AT + PAGE, 4, 1n));
  const none = await Setting.make();
  const vio = await none.virtio(0);
  assert.not.ok(none.store(R.queueSelect, 0) || none.store(R.queueNum, 1) || none.store(R.queueReady, 1));
  assert.is(none.caller.call(0x52, vio, 0)[0], E.argumentInvalid);
});

test('virtio_input: what a device says of itself reaches the driver without it', async () => {
  const s = await Setting.make();
  const [other, { caller }] = [await Setting.make(), s];
  const plain = await other.virtio();
  assert.is(other.caller.call(0x5e, plain, 1, 1, 1, 1)[0], E.objectConfig);
  assert.is(other.caller.call(0x5f, plain, 1, 0, 4, 0)[0], E.wrongObjectType);
  const vio = await s.virtio(2, 18);
  const set = (select: number, subsel: number, size: number, at: Value = 0): number =>
    caller.call(0x5f, vio, select, subsel, size, at)[0];
  assert.equal([set(0x11, 1, 4), set(0x12, 0, 20)], [E.argumentInvalid, E.argumentInvalid]); // no room was made
  assert.is(caller.call(0x5e, vio, 0x0004_0003_0002_0001n, 0xff, 33, 0)[0], E.argumentInvalid);
  assert.is(caller.call(0x5e, vio, 0x0004_0003_0002_0001n, 0xff, 0, 65)[0], E.argumentInvalid);
  assert.is(caller.call(0x5e, vio, 0x0004_0003_0002_0001n, 0x81, 1, 1)[0], E.ok);
  assert.is(caller.call(0x5e, vio, 0x0004_0003_0002_0001n, 0x81, 1, 0)[0], E.busy);
  caller.memory.set(new TextEncoder().encode('a keyboard of the other VM, with axes'));
  assert.equal([set(1, 0, 10), set(2, 0, 5), set(0x11, 1, 6), set(0x12, 3, 20)], [E.ok, E.ok, E.ok, E.ok]);
  assert.equal([set(0x11, 2, 6), set(0x12, 4, 20)], [E.noResources, E.noResources]);
  assert.equal([set(0x11, 32, 6), set(0x12, 64, 20), set(1, 1, 4), set(0, 0, 4)], Array(4).fill(E.argumentInvalid));
  assert.equal([set(3, 0, 9), set(0x10, 0, 5), set(2, 0, 129), set(2, 0, 0)], Array(4).fill(E.argumentSize));
  assert.is(set(3, 0, 8, 0x9000_0000), E.addressInvalid);
  const read = (select: number, subsel: number): string => {
    assert.ok(s.store(R.config + 1, subsel, 1) && s.store(R.config, select, 1));
    const frame = s.memory.frame(AT / PAGE, 0) + R.config;
    const bytes = new Uint8Array(s.bench.buffer).slice(frame, frame + 40);
    return Buffer.from(bytes.subarray(8, 8 + (bytes[2] ?? 0))).toString('latin1');
  };
  assert.is(read(1, 0), 'a keyboard');
  assert.is(read(2, 0), ''); // the last copy of it failed
  assert.is(read(3, 0), '\u0001\u0000\u0002\u0000\u0003\u0000\u0004\u0000');
  assert.is(read(0x10, 0), '\u0081\u0000\u0000\u0000');
  assert.is(read(0x11, 1), 'a keyb');
  assert.is(read(0x12, 3), 'a keyboard of the ot');
  for (const [select, subsel] of [
    [0, 0],
    [1, 1],
    [0x11, 0],
    [0x12, 0],
    [0x12, 200],
    [0x33, 0],
  ] as const) {
    assert.is(read(select, subsel), '');
  }
  assert.not.ok(s.store(R.config + 8, 1, 1) || s.store(R.config + 2, 1, 1));
});

test('when a device or its page ends, stores abort and everything comes back', async () => {
  const s = await Setting.make();
  const { kernel, pool, extents } = s.bench;
  s.partition(s.driver).parts?.stage2.map(AT / PAGE, 0, 0); // the table of the page's mapping, which stays
  const before = [pool.freeFrames, kernel.count];
  const vio = await s.virtio();
  const capabilities = Array.from({ length: 64 }, (_, slot) => BigInt(slot));
  const extent = capabilities.find((cap) => kernel.table.type(s.object(cap)) === 'memextent');
  // The device holds its page when the last capability to it has gone.
  assert.ok(extent !== undefined);
  assert.is(await s.call(0x22, s.grant(s.space), extent ?? 0n), E.ok);
  assert.ok(s.store(R.status, 1));
  assert.is(await s.call(0x22, s.grant(s.space), vio), E.ok);
  assert.not.ok(s.store(R.status, 1));
  kernel.releaseRetired();
  await extents.collect();
  assert.is(s.memory.frame(AT / PAGE, 0), -1);
  assert.equal([pool.freeFrames, kernel.count], before);
  // A VM that ends takes its page out of a device that somebody else still holds.
  const again = await Setting.make();
  const held = await again.virtio();
  const object = again.object(held);
  await again.bench.extents.forget(again.partition(again.device));
  assert.is(again.bench.kernel.table.state(object), 'failed');
  assert.is(again.caller.call(0x53, held)[0], E.objectState);
});
test.run();
